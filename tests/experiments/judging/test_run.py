"""Judges of known character, through real requests: verdicts, audit, cache, resumption."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.experiments.judging import minds
from tests.models.fault_server import Answer, failed, said, serving

from palate.data.records import Prompt
from palate.data.rows import parse_preference
from palate.errors import RemoteError, UsageError
from palate.experiments.judging.cache import ReplyCache
from palate.experiments.judging.card import JudgeCard
from palate.experiments.judging.judges import (
    ComparingJudge,
    ScoringJudge,
    function_scores,
    language_scores,
)
from palate.experiments.judging.language import LanguageJudge
from palate.experiments.judging.question import Question
from palate.experiments.judging.run import Judged, Judging, judge_samples
from palate.experiments.judging.samples import Samples, read_labels, read_samples
from palate.models.reward_function import NamedFunction

NUM = 30


@pytest.fixture
def samples(tmp_path: Path) -> Samples:
    """Prompts with two replies of distinct letters and lengths, which have nothing in common."""
    generator = np.random.default_rng(0)
    rows = []
    for i in range(NUM):
        letters = generator.permutation(list("bcdefgh"))[:2]
        sizes = generator.permutation(range(2, 9))[:2]
        replies = [letter * int(size) for letter, size in zip(letters, sizes, strict=True)]
        rows.append({"prompt": f"prompt {i}", "responses": replies})
    path = tmp_path / "samples.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return read_samples(path)


def language(url: str, cache: ReplyCache | None = None, **card: Any) -> LanguageJudge:
    given = {"max_retries": 0, "concurrency": 4, "timeout": 5.0, **card}
    settings = JudgeCard(model="tiny", base_url=url, **given)
    return LanguageJudge(settings, ReplyCache(None) if cache is None else cache)


def comparing(mind: minds.Mind, samples: Samples, *, num_probes: int = 0, **card: Any) -> Judged:
    with serving(minds.answering(mind)) as script:
        judge = ComparingJudge("tiny", language(script.url, **card))
        return judge_samples(judge, samples, Judging(num_probes=num_probes))


def rate(of: Any) -> float:
    assert of is not None
    return float(of.value)


def test_a_judge_that_takes_the_longer_reply(samples: Samples) -> None:
    found = comparing(minds.longer, samples)
    assert len(found.pairs) == NUM
    assert all(len(row["chosen"]) > len(row["rejected"]) for row in found.pairs)
    assert rate(found.audit.longer_wins_rate) == 1
    assert rate(found.audit.flip_rate) == 0
    assert rate(found.audit.first_position_rate) == 0.5
    assert found.audit.unparsed_rate == 0
    # The rows are pairs as training reads them, with where they come from.
    for row in found.pairs:
        pair = parse_preference(row, origin="here")
        assert (pair.chosen, pair.margin, pair.weight) == (row["chosen"], None, 1.0)
        assert row["annotator"] == "tiny"
        assert row["verdicts"] == [1.0, 1.0]
        assert "samples.jsonl:" in row["source"]


def test_a_judge_that_takes_the_first_place_makes_no_pair(samples: Samples) -> None:
    found = comparing(minds.first_place, samples)
    assert (len(found.pairs), len(found.ties), len(found.unjudged)) == (0, NUM, 0)
    assert {row["why"] for row in found.ties} == {"the orders disagree"}
    assert rate(found.audit.first_position_rate) == rate(found.audit.flip_rate) == 1


def test_a_judge_that_cannot_be_read_is_asked_again_and_then_left(samples: Samples) -> None:
    with serving(minds.answering(minds.mumbling)) as script:
        judge = ComparingJudge("tiny", language(script.url, parse_retries=1))
        found = judge_samples(judge, samples, Judging())
        assert script.num_calls == 2 * NUM * 2
    assert (len(found.pairs), len(found.ties), len(found.unjudged)) == (0, 0, NUM)
    assert {row["why"] for row in found.unjudged} == {"unparsed"}
    assert found.audit.unparsed_rate == 1
    assert found.audit.flip_rate is None


def test_an_honest_judge_ignores_injections_and_a_credulous_one_is_found(samples: Samples) -> None:
    honest = comparing(minds.alphabet, samples, num_probes=20).injection
    assert honest is not None
    assert (honest.num_pairs, honest.clean_rate, honest.injected_rate) == (20, 0, 0)
    assert not honest.is_injectable
    fooled = comparing(minds.credulous, samples, num_probes=20).injection
    assert fooled is not None
    assert (fooled.clean_rate, fooled.injected_rate) == (0, 1)
    assert fooled.is_injectable


def test_a_stopped_run_goes_on_without_paying_twice(samples: Samples, tmp_path: Path) -> None:
    """The server goes down after 25 answers; the same command then asks only for the rest."""
    path, answered = tmp_path / "cache.jsonl", 0

    def dying(body: dict[str, Any]) -> Answer:
        nonlocal answered
        answered += 1
        return failed(500) if answered > 25 else minds.answering(minds.longer)(body)

    with serving(dying) as script, ReplyCache(path) as cache:
        judge = ComparingJudge("tiny", language(script.url, cache, concurrency=1))
        with pytest.raises(RemoteError, match="5 requests in a row"):
            judge_samples(judge, samples, Judging())
    with serving(minds.answering(minds.longer)) as script, ReplyCache(path) as cache:
        assert len(cache) == 25
        second = language(script.url, cache)
        found = judge_samples(ComparingJudge("tiny", second), samples, Judging())
        assert script.num_calls == 2 * NUM - 25
        assert second.cost()["cached"] == 25
    assert found == comparing(minds.longer, samples)
    with serving([failed(500)]) as script, ReplyCache(path) as cache:
        third = ComparingJudge("tiny", language(script.url, cache))
        assert judge_samples(third, samples, Judging()) == found
        assert script.num_calls == 0


def test_a_server_without_schemas_is_asked_in_words(samples: Samples, tmp_path: Path) -> None:
    def plain(body: dict[str, Any]) -> Answer:
        if "response_format" in body:
            return failed(400, "response_format is not supported")
        return minds.answering(minds.longer)(body)

    path = tmp_path / "cache.jsonl"
    for calls in (1 + 2 * NUM, 0):  # one question finds it out; a resumed run asks nothing
        with serving(plain) as script, ReplyCache(path) as cache:
            judge = ComparingJudge("tiny", language(script.url, cache))
            assert len(judge_samples(judge, samples, Judging()).pairs) == NUM
            assert script.num_calls == calls


def test_a_refusal_leaves_its_pair_apart_and_the_rest_goes_on(samples: Samples) -> None:
    def choosy(body: dict[str, Any]) -> Answer:
        seen = minds.shown(body)
        if seen["PROMPT"] == "prompt 3":
            return said(None, refusal="I would rather not")
        return said(minds.longer(seen))

    with serving(choosy) as script:
        judge = ComparingJudge("tiny", language(script.url))
        found = judge_samples(judge, samples, Judging())
    assert len(found.pairs) == NUM - 1
    (row,) = found.unjudged
    assert (row["prompt"], row["why"], row["verdicts"]) == ("prompt 3", "refusal", [None, None])


def test_cost_is_counted_in_calls_tokens_and_money(samples: Samples) -> None:
    with serving(minds.answering(minds.longer)) as script:
        judge = language(script.url, prompt_price=2.0, completion_price=10.0)
        judge_samples(ComparingJudge("tiny", judge), samples, Judging())
        cost = judge.cost()
    assert cost["calls"] == 60
    assert (cost["prompt_tokens"], cost["completion_tokens"]) == (420, 180)
    assert cost["money"] == pytest.approx((420 * 2 + 180 * 10) / 1e6)


def _letters(prompts: list[str], responses: list[str]) -> list[float]:
    return [-float(ord(reply[0])) for reply in responses]


def test_a_function_scores_and_the_best_meets_the_worst(tmp_path: Path) -> None:
    path = tmp_path / "s.jsonl"
    rows = [
        {"prompt": "p", "responses": ["d", "b", "c"]},
        {"prompt": "q", "responses": ["x", "xx"]},
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    judge = ScoringJudge("mine", function_scores(NamedFunction(_letters)))
    found = judge_samples(judge, read_samples(path), Judging())
    (pair,) = found.pairs
    assert (pair["chosen"], pair["rejected"], pair["rule"]) == ("b", "d", "best-worst")
    assert (pair["score_chosen"], pair["score_rejected"]) == (-98.0, -100.0)
    (tie,) = found.ties
    assert (tie["responses"], tie["why"]) == (["x", "xx"], "tie")
    assert tie["scores"] == [-120.0, -120.0]
    everyone = judge_samples(judge, read_samples(path), Judging(rule="all"))
    assert [(r["chosen"], r["rejected"]) for r in everyone.pairs] == [
        ("b", "d"), ("c", "d"), ("b", "c"),
    ]  # fmt: skip


def test_one_prompt_with_two_answers_is_judged_by_each_rows_own(tmp_path: Path) -> None:
    path = tmp_path / "s.jsonl"
    replies = ["four", "five"]
    rows = [{"prompt": "2 + 2?", "responses": replies, "answer": answer} for answer in replies]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")

    def right(prompts: list[str], responses: list[str], answer: list[str]) -> list[float]:
        return [float(one == wanted) for one, wanted in zip(responses, answer, strict=True)]

    judge = ScoringJudge("right", function_scores(NamedFunction(right)))
    found = judge_samples(judge, read_samples(path), Judging())
    assert [pair["chosen"] for pair in found.pairs] == replies
    assert [pair["score_chosen"] for pair in found.pairs] == [1.0, 1.0]


def test_a_language_model_can_score(samples: Samples) -> None:
    def scorer(body: dict[str, Any]) -> Answer:
        reply = minds.shown(body)["REPLY"]
        return said(json.dumps({"reason": "", "score": len(reply)}))

    with serving(scorer) as script:
        judge = ScoringJudge("tiny", language_scores(language(script.url)))
        found = judge_samples(judge, samples, Judging())
        assert script.num_calls == 2 * NUM  # each reply once
    assert all(len(row["chosen"]) > len(row["rejected"]) for row in found.pairs)


def test_a_question_that_comes_again_is_paid_once(tmp_path: Path) -> None:
    with serving(minds.answering(lambda seen: json.dumps({"score": 3}))) as script:
        judge = language(script.url)
        asked = [Question(Prompt("p"), ("a",)), Question(Prompt("p"), ("b",))] * 3
        assert [answer.value for answer in judge.score(asked)] == [3] * 6
        assert script.num_calls == 2


def test_best_against_worst_needs_scores(samples: Samples) -> None:
    judge = ComparingJudge("tiny", language("http://127.0.0.1:9/v1"))
    with pytest.raises(UsageError, match="--rule best-worst needs a judge that scores"):
        judge_samples(judge, samples, Judging(rule="best-worst"))


def test_random_pairs_depend_on_the_seed_alone(tmp_path: Path) -> None:
    rows = [{"prompt": f"p{i}", "responses": list("abcde")} for i in range(20)]
    path = tmp_path / "s.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    judge = ScoringJudge("mine", function_scores(NamedFunction(_letters)))

    def drawn(seed: int, count: int = 2) -> list[tuple[str, str]]:
        settings = Judging(rule="random", pairs_per_prompt=count, seed=seed)
        found = judge_samples(judge, read_samples(path), settings)
        return [(row["chosen"], row["rejected"]) for row in found.pairs]

    assert drawn(0) == drawn(0)
    assert drawn(0) != drawn(1)
    assert len(drawn(0)) == 40
    assert len(drawn(0, count=99)) == 200  # all ten of each


@pytest.mark.parametrize("by", ["pairs", "labels"])
def test_agreement_with_people(tmp_path: Path, by: str) -> None:
    """The judge takes the longer reply; people did so in 9 of 12."""
    people, asked = tmp_path / "people.jsonl", tmp_path / "samples.jsonl"
    replies = ["long reply", "short"]
    with people.open("w") as labelled, asked.open("w") as bare:
        for i in range(12):
            chosen, rejected = replies if i < 9 else reversed(replies)
            pair = {"prompt": f"p{i}", "chosen": chosen, "rejected": rejected}
            labelled.write(json.dumps(pair) + "\n")
            bare.write(json.dumps({"prompt": f"p{i}", "responses": replies}) + "\n")
    longer = NamedFunction(lambda _p, r: [float(len(x)) for x in r])
    judge = ScoringJudge("mine", function_scores(longer))
    labels = read_labels(people) if by == "labels" else None
    samples = read_samples(people if by == "pairs" else asked)
    found = judge_samples(judge, samples, Judging(), labels=labels)
    assert found.audit.num_labels == 12
    assert rate(found.audit.agreement) == pytest.approx(0.75)
