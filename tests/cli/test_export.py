"""`palate export`: what it writes loads in stock libraries, and what does not agree is not kept."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from tests import tiny
from tests.cli.conftest import Palate
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedModel,
)

from palate.data.trees import plant
from palate.errors import ModelError
from palate.experiments import export as exporting
from palate.experiments.answers import as_policy
from palate.experiments.prepare import frozen_reward, load_reward_model
from palate.models.load import load
from palate.models.roles import Roles
from palate.models.scoring import rewards, token_logprobs_of
from palate.models.stock import write_merged

SHAPES: dict[str, Callable[[], PreTrainedModel]] = {
    "llama": tiny.llama, "tied": lambda: tiny.llama(tied=True), "gpt2": tiny.gpt2,
}  # fmt: skip
TREES = tiny.trees(5, seed=11)
Made = Callable[[str, str], Path]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, pairs: Path, shown: Path, recipe: Path) -> Made:
    """Runs by shape and name, each made when it is first asked for."""
    from palate.cli.app import main

    home = tmp_path_factory.mktemp("runs")

    def make(shape: str, name: str) -> Path:
        folder = home / shape / name
        if folder.exists():
            return folder
        if name == "base":
            SHAPES[shape]().save_pretrained(folder)
            tiny.tokenizer().save_pretrained(folder)
            return folder
        stage, _, rest = name.partition(" ")
        start = {"on sft": "sft full", "on adapter": "sft lora"}.get(rest, "base")
        line = [
            stage, "--config", recipe, "--output-dir", folder, "--model", make(shape, start),
            "--data", shown if stage == "sft" else pairs, "--learning-rate", "0.02",
        ]  # fmt: skip
        line += ["--no-use-peft"] if rest == "full" else ["--use-peft"]
        line += ["--max-new-tokens", "4"] if stage in ("reward", "ppo") else []
        if stage == "ppo":
            line += ["--reward", make(shape, "reward on sft"), "--reward-gate", "off"]
        line += ["--missing-eos-penalty", "0"] if stage == "ppo" else []
        assert main([str(word) for word in line]) == 0
        return folder

    return make


@torch.no_grad()
def _policy(model: Path) -> list[torch.Tensor]:
    roles = as_policy(load(model))
    forest = plant(TREES)
    found = token_logprobs_of(roles, "policy", forest)
    return [found[forest.owner == number] for number in range(2 * len(TREES))]


@torch.no_grad()
def _rewards(model: Path) -> torch.Tensor:
    return rewards(frozen_reward(load_reward_model(model), model), plant(TREES))


@torch.no_grad()
def _logits(folder: Path) -> torch.Tensor:
    """One padded batch, as the folder's own tokenizer pads."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    rows = [[*tree.prompt, *r.tokens] for tree in TREES for r in tree.responses]
    batch = tokenizer.pad({"input_ids": rows}, return_tensors="pt")
    model = AutoModelForSequenceClassification.from_pretrained(folder)
    found: torch.Tensor = model(**batch).logits[:, 0]
    return found


def _check_policy(run: Path, model: PreTrainedModel) -> None:
    with torch.no_grad():
        stock = tiny.stock_logprobs(model.eval(), TREES)
    for theirs, ours in zip(stock, _policy(run / "model"), strict=True):
        torch.testing.assert_close(theirs, ours, rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("shape", "name"),
    [
        ("tied", "sft full"), ("llama", "dpo on adapter"),
        pytest.param("gpt2", "sft lora", marks=pytest.mark.slow),
        pytest.param("gpt2", "sft full", marks=pytest.mark.slow),
        pytest.param("tied", "sft lora", marks=pytest.mark.slow),
        pytest.param("tied", "dpo lora", marks=pytest.mark.slow),
        pytest.param("gpt2", "dpo on adapter", marks=pytest.mark.slow),
        pytest.param("llama", "ppo on sft", marks=pytest.mark.slow),
        pytest.param("gpt2", "ppo on sft", marks=pytest.mark.slow),
    ],
)  # fmt: skip
def test_a_policy_is_a_plain_transformers_folder(
    palate: Palate, made: Made, tmp_path: Path, shape: str, name: str
) -> None:
    run, out = made(shape, name), tmp_path / "deep" / "out"
    said = palate("export", run, "--output-dir", out, "--json")
    assert said.code == 0, said.err
    assert said.json["what"] == "merged"
    assert said.json["responses_scored"] == (8 if name.startswith("dpo") else 4)
    assert said.json["largest_difference"] <= 1e-4
    assert said.json["serve"][0] == f"transformers serve {out}"
    model = AutoModelForCausalLM.from_pretrained(out)
    assert model.dtype == torch.float32
    assert not any("lora" in key for key in model.state_dict())
    assert (model.lm_head.weight is model.get_input_embeddings().weight) == (shape != "llama")
    _check_policy(run, model)
    assert not [path for path in out.parent.iterdir() if path != out]


