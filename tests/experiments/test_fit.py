import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from palate.data.checks.reading import open_source
from palate.data.render import Renderer
from palate.experiments.answers import as_policy
from palate.experiments.fit import choose_rows, measure_fit
from palate.experiments.world import base_model_path, world_prompts
from palate.models.load import load
from palate.models.sampling import sample

NUM_PROMPTS = 40


def _write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def own_rows() -> list[dict[str, Any]]:
    """Pairs of the world's base model's own samples."""
    loaded = load(base_model_path())
    renderer = Renderer(loaded.tokenizer)
    prompts = [p.prompt for p in world_prompts(NUM_PROMPTS, split="train", seed=3)]
    tokens = [renderer.prompt_tokens(prompt) for prompt in prompts]
    drawn = sample(
        as_policy(loaded), "policy", tokens, num_samples=4, max_new_tokens=64,
        end_tokens=renderer.end_token_ids, seed=11,
    )  # fmt: skip
    rows = []
    for prompt, some in zip(prompts, drawn, strict=True):
        texts = list(dict.fromkeys(renderer.decode(one.tokens).strip() for one in some))
        if len([text for text in texts if text]) >= 2:
            rows.append({"prompt": prompt, "chosen": texts[0], "rejected": texts[1]})
    return rows


def test_a_model_is_ready_for_what_it_says_itself(
    own_rows: list[dict[str, Any]], tmp_path: Path
) -> None:
    path = _write(tmp_path / "own.jsonl", own_rows)
    fit = measure_fit(load(base_model_path()), path, max_length=160)
    assert fit is not None
    assert fit.advice == "fine"
    assert fit.on_policy.value > 0.8
    assert fit.gap.low < 0.3


def test_a_model_is_not_ready_for_what_it_would_never_say(
    own_rows: list[dict[str, Any]], tmp_path: Path
) -> None:
    generator = np.random.default_rng(0)
    shuffled = [
        row | {"chosen": " ".join(generator.permutation(row["chosen"].split()))} for row in own_rows
    ]
    path = _write(tmp_path / "shuffled.jsonl", shuffled)
    fit = measure_fit(load(base_model_path()), path, max_length=160)
    assert fit is not None
    assert fit.advice == "sft-first"
    assert fit.gap.low > 0.5
    assert fit.prefers_chosen is not None
    assert fit.prefers_chosen.high < 0.5


def test_labelled_rows_count_where_they_are_desirable(
    own_rows: list[dict[str, Any]], tmp_path: Path
) -> None:
    rows = [
        {"prompt": row["prompt"], "completion": row[name], "label": name == "chosen"}
        for row in own_rows
        for name in ("chosen", "rejected")
    ]
    renderer = Renderer(load(base_model_path()).tokenizer)
    path = _write(tmp_path / "labelled.jsonl", rows)
    shown = choose_rows(open_source(path), renderer, max_length=160, num_rows=1000)
    assert not shown.has_rejected
    assert len(shown.trees) == len(own_rows)
    again = choose_rows(
        open_source(_write(tmp_path / "back.jsonl", rows[::-1])),
        renderer,
        max_length=160,
        num_rows=5,
    )
    assert {tree.prompt for tree in again.trees} == {tree.prompt for tree in shown.trees[:5]}


def test_too_few_prompts_give_no_verdict(own_rows: list[dict[str, Any]], tmp_path: Path) -> None:
    path = _write(tmp_path / "few.jsonl", own_rows[:10])
    assert measure_fit(load(base_model_path()), path, max_length=160) is None


def test_prompts_that_leave_no_room_for_a_sample_are_left_out_and_stop_nothing(
    own_rows: list[dict[str, Any]], tmp_path: Path
) -> None:
    """One prompt fills the model's context."""
    loaded = load(base_model_path())
    renderer = Renderer(loaded.tokenizer)
    words = own_rows[0]["prompt"]
    lengthy = own_rows[0] | {"prompt": " ".join([words] * 40)}
    loaded.model.config.max_position_embeddings = len(renderer.prompt_tokens(lengthy["prompt"])) + 2
    path = _write(tmp_path / "own.jsonl", [lengthy, *own_rows])
    fit = measure_fit(loaded, path, max_length=10_000)
    assert fit is not None
    assert fit.advice == "fine"
