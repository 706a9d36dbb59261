"""The commands against a real service: send, see it fail, mend, run it again."""

from __future__ import annotations

import json
from itertools import count
from pathlib import Path

import pytest

from tests.cli.conftest import EMAIL, NAME, Run, Running

_numbers = count(700001)


@pytest.fixture
def customer() -> str:
    """An id that no other test uses."""
    return str(next(_numbers))


def record(customer: str) -> list[str]:
    fields = (f"email_address={customer}.{EMAIL}", f"first_name={NAME}", "customer_number=C-1")
    return ["--id", customer, *(part for field in fields for part in ("--field", field))]


def send(run: Run, customer: str, *options: str) -> str:
    """The id of a transfer that succeeded."""
    ran = run("send", *record(customer), *options, "--json")
    assert ran.code == 0, ran
    return str(json.loads(ran.out)["results"][0]["transfer_id"])


def send_in_vain(run: Run, service: Running, customer: str) -> str:
    """The id of a transfer that failed, because Stamped.io refuses this e-mail from now on."""
    service.fail(operation="add", email=f"{customer}.{EMAIL}", status=400, message="Email is not valid.")
    ran = run("send", *record(customer), "--json")
    assert ran.code == 1
    return str(json.loads(ran.out)["instance"]).rpartition("/")[2]


def test_a_failure_is_seen_explained_mended_and_run_again(run: Run, service: Running, customer: str) -> None:
    service.fail(operation="add", status=400, message=f"Email {customer}.{EMAIL} is not valid.")
    sent = run("send", *record(customer), "--custom-field", "SubscribeProfile=yes", "--destination", "1796")
    assert (sent.code, sent.out) == (1, "")
    assert sent.err.startswith("Customer create or update failed (422)\n")
    assert "HTTP status 400 Bad Request: Email 7…@example.com is not valid." in sent.err
    assert "What to do: Confirm the Stamped.io credentials" in sent.err
    transfer_id = sent.err.split("ipaas-stamped retry ")[1].strip()

    listed = run("transfers", "--status", "failed", "--customer", customer)
    assert transfer_id in listed.out
    assert "customer-create-or-update-failed: HTTP status 400" in listed.out
    grouped = run("errors", "--since", "1h")
    assert "Customer create or update failed" in grouped.out
    assert "Resolution: Confirm the Stamped.io credentials and store identifier" in grouped.out
    assert f"ipaas-stamped show {transfer_id}" in grouped.out

    again = run("retry", transfer_id)
    assert again.code == 1
    service.mend()
    assert "Would run again: failed" in run("retry", transfer_id, "--dry-run").out
    mended = run("retry", transfer_id)
    assert mended.code == 0
    assert mended.out.startswith("succeeded created as ")
    assert mended.out.splitlines()[0].endswith(", subscribed")

    shown = run("show", transfer_id).out
    assert [line.split()[:2] for line in shown.splitlines() if "  attempt " in line] != []
    assert "attempt 1 failed in" in shown
    assert "attempt 2 failed in" in shown
    assert "attempt 3 succeeded in" in shown
    assert shown.count("    Stamped.io, create, try 1: HTTP status 400 in ") == 2
    assert "ms: Email 7…@example.com is not valid.\n" in shown
    assert "    Stamped.io, subscribe, try 1: HTTP status 200 in " in shown
    assert "Destination        1796" in shown
    assert NAME not in shown
    assert "  first_name         …" in shown.splitlines()
    assert "What to do" not in shown
    assert run("retry", transfer_id, "--dry-run").code == 1
    conflict = run("retry", transfer_id)
    assert conflict.code == 1
    assert conflict.err.startswith("Not possible in the present state (409)")


