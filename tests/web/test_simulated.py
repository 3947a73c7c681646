"""Simulated annotators at the page's own addresses: the quality page puts the bad ones first."""

from types import SimpleNamespace

import numpy as np
import pytest
from tests.collection.annotators import BAD_KINDS, Press, accurate
from tests.collection.pairs import some_items
from tests.web.conftest import Client, MakeSite

from palate.collection.events import Choice

NUM_VOTES = 60


class Page:
    """A page in the hands of an annotator who presses keys by a rule."""

    def __init__(self, client: Client, press: Press, seed: int) -> None:
        self.client = client
        self.press = press
        self.generator = np.random.default_rng(seed)
        self.questions = client.post("/api/questions", {"have": []}).json["questions"]

    def vote(self, best: dict[str, str], request: str) -> None:
        """Decide the first question, and take the next one that comes with the answer."""
        question = self.questions.pop(0)
        [turn] = question["prompt"]
        shown = SimpleNamespace(prompt=turn["text"], left=question["left"], right=question["right"])
        right: Choice = "left" if shown.left == best[shown.prompt] else "right"
        content = {
            "question": question["id"],
            "choice": self.press(shown, right, self.generator),
            "latency_ms": int(self.generator.uniform(4000, 12000)),
            "request": request,
            "have": [one["id"] for one in self.questions],
        }
        answer = self.client.post("/api/decisions", content)
        assert answer.status == 200
        self.questions += answer.json["questions"]


@pytest.mark.slow
def test_the_bad_kinds_come_first_on_the_quality_page(make_site: MakeSite) -> None:
    items = some_items(NUM_VOTES + 4)
    best = {str(item.prompt): item.first for item in items}
    kinds = {"careful a": accurate, "careful b": accurate, "careful c": accurate, **BAD_KINDS}
    site = make_site(items, votes_per_item=len(kinds))
    pages = [Page(site.client(name), press, i) for i, (name, press) in enumerate(kinds.items())]
    for number in range(NUM_VOTES):
        for page in pages:
            page.vote(best, str(number))
    report = site.client("boss", is_admin=True).ask("GET", "/quality").body.decode()
    names = sorted(kinds, key=lambda name: report.index(f'<th scope="row">{name}'))
    assert set(names[:4]) == set(BAD_KINDS)
    doubted = report.count('class="doubted"')
    assert doubted == len(BAD_KINDS)
