"""Each filter alone and each two of them find what a few lines of Python find, on both databases."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import combinations
from typing import Any

import pytest
from sqlalchemy import insert

from app.attempt import Failure, StampedAnswer
from app.error_catalog import Slug, said
from app.ledger import reports, rows, statistics, status_counts
from app.ledger.grouping import group_of
from app.ledger.messages import groups_that_say
from app.ledger.reports import Filter
from app.ledger.session import Session
from app.ledger.stored import Stored, hash_email, new_id
from app.ledger.tables import DAY, sync_items
from tests.ledger.support import NOT_LOADED, START, Ledger

HOUR = 3600
SYNC = "a sync"
COUNT = 180


def refused(status: int, message: str, slug: Slug = Slug.CUSTOMER) -> Failure:
    stamped = StampedAnswer("create", status, message)
    return Failure.of(slug, 422, f"HTTP status {status}: {message}", retryable=False, stamped=stamped)


FAILURES = (
    refused(400, "Customer 7 is not valid."),
    refused(400, "Customer 150713 is not valid."),
    refused(400, "Email is not valid."),
    refused(401, "Email is not valid."),
    refused(401, "Email is not valid.", Slug.SUBSCRIPTION),
    NOT_LOADED,
)
STATUSES = ("failed", "succeeded", "failed", "waiting", "cancelled")
EMAIL = hash_email("anna@example.com")
GUID = "3c90c3cc-0d44-4b50-8888-8dd25736052a"
GROUP = group_of(FAILURES[0])
IDS = [new_id(START + number * HOUR) for number in range(COUNT)]
SAID = {group_of(each): said(each.slug, each.detail).lower() for each in FAILURES}


def enter(session: Session) -> list[Stored]:
    """Transfers whose properties are as good as independent of each other; oldest first."""
    stored = []
    for number in range(COUNT):
        created_at = START + number * HOUR
        status = STATUSES[number % 5]
        has_failed = status in {"failed", "waiting"}
        values: dict[str, Any] = {
            "id": IDS[number],
            "connection": ("1796@a", "1797@a", "1796@b", "17960@a")[number // 2 % 4],
            "customer_id": ("1", "2", None)[number // 3 % 3],
            "tracking_guid": GUID if number % 7 < 3 else "another",
            "scope": "customer/updated",
            "trigger": "webhook",
            "email_hash": EMAIL if number % 11 < 5 else None,
            "created_at": created_at,
            **rows.ended(status, created_at + 1),
            **(rows.failed(FAILURES[number // 5 % len(FAILURES)]) if has_failed else {}),
        }
        added = rows.add(session, values)
        assert added is not None
        stored.append(added)
    mine = [{"sync_id": SYNC, "transfer_seq": each.seq} for each in stored if each.seq % 13 < 6]
    session.execute(insert(sync_items), mine)
    return stored


def says(group: str | None, words: str) -> bool:
    return group is not None and all(word.lower() in SAID[group] for word in words.split())


def same(name: str) -> Callable[[Stored, Any], bool]:
    return lambda transfer, value: bool(getattr(transfer, name) == value)


MEANS: dict[str, Callable[[Stored, Any], bool]] = {
    **{name: same(name) for name in ("status", "error", "stamped_status", "customer_id")},
    **{name: same(name) for name in ("tracking_guid", "email_hash")},
    "connection": lambda transfer, value: transfer.connection.partition("@")[0] == value,
    "group": same("failure_group"),
    "since": lambda transfer, value: transfer.created_at >= value,
    "until": lambda transfer, value: transfer.created_at < value,
    "transfer_ids": lambda transfer, value: transfer.id in value,
    "among": lambda transfer, value: transfer.status in value,
    "words": lambda transfer, value: says(transfer.failure_group, value),
    "sync_id": lambda transfer, value: value == SYNC and transfer.seq % 13 < 6,
    "cursor": lambda transfer, value: transfer.seq < value,
}
VALUES: dict[str, tuple[Any, ...]] = {
    "status": ("failed", "waiting", "skipped"),
    "error": (Slug.CUSTOMER.value, Slug.NOT_LOADED.value, Slug.NOT_FOUND.value),
    "stamped_status": (400, 401, 599),
    "group": (GROUP, group_of(NOT_LOADED), "0" * 12),
    "customer_id": ("1", "3"),
    "connection": ("1796", "179"),
    "tracking_guid": (GUID, "none"),
    "email_hash": (EMAIL, "none"),
    "sync_id": (SYNC, "none"),
    "transfer_ids": ((IDS[0], *IDS[20:90]), ("none",)),
    "among": (("failed", "waiting"), ("running",)),
    "words": ("VALID not", "nobody"),
    "since": (START + 2 * DAY, START + 3 * DAY + 1, START + COUNT * HOUR),
    "until": (START + 4 * DAY, START + 5 * DAY + 1, START),
    "cursor": (COUNT // 2, 0),
}
ALONE = [{name: value} for name, values in VALUES.items() for value in values]
PAIRS = [one | other for one, other in combinations(ALONE, 2) if one.keys() != other.keys()]


def test_every_filter_is_tried() -> None:
    assert set(VALUES) == set(MEANS) == set(Filter.__dataclass_fields__)
    assert group_of(FAILURES[1]) == GROUP


async def test_filters_find_what_they_mean(ledger: Ledger) -> None:
    stored = await ledger.do(enter)
    found_any: set[tuple[str, ...]] = set()
    found_none: set[tuple[str, ...]] = set()

    def look(session: Session) -> None:
        for wanted in ({}, *ALONE, *PAIRS):
            fits = [each for each in stored if all(MEANS[name](each, value) for name, value in wanted.items())]
            assert reports.listed(session, Filter(**wanted), COUNT) == fits[::-1], wanted
            assert reports.seqs(session, Filter(**wanted)) == [each.seq for each in fits], wanted
            assert reports.count(session, Filter(**wanted)) == len(fits), wanted
            (found_any if fits else found_none).add(tuple(wanted))

    await ledger.database.read(look)
    assert {names for names in found_any if len(names) == 2} == set(combinations(VALUES, 2))
    assert {names for names in found_none if len(names) == 1} == {(name,) for name in VALUES}


async def test_groups_count_what_filters_leave(ledger: Ledger) -> None:
    stored = await ledger.do(enter)

    def look(session: Session) -> None:
        for wanted in ({}, *ALONE, *PAIRS):
            if {"status", "among"} & set(wanted):
                continue
            found = statistics.failed_groups(session, Filter(**wanted | {"status": "failed"}), COUNT)
            fits = [
                each
                for each in stored
                if each.status == "failed" and all(MEANS[name](each, value) for name, value in wanted.items())
            ]
            assert sum(group.total for group in found) == len(fits), wanted
            for group in found:
                mine = [each for each in fits if each.failure_group == group.newest.failure_group]
                people = {(each.connection, each.customer_id) for each in mine if each.customer_id is not None}
                assert group.newest == mine[-1]
                assert (group.total, group.customers) == (len(mine), len(people)), wanted
                assert (group.first_at, group.last_at) == (mine[0].finished_at, mine[-1].finished_at)

    await ledger.database.read(look)


async def test_a_group_is_told_by_what_its_members_have_in_common(ledger: Ledger) -> None:
    await ledger.do(enter)
    (group,) = await ledger.database.read(statistics.failed_groups, Filter(status="failed", group=GROUP), 9)
    assert group.message == "HTTP status 400: Customer … is not valid."


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("valid", {400, 401}),
        ("Valid CUSTOMER 7", {400}),  # of the newest of a group
        ("error occurred", set()),  # which all of them say first
        ("100%", set()),
        ("_alid", set()),
        ("401: email", {401}),
    ],
)
async def test_words_are_looked_for_in_what_is_not_documented(ledger: Ledger, words: str, found: set[int]) -> None:
    def look(session: Session) -> set[int | None]:
        return {each.stamped_status for each in reports.listed(session, Filter(words=words), COUNT)}

    def enter_alone(session: Session) -> None:
        for number, failure in enumerate([*FAILURES[1:5], FAILURES[0]]):
            values = {
                "id": IDS[number],
                "connection": "a",
                "tracking_guid": GUID,
                "scope": "x",
                "trigger": "webhook",
            }
            ended = rows.ended("failed", START) | rows.failed(failure) | {"created_at": START}
            assert rows.add(session, values | ended)

    await ledger.do(enter_alone)
    assert await ledger.database.read(look) == found


def test_each_word_is_looked_for_once() -> None:
    assert str(groups_that_say("Key not KEY key")).count(" LIKE ") == 2


async def test_a_tally_counts_each_status(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    stored = await ledger.do(enter)

    def look(session: Session) -> None:
        for wanted in ({}, *ALONE, *PAIRS):
            others = {name: value for name, value in wanted.items() if name not in {"status", "among", "cursor"}}
            fits = [each for each in stored if all(MEANS[name](each, value) for name, value in others.items())]
            expected: Counter[str] = Counter(each.status for each in fits)
            assert status_counts.status_counts(session, Filter(**wanted)) == status_counts.StatusCounts(
                dict(expected), frozenset()
            ), wanted
        monkeypatch.setattr(status_counts, "COUNTED", 20)
        every = status_counts.status_counts(session, Filter())
        assert every.counts == {"failed": 20, "succeeded": 20, "waiting": 20, "cancelled": 20}
        assert (every.shown(["failed"]), every.shown(["skipped"])) == ("20+", "")
        narrowed = status_counts.status_counts(session, Filter(connection="1796"))
        assert narrowed.shown(["failed"]).endswith("+")

    await ledger.database.read(look)
