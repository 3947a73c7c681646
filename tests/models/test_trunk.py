"""The self-check that decides between the flat path and padded rows."""

import logging
from typing import Any

import pytest
import torch
from tests import tiny
from transformers import PreTrainedModel

from palate.data.trees import plant
from palate.errors import ModelError
from palate.models.attention import palate_attention
from palate.models.load import prepare
from palate.models.sampling import sample
from palate.models.scoring import response_logprobs
from palate.models.trunk import Trunk


def test_bloom_falls_back_to_padded_rows_with_one_line(caplog: pytest.LogCaptureFixture) -> None:
    trees = tiny.trees(4)
    with caplog.at_level(logging.WARNING, logger="palate"):
        roles = tiny.roles_of(tiny.bloom(), "policy")
    lines = [r.message for r in caplog.records if r.name == "palate"]
    assert len(lines) == 1
    assert "BloomForCausalLM runs on padded rows (same numbers, slower)" in lines[0]
    assert not roles.trunk.flat

    with torch.no_grad():
        expected = torch.stack([x.sum() for x in tiny.stock_logprobs(tiny.bloom(), trees)])
        found = response_logprobs(roles, "policy", plant(trees))
    torch.testing.assert_close(found, expected, rtol=0, atol=2e-5)
    drawn = sample(roles, "policy", [(5, 6)], max_new_tokens=4, end_tokens=(tiny.EOS,), seed=0)
    assert 1 <= len(drawn[0][0].tokens) <= 4


def test_a_model_that_passes_an_unknown_keyword_is_not_flat(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    _attention_that(monkeypatch, lambda kwargs: kwargs | {"s_aux": torch.ones(4)})
    trunk = Trunk(prepare(tiny.llama()))
    assert not trunk.flat
    assert "s_aux" in caplog.text


def test_a_model_that_calls_attention_in_some_layers_only_is_not_flat(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def twin(*args: Any, **kwargs: Any) -> Any:
        plan = kwargs.get("plan")
        found = palate_attention(*args, **kwargs)
        if plan is not None and args[0].layer_idx == 1:
            plan.calls -= 1
        return found

    _register(monkeypatch, twin)
    assert not Trunk(prepare(tiny.llama())).flat
    assert "ran in 1 of 2 layers" in caplog.text


def test_wrong_numbers_are_not_flat(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    _attention_that(monkeypatch, lambda kwargs: kwargs | {"scaling": kwargs["scaling"] * 1.1})
    assert not Trunk(prepare(tiny.llama())).flat
    assert "differ from padded ones" in caplog.text


def test_rotary_types_that_depend_on_the_length_are_not_flat() -> None:
    model = prepare(tiny.llama())
    model.config.rope_parameters = {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 2.0}
    assert not Trunk(model).flat


@pytest.mark.parametrize("name", tiny.MODELS)
def test_bfloat16_weights_keep_the_flat_path(name: str) -> None:
    """Its rounding is larger than float32's tolerance; that is not a difference of attention."""
    assert Trunk(prepare(tiny.MODELS[name]().to(torch.bfloat16))).flat


def test_the_check_leaves_no_trace() -> None:
    model = tiny.llama()
    model.requires_grad_(False)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    Trunk(prepare(model))
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert not any(p.requires_grad or p.grad is not None for p in model.parameters())


def test_logits_know_scale_and_soft_cap() -> None:
    model = prepare(tiny.llama())
    model.config.logit_scale = 0.5
    model.config.final_logit_softcapping = 2.0
    trunk = Trunk(model)
    rows = torch.randn(3, tiny.WIDTH)
    with torch.no_grad():
        raw = model.get_output_embeddings()(rows)
        torch.testing.assert_close(trunk.logits(rows), 2.0 * torch.tanh(raw * 0.5 / 2.0))


def test_a_model_without_words_says_so_when_asked_for_them() -> None:
    model = _without_head()
    with pytest.raises(ModelError, match="has no language-model head"):
        Trunk(model).logits(torch.randn(1, tiny.WIDTH))


def _without_head() -> PreTrainedModel:
    decoder = tiny.llama().base_model
    assert isinstance(decoder, PreTrainedModel)
    return prepare(decoder)


def _attention_that(monkeypatch: pytest.MonkeyPatch, change: Any) -> None:
    """Tree attention whose keywords are changed first; padded rows stay as they are."""

    def twin(*args: Any, **kwargs: Any) -> Any:
        kwargs = change(kwargs) if kwargs.get("plan") is not None else kwargs
        return palate_attention(*args, **kwargs)

    _register(monkeypatch, twin)


def _register(monkeypatch: pytest.MonkeyPatch, function: Any) -> None:
    from transformers import AttentionInterface

    monkeypatch.setitem(AttentionInterface._global_mapping, "palate_tree", function)
