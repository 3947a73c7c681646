"""What all tests share: no network, the folder of shared data, a tiny tokenizer."""

import os

os.environ["HF_HUB_OFFLINE"] = "1"

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data that is not part of the project; the test is skipped without it."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("PALATE_TEST_DATA", beside))
    if not folder.is_dir():
        pytest.skip(f"no shared data at {folder}; set PALATE_TEST_DATA to its folder")
    return folder


@pytest.fixture
def tiny_tokenizer() -> "PreTrainedTokenizerBase":
    """A byte-level tokenizer: any text round-trips; <s>, </s> and ChatML's marks are special."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    special = ["<s>", "</s>", "<|im_start|>", "<|im_end|>"]
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=special,
        show_progress=False,
    )
    backend.train_from_iterator(["the cat sat on the mat and the dog sat on the log"], trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token="<s>",
        eos_token="</s>",
        additional_special_tokens=special[2:],
    )