@pytest.mark.parametrize(
    ("shape", "name"),
    [
        ("llama", "dpo on adapter"),
        pytest.param("gpt2", "ppo on sft", marks=pytest.mark.slow),
        pytest.param("tied", "sft lora", marks=pytest.mark.slow),
    ],
)
def test_an_adapter_loads_in_stock_peft_on_the_stock_base(
    palate: Palate, made: Made, tmp_path: Path, shape: str, name: str
) -> None:
    run, out = made(shape, name), tmp_path / "out"
    said = palate("export", run, "--output-dir", out, "--what", "adapter", "--json")
    assert said.code == 0, said.err
    base = json.loads((out / "adapter_config.json").read_text())["base_model_name_or_path"]
    assert said.json["base"] == base
    assert "--max-lora-rank 4" in said.json["serve"][0]
    _check_policy(run, PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), out))
    assert "library_name: peft" in (out / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("shape", "name"),
    [
        ("gpt2", "reward on sft"),
        pytest.param("llama", "reward full", marks=pytest.mark.slow),
        pytest.param("gpt2", "reward full", marks=pytest.mark.slow),
        pytest.param("tied", "reward on adapter", marks=pytest.mark.slow),
    ],
)  # fmt: skip
def test_a_reward_model_is_a_sequence_classifier_whose_logit_is_the_reward(
    palate: Palate, made: Made, tmp_path: Path, shape: str, name: str
) -> None:
    run, out = made(shape, name), tmp_path / "out"
    said = palate("export", run, "--output-dir", out, "--json")
    assert said.code == 0, said.err
    assert said.json["what"] == "reward"
    scale = json.loads((run / "model" / "reward_scale.json").read_text())
    assert abs(scale["mean"]) > 1e-3  # there is something to fold in
    # An RMSNorm has no bias to take the mean: one number stays, and is told.
    shift = 0.0 if shape == "gpt2" else scale["mean"] / scale["spread"]
    assert said.json["reward_shift"] == pytest.approx(shift)
    stock = _logits(out) - said.json["reward_shift"]
    torch.testing.assert_close(stock, _rewards(run / "model"), rtol=0, atol=1e-4)
    card = (out / "README.md").read_text(encoding="utf-8")
    assert (f"- {said.json['reward_shift']!r}" in card) == (shape != "gpt2")


