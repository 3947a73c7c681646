"""Whether two tokenizers give texts the same ids, which sizes alone do not say."""

from pathlib import Path

from transformers import AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from palate.errors import ModelError

ENDS = ("bos_token_id", "eos_token_id")


def first_difference(ours: PreTrainedTokenizerBase, theirs: PreTrainedTokenizerBase) -> str | None:
    """In words, where two vocabularies or their special tokens first differ; None: nowhere."""
    here = {number: token for token, number in ours.get_vocab().items()}
    there = {number: token for token, number in theirs.get_vocab().items()}
    odd = sorted(i for i in here.keys() | there.keys() if here.get(i) != there.get(i))
    if odd:
        more = f", and {len(odd) - 1} more ids differ" if len(odd) > 1 else ""
        return f"id {odd[0]} is {_named(there, odd[0])} there and {_named(here, odd[0])} here{more}"
    for name in ENDS:
        mine, other = getattr(ours, name), getattr(theirs, name)
        if mine != other:
            return f"{name} is {_named(there, other)} there and {_named(here, mine)} here"
    return None


def refuse_other_tokens(
    policy: PreTrainedTokenizerBase, other: PreTrainedTokenizerBase | None, *, who: str
) -> None:
    """Refuse a model that stands beside the policy, gets its token ids, and reads them otherwise.

    Args:
        policy: the policy's tokenizer.
        other: the model's; None where none is known, so that nothing can be said.
        who: names the model.

    Raises:
        ModelError: says which token differs first.
    """
    difference = None if other is None else first_difference(policy, other)
    if difference is not None:
        raise ModelError(
            f"{who} has another tokenizer than the policy ({difference}), so that the policy's "
            "token ids would mean other texts; take a model with the policy's tokenizer (only "
            "reward models may have their own)"
        )


def refuse_ids_beyond(tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel) -> None:
    """Refuse a tokenizer that gives ids for which a model has no row.

    Raises:
        ModelError: names the first such token.
    """
    rows = model.get_input_embeddings().weight.shape[0]
    beyond = {number: token for token, number in tokenizer.get_vocab().items() if number >= rows}
    if beyond:
        first = min(beyond)
        raise ModelError(
            f"the tokenizer gives {beyond[first]!r} the id {first}, but the model has rows for "
            f"{rows} tokens alone ({len(beyond)} of the tokenizer's lie beyond); give the model's "
            "own tokenizer, or add rows first: model.resize_token_embeddings(len(tokenizer))"
        )


def tokenizer_in(folder: Path) -> PreTrainedTokenizerBase | None:
    """The tokenizer of a model folder; None where it holds none."""
    if not (folder / "tokenizer_config.json").exists():
        return None
    found = AutoTokenizer.from_pretrained(
        str(folder), trust_remote_code=False, local_files_only=True
    )
    assert isinstance(found, PreTrainedTokenizerBase)
    return found


def _named(vocabulary: dict[int, str], number: int | None) -> str:
    token = None if number is None else vocabulary.get(number)
    return "no token" if token is None else repr(token)
