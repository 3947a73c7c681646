"""What ends a response: an end token, or a text that the model was told to stop at."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class Ending:
    """Says after each token whether a response is over.

    A stop text may begin and end inside tokens, so that it is looked for in the text of the whole
    response, special tokens included. The tokens stay as they were sampled, up to and with the one
    that completes the text: a token cut in two would have no log-probability.

    Attributes:
        tokens: ids that end a response.
        stop: texts that do; none of them is empty.
        decode: tokens → text; looked at only where there are stop texts.
    """

    tokens: Collection[int]
    stop: Sequence[str]
    decode: Callable[[Sequence[int]], str]

    def __call__(self, response: Sequence[int]) -> bool:
        """Whether the response, whose every shorter beginning went on, is over."""
        if response[-1] in self.tokens:
            return True
        if not self.stop:
            return False
        text = self.decode(response)
        return any(stop in text for stop in self.stop)


def ending(
    tokenizer: PreTrainedTokenizerBase, end_tokens: Collection[int], stop: Sequence[str]
) -> Ending:
    """What ends a response of this tokenizer."""

    def decode(tokens: Sequence[int]) -> str:
        return str(tokenizer.decode([*tokens], clean_up_tokenization_spaces=False))

    return Ending(end_tokens, stop, decode)
