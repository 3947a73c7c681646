"""The longest micro-batch is found and tried first, and the run that follows is the same run."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from tests.training.runs import STAGES, TRAINED, rows_of, settings_of, start, train
from torch import Tensor

from palate.data.trees import Forest, Tree, pack, plant
from palate.errors import RecipeError
from palate.models.attention import Plan
from palate.models.scoring import token_logprobs_of
from palate.models.trunk import Trunk
from palate.training.folder import RunFolder
from palate.training.rehearsal import Longest, longest_microbatch
from palate.training.run import Run
from palate.training.seeding import order
from palate.training.session import Session
from palate.training.settings import StageSettings


def _tokens(trees: Sequence[Tree]) -> int:
    return sum(tree.num_tokens for tree in trees)


def test_the_longest_micro_batch_by_hand() -> None:
    a, b, c = Tree((5,) * 3), Tree((6,) * 4), Tree((7,) * 9)
    assert longest_microbatch([], max_tokens=8) == Longest([])
    assert longest_microbatch([[a, b], [b, a]], max_tokens=8) == Longest([a, b], 7, 0)
    assert longest_microbatch([[a, b], [a, a, a], [b, b]], max_tokens=8) == Longest([b, b], 8, 2)
    # One that is longer than the budget stands alone.
    assert longest_microbatch([[b, b], [a, c]], max_tokens=8) == Longest([c], 9, 1)


def _growing(stage: str, settings: StageSettings) -> list[Tree]:
    """Ten rows that get longer from step to step of the first epoch."""
    rows = sorted(rows_of(stage), key=lambda tree: tree.num_tokens)
    places = order(len(rows), seed=settings.seed, epoch=0)
    return [rows[places.index(i)] for i in range(len(rows))]


def _rehearsed(settings: StageSettings, rows: Sequence[Tree]) -> list[list[Tree]]:
    """What a session rehearses of these rows."""
    roles, seen = start("sft"), list[list[Tree]]()

    def loss(forest: Forest, plan: Plan, trees: Sequence[Tree]) -> Tensor:
        seen.append(list(trees))
        assert torch.equal(forest.tokens, plant(trees).tokens)
        return token_logprobs_of(roles, "policy", forest, plan=plan).sum()

    session = Session("sft", roles, ("policy",), settings, num_rows=len(rows), run=Run())
    session.rehearse(rows, loss)
    return seen


@pytest.mark.parametrize("max_tokens", [1, 20, 1000])
def test_it_is_rehearsed_once_unless_the_first_step_has_it(max_tokens: int) -> None:
    settings = settings_of(
        "sft", per_device_train_batch_size=3, max_steps=6, eval_steps=0,
        max_tokens_per_microbatch=max_tokens,
    )  # fmt: skip
    counts = []
    for seed in range(8):
        rows = rows_of("sft", 9, seed=seed)
        session = Session("sft", start("sft"), ("policy",), settings, num_rows=9, run=Run())
        sizes = []
        for number in range(1, 7):
            mine = [rows[i] for i in session._rows_of(number)]
            groups = pack(mine, max_tokens=max_tokens)
            sizes.append(max(_tokens([mine[i] for i in group]) for group in groups))
        seen = _rehearsed(settings, rows)
        counts.append(len(seen))
        assert len(seen) == (max(sizes) > sizes[0])
        assert all(_tokens(trees) == max(sizes) for trees in seen)
    assert set(counts) == {0, 1}


@pytest.mark.parametrize("stage", STAGES)
def test_a_rehearsed_run_is_the_same_to_the_last_bit(stage: str, tmp_path: Path) -> None:
    """Dropout draws, AdamW's state, the log and the meter's bill are as without."""
    settings = settings_of(
        stage, save_steps=2, per_device_train_batch_size=2, max_tokens_per_microbatch=40
    )
    rehearsals = 0
    real = Session.rehearse

    def count(self: Session, *args: object, **kwargs: object) -> None:
        nonlocal rehearsals
        forwards = 0
        hidden = Trunk.hidden

        def counted(trunk: Trunk, forest: Forest, plan: Plan | None = None) -> Tensor:
            nonlocal forwards
            forwards += 1
            return hidden(trunk, forest, plan)

        with pytest.MonkeyPatch.context() as inner:
            inner.setattr(Trunk, "hidden", counted)
            real(self, *args, **kwargs)  # type: ignore[arg-type]
        rehearsals += forwards

    logs, weights, bills = [], [], []
    for name, method in (("with", count), ("without", lambda *_, **__: None)):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Session, "rehearse", method)
            roles, folder = start(stage, dropout=0.05), RunFolder(tmp_path / name)
            with folder.open():
                rows = _growing(stage, settings)
                train(stage, roles, settings, rows=rows, run=Run(folder=folder))
        logs.append(folder.metrics.read_bytes())
        weights.append(
            [path.read_bytes() for path in sorted(folder.checkpoints.glob("*/*.safetensors"))]
        )
        bills.append((roles.meter.flops, roles.meter.tokens))
    assert rehearsals > 0
    assert logs[0] == logs[1]
    assert weights[0] == weights[1]
    assert bills[0] == bills[1]


@pytest.mark.parametrize("stage", STAGES)
def test_too_little_memory_for_a_later_step_shows_before_the_first(
    stage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_of(stage, per_device_train_batch_size=2, max_steps=5, eval_steps=0)
    rows = _growing(stage, settings)
    session = Session(stage, start(stage), TRAINED[stage], settings, num_rows=10, run=Run())
    # Rows of PPO are prompts: two responses of six tokens come to each.
    more = 12 if stage == "ppo" else 0
    steps = [[rows[i].num_tokens + more for i in session._rows_of(n)] for n in range(1, 6)]
    longest = max(map(max, steps))
    assert longest > max(steps[0])
    real = Trunk.hidden

    def hidden(trunk: Trunk, forest: Forest, plan: Plan | None = None) -> Tensor:
        if torch.is_grad_enabled() and len(forest.tokens) >= longest:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB\nand more")
        return real(trunk, forest, plan)

    monkeypatch.setattr(Trunk, "hidden", hidden)
    roles = start(stage)
    before = {k: v.clone() for k, v in roles.state(TRAINED[stage]).items()}
    with pytest.raises(RecipeError) as caught:
        train(stage, roles, settings, rows=rows, evaluate=False)
    said = str(caught.value)
    assert f"in a micro-batch: {longest} tokens" in said
    assert "CUDA out of memory. Tried to allocate 9 GiB;" in said
    assert "Lower max_length" in said
    assert caught.value.exit_code == 2
    assert all(torch.equal(v, before[k]) for k, v in roles.state(TRAINED[stage]).items())
    assert all(p.grad is None for n in TRAINED[stage] for p in roles.parameters(n).values())


def _no_memory() -> None:
    raise MemoryError


def _no_room() -> None:
    torch.empty(2**60)  # what the CPU's allocator says where it cannot


@pytest.mark.parametrize("fail", [_no_memory, _no_room])
def test_a_failed_allocation_of_any_kind_is_told(fail: object) -> None:
    assert callable(fail)
    rows = rows_of("ppo")

    def loss(forest: Forest, plan: Plan, trees: Sequence[Tree]) -> Tensor:
        fail()
        return torch.zeros((), requires_grad=True)

    settings = settings_of("sft", eval_steps=0)
    session = Session("sft", start("sft"), ("policy",), settings, num_rows=10, run=Run())
    with pytest.raises(RecipeError, match="memory does not suffice"):
        session.rehearse(rows, loss, sampled=True)


def test_other_errors_are_not_taken_for_a_lack_of_memory() -> None:
    def loss(forest: Forest, plan: Plan, trees: Sequence[Tree]) -> Tensor:
        return torch.zeros(2) @ torch.zeros(3)

    session = Session("sft", start("sft"), ("policy",), settings_of("sft", eval_steps=0),
                      num_rows=10, run=Run())  # fmt: skip
    with pytest.raises(RuntimeError, match="size"):
        session.rehearse(rows_of("ppo"), loss, sampled=True)


def test_ppo_rehearses_responses_of_full_length(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Forest] = []
    real = Session.rehearse

    def spy(self: Session, trees: Sequence[Tree], loss: object, *, sampled: bool = False) -> None:
        assert callable(loss)

        def watched(forest: Forest, plan: Plan, some: Sequence[Tree]) -> Tensor:
            seen.append(forest)
            found = loss(forest, plan, some)
            assert isinstance(found, Tensor)
            assert bool(found.isfinite())
            return found

        real(self, trees, watched, sampled=sampled)

    monkeypatch.setattr(Session, "rehearse", spy)
    settings = settings_of("ppo", max_steps=1, max_new_tokens=7, num_samples_per_prompt=3)
    train("ppo", start("ppo"), settings, evaluate=False)
    (forest,) = seen
    assert forest.lengths.tolist() == [7] * 12
