"""Lists that go on, files, cursors, and acting on many, against made-up services."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from app.cli.client import Service, ServiceProblem
from app.cli.following import changes
from app.ledger.stored import hash_email
from tests.cli.conftest import Pretend, Run
from tests.cli.test_talking import TRANSFER, page
from tests.support import OPERATOR_KEY

State = dict[str, Any]


def item(number: int, status: str, attempts: int = 1) -> State:
    return TRANSFER | {"transfer_id": str(number), "status": status, "attempts_made": attempts}


class Over(Exception):
    """Nothing more is asked."""


def of_looks(*looks: list[State] | int) -> Callable[[httpx.Request], httpx.Response]:
    """One after the other; a number is a status."""
    left = list(looks)

    def answer(_request: httpx.Request) -> httpx.Response:
        if not left:
            raise Over
        look = left.pop(0)
        return page(*look) if isinstance(look, list) else httpx.Response(look, text="<h1>Bad gateway</h1>")

    return answer


def followed(answer: Callable[[httpx.Request], httpx.Response], first: int = 50) -> tuple[list[Any], list[str]]:
    told: list[Any] = []
    lost: list[str] = []
    with Service("http://x.test", {"operator": OPERATOR_KEY}, httpx.MockTransport(answer)) as service:
        try:
            found = changes(service, {"status": ""}, first, lambda: lost.append("lost"))
            told.extend((each["transfer_id"], each["status"], each["attempts_made"]) for each in found)
        except Over:
            return told, lost
    raise AssertionError(told)


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.cli.following.time.sleep", lambda _seconds: None)


def test_what_is_new_or_changes_is_told_once() -> None:
    looks = (
        [item(2, "waiting"), item(1, "succeeded")],
        [item(2, "waiting"), item(1, "succeeded")],
        [item(3, "running", 0), item(2, "waiting", 2), item(1, "succeeded")],
        [item(3, "succeeded"), item(2, "succeeded", 3), item(1, "succeeded")],
        [item(3, "succeeded"), item(2, "succeeded", 3), item(1, "succeeded")],
    )
    assert followed(of_looks(*looks)) == (
        [
            ("1", "succeeded", 1),
            ("2", "waiting", 1),
            ("2", "waiting", 2),
            ("3", "running", 0),
            ("2", "succeeded", 3),
            ("3", "succeeded", 1),
        ],
        [],
    )


def test_a_service_that_is_away_is_waited_for() -> None:
    told, lost = followed(
        of_looks([item(1, "succeeded")], 502, 502, [item(2, "failed"), item(1, "succeeded")], 502)
    )
    assert [each[0] for each in told] == ["1", "2"]
    assert lost == ["lost", "lost"]


def test_one_that_never_answered_is_not() -> None:
    with pytest.raises(ServiceProblem):
        followed(of_looks(502))


def test_pages_are_asked_for_as_far_as_something_may_be_new() -> None:
    asked: list[str | None] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.params.get("cursor"))
        if len(asked) == 6:
            raise Over
        first = 0 if asked[-1] is None else int(asked[-1])
        items = [item(first + each, "waiting" if first + each == 250 else "succeeded") for each in range(200)]
        return page(*items, following=str(first + 200) if first < 400 else None)

    told, _ = followed(answer, 600)
    assert len(told) == 600
    assert asked[:3] == [None, "200", "400"]
    assert asked[3:] == [None, None, None], "all of the first page have ended"


def test_follow_ends_with_ctrl_c(run: Run, pretend: Pretend, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("app.cli.following.time.sleep", interrupted)
    pretend(lambda _request: page(item(2, "succeeded"), item(1, "failed")))
    ran = run("transfers", "--follow")
    assert ran.code == 0
    assert [line.split()[-2 if "skipped" in line else 0][:4] for line in ran.out.splitlines()] == ["2026"] * 2
    assert " 1 failed" in ran.out.splitlines()[0]
    lines = run("transfers", "-f", "--json").out.splitlines()
    assert [json.loads(line)["transfer_id"] for line in lines] == ["1", "2"]


def test_a_cursor_goes_in_and_comes_out(run: Run, pretend: Pretend) -> None:
    requests = pretend(lambda _request: page(item(1, "failed"), following="41"))
    ran = run("transfers", "--limit", "1", "--cursor", "77")
    assert dict(requests[0].url.params) == {"limit": "1", "cursor": "77"}
    assert "--cursor 41" in ran.err
    assert "41" not in ran.out.split("2026", 1)[0]
    assert json.loads(run("transfers", "--limit", "1", "--json").out)["next"] == "41"


def test_only_the_hash_of_an_email_is_sent(run: Run, pretend: Pretend) -> None:
    requests = pretend(lambda _request: page())
    hashed = hash_email("anna@example.com")
    for written in (" Anna@Example.com", hashed):
        run("transfers", "--email", written)
    assert [request.url.params["email_hash"] for request in requests] == [hashed] * 2


def test_a_file_comes_as_it_is(run: Run, pretend: Pretend) -> None:
    headers = {"Content-Disposition": 'attachment; filename="x.csv"'}
    requests = pretend(lambda _request: httpx.Response(200, text="a,b\r\n1,ü\r\n", headers=headers))
    assert run("transfers", "--csv", "--status", "failed").out.split() == ["a,b", "1,ü"]
    run("transfers", "--csv", "--limit", "5", "--cursor", "9")
    assert [(each.url.path, dict(each.url.params)) for each in requests] == [
        ("/transfers/export", {"status": "failed"}),
        ("/transfers/export", {"limit": "5", "cursor": "9"}),
    ]


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(200, text="<h1>It works!</h1>"),
        httpx.Response(200, json={}),
        httpx.Response(422, json={"type": "/errors/x", "title": "No", "detail": "No."}),
    ],
    ids=["page", "JSON", "problem"],
)
def test_what_is_no_file_is_told(run: Run, pretend: Pretend, answer: httpx.Response) -> None:
    pretend(lambda _request: answer)
    ran = run("transfers", "--csv")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err


def test_many_are_cancelled(run: Run, pretend: Pretend) -> None:
    requests = pretend(
        lambda request: httpx.Response(200, json={"dry_run": b'"dry_run"' in request.content, "total": 2})
    )
    options = ("--status", "waiting", "--words", "not valid", "--customer", "7")
    meant = {"status": "waiting", "customer_id": "7", "words": "not valid"}
    assert run("cancel", "--all", *options, "--dry-run").out == "2 transfers would be cancelled.\n"
    ran = run("cancel", "--all", *options, "--yes")
    assert (ran.code, ran.out) == (0, "2 transfers cancelled.\n")
    assert json.loads(run("cancel", "--all", "--yes", "--json").out) == {"dry_run": False, "total": 2}
    assert {each.url.path for each in requests} == {"/transfers/cancel"}
    sent = [json.loads(each.content) for each in requests]
    assert sent == [meant | {"dry_run": True}, meant | {"dry_run": True}, meant, {"dry_run": True}, {}]


@pytest.mark.parametrize("command", [("retry", "--failed"), ("cancel", "--all")])
def test_who_cannot_be_asked_is_told_so(run: Run, pretend: Pretend, command: tuple[str, ...]) -> None:
    requests = pretend(lambda _request: page())
    for more in ((), ("--json",)):
        ran = run(*command, *more)
        assert ran.code == 2
        assert "--yes" in ran.err
    assert requests == []
