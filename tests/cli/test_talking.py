"""The commands against made-up services, and against none: problems, pages, keys, masks, Ctrl-C."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.attempt import NO_CONSENT
from app.cli.options import read_since
from app.cli.output import clean, moment, what_became
from tests.cli.conftest import Pretend, Run
from tests.support import OPERATOR_KEY, VIEWER_KEY

TRANSFER: dict[str, Any] = {
    "connection": "default",
    "transfer_id": "0b0e7a52-4b3e-7c7f-9c59-6f0f3f1d2a10",
    "tracking_guid": "3c90c3cc-0d44-4b50-8888-8dd25736052a",
    "customer_id": "150713",
    "status": "failed",
    "action": None,
    "external_id": None,
    "subscription": None,
    "reason": None,
    "scope": "customer/updated",
    "trigger": "webhook",
    "error": "customer-not-loaded",
    "attempts_made": 1,
    "next_attempt_at": None,
    "superseded_by": None,
    "created_at": "2026-11-24T09:30:00.000Z",
    "finished_at": "2026-11-24T09:30:01.000Z",
}
COUNTS = {"sync_id": "s-1", "total": 2, "succeeded": 0, "skipped": 0, "failed": 0, "cancelled": 0, "remaining": 2}
COUNTS |= {"held": 0, "first": None}
COMMANDS = [
    ("send", "--id", "1"),
    ("sync", "1"),
    ("transfers",),
    ("show", "1"),
    ("retry", "1"),
    ("retry", "--failed", "--yes"),
    ("cancel", "1"),
    ("cancel", "--all", "--yes"),
    ("errors",),
    ("errors", "--catalog"),
    ("errors", "--acknowledge", "088c64560262"),
    ("rejections",),
]


def page(*items: dict[str, Any], following: str | None = None) -> httpx.Response:
    return httpx.Response(200, json={"items": list(items), "next": following})


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_no_service_is_one_line_that_says_what_to_do(run: Run, command: tuple[str, ...]) -> None:
    ran = run(*command)
    assert (ran.code, ran.out) == (1, "")
    assert len(ran.err.splitlines()) == 1
    assert ran.err.startswith("No service answers at http://127.0.0.1:")
    assert "ipaas-stamped serve" in ran.err
    problem = json.loads(run(*command, "--json").out)
    assert problem["title"] == "No service answers"


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(200, text="<h1>It works!</h1>"),
        httpx.Response(302, headers={"Location": "https://elsewhere.test"}),
        httpx.Response(500, json={"error": "no"}),
        httpx.Response(404, json=["no"]),
    ],
    ids=["web page", "redirect", "other JSON", "a list"],
)
def test_a_stranger_at_the_address_is_named(
    run: Run, pretend: Pretend, command: tuple[str, ...], answer: httpx.Response
) -> None:
    pretend(lambda _request: answer)
    ran = run(*command)
    assert (ran.code, ran.out) == (1, "")
    assert "is not this service" in ran.err


@pytest.mark.parametrize(
    ("error", "title"),
    [(httpx.ReadTimeout("late"), "No answer in time"), (httpx.RemoteProtocolError("cut"), "No answer")],
)
def test_a_connection_that_breaks(run: Run, pretend: Pretend, error: Exception, title: str) -> None:
    def answer(_request: httpx.Request) -> httpx.Response:
        raise error

    pretend(answer)
    ran = run("transfers", "--json")
    assert ran.code == 1
    assert json.loads(ran.out)["title"] == title


@pytest.mark.parametrize(
    ("url", "key", "sent"),
    [
        ("http://127.0.0.1:8080", None, "sandbox-operator-key"),
        ("http://localhost:8080", None, "sandbox-operator-key"),
        ("http://[::1]:8080", None, "sandbox-operator-key"),
        ("http://[::ffff:127.0.0.1]:8080", None, "sandbox-operator-key"),
        ("http://127.0.0.1:8080", OPERATOR_KEY, OPERATOR_KEY),
        ("https://bridge.test", OPERATOR_KEY, OPERATOR_KEY),
        ("https://bridge.test", f" ada : {OPERATOR_KEY} , bob:other-Ky5-Sb8nL3", OPERATOR_KEY),
    ],
)
def test_the_sandbox_key_is_for_this_machine_only(
    run: Run, pretend: Pretend, monkeypatch: pytest.MonkeyPatch, url: str, key: str | None, sent: str
) -> None:
    monkeypatch.setenv("IPAAS_STAMPED_URL", url)
    if key is not None:
        monkeypatch.setenv("OPERATOR_API_KEY", key)
    requests = pretend(lambda _request: page())
    assert run("transfers").code == 0
    assert requests[0].headers["Authorization"] == f"Bearer {sent}"
    assert str(requests[0].url).startswith(url)


def test_a_viewers_key_is_sent_where_there_is_no_other(
    run: Run, pretend: Pretend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VIEWER_API_KEY", f"eve:{VIEWER_KEY},other-Ky5-Sb8nL3")
    requests = pretend(lambda _request: page())
    assert run("transfers").code == 0
    monkeypatch.setenv("OPERATOR_API_KEY", OPERATOR_KEY)
    assert run("transfers").code == 0
    assert [each.headers["Authorization"] for each in requests] == [
        f"Bearer {VIEWER_KEY}",
        f"Bearer {OPERATOR_KEY}",
    ]


def test_without_a_key_nothing_is_sent_elsewhere(
    run: Run, pretend: Pretend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IPAAS_STAMPED_URL", "https://bridge.test")
    requests = pretend(lambda _request: page())
    ran = run("transfers")
    assert ran.code == 1
    assert "Set OPERATOR_API_KEY in the environment or in .env" in ran.err
    assert requests == []


def test_the_first_webhook_key_of_a_rotation_is_sent(
    run: Run, pretend: Pretend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IPAAS_WEBHOOK_API_KEY", " new-Fj3-Ws6pT2kD , old-Qa8-Mv5cR7bH ")
    requests = pretend(lambda _request: httpx.Response(200, json={"results": []}))
    run("send", "--id", "1", "--wait", "7", "--scope", "Customer/Created/debug")
    assert requests[0].headers["Authorization"] == "Bearer new-Fj3-Ws6pT2kD"
    assert requests[0].headers["Prefer"] == "wait=7"
    (sent,) = json.loads(requests[0].content)["notifications"]
    assert sent["scope"] == "Customer/Created/debug"
    assert requests[0].headers["X-Correlation-Id"] == sent["tracking_guid"]
    assert "customer" not in sent


@pytest.mark.parametrize(
    ("name", "value"),
    [("IPAAS_STAMPED_URL", "bridge"), ("OPERATOR_API_KEY", "kéy-Lw4"), ("OPERATOR_API_KEY", "A L:key-Lw4")],
)
def test_a_setting_of_the_cli_that_is_malformed(
    run: Run, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    ran = run("transfers")
    assert ran.code == 1
    assert ran.err.startswith(f"{name} is not usable: ")
    assert value not in ran.err.removeprefix(name)
    assert len(ran.err.splitlines()) == 1


def test_a_list_of_more_than_a_page_is_fetched_page_by_page(run: Run, pretend: Pretend) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        size = int(request.url.params["limit"])
        return page(*[TRANSFER] * size, following="7" if "cursor" not in request.url.params else None)

    requests = pretend(answer)
    found = json.loads(run("transfers", "--limit", "250", "--status", "failed", "--json").out)
    assert len(found["items"]) == 250
    asked = [dict(request.url.params) for request in requests]
    assert asked == [
        {"status": "failed", "limit": "200"},
        {"status": "failed", "limit": "50", "cursor": "7"},
    ]
    assert len(json.loads(run("transfers", "--all", "--json").out)["items"]) == 400
    assert len(run("transfers", "--all").out.splitlines()) == 401


def test_the_first_list_says_what_to_do_first(run: Run, pretend: Pretend) -> None:
    pretend(lambda _request: page())
    assert "ipaas-stamped send --id 1" in run("transfers").out


GROUP = {
    "group": "088c64560262",
    "error": "customer-not-loaded",
    "title": "Customer could not be loaded from iPaaS.com",
    "stamped_status": None,
    "message": "HTTP status 401: No. …",
    "example": "The customer could not be loaded. HTTP status 401: No. 7",
    "count": 1200,
    "customers": 1,
    "first_seen": "2026-11-24T08:00:00.000Z",
    "last_seen": "2026-11-24T09:30:00.000Z",
    "transfer_id": "0b0e7a52-4b3e-4c7f-9c59-6f0f3f1d2a10",
    "tag": "keys",
    "trend": [0, 3, 24],
    "acknowledged": None,
    "came_back": None,
}
WINDOW = {"since": "2026-11-23T10:00:00.000Z", "until": "2026-11-24T10:00:01.000Z"}


def in_groups(*groups: dict[str, Any]) -> Callable[[httpx.Request], httpx.Response]:
    entry = {"slug": "customer-not-loaded", "description": "What it is.", "resolution": "What to do."}

    def answer(request: httpx.Request) -> httpx.Response:
        body = {"errors": [entry]} if request.url.path == "/errors" else {**WINDOW, "items": groups}
        return httpx.Response(200, json=body)

    return answer


def test_failed_transfers_are_shown_by_error_and_in_groups(run: Run, pretend: Pretend) -> None:
    other = GROUP | {"group": "0" * 12, "message": "HTTP status 404.", "count": 3, "customers": 2}
    newer = GROUP | {"error": "of-a-newer-version", "title": "Of a newer version", "count": 1}
    requests = pretend(in_groups(GROUP, newer, other))
    found = json.loads(run("errors", "--json").out)
    told = {"description": "What it is.", "resolution": "What to do."}
    unknown: dict[str, Any] = dict.fromkeys(told)
    assert found == {**WINDOW, "total": 1204, "groups": [GROUP | told, newer | unknown, other | told]}
    assert dict(requests[-1].url.params) == {}
    shown = run("errors", "--connection", "store 1").out
    assert "Customer could not be loaded from iPaaS.com  1,203\n" in shown
    assert "  1,200 x HTTP status 401: No. …\n    1 customer, " in shown
    assert "  3 x HTTP status 404.\n    2 customers, " in shown
    assert shown.count("Resolution: What to do.") == 1
    assert shown.index("404") < shown.index("What to do.") < shown.index("Of a newer version")
    options = (
        f"--connection 'store 1' --since {WINDOW['since']} --until {WINDOW['until']} --group {GROUP['group']}"
    )
    assert f"ipaas-stamped transfers --status failed {options} --all\n" in shown
    assert f"ipaas-stamped retry --failed {options} --one-first\n" in shown


def test_what_somebody_has_taken_note_of_says_so(run: Run, pretend: Pretend) -> None:
    noted = {"acknowledged": {"at": "2026-11-24T09:00:00.000Z", "who": "ada"}}
    back = {"came_back": {"since": "2026-11-24T09:30:00.000Z", "count": 4}}
    pretend(in_groups(GROUP | noted | back))
    shown = run("errors", "--tag", "keys").out
    assert "Acknowledged by ada, 2026-11-24 09:00:00 UTC." in shown
    assert "Came back 2026-11-24 09:30:00 UTC: 4 since." in shown
    assert "New keys mend it. ·▁█" in shown
    requests = pretend(lambda _request: httpx.Response(200, json={"group": GROUP["group"]} | noted))
    group = str(GROUP["group"])
    assert run("errors", "--acknowledge", group).out.startswith("Acknowledged: ")
    assert requests[-1].url.path == f"/errors/groups/{group}/acknowledge"
    assert run("errors", "--acknowledge", group, "--catalog").code == 2


def test_a_sync_that_is_held_says_so(run: Run, pretend: Pretend) -> None:
    first = {"transfer_id": "t", "status": "failed", "reason": None, "next_attempt_at": None, "others": 0}
    pretend(
        lambda _request: httpx.Response(
            200, json=COUNTS | {"failed": 2, "remaining": 0, "held": 1, "first": first}
        )
    )
    ran = run("sync", "--follow", "s-1")
    assert ran.code == 1
    assert "The first one failed again, so the other 1 were left as they were." in ran.out
    assert "ipaas-stamped sync --continue s-1" in ran.out


def test_ids_in_a_file_are_apart_by_anything_and_counted_once(run: Run, pretend: Pretend, tmp_path: Path) -> None:
    requests = pretend(lambda _request: httpx.Response(202, json={"sync_id": "s-1"}))
    path = tmp_path / "ids"
    path.write_text("\ufeff1, 2;3\n\n 4\t1\r\n2", "utf-8")
    assert run("sync", "--no-wait", "--file", str(path)).code == 0
    assert json.loads(requests[-1].content) == {"customer_ids": ["1", "2", "3", "4"]}


def test_rejections_are_listed_with_what_to_do(run: Run, pretend: Pretend) -> None:
    item = {
        "at": "2026-11-24T09:00:00.000Z",
        "status": 401,
        "error": "unauthorized",
        "reason": "No.",
        "address": None,
    }
    requests = pretend(lambda _request: page(item, item, following="7"))
    shown = run("rejections", "--limit", "2").out
    assert shown.count("2026-11-24 09:00:00 UTC  401  unknown caller  No.") == 2
    assert "Two keys have to be the same" in shown
    assert "--cursor 7" in shown
    assert dict(requests[-1].url.params) == {"limit": "2"}


def test_the_address_of_the_pages_has_no_key(run: Run) -> None:
    assert run("open").out.endswith("/monitoring\n")
    assert run("open", "a/b").out.endswith("/monitoring/transfers/a%2Fb\n")


def test_the_options_that_are_suggested_are_understood(run: Run, pretend: Pretend) -> None:
    pretend(in_groups(GROUP))
    shown = run("errors", "--customer", "7 $(x)", "--stamped-status", "401", "--error", "not-found").out
    lines = [shlex.split(line.split(": ipaas-stamped ")[1]) for line in shown.splitlines() if "--group" in line]
    requests = pretend(lambda _request: httpx.Response(200, json={"items": [], "next": None, "total": 0}))
    for line in lines:
        assert run(*line, *(["--yes"] if "retry" in line else [])).code == 0
    meant = {"customer_id": "7 $(x)", "error": "not-found", "group": GROUP["group"], "status": "failed"}
    meant |= {name: text.replace(".000Z", "Z") for name, text in WINDOW.items()}
    listed, counted = requests
    assert dict(listed.url.params) == meant | {"stamped_status": "401", "limit": "200"}
    assert json.loads(counted.content) == meant | {"stamped_status": 401, "dry_run": True, "first": True}


def test_where_nothing_failed_it_says_in_which_time(run: Run, pretend: Pretend) -> None:
    pretend(in_groups())
    shown = run("errors")
    assert shown.code == 0
    assert shown.out.startswith("No transfer failed that was received from 2026-11-2")


FILTERS = {
    "--customer": ("customer_id", "7"),
    "--error": ("error", "customer-not-loaded"),
    "--stamped-status": ("stamped_status", 401),
    "--group": ("group", "088c64560262"),
    "--words": ("words", "it's not valid"),
    "--since": ("since", "2026-11-24T10:00:00Z"),
    "--until": ("until", "2026-11-24T11:00:00Z"),
    "--connection": ("connection", "store 1"),
}


@pytest.mark.parametrize("options", [*((name,) for name in FILTERS), tuple(FILTERS)], ids=" ".join)
def test_lists_reruns_and_errors_take_the_same_filters(
    run: Run, pretend: Pretend, options: tuple[str, ...]
) -> None:
    written = [text for name in options for text in (name, str(FILTERS[name][1]))]
    meant = dict(FILTERS[name] for name in options)
    asked = {name: str(value) for name, value in meant.items()}
    answer: dict[str, Any] = {"items": [], "next": None, "total": 2, "errors": [], "sync_id": "s-1", **WINDOW}
    requests = pretend(lambda _request: httpx.Response(200, json=answer))
    run("transfers", *written)
    run("errors", *written)
    run("retry", "--failed", "--no-wait", "--yes", *written)
    listed, _catalog, grouped, counted, started = requests
    assert dict(listed.url.params) == asked | {"limit": "50"}
    assert (grouped.url.path, dict(grouped.url.params)) == ("/errors/groups", asked)
    assert json.loads(counted.content) == meant | {"status": "failed", "dry_run": True}
    assert json.loads(started.content) == meant | {"status": "failed"}


def test_foreign_text_cannot_drive_the_terminal(run: Run, pretend: Pretend) -> None:
    evil = "\x1b]0;owned\x07 [red]not markup[/red] \u202etxet\n\x9b31m"
    pretend(lambda _request: page(TRANSFER | {"reason": evil, "customer_id": evil}))
    out = run("transfers").out
    assert not set(out) & set("\x07\x9b\u202e")
    assert "[red]not markup[/red]" in out
    assert len(out.splitlines()) == 2
    assert json.loads(run("transfers", "--json").out)["items"][0]["reason"] == evil


def test_ctrl_c_leaves_the_sync_to_the_service(
    run: Run, pretend: Pretend, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("app.cli.sync.time.sleep", interrupted)
    requests = pretend(lambda request: httpx.Response(202 if request.method == "POST" else 200, json=COUNTS))
    ran = run("sync", "1", "2")
    assert (ran.code, ran.out) == (130, "")
    assert "ipaas-stamped sync --follow s-1" in ran.err
    assert json.loads(run("sync", "1", "2", "--json").out) == COUNTS
    assert [request.url.path for request in requests if request.method == "POST"] == ["/syncs", "/syncs"]


@pytest.mark.parametrize(
    ("ended", "code"),
    [({"succeeded": 2}, 0), ({"succeeded": 1, "skipped": 1}, 0), ({"failed": 1}, 1), ({"cancelled": 2}, 1)],
)
def test_the_exit_code_of_a_sync(
    run: Run, pretend: Pretend, monkeypatch: pytest.MonkeyPatch, ended: dict[str, int], code: int
) -> None:
    slept: list[float] = []
    monkeypatch.setattr("app.cli.sync.time.sleep", slept.append)

    def answer(_request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json=COUNTS | (ended | {"remaining": 0} if len(slept) > 30 else {}))

    pretend(answer)
    assert run("sync", "--follow", "s-1").code == code
    assert slept == sorted(slept)
    assert max(slept) == 1.0


@pytest.mark.parametrize(
    "command",
    [
        ("send",),
        ("send", "--id", "1", "--async", "--wait", "3"),
        ("send", "--id", "1", "--field", "novalue"),
        ("send", "--record", "nowhere.json"),
        ("sync",),
        ("sync", "1", "--follow", "s-1"),
        ("sync", "--file", "nowhere.txt"),
        ("sync", " "),
        ("sync", *(str(number) for number in range(3001))),
        ("retry",),
        ("retry", "1", "--failed"),
        ("retry", "1", "--since", "2h"),
        ("retry", "1", "--group", "088c64560262"),
        ("retry", "--failed"),
        ("retry", "--failed", "--json"),
        ("cancel",),
        ("cancel", "--customer", "7"),
        ("cancel", "1", "--all"),
        ("cancel", "1", "--dry-run"),
        ("cancel", "--all"),
        ("cancel", "--all", "--json", "--since", "2h"),
        ("transfers", "--follow", "--all"),
        ("transfers", "--csv", "--json"),
        ("retry", "--failed", "--stamped-status", "99"),
        ("retry", "--failed", "--until", "soon"),
        ("errors", "--stamped-status", "x"),
        ("retry", "--failed", "--error", "no-such-error"),
        ("transfers", "--since", "yesterday"),
        ("transfers", "--status", "broken"),
        ("errors", "--catalog", "--since", "2h"),
        ("errors", "--catalog", "--group", "088c64560262"),
    ],
    ids=lambda command: " ".join(command[:4]),
)
def test_usage_that_makes_no_sense_ends_with_2(run: Run, pretend: Pretend, command: tuple[str, ...]) -> None:
    requests = pretend(lambda _request: page())
    ran = run(*command)
    assert (ran.code, ran.out) == (2, "")
    assert requests == []


@pytest.mark.parametrize("content", ["not json", "[1]", '{"a": ' * 2000], ids=["text", "list", "deep"])
def test_a_record_that_is_none(run: Run, content: str) -> None:
    assert run("send", "--record", "-", typed=content).code == 2


def test_a_file_of_ids_that_is_no_text(run: Run) -> None:
    assert run("sync", "--file", "-", typed=b"\xff\xfe\x00").code == 2


def test_single_fields_go_over_those_of_the_file(run: Run, pretend: Pretend) -> None:
    requests = pretend(lambda _request: httpx.Response(200, json={"results": []}))
    record = {"id": 7, "first_name": "A", "custom_fields": [{"custom_field_name": "X", "value": "1"}]}
    options = ("--field", "first_name=B=C", "--custom-field", "Y=", "--id", "8")
    run("send", "--record", "-", *options, typed=json.dumps(record))
    (sent,) = json.loads(requests[0].content)["notifications"]
    assert sent["id"] == "8"
    assert sent["customer"] == {
        "id": 7,
        "first_name": "B=C",
        "custom_fields": [
            {"custom_field_name": "X", "value": "1"},
            {"custom_field_name": "Y", "value": ""},
        ],
    }


def test_since_is_read_as_people_say_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_since(None) is None
    assert read_since("2026-11-24T09:30:00+02:00") == "2026-11-24T07:30:00Z"
    assert read_since("2026-11-24T09:30Z") == "2026-11-24T09:30:00Z"
    ago = [read_since(text) or "" for text in ("1w", "3d", "2H", "30m", "1 s")]
    assert ago == sorted(ago)
    assert all(each.endswith("Z") for each in ago)
    assert monkeypatch


def test_show_tells_each_call(run: Run, pretend: Pretend) -> None:
    times = {"started_at": "2026-11-24T09:30:00.000Z", "finished_at": "2026-11-24T09:30:17.000Z"}
    attempt: dict[str, Any] = times | {"outcome": "failed", "error": None, "detail": "It failed.", "steps": {}}
    call = {"system": "stamped", "operation": "create", "try": 1, "outcome": "timeout", "status": None}
    call |= {"started_at": times["started_at"], "seconds": 15.0, "message": "timed out after 15 s"}
    again = call | {"try": 2, "outcome": "ok", "status": 201, "seconds": 0.25, "message": None}
    back = again | {"system": "ipaas", "operation": "write back", "try": 1, "message": "To\x1b[31m\nAnn"}
    attempts = [attempt | {"calls": [call, again, back]}, attempt | {"calls": []}]
    record = {"first_name": "Ann"}
    more = {"error": None, "destination": None, "attempts": attempts, "record": record, "record_hash": None}
    pretend(lambda _request: httpx.Response(200, json=TRANSFER | more))
    story = run("show", TRANSFER["transfer_id"]).out
    assert [line for line in story.splitlines() if line.startswith("    ")] == [
        "    Stamped.io, create, try 1: no answer in 15.0 s: timed out after 15 s",
        "    Stamped.io, create, try 2: HTTP status 201 in 250 ms",
        "    iPaaS.com, write back, try 1: HTTP status 201 in 250 ms: To�[31m …",
        "    It failed.",
    ]


def test_show_tells_its_sentence_and_what_people_did_in_time_order(run: Run, pretend: Pretend) -> None:
    times = {"started_at": "2026-11-24T09:31:00.000Z", "finished_at": "2026-11-24T09:31:01.000Z"}
    attempt: dict[str, Any] = times | {"outcome": "failed", "error": None, "detail": None}
    attempt |= {"steps": {}, "calls": []}
    deeds = [
        {"at": f"2026-11-24T09:{minute}:00.000Z", "what": what, "who": "ada", "where": None, "via": "api"}
        for minute, what in ((30, "sync"), (31, "re-run"), (45, "revealed"))
    ]
    more: dict[str, Any] = {"status": "running", "finished_at": None}
    more |= {"next_attempt_at": "2026-11-24T09:40:00.000Z"}
    more |= {"sentence": "It runs since 2026-11-24 09:31:00 UTC.", "attempts": [attempt], "trail": deeds}
    more |= {"error": {"type": "/errors/x", "title": "It failed", "detail": "Why."}, "destination": None}
    more |= {"record": None, "record_hash": None}
    pretend(lambda _request: httpx.Response(200, json=TRANSFER | more))
    shown = run("show", TRANSFER["transfer_id"]).out
    assert shown.splitlines()[0].startswith(f"running It runs since {moment('2026-11-24T09:31:00Z')}")
    assert "Last attempt: It failed" in shown
    told = ["received by webhook", "sync by ada", "re-run by ada", "attempt 1", "next try", "revealed by ada"]
    assert [shown.index(each) for each in told] == sorted(shown.index(each) for each in told)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"status": "running", "reason": "R"}, "last attempt: customer-not-loaded: R"),
        ({"status": "failed", "reason": "R"}, "customer-not-loaded: R"),
        ({"error": None, "subscription": "not_mapped"}, "consent not mapped"),
        ({"error": None, "subscription": "not_mapped", "reason": NO_CONSENT}, NO_CONSENT),
    ],
)
def test_what_became_of_it_is_neither_old_nor_wrong(fields: dict[str, Any], words: str) -> None:
    assert what_became(TRANSFER | fields) == words


def test_clean_leaves_one_line() -> None:
    assert clean(None) == ""
    assert clean(" a\n\tb\x00c ") == "a b�c"
