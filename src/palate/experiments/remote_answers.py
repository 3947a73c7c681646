"""Prompts → responses of a model behind an OpenAI-compatible server."""

from collections import Counter
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any, Literal

from palate.data.records import Prompt, prompt_key
from palate.data.tools import tools_of
from palate.errors import DataError, RemoteError
from palate.experiments.answers import Answer, Asked, Draws
from palate.models.remote import RemoteClient, Request, chat, completion
from palate.models.remote_reply import Reply

Api = Literal["auto", "chat", "completions"]


class RemoteSampler:
    """A model behind a server; one request a response, since few servers give several.

    Args:
        client: of the server.
        api: "auto" continues plain text (completions) and answers conversations (chat); "chat"
            puts plain text as a user turn.

    Attributes:
        failures: responses that the server did not give, by kind of failure.
    """

    def __init__(self, client: RemoteClient, api: Api = "auto") -> None:
        client.takes_empty = True
        self._client, self._api = client, api
        self.failures: Counter[str] = Counter()

    def __call__(self, asked: Sequence[Asked], draws: Draws) -> list[list[Answer]]:
        """Ask for every response; one that the server does not give is left out and counted.

        Raises:
            RemoteError: the server is down, or refuses the key.
            DataError: a conversation cannot be put to the completions API.
        """
        numbers = range(draws.num_samples)
        requests = [self._request(one, j, draws) for one in asked for j in numbers]
        found: dict[int, Answer] = {}

        def done(place: int, outcome: Reply | RemoteError) -> None:
            if isinstance(outcome, RemoteError):
                self.failures[outcome.kind] += 1
                return
            temperature = draws.temperature(place % draws.num_samples)
            found[place] = Answer(outcome.text, outcome.finish_reason == "stop", temperature)

        self._client.ask_all(requests, done)
        places = range(len(asked))
        return [
            [found[i] for i in range(p * len(numbers), (p + 1) * len(numbers)) if i in found]
            for p in places
        ]

    def _request(self, asked: Asked, number: int, draws: Draws) -> Request:
        prompt = asked.prompt
        parameters: dict[str, Any] = {
            "max_tokens": draws.max_new_tokens,
            "temperature": draws.temperature(number),
            "seed": _seed(draws, prompt, asked.occurrence * draws.num_samples + number),
        }
        text = prompt.prompt
        if not isinstance(text, str):
            if self._api == "completions":
                raise DataError(
                    f"{prompt.origin}: a conversation is no text to continue; leave out --api "
                    "completions"
                )
            turns = [{"role": turn.role, "content": turn.content} for turn in text]
            if tools := tools_of(prompt.columns):
                parameters["tools"] = [_as_function(tool) for tool in tools]
            return chat(turns, **parameters)
        if self._api == "chat":
            return chat([{"role": "user", "content": text}], **parameters)
        return completion(text, **parameters)


def _as_function(tool: Mapping[str, Any]) -> Mapping[str, Any]:
    """A tool as servers ask for it; templates also know the bare function."""
    return tool if "function" in tool else {"type": "function", "function": tool}


def _seed(draws: Draws, prompt: Prompt, number: int) -> int:
    """A server's seed for one response, as far as it honours seeds: 31 bits, its own each."""
    named = repr((draws.seed, prompt_key(prompt.prompt, tools_of(prompt.columns)), number))
    return int.from_bytes(sha256(named.encode()).digest()[:4], "little") >> 1
