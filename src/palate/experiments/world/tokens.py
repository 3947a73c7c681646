"""The world's tokenizer: every word of the house language is one token, anything else is bytes.

Built from the grammar, not trained: the words that a fixed sample of the corpus holds, with their
leading space, over a byte alphabet. Decoding gives back exactly what was encoded, for any text.
Numbers are one token each, so that copying a fact is copying a token.
"""

import numpy as np
from tokenizers import Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE
from transformers import PreTrainedTokenizerFast

from palate.experiments.world.corpus import Passage, draw_passages
from palate.experiments.world.phrases import KINDS

PAD, EOS = "<pad>", "<eos>"
SAMPLE_SIZE = 8_000
SAMPLE_SEED = 20_240


def build_tokenizer() -> PreTrainedTokenizerFast:
    """Build the tokenizer; the same everywhere and every time."""
    splitter = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = {word for text in _texts() for word, _ in splitter.pre_tokenize_str(text)}
    vocabulary = [PAD, EOS, *alphabet, *sorted(words - set(alphabet))]
    # Without merges and with `ignore_merges`, a word in the vocabulary is taken whole and any
    # other falls apart into bytes.
    model = BPE(
        vocab={word: index for index, word in enumerate(vocabulary)},
        merges=[],
        ignore_merges=True,
    )
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = splitter
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=EOS,
        pad_token=PAD,
        model_max_length=512,
        padding_side="right",
        clean_up_tokenization_spaces=False,
    )


def passage_text(passage: Passage) -> str:
    """A passage as the base model reads it: an end mark follows the reply, and the review."""
    return passage.prompt + passage.response + EOS + passage.review + EOS


def _texts() -> list[str]:
    passages = draw_passages(np.random.default_rng(SAMPLE_SEED))
    sample = [next(passages) for _ in range(SAMPLE_SIZE)]
    parts = [
        part for passage in sample for part in (passage.prompt, passage.response, passage.review)
    ]
    # Rare pairings of form and slot may be missing from a sample; the facts name every slot word.
    parts += [
        kind.fact.format(s=subject, v=value)
        for kind in KINDS
        for subject in kind.subjects
        for value in kind.values
    ]
    return parts