def test_the_card_tells_what_the_run_knows(palate: Palate, made: Made, tmp_path: Path) -> None:
    run, out = tmp_path / "run", tmp_path / "out"
    shutil.copytree(made("gpt2", "sft lora"), run)
    with (run / "metrics.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"step": 2, "bygone": 3.0}\n')
    card = made("gpt2", "base") / "README.md"
    card.write_text("---\nlicense: apache-2.0\n---\n# Base\n", encoding="utf-8")
    assert palate("export", run, "--output-dir", out).code == 0
    text = (out / "README.md").read_text(encoding="utf-8")
    manifest = json.loads((run / "manifest.json").read_text(encoding="utf-8"))
    for said in (
        "license: apache-2.0", manifest["data"], "`shown.jsonl`", "| `learning_rate` | 0.02 |",
        "The run had no held-out rows", "| `loss` |", "| `bygone` | 3 | not known |",
        "A new process without Palate",
        f"vllm serve {out}", "Not run here",
    ):  # fmt: skip
        assert said in text


def test_an_export_with_other_numbers_is_not_kept(
    palate: Palate, made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forget_to_merge(roles: Roles, folder: Path) -> None:
        shutil.copytree(made("gpt2", "base"), folder, dirs_exist_ok=True)

    monkeypatch.setattr(exporting, "write_merged", forget_to_merge)
    said = palate("export", made("gpt2", "sft lora"), "--output-dir", tmp_path / "a" / "out")
    assert said.code == 4
    assert "give other numbers than Palate" in said.error
    assert list(tmp_path.iterdir()) == []


def test_an_export_that_stock_libraries_cannot_read_is_not_kept(
    palate: Palate, made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lose_weights(roles: Roles, folder: Path) -> None:
        write_merged(roles, folder)
        (folder / "model.safetensors").unlink()

    monkeypatch.setattr(exporting, "write_merged", lose_weights)
    out = tmp_path / "out"
    said = palate("export", made("gpt2", "sft lora"), "--output-dir", out)
    assert said.code == 4
    assert f"{out}: not kept" in said.error
    assert list(tmp_path.iterdir()) == []


def test_a_base_that_moved_is_named_and_a_wrong_one_is_refused(
    palate: Palate, made: Made, tmp_path: Path
) -> None:
    run, out = tmp_path / "run", tmp_path / "out"
    shutil.copytree(made("tied", "dpo lora"), run)
    base, moved = made("tied", "base"), tmp_path / "moved"
    other = tmp_path / "other"
    tiny.llama(tied=True, seed=1).save_pretrained(other)
    tiny.tokenizer().save_pretrained(other)
    shutil.move(base, moved)
    try:
        said = palate("export", run, "--output-dir", out)
        assert said.code == 2
        assert "say where that model is with --base" in said.error
        said = palate("export", run, "--output-dir", out, "--base", other)
        assert said.code == 2
        assert "its weights are others" in said.error
        assert not out.exists()
        said = palate("export", run, "--output-dir", out, "--base", moved, "--what", "adapter")
        assert said.code == 0, said.err
        config = json.loads((out / "adapter_config.json").read_text())
        assert config["base_model_name_or_path"] == str(moved)
        assert f"base_model: {moved}\n" in (out / "README.md").read_text(encoding="utf-8")
    finally:
        shutil.move(moved, base)


def test_what_cannot_be_exported_is_told_in_one_line(
    palate: Palate, made: Made, model: Path, tmp_path: Path
) -> None:
    full, reward = made("tied", "sft full"), made("llama", "reward full")
    unfinished = tmp_path / "unfinished"
    shutil.copytree(full, unfinished, ignore=shutil.ignore_patterns("model"))
    damaged = tmp_path / "damaged"
    shutil.copytree(full, damaged)
    (damaged / "manifest.json").write_text("{", encoding="utf-8")
    taken = tmp_path / "taken"
    taken.mkdir()
    out = tmp_path / "out"
    for run, more, words in (
        (tmp_path / "nowhere", (), "there is no such folder"),
        (model, (), "not a run folder (no recipe.yaml); name the output folder of"),
        (full / "model", (), f"name the run folder around it, {full}"),
        (unfinished, (), "this run is not finished"),
        (damaged, (), "damaged"),
        (full, ("--what", "adapter"), "there is no adapter"),
        (full, ("--what", "reward"), "holds a policy (sft), which has no reward head"),
        (reward, ("--what", "merged"), "holds a reward model; export it with --what reward"),
        (full, ("--base", model), "needs no base"),
        (full, ("--output-dir", taken), "exists already"),
        (full, ("--output-dir", full / "recipe.yaml" / "out"), "cannot be written"),
        (full, ("--data", tmp_path / "no.jsonl"), "no.jsonl"),
    ):
        said = palate("export", run, "--output-dir", out, *more)
        assert said.code == 2, (words, said)
        assert words in said.error
        assert not out.exists()
    assert list(taken.iterdir()) == []


def test_rows_that_are_gone_are_replaced_by_samples_or_asked_for(
    palate: Palate, made: Made, pairs: Path, tmp_path: Path
) -> None:
    for name in ("sft lora", "reward on sft", "reward full"):
        run = tmp_path / name
        shutil.copytree(made("gpt2", name), run)
        recipe = (run / "recipe.yaml").read_text(encoding="utf-8")
        lines = [line for line in recipe.splitlines() if not line.startswith("data:")]
        (run / "recipe.yaml").write_text("\n".join(lines), encoding="utf-8")
    # A reward model that started from a run has that run's samples.
    for number, name in enumerate(("sft lora", "reward on sft")):
        out = tmp_path / f"out-{number}"
        said = palate("export", tmp_path / name, "--output-dir", out, "--json")
        assert said.code == 0, said.err
        assert 0 < said.json["responses_scored"] <= 4
    asked = ("export", tmp_path / "reward full", "--output-dir", tmp_path / "out")
    said = palate(*asked)
    assert said.code == 2
    assert "name a file of such rows with --data" in said.error
    assert palate(*asked, "--data", pairs).code == 0


def test_pickled_weights_are_refused(palate: Palate, made: Made, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(made("tied", "sft full"), run)
    (run / "model" / "model.safetensors").rename(run / "model" / "pytorch_model.bin")
    said = palate("export", run, "--output-dir", tmp_path / "out")
    assert said.code == 2
    assert "pickled" in said.error
    with pytest.raises(ModelError, match="pickled"):
        load(run / "model")
