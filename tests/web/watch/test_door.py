"""Who gets in: the same door as the labelling page's, for one person."""

import fcntl
from pathlib import Path

import pytest
from tests.web.conftest import Client
from tests.web.test_gate import TRAVERSALS, check_matrix, routes_of
from tests.web.watch.conftest import Watched

from palate.web.watch.app import watch_app


def test_only_own_hosts_and_origins_get_anything_on_any_route(watched: Watched) -> None:
    routes = routes_of(watch_app(watched.desk))
    assert {
        ("GET", "/"),
        ("POST", "/api/look"),
        ("POST", "/api/samples"),
        ("POST", "/api/stop"),
    } <= {*routes}
    check_matrix(routes, watched.client())


def test_no_address_becomes_a_path(watched: Watched) -> None:
    client = watched.client()
    paths = [*TRAVERSALS, "/metrics.jsonl", "/run/metrics.jsonl", "/api/../metrics.jsonl"]
    watched.run("run").log({"step": 1, "loss": 1})
    assert {path: client.ask("GET", path).status for path in paths} == dict.fromkeys(paths, 404)


def test_a_link_opens_once_and_nobody_else_sees_anything(watched: Watched) -> None:
    watched.run("secret-name").log({"step": 1, "loss": 1})
    link = watched.desk.link().removeprefix(watched.address)
    assert Client(watched.port).ask("GET", link).status == 303
    used = Client(watched.port).ask("GET", link)
    assert used.status == 403
    assert b"palate watch" in used.body
    stranger = Client(watched.port, cookie=f"palate-{watched.port}=1.x.y", token="x")
    assert stranger.ask("GET", "/").status == 401
    for path in ("look", "samples", "stop"):
        answer = stranger.post(f"/api/{path}", {"shown": [], "have": []})
        assert answer.status == 401
        assert b"secret-name" not in answer.body


def test_writes_need_the_token_of_the_page(watched: Watched) -> None:
    run = watched.run("run")
    run.log({"step": 1, "loss": 1})
    run.beat(1, 10)
    client = watched.client()
    client.token = ""
    assert client.post("/api/stop", {"run": 0}).status == 403
    assert not (run.path / "stop").exists()


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("look", {"shown": [0], "have": []}, 400),
        ("look", {"shown": [0]}, 400),
        ("look", {"shown": "all", "have": []}, 400),
        ("look", {"shown": [9, 9], "have": [0, 10**15]}, 200),
        ("samples", {"run": 7, "step": 0}, 404),
        ("samples", {"run": -1, "step": 0}, 400),
        ("stop", {"run": 7}, 404),
        ("stop", {"run": "../run"}, 400),
    ],
)
def test_bodies_that_make_no_sense(
    watched: Watched, path: str, body: dict[str, object], status: int
) -> None:
    watched.run("run").log({"step": 1, "loss": 1})
    assert watched.client().post(f"/api/{path}", body).status == status


def test_stop_is_a_file_in_the_folder_of_a_run_that_goes_on(watched: Watched) -> None:
    run = watched.run("run")
    run.log({"step": 1, "loss": 1})
    run.beat(1, 10, "stopped")
    client = watched.client()
    with (run.path / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        run.beat(1, 10)
        assert client.post("/api/stop", {"run": 0}).status == 200
        assert (run.path / "stop").exists()
    (run.path / "stop").unlink()
    run.beat(1, 10, "stopped")
    answer = client.post("/api/stop", {"run": 0})
    assert (answer.status, answer.json["error"]) == (
        409,
        "run does not run here any more; there is nothing to stop",
    )
    assert not (run.path / "stop").exists()


def test_a_folder_that_cannot_be_written_is_told(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = watched.run("run")
    run.log({"step": 1, "loss": 1})
    run.beat(1, 10)

    def refuse(self: Path, *args: object, **kwargs: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "touch", refuse)
    answer = watched.client().post("/api/stop", {"run": 0})
    assert answer.status == 409
    assert answer.json["error"].startswith(
        "run: the request cannot be left in its folder (Permission denied); interrupt it"
    )
