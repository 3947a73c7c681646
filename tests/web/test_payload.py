"""Bodies of writes: every field checked, every nonsense refused with 400."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.exceptions import HTTPException
from tests.web.conftest import Client, MakeSite

from palate.web.payload import (
    Decision,
    Exclusion,
    Fetch,
    Invitation,
    Remark,
    Ruling,
    Undo,
    read_payload,
)

GOOD: dict[type[Any], dict[str, Any]] = {
    Fetch: {"have": [1, 2]},
    Decision: {"question": 1, "choice": "skip", "latency_ms": 0, "request": "a", "have": []},
    Undo: {"request": "a"},
    Remark: {"question": 1, "flag": "", "note": "ü\n", "request": "a"},
    Ruling: {"item": 1, "choice": "", "note": "", "request": "a"},
    Invitation: {"name": "ann"},
    Exclusion: {"annotator": 1, "is_excluded": True, "reason": ""},
}
WRONG: list[Any] = [
    None,
    True,
    -1,
    1.5,
    2**60,
    "x" * 5000,
    "\ud800",
    "no such choice",
    [],
    ["1"],
    [-1],
    {},
]
ROUTES = [
    "/api/questions", "/api/decisions", "/api/undo", "/api/remarks", "/api/rulings",
    "/api/exclusions", "/api/invitations",
]  # fmt: skip

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
names = st.sampled_from(sorted({name for good in GOOD.values() for name in good}))


@pytest.mark.parametrize("kind", GOOD)
def test_good_bodies_are_read(kind: type[Any]) -> None:
    assert read_payload(json.dumps(GOOD[kind]).encode(), kind) == kind(**GOOD[kind])


@pytest.mark.parametrize("kind", GOOD)
def test_a_field_too_many_too_few_or_of_another_kind_is_refused(kind: type[Any]) -> None:
    good = GOOD[kind]
    bad: list[Any] = [
        {**good, "more": 1},
        *([{n: v for n, v in good.items() if n != left}] for left in good),
    ]
    for name, value in good.items():
        fits = [wrong for wrong in WRONG if type(wrong) is type(value)]
        bad += [{**good, name: wrong} for wrong in WRONG if wrong not in fits]
    for body in (*map(json.dumps, bad), "[]", "1", "", "{", "\x00", "[" * 100_000):
        with pytest.raises(HTTPException) as caught:
            read_payload(body.encode("utf-8", "surrogatepass"), kind)
        assert caught.value.status_code == 400


@pytest.mark.parametrize(
    ("kind", "name", "value", "message"),
    [
        (Decision, "choice", "first", "must be one of"),
        (Decision, "latency_ms", 2**60, "whole number"),
        (Remark, "flag", "other", "must be one of"),
        (Remark, "note", "x" * 4001, "4001 characters"),
        (Remark, "note", "\ud800", "surrogate"),
        (Undo, "request", "x" * 65, "65 characters"),
        (Fetch, "have", list(range(1001)), "at most 1000"),
    ],
)
def test_values_out_of_bounds_are_named(
    kind: type[Any], name: str, value: Any, message: str
) -> None:
    with pytest.raises(HTTPException) as caught:
        read_payload(json.dumps({**GOOD[kind], name: value}).encode(), kind)
    assert name in caught.value.detail
    assert message in caught.value.detail


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(list(GOOD)),
    st.binary(max_size=60) | json_values.map(lambda v: json.dumps(v).encode()),
)
def test_no_body_is_more_than_refused(kind: type[Any], body: bytes) -> None:
    refused = 0
    try:
        read_payload(body, kind)
    except HTTPException as error:
        refused = error.status_code
    assert refused in (0, 400)


def test_whatever_is_sent_the_server_neither_breaks_nor_lets_a_stranger_write(
    make_site: MakeSite,
) -> None:
    site = make_site(2)
    boss, stranger = site.client("boss", is_admin=True), Client(site.port)
    before = site.store.quality()

    @settings(max_examples=60, deadline=None)
    @given(st.sampled_from(ROUTES), st.dictionaries(names, json_values, max_size=5))
    def send(path: str, content: dict[str, Any]) -> None:
        assert stranger.post(path, content).status == 401
        assert boss.post(path, content).status < 500

    send()
    assert site.store.quality() == before
