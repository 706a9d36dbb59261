"""Fills a database with made-up transfers, to look at pages and to measure them.

python tools/seed.py sqlite:////tmp/seeded.db --count 100000
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import random
import time
import uuid
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import create_engine, func, insert, make_url, select

from app.attempt import Failure, StampedAnswer
from app.error_catalog import CATALOG, Slug
from app.ledger import hours
from app.ledger.database import Database
from app.ledger.grouping import group_of
from app.ledger.stored import dump_failure, hash_email, hashed, load_failure, new_id
from app.ledger.tables import DAY, attempts, customers, rejections, transfers
from app.outbound import noting
from app.outbound.noting import Call
from app.outbound.status_table import classify

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import URL, Connection, Table

_BATCH = 2000
_CACHE_KIB = 500_000
_DAY = 86_400
_SWING = 0.6  # how much busier the busy hours are, below 1
_BAD_HOUR, _WORSE = 61, 12  # every so many hours so many times more fail
_RECOVERED = 0.4  # of those that failed, by a second attempt within hours
_REJECTIONS = 50  # one for so many transfers
FIRST_NAMES = ("Ada", "Ben", "Chiara", "Deniz", "Elif", "Farid", "Greta", "Hugo", "Ines", "Jonas", "Kira", "Luis")
LAST_NAMES = ("Example", "Sample", "Muster", "Modelo", "Esempio", "Exemple", "Przyklad", "Voorbeeld")
_REFUSALS = (
    (Slug.CUSTOMER, "update", 401, 502, False, "The API key you supplied is not valid."),
    (Slug.CUSTOMER, "create", 400, 422, False, "Email is not valid."),
    (Slug.CUSTOMER, "create", 409, 422, False, "Another customer has this email."),
    (Slug.CUSTOMER, "update", 503, 502, True, "Service Temporarily Unavailable"),
    (Slug.SUBSCRIPTION, "subscribe", 401, 502, False, "The API key you supplied is not valid."),
    (Slug.SUBSCRIPTION, "unsubscribe", 500, 502, True, "An error has occurred."),
)
_REJECTED = (
    (Slug.UNAUTHORIZED, 401, CATALOG[Slug.UNAUTHORIZED].sentence),
    (Slug.INVALID_REQUEST, 422, "At /notifications/0/id: Field required."),
    (Slug.PAYLOAD_TOO_LARGE, 413, CATALOG[Slug.PAYLOAD_TOO_LARGE].sentence),
)
_PHRASES = {400: "Bad Request", 401: "Unauthorized", 409: "Conflict", 500: "Internal Server Error"}
_PHRASES |= {503: "Service Unavailable"}


def record_of(number: int) -> dict[str, Any]:
    """A made-up customer, always the same for the same number."""
    first = FIRST_NAMES[number % len(FIRST_NAMES)]
    last = LAST_NAMES[number // len(FIRST_NAMES) % len(LAST_NAMES)]
    return {
        "id": str(150_000 + number),
        "customer_number": f"C-{1000 + number}",
        "first_name": first,
        "last_name": last,
        "email_address": f"{first}.{last}.{number}@example.com".lower(),
        "company": "Example Ltd.",
        "updated_datetime": "2026-11-20T09:00:00",
        "custom_fields": [{"custom_field_name": "SubscribeProfile", "value": "yes"}],
        "external_ids": [{"system_id": "1796", "external_id": str(143_000 + number)}],
    }


def failure_of(chance: random.Random) -> Failure:
    """One of the documented errors, as Stamped.io words it."""
    slug, operation, status, answered, retryable, message = chance.choice(_REFUSALS)
    detail = f"{CATALOG[slug].sentence} HTTP status {status} {_PHRASES[status]}: {message}"
    return Failure(slug, answered, detail, retryable, StampedAnswer(operation, status, message))


@dataclass(frozen=True, slots=True)
class Plan:
    """How many transfers, over how many days before `now` (seconds since 1970), and the share that failed.

    `connection` is what the product keeps the store's transfers under.
    """

    count: int
    days: float
    failed: float
    now: float
    connection: str = "default@270392"

    def created_at(self, number: int) -> float:
        """In order, with quiet and busy hours in each day."""
        day = self.days * number / self.count
        day -= _SWING * math.sin(2 * math.pi * day) / (2 * math.pi)
        return self.now - (self.days - day) * _DAY


def seed(connection: Connection, plan: Plan, chance: random.Random) -> None:
    """Transfers, oldest first, with their attempts, some customers and rejections."""
    count = plan.count
    people = max(1, count // 4)
    first = (connection.execute(select(func.max(transfers.c.seq))).scalar() or 0) + 1
    with _indexed_afterwards(connection, *((transfers, attempts) if count > _BATCH else ())):
        for begin in range(0, count, _BATCH):
            numbers = range(begin, min(begin + _BATCH, count))
            stories = [_story(first + each, each, each % people, plan, chance) for each in numbers]
            _add(connection, transfers, [row for row, _ in stories])
            _add(connection, attempts, [attempt for _, made in stories for attempt in made])
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.setval("transfers_seq_seq", first + count - 1)))
    linked = [
        {
            "connection": plan.connection,
            "customer_id": record_of(number)["id"],
            "external_id": str(143_000 + number),
            "written_back": True,
            "place": 1,
            "runs": 1,
        }
        for number in range(min(people, 5000))
    ]
    connection.execute(insert(customers), linked)
    _add(connection, rejections, _rejections(plan, chance))


def _rejections(plan: Plan, chance: random.Random) -> list[dict[str, Any]]:
    """Wrong keys and unreadable bodies, from a few callers, oldest first."""
    total = max(300, plan.count // _REJECTIONS)
    found = []
    for each in range(total):
        slug, status, reason = chance.choices(_REJECTED, (12, 3, 1))[0]
        at = plan.now - (total - each) * plan.days * _DAY / total
        address = f"192.0.2.{chance.randrange(7, 12)}"
        found.append({"at": at, "status": status, "error": slug.value, "reason": reason, "address": address})
    return found


def _add(connection: Connection, table: Table, rows: list[dict[str, Any]]) -> None:
    """By the quickest way of each driver; all rows have the same columns."""
    if not rows:
        return
    driver: Any = connection.connection.driver_connection
    names = list(rows[0])
    if connection.dialect.name == "sqlite":
        marks = ", ".join(f":{name}" for name in names)
        columns = ", ".join(f'"{name}"' for name in names)
        driver.executemany(f"INSERT INTO {table.name} ({columns}) VALUES ({marks})", rows)  # noqa: S608 - our own names
        return
    columns = ", ".join(f'"{name}"' for name in names)
    with driver.cursor() as cursor, cursor.copy(f"COPY {table.name} ({columns}) FROM STDIN") as copy:
        for row in rows:
            copy.write_row(tuple(row.values()))


@contextmanager
def _indexed_afterwards(connection: Connection, *tables: Table) -> Iterator[None]:
    """Many rows are added several times faster without the indexes, which are made anew from all of them."""
    indexes = sorted((index for table in tables for index in table.indexes), key=lambda each: str(each.name))
    for index in indexes:
        index.drop(connection)
    yield
    for index in indexes:
        index.create(connection)


def _story(
    seq: int, number: int, customer: int, plan: Plan, chance: random.Random
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A transfer as it ended, and its attempts."""
    created_at = plan.created_at(number)
    bad = int(created_at // 3600) % _BAD_HOUR == 0
    failed = min(plan.failed * (_WORSE if bad else 1), 0.9)
    shares = (0.955 - failed, 0.04, failed, 0.005)
    status = chance.choices(("succeeded", "skipped", "failed", "cancelled"), shares)[0]
    failure = failure_of(chance) if status == "failed" else None
    row = {"seq": seq} | _transfer(number, customer, plan, chance, status, failure)
    if not row["attempts"]:
        return row, []
    tried = [_attempt(row, 1)]
    again = created_at + chance.uniform(600, _DAY / 6)
    if failure is not None and again < plan.now and chance.random() < _RECOVERED:
        ended = _outcome("succeeded", None, chance) | {"action": "updated", "attempts": 2}
        row |= ended | {"started_at": again, "finished_at": again + chance.uniform(0.15, 0.9)}
        tried.append(_attempt(row, 2))
    return row, tried


def _transfer(  # noqa: PLR0913 - what it is made of
    number: int, customer: int, plan: Plan, chance: random.Random, status: str, failure: Failure | None
) -> dict[str, Any]:
    created_at = plan.created_at(number)
    record = record_of(customer)
    text = json.dumps(record)
    tried = status in {"succeeded", "failed"}
    saved = status == "succeeded" or (failure is not None and failure.slug is Slug.SUBSCRIPTION)
    seconds = chance.lognormvariate(-1.2, 0.6)
    guid = str(uuid.UUID(int=chance.getrandbits(128), version=4))
    return {
        "id": new_id(created_at),
        "connection": plan.connection,
        "customer_id": record["id"],
        "tracking_guid": guid,
        "repeat_key": guid,
        "destination": "1796",
        "scope": "customer/updated",
        "trigger": "webhook",
        "debug": False,
        "loading": False,
        "place": number + 1,
        "record": text,
        "fetched": False,
        "record_hash": hashed(text),
        "email_hash": hash_email(record["email_address"]),
        "changed_at": None,
        "promised": False,
        "tries": 0,
        "attempts": int(tried),
        "next_attempt_at": None,
        "owner": None,
        "action": ("created" if number == customer else "updated") if saved else None,
        "external_id": str(143_000 + customer) if tried else None,
        "superseded_by": None,
        "created_at": created_at,
        "day": int(created_at // DAY),
        "started_at": created_at + 0.002 if tried else None,
        "finished_at": created_at + seconds,
    } | _outcome(status, failure, chance)


def _outcome(status: str, failure: Failure | None, chance: random.Random) -> dict[str, Any]:
    reasons = {"skipped": "superseded by transfer …", "cancelled": "Cancelled by hand."}
    return {
        "status": status,
        "subscription": chance.choice(("subscribed", "unchanged")) if status == "succeeded" else None,
        "reason": failure.detail if failure else reasons.get(status),
        "error": failure.slug.value if failure else None,
        "stamped_status": failure.stamped.status if failure else None,
        "failure_group": group_of(failure) if failure else None,
        "failure": dump_failure(failure),
    }


def _attempt(row: dict[str, Any], number: int) -> dict[str, Any]:
    began = row["started_at"]
    seconds = row["finished_at"] - began
    steps = {"load": 0.0, "link": 0.001, "upsert": round(seconds * 0.6, 4)}
    if row["error"] != Slug.CUSTOMER:
        steps |= {"write_back": 0.0, "subscription": round(seconds * 0.4, 4)}
    return {
        "transfer_seq": row["seq"],
        "number": number,
        "started_at": began,
        "finished_at": row["finished_at"],
        "outcome": "failed" if row["error"] else "succeeded",
        "failure": row["failure"],
        "steps": json.dumps(steps),
        "calls": noting.dump(_calls(row, began, steps), 0.0, str),
    }


def _calls(row: dict[str, Any], began: float, steps: dict[str, float]) -> list[Call]:
    made = [Call("stamped", "create", 1, began, steps["upsert"], "ok", 200)]
    if "subscription" in steps:
        made.append(Call("stamped", "subscribe", 1, began + steps["upsert"], steps["subscription"], "ok", 200))
    failure = load_failure(row["failure"])
    if failure is not None:
        answer, last = failure.stamped, made[-1]
        last.operation, last.status = answer.operation or last.operation, answer.status
        last.outcome, last.message = classify(answer.status or 503).value, answer.message
    return made


def open_database(url: str) -> Database:
    """As the service opens it."""
    return Database(_read(url))


async def fill(url: str, plan: Plan) -> None:
    """Bring the database to the present schema, then fill it."""
    database = open_database(url)
    try:
        await database.migrate()
    finally:
        await database.aclose()
    chance = random.Random(4)  # noqa: S311 - made-up data, the same each time
    engine = create_engine(_read(url))
    try:
        with engine.begin() as connection:
            if connection.dialect.name == "sqlite":
                connection.exec_driver_sql(f"PRAGMA cache_size=-{_CACHE_KIB}")
            seed(connection, plan, chance)
    finally:
        engine.dispose()
    await _close_hours(url, plan.now)


async def _close_hours(url: str, now: float) -> None:
    """As the service would have, hour by hour."""
    database = open_database(url)
    try:
        while closing := await database.read(hours.over, now):
            await database.run(hours.close, closing)
    finally:
        await database.aclose()


def _read(url: str) -> URL:
    read = make_url(url)
    return read.set(drivername="postgresql+psycopg") if read.get_backend_name() == "postgresql" else read


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("database_url")
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--days", type=float, default=30)
    parser.add_argument("--failed", type=float, default=0.055, help="the share that failed")
    parser.add_argument(
        "--connection", default="default@270392", help="what the product keeps the store's transfers under"
    )
    given = parser.parse_args()
    asyncio.run(
        fill(given.database_url, Plan(given.count, given.days, given.failed, time.time(), given.connection))
    )


if __name__ == "__main__":
    main()
