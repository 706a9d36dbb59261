"""Facts → verdict: a case per cause, and what two causes come to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from app.error_catalog import CATALOG, Slug
from app.ledger.facts import Alike, Counted, Failed, Refused, Rejected, Word
from app.ledger.tables import DAY
from app.outbound.calls import CallError
from app.outbound.pauses import Pause
from app.outbound.status_table import Kind
from app.verdict import ACTIONS, CODES, KINDS
from app.verdict.facts import Facts, Store, Throttled
from app.verdict.judging import judge
from app.verdict.usual import Usual

NOW = 1_800_000_000.0 // DAY * DAY + 15 * 3600  # 15:00
MIN = 60.0
HOUR = 3600.0
BUSY = Usual(frozenset(range(168)), 600.0, 12)
DENIED = CallError("create", Kind.DENIED, 401, "")
GONE = CallError("create", Kind.DENIED, 404, "")
AWAY = CallError("create", Kind.UNAVAILABLE, None, "")
EXPIRED = CallError("load", Kind.DENIED, 401, "")


def counted(**fields: Any) -> Counted:
    usual = Counted(0.0, NOW - 4, 2966, 2966, 120, None, Word(NOW - 4, failed=False), None, Refused(0, None), 0)
    return replace(usual, **fields)


def store(**fields: Any) -> Store:
    return replace(Store("default", "default", counted(), BUSY), **fields)


def facts(*rejections: Rejected, told: dict[str, str] | None = None, **fields: Any) -> Facts:
    return Facts(NOW, told or {}, (store(**fields),), rejections)


def failed(number: int, hour: int = 0, reason: str = "Email is not valid.", **fields: Any) -> Counted:
    slug = fields.pop("slug", Slug.CUSTOMER)
    said = f"{CATALOG[slug].sentence} {reason}"
    commonest = Alike(fields.pop("alike", number), slug, said, fields.pop("tag", "keys"))
    return counted(failed=Failed(number, hour, NOW - 5 * HOUR, commonest), **fields)


def refused(number: int, status: int, ago: float) -> list[Rejected]:
    return [Rejected(NOW - ago, status)] * number


CONSENT = "The consent value 'maybe' is none of true/false, 1/0, yes/no, y/n, subscribed/unsubscribed, on/off."
CASES: dict[str, tuple[Facts, str, str, str]] = {
    "service": (facts(told={"service": "It stops."}), "fail", "service", "It stops"),
    "database": (Facts(NOW, {"database": "The database is away."}), "fail", "database", "The database is away"),
    "file": (facts(told={"connections-file": "Not taken over."}), "warn", "connections-file", "Not taken over"),
    "schema": (facts(told={"schema": "It is newer."}), "warn", "schema", "It is newer"),
    "webhook key, none came since": (
        facts(
            *refused(36, 401, MIN),
            Rejected(NOW - 2 * HOUR, 401),
            counted=counted(last_webhook=NOW - 3 * HOUR),
            usual=None,
        ),
        "fail",
        "webhook-key",
        "iPaaS.com's key is refused: 37 webhooks in 2 h",
    ),
    "webhook key, never right": (
        Facts(NOW, {}, (store(counted=counted(last_webhook=None), usual=None),), tuple(refused(1, 401, 90))),
        "fail",
        "webhook-key",
        "iPaaS.com's key is refused: 1 webhook in 1 min 30 s",
    ),
    "webhook key, long ago, and none since": (
        facts(*refused(2, 401, 20 * HOUR), counted=counted(last_webhook=NOW - 21 * HOUR), usual=None),
        "fail",
        "webhook-key",
        "iPaaS.com's key is refused: 2 webhooks in 20 h",
    ),
    "webhook key, perhaps a stranger's": (
        facts(*refused(2, 401, MIN), counted=counted(last_webhook=NOW - 2 * MIN)),
        "warn",
        "webhook-key",
        "A webhook key was refused: 2 webhooks in 1 min",
    ),
    "webhook key, three in a row": (
        facts(*refused(3, 401, MIN), counted=counted(last_webhook=NOW - 2 * MIN)),
        "fail",
        "webhook-key",
        "iPaaS.com's key is refused: 3 webhooks in 1 min",
    ),
    "webhook key, others came since": (
        facts(*refused(3, 401, HOUR)),
        "warn",
        "webhook-key",
        "A webhook key was refused: 3 webhooks in 1 h",
    ),
    "webhook key, and one came since to a store that is gone": (
        replace(facts(*refused(2, 401, HOUR), counted=counted(last_webhook=None), usual=None), let_in=NOW - MIN),
        "warn",
        "webhook-key",
        "A webhook key was refused: 2 webhooks in 1 h",
    ),
    "webhooks refused": (
        facts(*refused(8, 422, HOUR), *refused(4, 403, MIN), *refused(5, 413, 3 * HOUR)),
        "warn",
        "webhooks-refused",
        "12 webhooks were refused in 1 h, most with HTTP status 422 Unprocessable Entity",
    ),
    "one webhook refused": (
        facts(*refused(1, 422, HOUR)),
        "warn",
        "webhooks-refused",
        "1 webhook was refused in 1 h, with HTTP status 422 Unprocessable Entity",
    ),
    "keys": (
        facts(counted=counted(refused=Refused(163, NOW - 58 * MIN)), stamped=DENIED, waiting=2),
        "fail",
        "stamped-keys",
        "Stamped.io refuses our keys since 14:02 UTC: 163 transfers failed, 2 transfers wait",
    ),
    "keys since yesterday": (
        facts(counted=counted(refused=Refused(1, NOW - 16 * HOUR)), stamped=DENIED),
        "fail",
        "stamped-keys",
        "Stamped.io refuses our keys since 2027-01-14 23:00 UTC: 1 transfer failed",
    ),
    "keys, untried": (
        facts(stamped=replace(DENIED, status=403)),
        "fail",
        "stamped-keys",
        "Stamped.io refuses our keys (HTTP status 403 Forbidden)",
    ),
    "store": (
        facts(stamped=GONE),
        "fail",
        "stamped-store",
        "Stamped.io does not know the store (HTTP status 404 Not Found)",
    ),
    "down": (
        facts(pause=Pause("down", NOW - 58 * MIN, NOW + MIN), waiting=163, stamped=AWAY),
        "fail",
        "stamped-down",
        "Stamped.io does not answer since 14:02 UTC: 163 transfers wait",
    ),
    "one call failed": (
        facts(stamped=AWAY),
        "warn",
        "stamped-failing",
        "The last call to Stamped.io failed: no answer",
    ),
    "by hand": (
        facts(pause=Pause("paused", NOW - 58 * MIN, None, "Ada said so"), waiting=1),
        "warn",
        "paused",
        "Paused by hand since 14:02 UTC: 1 transfer waits",
    ),
    "throttled": (
        facts(waiting=1200, throttled=Throttled(500, 60, NOW + 5 * MIN)),
        "warn",
        "throttled",
        "The throttle of 500 calls in 60 s makes 1,200 transfers wait, the last for about 5 min",
    ),
    "asked to wait": (
        facts(
            waiting=3, throttled=Throttled(500, 60, NOW + 5 * MIN, NOW + 2 * MIN), pause=Pause("throttled", NOW)
        ),
        "warn",
        "throttled",
        "Stamped.io asked to wait until 15:02 UTC: 3 transfers wait",
    ),
    "token": (
        facts(counted=counted(unloaded=4), ipaas=EXPIRED),
        "fail",
        "ipaas-token",
        "iPaaS.com refuses our token: HTTP status 401 Unauthorized; 4 transfers failed",
    ),
    "iPaaS.com away": (
        facts(ipaas=AWAY),
        "warn",
        "ipaas-failing",
        "The last call to iPaaS.com failed: no answer",
    ),
    "failures": (
        facts(counted=failed(163, alike=140)),
        "warn",
        "failures",
        "163 of 2,966 failed in 24 h, 140 of them: Email is not valid",
    ),
    "one failure": (
        facts(counted=failed(1)),
        "warn",
        "failures",
        "1 of 2,966 failed in 24 h: Email is not valid",
    ),
    "many failures": (
        facts(counted=failed(10, reason=f"{'word ' * 40}.", day=50)),
        "fail",
        "failures",
        f"10 of 50 failed in 24 h: {('word ' * 28).strip()} …",
    ),
    "failures lately": (
        facts(counted=failed(60, 60)),
        "fail",
        "failures",
        "60 of 2,966 failed in 24 h: Email is not valid",
    ),
    "consent": (
        facts(counted=failed(1, reason=CONSENT, slug=Slug.SUBSCRIPTION), consent_field="SubscribeProfile"),
        "warn",
        "failures",
        "1 of 2,966 failed in 24 h: SubscribeProfile holds a word that is neither yes nor no",
    ),
    "consent is a number": (
        facts(counted=failed(1, reason=CONSENT.replace("maybe", "-2.5"), slug=Slug.SUBSCRIPTION)),
        "warn",
        "failures",
        "1 of 2,966 failed in 24 h: the consent field holds a number that is neither yes nor no",
    ),
    "silence": (
        facts(counted=counted(last_webhook=NOW - 9 * HOUR)),
        "warn",
        "no-webhook",
        "No webhook for 9 h, usually 12 an hour",
    ),
    "waiting": (
        facts(oldest=(NOW - 125 * MIN, 12)),
        "warn",
        "waiting",
        "The oldest of 12 transfers that wait has waited for 2 h 5 min",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_each_cause_has_a_sentence_of_its_own(case: str) -> None:
    given, state, code, headline = CASES[case]
    verdict = judge(given)
    (cause,) = verdict.causes
    assert (verdict.state, verdict.headline, cause.code) == (state, headline, code)
    assert cause.text.startswith(f"{headline}.")
    assert cause.connection == (
        None if cause.code in {*given.told, "webhook-key", "webhooks-refused"} else "default"
    )


@pytest.mark.parametrize(
    ("tag", "remedy", "action"),
    [
        ("keys", "Mend the cause, then re-run them.", "re-run"),
        (
            "data",
            "Correct the records in iPaaS.com, which then sends them anew; the same data fail again.",
            "show",
        ),
        ("passes", "It passes by itself, as a rule; re-run them then.", "re-run"),
    ],
)
def test_what_helps_is_what_mends_the_commonest_failure(tag: str, remedy: str, action: str) -> None:
    (cause,) = judge(facts(counted=failed(3, tag=tag))).causes
    assert (cause.remedy, cause.action) == (remedy, action)


def test_there_is_a_case_of_each_code_and_an_action_of_each_kind() -> None:
    assert {code for _, _, code, _ in CASES.values()} == set(CODES)
    assert {kind.action for kind in KINDS.values()} == {*ACTIONS, None}


@pytest.mark.parametrize(
    ("given", "headline"),
    [
        (facts(), "All well: 2,966 today, the last 4 s ago"),
        (facts(counted=counted(last_webhook=None, today=3), usual=None), "All well: 3 today"),
        (facts(counted=counted(last_webhook=None, today=0), usual=None), "Nothing has come yet"),
        (facts(*refused(9, 401, 3 * HOUR), *refused(9, 422, 3 * HOUR)), "All well: 2,966 today, the last 4 s ago"),
    ],
)
def test_what_is_well(given: Facts, headline: str) -> None:
    verdict = judge(given)
    assert (verdict.state, verdict.headline, verdict.causes) == ("ok", headline, ())


def test_the_worst_comes_first_and_gives_the_headline() -> None:
    verdict = judge(facts(*refused(1, 422, MIN), counted=failed(1), stamped=DENIED, oldest=(NOW - HOUR, 1)))
    assert [each.code for each in verdict.causes] == ["stamped-keys", "failures", "waiting", "webhooks-refused"]
    assert (verdict.state, verdict.headline) == ("fail", verdict.causes[0].headline)


def test_of_several_connections_each_is_named_and_can_be_asked_alone() -> None:
    well, ill = Store("1", "EU store", counted()), Store("2", "US store", counted(), stamped=DENIED)
    given = Facts(NOW, {"schema": "It is newer."}, (well, ill))
    every = judge(given)
    assert every.headline == "US store: Stamped.io refuses our keys (HTTP status 401 Unauthorized)"
    assert [each.connection for each in every.causes] == ["2", None]
    assert judge(given, "2").causes == every.causes
    assert [each.code for each in judge(given, "1").causes] == ["schema"]
    assert judge(replace(given, told={}), "1").headline == "All well: 2,966 today, the last 4 s ago"


ALERTING: list[tuple[Callable[[], Counted], bool]] = [
    (lambda: failed(9, day=50), False),
    (lambda: failed(140, day=2966), False),
    (lambda: failed(163, day=2966), True),
    (lambda: failed(60, 60), True),
]


@pytest.mark.parametrize(("made", "alerts"), ALERTING)
def test_a_rate_of_failures_alerts_and_a_few_do_not(made: Callable[[], Counted], *, alerts: bool) -> None:
    (cause,) = judge(facts(counted=made())).causes
    assert cause.alerts is alerts


def test_an_alert_has_none_of_the_words_of_stamped() -> None:
    """They may name somebody, whom nothing here can know for a name."""
    told = "HTTP status 409 Conflict: JOHN SMITH has it."
    verdict = judge(facts(counted=failed(3, reason=told, alike=2)))
    (cause,) = verdict.causes
    assert "JOHN SMITH" in cause.text
    assert cause.alert.startswith("3 of 2,966 failed in 24 h, 2 of them: HTTP status 409 Conflict. ")
    assert verdict.own == "3 of 2,966 failed in 24 h, 2 of them: HTTP status 409 Conflict"
