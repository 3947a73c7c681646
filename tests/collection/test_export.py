"""Export: each rule by hand, nothing by lot, and rows that training reads."""

import json
from pathlib import Path
from typing import get_args

import pytest
from tests.collection.conftest import MakeStore
from tests.collection.pairs import some_items

from palate.collection import Item, Store
from palate.collection.events import Verdict
from palate.collection.export import Export, Rule, flat_row
from palate.data.records import Turn
from palate.data.sources import read_preferences
from palate.errors import UsageError


def say(store: Store, annotator: int, verdicts: dict[str, Verdict]) -> None:
    """Let an annotator say this of the pairs with these prompts, and nothing of the others."""
    firsts = {item.first for item in some_items(20)}
    for question in store.questions(annotator, count=20):
        verdict = verdicts.get(str(question.prompt))
        if verdict in ("tie", "both_bad"):
            store.vote(annotator, question.id, verdict)
        elif verdict:
            is_left = (question.left in firsts) == (verdict == "first")
            store.vote(annotator, question.id, "left" if is_left else "right")


def voted(make_store: MakeStore, *columns: str, num_wanted: int = 3) -> Store:
    """A store where annotator i says columns[i][n] of pair n: 1, 2, t(ie), b(ad), - (nothing)."""
    words: dict[str, Verdict] = {"1": "first", "2": "second", "t": "tie", "b": "both_bad"}
    store = make_store(len(columns[0]), votes_per_item=num_wanted)
    for number, column in enumerate(columns):
        annotator, _ = store.add_annotator(f"person {number}")
        said = {f"What is {n} plus one?": words[c] for n, c in enumerate(column) if c in words}
        say(store, annotator.id, said)
    return store


def chosen(export: Export) -> dict[str, str]:
    """Which response each pair's row chose, by the pair's name."""
    firsts = {item.name: item.first for item in some_items(20)}
    return {
        row["id"]: "first" if row["chosen"] == firsts[row["id"]] else "second"
        for row in export.rows
    }


def test_flags_of_who_is_excluded_hold_nothing_up_until_they_are_included(
    make_store: MakeStore,
) -> None:
    store = make_store(1, votes_per_item=2)
    ann, bea, cid, boss = (store.add_annotator(name)[0].id for name in "abcd")
    [flagged] = store.questions(ann)
    store.flag(ann, flagged.id, "unsafe")
    store.exclude(boss, ann, "flags everything")
    for who in (bea, cid):
        say(store, who, {"What is 0 plus one?": "first"})
    assert chosen(store.export()) == {"sum-0": "first"}
    assert store.contests(boss) == []
    store.include(boss, ann)
    assert store.export().left_out == {"flagged": 1}
    assert [ballot.flag for ballot in store.contests(boss)[0].ballots] == ["unsafe", "", ""]


def test_ballots_of_a_contest_are_of_those_who_count(make_store: MakeStore) -> None:
    store = voted(make_store, "1", "1", "2", num_wanted=3)
    ann, boss = store.annotators()[0], store.add_annotator("boss")[0]
    assert len(store.contests(boss.id)[0].ballots) == 3
    store.exclude(boss.id, ann.id, "a coin")
    late, _ = store.add_annotator("late")
    say(store, late.id, {"What is 0 plus one?": "first"})
    names = [ballot.annotator for ballot in store.contests(boss.id)[0].ballots]
    assert names == ["person 1", "person 2", "late"]


def test_majority(make_store: MakeStore) -> None:
    store = voted(make_store, "1111tb12", "112ttb12", "12tttb-t")
    export = store.export(rule="majority")
    assert chosen(export) == {"sum-0": "first", "sum-1": "first", "sum-7": "second"}
    assert export.left_out == {"both_bad": 1, "disagreement": 1, "incomplete": 1, "tie": 2}
    weights = {row["id"]: row["weight"] for row in export.rows}
    assert weights == {"sum-0": 1.0, "sum-1": 2 / 3, "sum-7": 2 / 3}
    assert chosen(store.export(min_votes=2))["sum-6"] == "first"
    assert {row["weight"] for row in store.export(weights="equal").rows} == {1.0}


