"""The model card of a run: what it is, from what, how good, how to load it."""

from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from palate.training.journal import metric
from palate.training.settings import StageSettings

if TYPE_CHECKING:
    from palate.experiments.work import Outcome

STAGES = {
    "sft": "supervised fine-tuning",
    "dpo": "direct preference optimization",
    "reward": "a reward model on preference pairs",
    "ppo": "proximal policy optimization against a reward",
    "online": "an online method on its own responses",
}


def write_card(outcome: "Outcome", settings: StageSettings, *, base: str) -> None:
    """Write README.md into the run folder."""
    front = {
        "base_model": base,
        "library_name": "peft" if settings.use_peft else "transformers",
        "pipeline_tag": "text-generation" if outcome.stage != "reward" else "text-classification",
        "tags": [outcome.stage, "lora" if settings.use_peft else "full", "palate"],
    }
    rows = [
        f"| {name} | {value:.4g} | {metric(name).unit} |"
        for name, value in sorted(outcome.result.metrics.items())
    ]
    lines = [
        "---", yaml.safe_dump(front, sort_keys=False).strip(), "---", "",
        f"# {outcome.output_dir.name}", "",
        f"Trained by {STAGES[outcome.stage]} from `{base}`: {outcome.result.steps} steps, "
        f"{outcome.result.examples} examples, {outcome.result.tokens} tokens, "
        f"{outcome.result.train_seconds:.1f} s.", "",
        "## Last metrics", "", "| metric | value | unit |", "| --- | --- | --- |", *rows, "",
        "## Load it", "", "```python", *_how_to_load(outcome, settings, base), "```", "",
        "`recipe.yaml` has every setting, `manifest.json` versions and hashes, `metrics.jsonl` "
        "the curves.", "",
    ]  # fmt: skip
    Path(outcome.output_dir / "README.md").write_text("\n".join(lines), encoding="utf-8")


def _how_to_load(outcome: "Outcome", settings: StageSettings, base: str) -> list[str]:
    kind = "CausalLM" if outcome.stage != "reward" else "SequenceClassification"
    auto, labels = f"AutoModelFor{kind}", "" if kind == "CausalLM" else ", num_labels=1"
    if not settings.use_peft:
        return [
            f"from transformers import {auto}", "",
            f'model = {auto}.from_pretrained("{outcome.model_dir}"{labels})',
        ]  # fmt: skip
    return [
        "from peft import PeftModel",
        f"from transformers import {auto}", "",
        f'base = {auto}.from_pretrained("{base}"{labels})',
        f'model = PeftModel.from_pretrained(base, "{outcome.model_dir}")',
    ]  # fmt: skip
