"""A language model as a judge: questions → verdicts or scores, each reply kept before its use."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from palate.errors import RemoteError
from palate.experiments.judging.cache import ReplyCache, request_key
from palate.experiments.judging.card import JudgeCard
from palate.experiments.judging.question import (
    Question,
    Rubric,
    Winner,
    parse_score,
    parse_verdict,
)
from palate.models.remote import RemoteClient, Request, chat
from palate.models.remote_reply import Reply

log = logging.getLogger("palate")
Read = TypeVar("Read")


@dataclass(frozen=True)
class Answer(Generic[Read]):
    """What came of a question: a value, or why there is none."""

    value: Read | None
    why: str = ""


@dataclass
class LanguageJudge:
    """Asks a model; remembers what it was told.

    Attributes:
        card: the model, the rubric, the limits.
        cache: of replies.
        client: of the server.
        num_cached: questions that were answered from the cache.
    """

    card: JudgeCard
    cache: ReplyCache
    client: RemoteClient = field(init=False)
    num_cached: int = 0

    def __post_init__(self) -> None:
        self.client = self.card.client()
        self._structured, self._proven = self.card.structured == "auto", False
        self._told: set[str] = set()
        self._rubric = Rubric(self.card.rubric, self.card.guidelines)

    def compare(
        self, questions: Sequence[Question], *, advance: Callable[[int], None] = lambda _: None
    ) -> list[Answer[Winner]]:
        """The verdict of each question of two replies, in the order that they are shown in."""
        return self._ask(questions, parse_verdict, advance)

    def score(
        self, questions: Sequence[Question], *, advance: Callable[[int], None] = lambda _: None
    ) -> list[Answer[int]]:
        """The score of each question of one reply."""
        return self._ask(questions, parse_score, advance)

    def cost(self) -> dict[str, Any]:
        """Calls, tokens and money of what was asked; what came from the cache cost nothing now."""
        usage = self.client.usage
        money = (
            usage.prompt_tokens * self.card.prompt_price
            + usage.completion_tokens * self.card.completion_price
        ) / 1e6
        priced = bool(self.card.prompt_price or self.card.completion_price)
        return {
            "calls": usage.calls,
            "cached": self.num_cached,
            "prompt_tokens": usage.prompt_tokens,
            "completion_tokens": usage.completion_tokens,
            "calls_without_count": usage.uncounted,
            "money": money if priced else None,
        }

    def _ask(
        self,
        questions: Sequence[Question],
        parse: Callable[[str], Read | None],
        advance: Callable[[int], None],
    ) -> list[Answer[Read]]:
        # A question that comes again is asked, and paid, once.
        places = {question: place for place, question in enumerate(dict.fromkeys(questions))}
        distinct = list(places)
        found: dict[int, Answer[Read]] = {}

        def take(index: int, reply: Reply) -> bool:
            value = parse(reply.text)
            if value is not None:
                found[index] = Answer(value)
                advance(1)
            return value is not None

        unread = list(range(len(distinct)))
        for attempt in range(self.card.parse_retries + 1):
            unread = self._round(distinct, unread, attempt, take, found)
        for index in unread:
            found[index] = Answer(None, "unparsed")
        return [found[places[question]] for question in questions]

    def _round(
        self,
        questions: Sequence[Question],
        indices: Sequence[int],
        attempt: int,
        take: Callable[[int, Reply], bool],
        found: dict[int, Answer[Any]],
    ) -> list[int]:
        """Ask once more what is open; returns what could not be read."""
        unread: list[int] = []
        asked: list[int] = []
        for index in indices:
            known = self._known(questions[index], attempt)
            if known is None:
                asked.append(index)
                continue
            self.num_cached += 1
            if not take(index, known):
                unread.append(index)

        def done(place: int, outcome: Reply | RemoteError) -> None:
            index = batch[place]
            if isinstance(outcome, Reply):
                self.cache.put(request_key(self.card.model, requests[place]), outcome)
                if not take(index, outcome):
                    unread.append(index)
            else:
                found[index] = Answer(None, outcome.kind)
                self._tell_once(outcome)

        while asked:
            # Whether the server takes a schema is found out on one question.
            trying = self._structured and not self._proven
            batch, asked = (asked[:1], asked[1:]) if trying else (asked, [])
            requests = [self._request(questions[i], attempt) for i in batch]
            self.client.ask_all(requests, done)
            failure = found.get(batch[0], Answer(None)).why
            if trying and failure == "rejected":
                log.info("the server takes no JSON schema; the judge is asked in words alone")
                self._structured = False
                asked = [*batch, *asked]
            elif trying and not failure:
                self._proven = True
        return sorted(unread)

    def _tell_once(self, error: RemoteError) -> None:
        """Say why single questions are turned down, once a kind: the rows have the kind alone."""
        if error.kind in ("rejected", "refusal") and error.kind not in self._told:
            self._told.add(error.kind)
            log.warning("judge: a question was turned down: %s", error)

    def _known(self, question: Question, attempt: int) -> Reply | None:
        """A reply of an earlier run, which may have had to do without a schema."""
        for structured in (True, False) if self._structured else (False,):
            request = self._request(question, attempt, structured=structured)
            if (reply := self.cache.get(request_key(self.card.model, request))) is not None:
                return reply
        return None

    def _request(
        self, question: Question, attempt: int, *, structured: bool | None = None
    ) -> Request:
        parameters: dict[str, Any] = {
            "temperature": self.card.temperature, "max_tokens": self.card.max_tokens,
        }  # fmt: skip
        if self._structured if structured is None else structured:
            parameters["response_format"] = question.response_format()
        return chat(question.messages(self._rubric, attempt=attempt), **parameters)