def test_show_reveals_only_on_asking(run: Run, service: Running, customer: str) -> None:
    transfer_id = send(run, customer)
    hidden = json.loads(run("show", transfer_id, "--json").out)
    assert hidden["record"]["email_address"] == "7…@example.com"
    assert hidden["record"]["first_name"] == "…"
    shown = run("show", transfer_id, "--reveal", revealed=True).out
    assert f"{customer}.{EMAIL}" in shown
    assert NAME in shown
    told = json.loads(run("show", transfer_id, "--reveal", "--json", revealed=True).out)
    assert told["record"]["first_name"] == NAME
    assert service.url


def test_show_tells_who_did_what(run: Run, service: Running, customer: str) -> None:
    transfer_id = send_in_vain(run, service, customer)
    service.mend()
    assert run("retry", transfer_id).code == 0
    shown = run("show", transfer_id).out
    assert "  re-run by ada (api) from 127.0.0.1" in shown
    trail = json.loads(run("show", transfer_id, "--json").out)["trail"]
    assert [(deed["what"], deed["who"], deed["via"]) for deed in trail] == [
        ("re-run", "ada", "api"),
        ("revealed", "ada", "api"),
    ]


def test_the_same_guid_again_is_a_repeat(run: Run, service: Running, customer: str) -> None:
    guid = f"3c90c3cc-0d44-4b50-8888-{int(customer):012d}"
    first = run("send", *record(customer), "--tracking-guid", guid)
    assert f"tracking GUID {guid}" in first.out
    assert "that answer was repeated" not in first.out
    assert "that answer was repeated" in run("send", *record(customer), "--tracking-guid", guid).out
    (item,) = json.loads(run("transfers", "--tracking-guid", guid, "--json").out)["items"]
    assert item["customer_id"] == customer
    assert service.url


def test_a_202_says_where_to_look(run: Run, service: Running, customer: str) -> None:
    service.fail(delay_seconds=0.3)
    ran = run("send", *record(customer), "--async")
    assert ran.code == 0
    assert ran.out.startswith("accepted")
    assert "The service goes on with it: ipaas-stamped show " in ran.out


def test_a_scope_that_is_not_sent_is_skipped(run: Run, service: Running, customer: str) -> None:
    ran = run("send", *record(customer), "--scope", "customer/deleted")
    assert (ran.code, ran.out.split()[0]) == (0, "skipped")
    assert service.url


def test_send_takes_a_record_from_a_file_and_from_standard_input(
    run: Run, service: Running, customer: str, tmp_path: Path
) -> None:
    body = json.dumps({"id": int(customer), "email_address": f"{customer}.{EMAIL}"})
    (tmp_path / "record.json").write_text(body)
    for ran in (run("send", "--record", "record.json"), run("send", "--record", "-", typed=body)):
        assert (ran.code, ran.out.split()[0]) == (0, "succeeded"), ran
    assert service.url


def test_what_the_service_refuses_is_pointed_at(run: Run, service: Running, customer: str) -> None:
    ran = run("send", "--id", "x" * 200)
    assert ran.code == 1
    assert "/notifications/0/id: Input should be an id" in ran.err
    assert service.url
    assert customer


def test_sync_follows_a_file_of_ids_to_its_end(run: Run, service: Running, tmp_path: Path) -> None:
    good = [str(next(_numbers)) for _ in range(3)]
    for each in good:
        send(run, each)
    (tmp_path / "ids.txt").write_text("\n".join([*good, "", good[0]]) + "\n")
    ran = run("sync", "--file", "ids.txt")
    assert (ran.code, ran.out) == (0, "3 transfers: 3 succeeded.\n")
    counts = json.loads(run("sync", *good, "--json").out)
    assert (counts["total"], counts["succeeded"], counts["remaining"]) == (3, 3, 0)
    followed = run("sync", "--follow", counts["sync_id"])
    assert (followed.code, followed.out) == (0, "3 transfers: 3 succeeded.\n")
    assert service.url


