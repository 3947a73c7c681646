"""A database of votes, as the labelling page and programs use it.

    with open_store("votes.palate", settings=CollectionSettings(votes_per_item=3)) as store:
        store.add_items(items)
        ann, secret = store.add_annotator("ann")
        [question] = store.questions(ann.id)
        store.vote(ann.id, question.id, "left", request="a name of the caller's choice")

Each verb is one transaction. When it returns, its line of the log is on the disk; when it raises,
nothing has changed. A verb with a `request` name may be repeated: the second call changes nothing
and gives the first one's answer, so a program that never got an answer simply asks again.

Places. A pair takes the votes of `votes_per_item` annotators, never more. A shown pair keeps its
place for `lease_seconds`; then others may get it. A vote that comes later still counts if a place
is free, else it is kept in the log as late and does not count. Tests of the annotator (repeats,
gold) take no place.
"""

import secrets
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from palate.collection.acts import (
    acting,
    append,
    remark,
    require_annotator,
    require_words,
    showing_of,
)
from palate.collection.answers import (
    Contest,
    Progress,
    Question,
    Receipt,
    progress_of,
    question_from,
)
from palate.collection.contests import contest, contested_items, side_for
from palate.collection.events import Event
from palate.collection.export import Export, Rule, Weights, export_rows
from palate.collection.items import Item
from palate.collection.log import Log
from palate.collection.people import enroll, judge_annotator, who_shows
from palate.collection.questions import Deck
from palate.collection.serving import serve_questions, take_items
from palate.collection.settings import CollectionSettings
from palate.collection.state import Annotator, Role, State
from palate.errors import UsageError

if TYPE_CHECKING:
    from palate.collection.quality import QualityReport


def open_store(
    path: str | Path,
    *,
    settings: CollectionSettings | None = None,
    read_only: bool = False,
    clock: Callable[[], float] = time.time,
) -> "Store":
    """Open a database of votes, or make it.

    Args:
        path: of the file.
        settings: what holds from now on; None keeps what is there (the defaults for a new one). An
            empty salt keeps the database's own.
        read_only: look on, also while another program collects.
        clock: seconds since 1970.

    Raises:
        StoreError: another program collects into it, it is damaged or of another version, or it
            cannot be written.
    """
    log = Log(Path(path), read_only=read_only, clock=clock)
    store = Store(log)
    try:
        log.check_items()
        if not read_only:
            store.settle(settings)
    except BaseException:
        log.close()
        raise
    return store


