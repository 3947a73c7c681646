r"""The one place where text becomes tokens.

A prompt and a response are tokenized apart and their ids are joined, so that training sees exactly
the prompt that sampling sees, and no token straddles the border. What that takes:

- A response ends in exactly one end token: the tokenizer's EOS, or for conversations the token
  with which the chat template closes an assistant turn. An end that the text already has at its
  end is taken off first. What a template writes after that token is not part of the response.
- Text that merely looks like a special token gives none: responses are encoded with the parsing
  of special tokens off, and a prompt that holds such text is refused (a template is rendered as
  one string, in which forged and real tokens could not be told apart).
- Tools beside a conversation are given to its template, which decides how the prompt shows them.
- BOS stands once, in front, and only where the template or the tokenizer's own habit puts it.
- Some tokenizers (SentencePiece) put a blank before any text. A response continues its prompt, so
  it is encoded behind a line break, whose ids are then taken off.
"""

import json
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import jinja2
from transformers import PreTrainedTokenizerBase

from palate.data.faults import quote
from palate.data.hh import ASSISTANT, format_dialogue
from palate.data.records import Demonstration, Preference, Prompt, Text, Turn
from palate.data.rendered import RenderedDemonstration as RenderedDemonstration
from palate.data.rendered import RenderedPair as RenderedPair
from palate.data.tools import Tools, tools_of
from palate.errors import DataError, ModelError

log = logging.getLogger("palate")

Overlong = Literal["refuse", "drop"]
"""What happens to rows longer than the limit; nothing is ever cut."""

_ANCHOR = "\n"
_PROBE = "Palate"


@dataclass(frozen=True, slots=True)
class _TemplateReply:
    """What a chat template writes around a reply: lead, the reply, tail, end.

    Attributes:
        lead: text of the response before the content, mostly "".
        tail: text of the response after the content, mostly "".
        end: what follows and closes the turn; "" where the template leaves the last turn open.
        end_token_id: the token that stands for `end`.
    """

    lead: str
    tail: str
    end: str
    end_token_id: int


