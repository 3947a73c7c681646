"""What stands ready before a loop begins."""

from pathlib import Path

import pytest
from tests import tiny

from palate.errors import ModelError, RecipeError
from palate.experiments.prepare import add_value, policy_roles
from palate.models.load import Loaded
from palate.training.settings import PPOSettings


def test_a_value_model_of_other_tokens_is_refused_before_it_is_loaded(tmp_path: Path) -> None:
    """As many tokens as the policy has, of which two have changed places: no shape tells of it."""
    folder = tmp_path / "value"
    tiny.llama(seed=1).save_pretrained(folder)
    words = ["<pad>", "<s>", "</s>", *(f"w{i}" for i in range(3, tiny.VOCAB))]
    words[7], words[9] = words[9], words[7]
    tiny.tokenizer_of(words).save_pretrained(folder)
    settings = PPOSettings(value_model=str(folder))
    loaded = Loaded(tiny.llama(), tiny.tokenizer())
    roles = policy_roles(loaded, settings)
    with pytest.raises(ModelError, match=r"value_model .* has another tokenizer .*id 7 is 'w9'"):
        add_value(roles, loaded, settings)
    assert "value" not in roles


def test_a_value_model_that_is_not_there_is_one_error() -> None:
    settings = PPOSettings(value_model="gone")
    loaded = Loaded(tiny.llama(), tiny.tokenizer())
    with pytest.raises(RecipeError, match="'gone'; it is one of shared, separate"):
        add_value(policy_roles(loaded, settings), loaded, settings)