def test_unanimous(make_store: MakeStore) -> None:
    store = voted(make_store, "11t", "12t", num_wanted=2)
    export = store.export(rule="unanimous")
    assert chosen(export) == {"sum-0": "first"}
    assert export.left_out == {"disagreement": 1, "tie": 1}


def test_even_votes_are_never_decided_by_lot(make_store: MakeStore) -> None:
    store = voted(make_store, "1111", "2222", num_wanted=2)
    for rule in get_args(Rule):
        assert store.export(rule=rule).rows == []


def test_a_ruling_stands_above_votes(make_store: MakeStore) -> None:
    store = voted(make_store, "111", "222", num_wanted=2)
    boss, _ = store.add_annotator("boss", role="admin")
    firsts = {item.first for item in some_items(3)}
    by_prompt = {str(contest.prompt): contest for contest in store.contests(boss.id)}
    one, two = by_prompt["What is 0 plus one?"], by_prompt["What is 1 plus one?"]
    store.adjudicate(boss.id, one.item, "right" if one.left in firsts else "left")
    store.adjudicate(boss.id, two.item, "both_bad")
    for rule in get_args(Rule):
        export = store.export(rule=rule)
        assert chosen(export) == {"sum-0": "second"}
        assert export.rows[0]["annotator"] == ["boss"]
        assert export.rows[0]["weight"] == 1.0
        assert export.left_out["both_bad"] == 1


def test_flagged_pairs_wait_for_a_ruling(make_store: MakeStore) -> None:
    store = make_store(1)
    ann, _ = store.add_annotator("ann")
    [question] = store.questions(ann.id)
    store.vote(ann.id, question.id, "left")
    store.flag(ann.id, question.id, "wrong language")
    assert store.export().left_out == {"flagged": 1}
    store.flag(ann.id, question.id, "")
    assert len(store.export().rows) == 1


def test_gold_is_not_exported(make_store: MakeStore) -> None:
    store = make_store(0, gold_share=0.5)
    store.add_items([Item("two?", "2", "3", gold="first"), Item("three?", "3", "4")])
    export = store.export()
    assert (export.rows, export.left_out) == ([], {"no_votes": 1})


def test_rows_are_what_training_reads(make_store: MakeStore, tmp_path: Path) -> None:
    store = make_store(0)
    talk = (Turn("user", "two?"),)
    store.add_items([Item(talk, "2", "3", source="a.jsonl:7", name="q7", tags=("sum", "easy"))])
    ann, _ = store.add_annotator("ann")
    [question] = store.questions(ann.id)
    store.vote(ann.id, question.id, "left" if question.left == "2" else "right")
    [row] = store.export().rows
    assert {name: row[name] for name in ("prompt", "chosen", "rejected")} == {
        "prompt": [{"role": "user", "content": "two?"}],
        "chosen": [{"role": "assistant", "content": "2"}],
        "rejected": [{"role": "assistant", "content": "3"}],
    }
    assert (row["id"], row["annotator"], row["source"]) == ("q7", ["ann"], "a.jsonl:7")
    assert (row["created_at"], row["tags"]) == ("2027-01-15T08:00:00+00:00", ["sum", "easy"])
    path = tmp_path / "pairs.jsonl"
    path.write_text(json.dumps(row), encoding="utf-8")
    [pair] = read_preferences(path).records
    assert (pair.prompt, pair.chosen, pair.rejected, pair.weight) == (talk, "2", "3", 1.0)


def test_the_same_log_gives_the_same_rows(make_store: MakeStore) -> None:
    store = voted(make_store, "1212", "1222", num_wanted=2)
    assert store.export() == store.export()


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_a_spreadsheet_runs_nothing(start: str) -> None:
    row = flat_row({"prompt": f"{start}1+1", "tags": ["=x"], "weight": 0.5})
    assert row == {"prompt": f"'{start}1+1", "tags": '["=x"]', "weight": "0.5"}


def test_a_pair_needs_a_vote(make_store: MakeStore) -> None:
    with pytest.raises(UsageError, match="min_votes is 0"):
        make_store(1).export(min_votes=0)
