"""A step that memory does not suffice for is done again in smaller pieces, with equal results."""

import logging
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tests.training.runs import (
    TRAINED,
    At,
    Stop,
    in_folder,
    kill,
    rows_of,
    settings_of,
    start,
    train,
)
from torch import Tensor

from palate.data.trees import Forest, pack
from palate.errors import RecipeError
from palate.models.attention import Plan
from palate.models.trunk import Trunk
from palate.training.folder import RunFolder
from palate.training.out_of_memory import is_out_of_memory
from palate.training.session import Session


class SmallMemory:
    """Forward passes that learn of more than `tokens` fail, once `after` of them have been."""

    def __init__(self, patch: pytest.MonkeyPatch, *, tokens: int, after: int = 0) -> None:
        self.passes = self.failures = 0
        real = Trunk.hidden

        def hidden(trunk: Trunk, forest: Forest, plan: Plan | None = None) -> Tensor:
            self.passes += torch.is_grad_enabled()
            full = self.passes > after and len(forest.tokens) > tokens
            if torch.is_grad_enabled() and full:
                self.failures += 1
                raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory")
            return real(trunk, forest, plan)

        patch.setattr(Trunk, "hidden", hidden)


@pytest.mark.parametrize("stage", ["sft", "reward", "dpo"])
def test_the_run_is_that_of_small_micro_batches(
    stage: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    rows = rows_of(stage, 16)
    common = {"logging_steps": 1, "per_device_train_batch_size": 8, "max_steps": 3}
    settings = settings_of(stage, max_tokens_per_microbatch=50, **common)
    monkeypatch.setattr(Session, "rehearse", lambda *_, **__: None)
    wanted_roles, roles = start(stage), start(stage)
    small = settings_of(stage, max_tokens_per_microbatch=25, **common)
    wanted = train(stage, wanted_roles, small, rows=rows)
    # A micro-batch has been added to the step's gradient when another one fails.
    step = [len(group) for group in pack(rows[:8], max_tokens=50)]
    assert len(step) > 1
    memory = SmallMemory(monkeypatch, tokens=30, after=len(step) + 1)
    with caplog.at_level(logging.WARNING, logger="palate"):
        found = train(stage, roles, settings, rows=rows)
    assert memory.failures > 0
    assert "memory does not suffice" in caplog.text
    assert "can't allocate memory" in caplog.text
    assert found.tokens == wanted.tokens
    for mine, theirs in zip(found.history, wanted.history, strict=True):
        assert mine == pytest.approx(theirs, abs=1e-5)
    state = wanted_roles.state(TRAINED[stage])
    for name, tensor in roles.state(TRAINED[stage]).items():
        torch.testing.assert_close(tensor, state[name], rtol=0, atol=1e-5)


def test_a_single_row_that_does_not_fit_stops_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Session, "rehearse", lambda *_, **__: None)
    SmallMemory(monkeypatch, tokens=1)
    with pytest.raises(RecipeError, match="the longest row of this run") as caught:
        train("dpo", start("dpo"), settings_of("dpo"))
    assert caught.value.exit_code == 2


def test_the_rehearsal_finds_the_size_before_the_first_step(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    rows = sorted(rows_of("dpo", 8), key=lambda tree: tree.num_tokens)
    settings = settings_of("dpo", per_device_train_batch_size=2, max_steps=4)
    longest = max(tree.num_tokens for tree in rows)
    memory = SmallMemory(monkeypatch, tokens=longest)
    with caplog.at_level(logging.WARNING, logger="palate"):
        train("dpo", start("dpo"), settings, rows=rows)
    assert caplog.text.count("memory does not suffice") == memory.failures > 0


def test_a_resumed_run_keeps_the_smaller_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Session, "rehearse", lambda *_, **__: None)
    settings = settings_of("dpo", save_steps=1)
    logs = []
    for name in ("straight", "resumed"):
        folder = RunFolder(tmp_path / name)
        with pytest.MonkeyPatch.context() as patch:
            SmallMemory(patch, tokens=40)
            if name == "straight":
                in_folder("dpo", folder, settings, start("dpo"))
            else:
                with pytest.raises(Stop):
                    in_folder("dpo", folder, settings, start("dpo"), listeners=[At(3, kill)])
        if name == "resumed":
            # Here memory would suffice.
            in_folder("dpo", folder, settings, start("dpo"), resume=True)
        logs.append(folder.metrics.read_bytes())
    assert logs[0] == logs[1]


def test_what_is_a_lack_of_memory() -> None:
    assert is_out_of_memory(MemoryError())
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory."))
    assert is_out_of_memory(RuntimeError("std::bad_alloc"))
    assert not is_out_of_memory(RuntimeError("The size of tensor a (2) must match"))
    assert not is_out_of_memory(RuntimeError())


PROGRAM = """
import logging, resource, sys
from tests import tiny
from palate.data.trees import Response, Tree
from palate.training.settings import SFTSettings
from palate.training.sft import train_sft

logging.getLogger("palate").addHandler(logging.StreamHandler(sys.stdout))
rows = [Tree((5,) * 20, (Response((6,) * 80),)) for _ in range(100)]
for max_tokens in (500, 10_000):
    settings = SFTSettings(
        per_device_train_batch_size=100, max_tokens_per_microbatch=max_tokens, max_steps=2,
        logging_steps=1, use_peft=True,
    )
    result = train_sft(tiny.roles_of(tiny.llama(), "policy"), rows, settings)
    print(*(row["loss"] for row in result.history))
    used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + 48 * 2**20, -1))
"""


def test_memory_that_is_really_limited() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    first, *told, last = done.stdout.strip().splitlines()
    assert "memory does not suffice for 10000 tokens at a time" in told[0]
    wanted, found = ([float(word) for word in line.split()] for line in (first, last))
    assert found == pytest.approx(wanted, abs=1e-5)