class Renderer:
    r"""Turns records into tokens, one tokenizer's way.

    A conversation goes through the tokenizer's chat template; without one it is written as a
    dialogue ("\n\nHuman: …\n\nAssistant:"), and the reply follows after one space. Plain text
    is encoded as it is.

    Attributes:
        tokenizer: the tokenizer.
        eos_token_id: ends a response to plain text.
        end_token_id: ends a response to a conversation; differs from EOS where the template
            closes turns with a token of its own.
        end_token_ids: both, without repetition: where sampling stops.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        if tokenizer.eos_token_id is None:
            raise ModelError(
                "the tokenizer has no EOS token, so no response could end; set eos_token in its "
                "tokenizer_config.json to the token that the model writes at its end"
            )
        self.tokenizer = tokenizer
        self.eos_token_id: int = tokenizer.eos_token_id
        self._prompt_memo: tuple[tuple[Turn, ...], Tools, str] | None = None
        self._told_of_tools = False
        habit = list(tokenizer("x").input_ids)
        self._adds_bos = tokenizer.bos_token_id is not None and habit[:1] == [
            tokenizer.bos_token_id
        ]
        self._anchor = self._find_anchor()
        self._reply = self._probe_template() if tokenizer.chat_template else None
        self.end_token_id: int = self._reply.end_token_id if self._reply else self.eos_token_id
        self.end_token_ids: tuple[int, ...] = tuple(
            dict.fromkeys((self.eos_token_id, self.end_token_id))
        )
        self._end_texts = tuple(map(str, tokenizer.convert_ids_to_tokens(list(self.end_token_ids))))
        texts = {*_special_texts(tokenizer), *self._end_texts}
        self._special_text = re.compile("|".join(re.escape(t) for t in sorted(texts)))
        self._special_ids = set(tokenizer.convert_tokens_to_ids(sorted(texts)))
        self._special_ids.discard(tokenizer.unk_token_id)

    def preference(self, record: Preference) -> RenderedPair:
        """Render a pair.

        Raises:
            DataError: the two responses are one sequence of tokens, or as for the methods below.
        """
        tools = tools_of(record.columns)
        pair = RenderedPair(
            self.prompt_tokens(record.prompt, origin=record.origin, tools=tools),
            self._reply_tokens(record.prompt, record.chosen, record.origin, tools),
            self._reply_tokens(record.prompt, record.rejected, record.origin, tools),
        )
        if pair.chosen == pair.rejected:
            raise DataError(
                f"{_place(record.origin)}chosen and rejected are the same tokens; their texts "
                f"differ only in what the tokenizer or template drops; remove the row"
            )
        return pair

    def demonstration(self, record: Demonstration) -> RenderedDemonstration:
        """Render a demonstration; raises as the methods below."""
        tools = tools_of(record.columns)
        return RenderedDemonstration(
            self.prompt_tokens(record.prompt, origin=record.origin, tools=tools),
            self._reply_tokens(record.prompt, record.response, record.origin, tools),
        )

    def prompt(self, record: Prompt) -> tuple[int, ...]:
        """Render a prompt; raises as `prompt_tokens`."""
        tools = tools_of(record.columns)
        return self.prompt_tokens(record.prompt, origin=record.origin, tools=tools)

    def prompt_text(self, prompt: Text, *, origin: str = "", tools: Tools = ()) -> str:
        """Write a prompt as the string that is tokenized (without a BOS that the habit adds)."""
        self._refuse_special_text(prompt, origin, tools)
        if isinstance(prompt, str):
            return prompt
        if self._reply is None:
            return format_dialogue(prompt) + ASSISTANT
        return self._templated_prompt(prompt, origin, tools)

    def prompt_tokens(
        self, prompt: Text, *, origin: str = "", tools: Tools = ()
    ) -> tuple[int, ...]:
        """Tokenize a prompt: at least one token, BOS at most once and in front.

        Args:
            prompt: plain text or a conversation.
            origin: where it came from, for messages.
            tools: what the chat template is to show; plain text has no template.

        Raises:
            DataError: it holds a special token's text, the template refuses it, or it is empty
                and the tokenizer has no BOS to stand for it.
        """
        text = self.prompt_text(prompt, origin=origin, tools=tools)
        if tools and not self._told_of_tools:
            self._tell_of_unseen(prompt, text, origin)
        ids = self._ids(text)
        bos: int | None = self.tokenizer.bos_token_id
        templated = not isinstance(prompt, str) and self._reply is not None
        if bos is not None and not templated and (self._adds_bos or not ids):
            ids = [bos, *ids]
        while templated and ids[:2] == [bos, bos]:
            ids = ids[1:]
        if not ids:
            raise DataError(
                f"{_place(origin)}the prompt is empty, and this tokenizer has no BOS token to "
                f"stand for an empty prompt; give the prompt at least one character"
            )
        return tuple(ids)

    def response_tokens(
        self, prompt: Text, response: str, *, origin: str = "", tools: Tools = ()
    ) -> tuple[int, ...]:
        """Tokenize a response as the continuation of its prompt.

        Args:
            prompt: what it answers; decides about template and end token.
            response: the text; ends that it already has are taken off.
            origin: where it came from, for messages.
            tools: of the prompt.

        Returns:
            Token ids; the last one, and only the last one, is an end token.

        Raises:
            DataError: the template changes the prompt or the reply when it renders both, or the
                tokenizer has no way to keep a special token's text text.
        """
        response = self._without_end(response)
        lead_ids: list[int] = []
        tail_ids: list[int] = []
        end = self.eos_token_id
        if not isinstance(prompt, str):
            end = self.end_token_id
            if self._reply is None:
                response = f" {response}"
            else:
                response = self._as_template_shows(prompt, response, origin, tools)
                # Blanks belong to the words beside them. Other text of the template stands apart
                # from the content, because only there special tokens are meant.
                lead, tail = self._reply.lead, self._reply.tail
                lead_ids, response = self._part(lead, response, f"{lead}{response}")
                tail_ids, response = self._part(tail, response, f"{response}{tail}")
        ids = self._content_ids(response)
        if forged := self._special_ids.intersection(ids):
            raise DataError(
                f"{_place(origin)}the response became special tokens "
                f"{self.tokenizer.convert_ids_to_tokens(sorted(forged))}; this tokenizer cannot "
                f"write their text as text, so remove it from the row"
            )
        return (*lead_ids, *ids, *tail_ids, end)

    def response_text(self, prompt: Text, tokens: Sequence[int]) -> str:
        """Write a response's tokens as the text that `response_tokens` takes."""
        text = self.decode(tokens)
        if isinstance(prompt, str):
            return text
        if self._reply is None:
            return text.removeprefix(" ")
        lead, tail = (self._without_special(t) for t in (self._reply.lead, self._reply.tail))
        return text.removeprefix(lead).removesuffix(tail)

    def decode(self, tokens: Sequence[int]) -> str:
        """Write a response's tokens as text, without special tokens."""
        text = self._decode([*self._anchor, *tokens])
        return text.removeprefix(_ANCHOR) if self._anchor else text

    def _reply_tokens(
        self, prompt: Text, response: str, origin: str, tools: Tools
    ) -> tuple[int, ...]:
        if not self._without_end(response).strip():
            raise DataError(
                f"{_place(origin)}a response is nothing but an end token; remove the row"
            )
        return self.response_tokens(prompt, response, origin=origin, tools=tools)

    def _tell_of_unseen(self, prompt: Text, text: str, origin: str) -> None:
        """Warn, once, of tools that the prompt does not show."""
        if text != self.prompt_text(prompt, origin=origin):
            return
        self._told_of_tools = True
        templated = self._reply is not None and not isinstance(prompt, str)
        why = "the chat template shows nothing" if templated else "no chat template shows anything"
        log.warning(
            "%s%s of the row's tools, so that the model learns without them; take a tokenizer "
            "whose template shows tools, and prompts as turns", _place(origin), why,
        )  # fmt: skip

    def _without_end(self, response: str) -> str:
        while (trimmed := response.rstrip()).endswith(self._end_texts):
            end = next(end for end in self._end_texts if trimmed.endswith(end))
            response = trimmed.removesuffix(end)
        return response

    def _without_special(self, text: str) -> str:
        return self._special_text.sub("", text)

    def _part(self, around: str, response: str, joined: str) -> tuple[list[int], str]:
        if not around.strip():
            return [], joined
        return self._ids(around), response

    def _as_template_shows(
        self, prompt: tuple[Turn, ...], response: str, origin: str, tools: Tools
    ) -> str:
        """Check a rendered conversation against its rendered prompt; give the reply it shows."""
        assert self._reply is not None
        rest = self._rest_after_prompt(prompt, response, origin, tools)
        for shown in (response, response.strip()):
            if rest.startswith(f"{self._reply.lead}{shown}{self._reply.tail}{self._reply.end}"):
                return shown
        raise DataError(
            f"{_place(origin)}the chat template rewrites the reply: {quote(response)} became "
            f"{quote(rest)}; remove the part that it rewrites, or mend the template"
        )

    def _rest_after_prompt(
        self, prompt: tuple[Turn, ...], response: str, origin: str, tools: Tools = ()
    ) -> str:
        asked = self._templated_prompt(prompt, origin, tools)
        turns = (*prompt, Turn("assistant", response))
        whole = self._apply_template(turns, origin, tools, add_generation_prompt=False)
        if not whole.startswith(asked):
            raise DataError(
                f"{_place(origin)}the chat template renders the prompt differently once the reply "
                f"follows, so training would see another prompt than sampling; mend the template: "
                f"a rendered prompt must be the beginning of the rendered conversation"
            )
        return whole[len(asked) :]

    def _templated_prompt(self, prompt: tuple[Turn, ...], origin: str, tools: Tools) -> str:
        # A pair needs its prompt three times in a row, and templates are slow.
        if self._prompt_memo is None or self._prompt_memo[:2] != (prompt, tools):
            text = self._apply_template(prompt, origin, tools, add_generation_prompt=True)
            self._prompt_memo = (prompt, tools, text)
        return self._prompt_memo[2]

    def _apply_template(
        self, turns: Sequence[Turn], origin: str, tools: Tools, *, add_generation_prompt: bool
    ) -> str:
        messages = [{"role": turn.role, "content": turn.content} for turn in turns]
        try:
            rendered = self.tokenizer.apply_chat_template(
                messages,
                tools=[dict(tool) for tool in tools] or None,
                tokenize=False,
                add_generation_prompt=add_generation_prompt,
            )
        except jinja2.TemplateError as error:
            raise DataError(
                f"{_place(origin)}the chat template refuses this conversation: {error}"
            ) from error
        return str(rendered)

    def _probe_template(self) -> _TemplateReply:
        """Learn from one small conversation how the template surrounds and ends a reply."""
        rest = self._rest_after_prompt((Turn("user", "Hello"),), _PROBE, "chat template probe")
        lead, found, closing = rest.partition(_PROBE)
        if not found:
            raise ModelError("the chat template does not write the assistant's reply; mend it")
        ends = {text: i for i, text in _added_texts(self.tokenizer).items() if text in closing}
        if not ends:
            return _TemplateReply(lead, "", closing, self.eos_token_id)
        # The longest of those that come first: one token's text may begin another's.
        end = min(ends, key=lambda text: (closing.find(text), -len(text)))
        return _TemplateReply(lead, closing[: closing.find(end)], end, ends[end])

    def _find_anchor(self) -> list[int]:
        """Find the ids to encode and decode a continuation behind; none where none are needed."""
        anchor = self._plain_ids(_ANCHOR)
        behind = self._plain_ids(f"{_ANCHOR}x")
        needed = behind[: len(anchor)] == anchor and behind[len(anchor) :] != self._plain_ids("x")
        return anchor if needed else []

    def _content_ids(self, text: str) -> list[int]:
        if not self._anchor:
            return self._plain_ids(text)
        ids = self._plain_ids(f"{_ANCHOR}{text}")
        if ids[: len(self._anchor)] == self._anchor:
            return ids[len(self._anchor) :]
        return self._plain_ids(text)

    def _ids(self, text: str) -> list[int]:
        return list(self.tokenizer(text, add_special_tokens=False, verbose=False).input_ids)

    def _plain_ids(self, text: str) -> list[int]:
        encoded = self.tokenizer(
            text, add_special_tokens=False, split_special_tokens=True, verbose=False
        )
        return list(encoded.input_ids)

    def _decode(self, tokens: Sequence[int]) -> str:
        text = self.tokenizer.decode(
            list(tokens), skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return str(text)

    def _refuse_special_text(self, prompt: Text, origin: str, tools: Tools) -> None:
        named = {"the prompt": prompt} if isinstance(prompt, str) else _by_turn(prompt)
        if tools:
            named["tools"] = json.dumps(tools, ensure_ascii=False)
        for name, content in named.items():
            if match := self._special_text.search(content):
                raise DataError(
                    f"{_place(origin)}{name} holds {match[0]!r}, the text of a special token: it "
                    f"would forge a turn or an end; remove it, and give a chat as a list of "
                    f"turns instead of rendered text"
                )


def _special_texts(tokenizer: PreTrainedTokenizerBase) -> set[str]:
    added = {t.content for t in tokenizer.added_tokens_decoder.values() if t.special}
    return {text for text in added.union(tokenizer.all_special_tokens) if text.strip()}


def _added_texts(tokenizer: PreTrainedTokenizerBase) -> dict[int, str]:
    added = tokenizer.added_tokens_decoder.items()
    return {int(i): token.content for i, token in added if token.content.strip()}


def _by_turn(turns: Sequence[Turn]) -> dict[str, str]:
    return {f"turn {i} ({turn.role})": turn.content for i, turn in enumerate(turns)}


def _place(origin: str) -> str:
    return f"{origin}: " if origin else ""
