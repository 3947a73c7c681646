"""The model card of an export: nothing in it that the run does not know."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from palate.experiments.card import STAGES
from palate.experiments.passport import read_passport
from palate.experiments.trained_run import TrainedRun, base_licence
from palate.training.journal import METRICS

if TYPE_CHECKING:
    from palate.experiments.export import Export

# Where a run's rows and weights lie is no setting; they are told on their own.
ELSEWHERE = ("stage", "model", "data", "eval_data", "reward", "output_dir")


def write_export_card(run: TrainedRun, export: "Export", folder: Path, *, base: str) -> None:
    """Write README.md into the exported folder; `base` is what was trained, where it is now."""
    origin = _lineage(base)
    licence = base_licence(origin[-1])
    front = {
        "base_model": base,
        "library_name": "peft" if export.what == "adapter" else "transformers",
        "pipeline_tag": "text-classification" if run.is_reward else "text-generation",
        "tags": [run.passport.stage, "palate"],
        **({"license": licence} if licence else {}),
    }
    lines = [
        "---", yaml.safe_dump(front, sort_keys=False).strip(), "---", "",
        f"# {export.output_dir.name}", "",
        f"Trained with Palate by {STAGES.get(run.passport.stage, run.passport.stage)} from "
        f"{' ← '.join(f'`{name}`' for name in origin)}{_against(run)}.", "",
        f"Licence of the base: {licence or 'not known; no card of it is here'}.",
        "", *_settings(run), "", *_metrics(run), "",
        "## Checked", "", _checked(export), "",
        "## Load it", "", "```python", *_code(run, export), "```", "", *_reading(export),
        "## Serve it", "", "Not run here:", "", *(f"    {line}" for line in export.serve), "",
    ]  # fmt: skip
    (folder / "README.md").write_text("\n".join(lines), encoding="utf-8")


def _against(run: TrainedRun) -> str:
    return (
        f", against the reward model `{run.passport.reward.folder}`" if run.passport.reward else ""
    )


def _lineage(base: str) -> list[str]:
    """A model, what that was trained from, and so on, as far as passports tell."""
    names = [base]
    while Path(names[-1]).is_dir():
        passport = read_passport(Path(names[-1]))
        if passport is None or passport.base in names:
            break
        names.append(passport.base)
    return names


def _settings(run: TrainedRun) -> list[str]:
    versions = run.manifest.get("versions", {})
    rows = [(name, value) for name, value in run.recipe.items() if name not in ELSEWHERE]
    return [
        "## Training", "",
        f"Data: {_name_of(run.recipe, 'data')}, hash of the rendered rows "
        f"`{run.manifest.get('data', 'not known')}`. Software: "
        f"{', '.join(f'{name} {number}' for name, number in versions.items())}.", "",
        "| setting | value |", "| --- | --- |",
        *(f"| `{name}` | {'' if value is None else value} |" for name, value in rows),
    ]  # fmt: skip


def _name_of(recipe: dict[str, Any], key: str) -> str:
    if key not in recipe:
        return "rows of no named file"
    return f"`{Path(recipe[key]).name}`" if recipe[key] else "the embedded world's"


def _metrics(run: TrainedRun) -> list[str]:
    held_out = any(name.startswith("eval_") for name in run.metrics)
    if not held_out:
        how = "The run had no held-out rows, so nothing here was measured on rows it did not see."
    elif run.recipe.get("eval_fraction"):
        how = f"`eval_` is measured on the {run.recipe['eval_fraction']:.0%} of prompts held out."
    elif run.recipe.get("eval_data"):
        how = f"`eval_` is measured on {_name_of(run.recipe, 'eval_data')}."
    else:
        how = f"`eval_` is measured on held-out rows: {_name_of(run.recipe, 'data')}."
    rows = [
        f"| `{name}` | {value:.4g} | {_meaning(name)} |"
        for name, value in sorted(run.metrics.items())
    ]
    return [
        "## Last metrics", "", f"{how} The others are means of the last window of training.", "",
        "| metric | value | unit | definition |", "| --- | --- | --- | --- |", *rows,
    ]  # fmt: skip


def _meaning(name: str) -> str:
    """Unit and definition; an older Palate's run may have metrics that this one has not."""
    known = METRICS.get(name.removeprefix("eval_"))
    return f"{known.unit} | {known.definition}" if known else "not known | of another version"


def _checked(export: "Export") -> str:
    number = "reward" if export.what == "reward" else "log-probability of every response token"
    unit = "in reward" if export.what == "reward" else "nats"
    stock = ", ".join(f"{name} {one}" for name, one in export.versions.items())
    return (
        f"A new process without Palate ({stock}) loaded this folder on the CPU in float32 and "
        f"scored {export.num_responses} responses of the run: the {number} differs from Palate's "
        f"by at most {export.largest_difference:.1e} {unit}."
    )


def _code(run: TrainedRun, export: "Export") -> list[str]:
    kind = "AutoModelForSequenceClassification" if run.is_reward else "AutoModelForCausalLM"
    name = export.output_dir.name
    head = [f"from transformers import {kind}, AutoTokenizer", ""]
    if export.what == "adapter":
        head = ["from peft import PeftModel", *head,
                f'base = {kind}.from_pretrained("{export.base}")',
                f'model = PeftModel.from_pretrained(base, "{name}")']  # fmt: skip
    else:
        head.append(f'model = {kind}.from_pretrained("{name}")')
    head.append(f'tokenizer = AutoTokenizer.from_pretrained("{name}")')
    if not run.is_reward:
        return head
    minus = f" - {export.reward_shift!r}" if export.reward_shift else ""
    return [
        "import torch", *head,
        "ids = tokenizer(prompt).input_ids  # of a chat: apply_chat_template(turns, "
        "add_generation_prompt=True)",
        f"ids += tokenizer(response, add_special_tokens=False).input_ids + [{export.end_token_id}]",
        f"reward = model(torch.tensor([ids])).logits[0, 0]{minus}",
    ]  # fmt: skip


def _reading(export: "Export") -> list[str]:
    if export.what != "reward":
        return []
    text = (
        f"The reward is read on the token that ends the response (id {export.end_token_id}), as in "
        "training; leave it out and the number means nothing. "
    )
    if export.reward_shift:
        text += (
            f"The logit is the reward plus {export.reward_shift!r} in every row: this "
            "architecture's final norm has no bias that could take the mean off. Differences "
            "between responses are those of the reward."
        )
    else:
        text += "The logit is the reward that Palate gives, mean and spread folded in."
    return [text, ""]