class Store:
    """The verbs; `open_store` makes one. Safe to use from several threads."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._deck: Deck | None = None
        self._quality: tuple[int, QualityReport] | None = None

    def __enter__(self) -> "Store":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End; another program may then open the database."""
        self._log.close()

    # What is voted on, how, and by whom.

    @property
    def settings(self) -> CollectionSettings:
        """What decides who sees which pair."""
        with self._log.reading() as state:
            return state.settings

    def settle(self, settings: CollectionSettings | None) -> None:
        """Set how votes are collected from now on; None keeps what is there."""
        with self._log.writing() as state:
            is_new = state.last is None
            wanted = settings or state.settings
            salt = wanted.salt or state.settings.salt or secrets.token_hex(8)
            wanted = replace(wanted, salt=salt)
            if is_new or wanted != state.settings:
                append(self._log, Event("settings", content=wanted.to_json()))

    def add_items(self, items: Iterable[Item]) -> int:
        """Add pairs; those that are there already, in either order, are left alone.

        Returns:
            How many were added.
        """
        return take_items(self._log, items)

    def item(self, item: int) -> Item:
        """A pair with its origin: not for voters."""
        with self._log.reading():
            return next(self._log.items([item]))[1]

    def set_guidelines(self, text: str) -> int:
        """Say how to vote; a text that changes is a new version.

        Returns:
            The version, from 1 on.
        """
        with self._log.writing() as state:
            if not state.guidelines or state.guidelines[-1] != text:
                append(self._log, Event("guidelines", content={"text": text}))
            return len(state.guidelines)

    def guidelines(self) -> tuple[int, str]:
        """Version and text of the guidelines; (0, "") where there are none."""
        with self._log.reading() as state:
            texts = state.guidelines
            return len(texts), texts[-1] if texts else ""

    def add_annotator(self, name: str, *, role: Role = "annotate") -> tuple[Annotator, str]:
        """Let somebody vote, or give them a new secret or role: the old secret is void then.

        Returns:
            The annotator, and the secret that `annotator_of` knows them by. It is said here once;
            the database keeps its hash.
        """
        return enroll(self._log, name, role)

    def annotators(self) -> list[Annotator]:
        """Everybody who may vote."""
        with self._log.reading() as state:
            return list(state.annotators.values())

    def annotator_of(self, secret: str) -> Annotator | None:
        """Who shows this secret; None for nobody."""
        with self._log.reading() as state:
            return who_shows(state, secret)

    # What an annotator does.

    def questions(self, annotator: int, *, count: int = 1) -> list[Question]:
        """The questions that stand before an annotator, the current one first.

        Asking again gives the same ones (a reloaded page loses nothing); answered ones are gone and
        new ones come up to `count`. Two let a page fetch the next one ahead. Their places are kept
        from now on.

        Args:
            annotator: whose.
            count: how many are wanted, ≥ 1; fewer where nothing else is left for this annotator,
                more where undo brought some back.
        """
        with self._log.writing() as state:
            require_annotator(state, annotator)
            standing = serve_questions(
                self._log, state, self._cards(state), annotator=annotator, count=count
            )
            items = self._log.items([showing.item for showing in standing])
            return [question_from(s, item) for s, (_, item) in zip(standing, items, strict=True)]

    def question(self, annotator: int, question: int) -> Question:
        """One question of an annotator, answered or not.

        Raises:
            UsageError: it is not this annotator's.
        """
        with self._log.reading() as state:
            showing = showing_of(state, annotator, question)
            [(_, item)] = self._log.items([showing.item])
            return question_from(showing, item)

    def vote(
        self,
        annotator: int,
        question: int,
        choice: str,
        *,
        request: str = "",
        latency_ms: int | None = None,
    ) -> Receipt:
        """Write a vote.

        Args:
            annotator: who votes.
            question: on what.
            choice: "left", "right", "tie" or "both_bad", as pressed.
            request: the caller's name for this act, unique for the annotator; "" for none.
            latency_ms: milliseconds from the pair on screen to the key, ≥ 0.

        Raises:
            UsageError: no such question or choice, or it is answered already.
            StoreError: it cannot be written; nothing was.
        """
        with acting(
            self._log, "vote", annotator=annotator, request=request, question=question,
            choice=choice,
        ) as act:  # fmt: skip
            if act.answer is None:
                showing = act.open_question()
                has_place = act.state.holds_lease(showing, act.now) or act.state.has_place(
                    showing.item, act.now
                )
                is_late = showing.purpose == "label" and not has_place
                act.write_on(showing, {"late": is_late}, latency_ms=latency_ms)
        return act.receipt

    def skip(
        self,
        annotator: int,
        question: int,
        *,
        request: str = "",
        latency_ms: int | None = None,
        reason: str = "",
    ) -> Receipt:
        """Leave a question to others; arguments and errors as `vote`."""
        require_words("reason", reason)
        with acting(
            self._log, "skip", annotator=annotator, request=request, question=question
        ) as act:
            if act.answer is None:
                act.write_on(act.open_question(), {"reason": reason}, latency_ms=latency_ms)
        return act.receipt

    def undo(self, annotator: int, *, request: str = "") -> Receipt:
        """Take back an annotator's last vote or skip, as often as there are any.

        The question stands before the annotator again, with the same sides. It keeps its place,
        unless it had none any more (a skip, a late vote) and others have taken all.

        Raises:
            UsageError: there is nothing to take back.
            StoreError: it cannot be written; nothing was.
        """
        with acting(self._log, "undo", annotator=annotator, request=request) as act:
            if act.answer is None:
                decided = act.state.decided_by(annotator)
                if not decided:
                    raise UsageError("there is no vote or skip of yours left to take back")
                showing = act.state.showings[decided[-1]]
                has_place = showing.is_counted or act.state.has_place(showing.item, act.now)
                act.write_on(showing, {"keeps_place": has_place})
        return act.receipt

    def flag(self, annotator: int, question: int, reason: str, *, request: str = "") -> Receipt:
        """Ask for a look at a question, answered or not; an empty reason takes the flag back."""
        return remark(self._log, "flag", annotator, question, {"reason": reason}, request)

    def note(self, annotator: int, question: int, text: str, *, request: str = "") -> Receipt:
        """Write words beside a question, in place of earlier ones; empty ones take them back."""
        return remark(self._log, "note", annotator, question, {"text": text}, request)

    def progress(self, annotator: int) -> Progress:
        """How far the whole is, and this annotator's part."""
        with self._log.reading() as state:
            return progress_of(state, [card.item for card in self._cards(state).plain], annotator)

    # What an admin does; that only admins may is for the caller to see to.

    def contests(self, admin: int) -> list[Contest]:
        """Complete pairs whose votes differ, and flagged ones; those without a ruling first."""
        with self._log.reading() as state:
            deck = self._cards(state)
            found = contested_items(state, deck)
            return [contest(state, deck, admin, *pair) for pair in self._log.items(found)]

    def adjudicate(
        self, admin: int, item: int, choice: str | None, *, note: str = "", request: str = ""
    ) -> Receipt:
        """Decide a pair over the votes; None takes an earlier word back.

        Args:
            admin: who decides.
            item: the pair.
            choice: by the sides of this admin's `contests`.
            note: why.
            request: the caller's name for this act; "" for none.

        Raises:
            UsageError: no such pair or choice.
            StoreError: it cannot be written; nothing was.
        """
        require_words("note", note)
        with acting(
            self._log, "adjudicate", annotator=admin, request=request, item=item, choice=choice
        ) as act:
            if act.answer is None:
                deck = self._cards(act.state)
                if item not in deck.cards:
                    raise UsageError(f"there is no pair {item}")
                act.write(side_for(deck, admin, item), {"note": note})
        return act.receipt

    def exclude(self, admin: int, annotator: int, reason: str) -> None:
        """Let an annotator's votes and flags no longer count: their places are free again.

        They may go on voting, and are not told. `include` takes it back: they count again,
        also where others have filled the places since.
        """
        require_words("reason", reason)
        judge_annotator(self._log, "exclude", admin, {"annotator": annotator, "reason": reason})

    def include(self, admin: int, annotator: int) -> None:
        """Take an exclusion back."""
        judge_annotator(self._log, "include", admin, {"annotator": annotator})

    # What has come of it.

    def events(self) -> list[Event]:
        """The log."""
        with self._log.reading():
            return list(self._log.events())

    def reading(self) -> AbstractContextManager[State]:
        """The state that follows from the log, for figures of one's own; not to be changed."""
        return self._log.reading()

    def quality(self) -> "QualityReport":
        """How good the votes are; computed anew when the log has grown."""
        from palate.collection.quality import quality_report  # scipy, which a vote never needs

        with self._log.reading() as state:
            seq = state.last.seq if state.last else 0
            if self._quality is None or self._quality[0] != seq:
                self._quality = seq, quality_report(state, self._cards(state).cards)
            return self._quality[1]

    def export(
        self,
        *,
        rule: Rule = "majority",
        weights: Weights = "agreement",
        min_votes: int | None = None,
    ) -> Export:
        """The pairs that a rule decides, as rows for `palate dpo`; see export.py."""
        with self._log.reading() as state:
            return export_rows(
                state, self._log.items(), rule=rule, weights=weights, min_votes=min_votes
            )

    # Inside.

    def _cards(self, state: State) -> Deck:
        deck = self._deck
        if deck is None or (len(deck.cards), deck.settings) != (state.num_items, state.settings):
            self._deck = deck = Deck(self._log.cards(), state.settings)
        return deck