def test_sync_exits_with_1_when_any_failed(run: Run, service: Running, customer: str) -> None:
    send(run, customer)
    ran = run("sync", "--file", "-", typed=f"{customer}\nnever-received-{customer}\n")
    assert ran.code == 1
    assert ran.out.startswith("2 transfers: 1 succeeded, 1 failed.\n")
    which = ran.out.split("ipaas-stamped ")[1].splitlines()[0]
    assert f"never-received-{customer}" in run(*which.split()).out
    sync_id = which.split("--sync ")[1].split()[0]
    items = json.loads(run("transfers", "--sync", sync_id, "--json").out)["items"]
    assert {each["customer_id"]: each["status"] for each in items} == {
        customer: "succeeded",
        f"never-received-{customer}": "failed",
    }
    assert service.url


def test_a_sync_can_be_started_only_and_cancelled(run: Run, service: Running, customer: str) -> None:
    send(run, customer)
    started = run("sync", customer, "--no-wait")
    assert started.code == 0
    sync_id = started.out.split("sync ")[1].split(";")[0]
    assert sync_id in started.out
    cancelled = run("sync", "--cancel", sync_id, "--json")
    assert json.loads(cancelled.out)["cancelled_at"] is not None
    assert service.url


def test_all_failed_of_one_error_run_again(run: Run, service: Running) -> None:
    run("retry", "--failed", "--yes")  # what other tests left
    before = json.loads(run("retry", "--failed", "--dry-run", "--json").out)["total"]
    customers = [str(next(_numbers)) for _ in range(3)]
    for each in customers:
        send_in_vain(run, service, each)
    error = ("--error", "customer-create-or-update-failed", "--since", "1h")
    assert run("retry", "--failed", *error, "--dry-run").out == "3 failed transfers would run again.\n"
    (group,) = json.loads(run("errors", "--stamped-status", "400", "--since", "1h", "--json").out)["groups"]
    assert (group["count"], group["customers"], group["message"][-20:]) == (3, 3, " Email is not valid.")
    alike = run("transfers", "--group", group["group"], "--status", "failed", "--json").out
    assert {each["customer_id"] for each in json.loads(alike)["items"]} == set(customers)
    narrowed = ("--group", group["group"], "--customer", customers[1], "--until", "2099-01-01")
    assert run("retry", "--failed", *narrowed, "--dry-run").out == "1 failed transfer would run again.\n"
    total = json.loads(run("retry", "--failed", "--dry-run", "--json").out)
    assert total == {"dry_run": True, "total": before + 3}
    assert run("retry", "--failed", "--yes", *error).code == 1
    service.mend()
    ran = run("retry", "--failed", "--yes", *error)
    assert (ran.code, ran.out) == (0, "3 transfers: 3 succeeded.\n")
    assert run("retry", "--failed", "--yes", *error).out == "No failed transfer fits.\n"
    grouped = json.loads(run("errors", "--json").out)
    assert "customer-create-or-update-failed" not in [group["error"] for group in grouped["groups"]]
    assert grouped["total"] == before


def test_a_waiting_transfer_is_cancelled_and_run_after_all(run: Run, service: Running, customer: str) -> None:
    service.fail(operation="add", email=f"{customer}.{EMAIL}", kind="redirect")
    sent = json.loads(run("send", *record(customer), "--wait", "0", "--json").out)
    transfer_id = sent["results"][0]["transfer_id"]
    for _ in range(200):  # each a call, until the first try has ended
        if json.loads(run("show", transfer_id, "--json").out)["status"] == "waiting":
            break
    else:
        pytest.fail("it never waited")
    assert "next try" in run("show", transfer_id).out
    cancelled = run("cancel", transfer_id)
    assert (cancelled.code, cancelled.out.splitlines()[0]) == (0, f"cancelled customer {customer}")
    assert json.loads(run("transfers", "--customer", customer, "--json").out)["items"][0]["status"] == "cancelled"
    service.mend()
    assert run("retry", transfer_id).out.startswith("succeeded")
    assert run("cancel", transfer_id).code == 1


def test_transfers_page_to_the_limit_or_to_the_end(run: Run, service: Running, customer: str) -> None:
    for _ in range(3):
        send(run, customer)
    listed = json.loads(run("transfers", "--customer", customer, "--limit", "2", "--json").out)
    assert (len(listed["items"]), listed["next"] is None) == (2, False)
    everything = json.loads(run("transfers", "--customer", customer, "--all", "--json").out)
    assert (len(everything["items"]), everything["next"]) == (3, None)
    assert run("transfers", "--customer", "nobody").out == "No transfer fits.\n"
    assert service.url


def test_the_catalogue_has_every_documented_error(run: Run, service: Running) -> None:
    shown = run("errors", "--catalog").out
    assert "Subscribe or unsubscribe failed  subscribe-or-unsubscribe-failed" in shown
    assert "Resolution: Confirm the customer has a valid email address mapped" in shown
    slugs = [entry["slug"] for entry in json.loads(run("errors", "--catalog", "--json").out)["errors"]]
    assert slugs[:2] == ["customer-create-or-update-failed", "subscribe-or-unsubscribe-failed"]
    assert service.url


@pytest.mark.parametrize("key", ["OPERATOR_API_KEY", "IPAAS_WEBHOOK_API_KEY"])
def test_a_wrong_key_is_a_readable_problem(
    run: Run, service: Running, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setenv(key, "wrong-Vb2kQ9-Hr7pD4")
    command = ("transfers",) if key == "OPERATOR_API_KEY" else ("send", "--id", "1")
    ran = run(*command)
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith("The key is missing or not valid (401)")
    assert "wrong-Vb2kQ9-Hr7pD4" not in ran.err
    problem = json.loads(run(*command, "--json").out)
    assert problem["type"] == "/errors/unauthorized"
    monkeypatch.delenv(key)
    assert f"{key} is not set here, so the sandbox's key was sent." in run(*command).err
    assert service.url


def test_keys_come_from_the_env_file_too(
    run: Run, service: Running, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    key = "OPERATOR_API_KEY"
    (tmp_path / ".env").write_text(f"{key}={_value(monkeypatch, key)}\nIPAAS_STAMPED_URL={service.url}\n")
    monkeypatch.delenv("IPAAS_STAMPED_URL")
    assert run("transfers", "--limit", "1").code == 0


def _value(monkeypatch: pytest.MonkeyPatch, name: str) -> str:
    import os  # noqa: PLC0415 - for this one only

    value = os.environ[name]
    monkeypatch.delenv(name)
    return value


def test_an_id_that_is_unknown_is_a_problem(run: Run, service: Running) -> None:
    for command in ("show", "retry", "cancel"):
        ran = run(command, "no/such id")
        assert (ran.code, ran.out) == (1, "")
        assert ran.err.startswith("Not found (404)")
    assert run("sync", "--follow", "nothing").code == 1
    assert service.url


def test_a_connection_is_paused_and_resumed(run: Run, service: Running, customer: str) -> None:
    assert run("connections").out.startswith("default: flowing, ")
    paused = run("pause", "default", "--reason", "Stock-taking")
    assert paused.out.startswith("default: paused, ")
    assert ": Stock-taking\n" in paused.out
    sent = run("send", *record(customer))
    assert sent.code == 0
    assert "Stock-taking" in sent.out
    (shown,) = json.loads(run("connections", "--json").out)["items"]
    assert (shown["state"], shown["waiting"]["promised"]) == ("paused", 1)
    assert "1 promised" in run("connections").out
    assert run("resume", "default").out.startswith("default: flowing, ")
    for _ in range(200):  # each a call
        (item, *_) = json.loads(run("transfers", "--customer", customer, "--json").out)["items"]
        if item["status"] == "succeeded":
            break
    assert item["status"] == "succeeded"
    assert run("pause", "nobody").code == 1
    assert service.url
