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
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import insert

from app.attempt import Failure, StampedAnswer
from app.catalog import CATALOG, Slug
from app.ledger.database import Database, read_url
from app.ledger.stored import dump_failure, hash_email, hashed, new_id
from app.ledger.tables import attempts, customers, rejections, transfers

if TYPE_CHECKING:
    from sqlalchemy import Connection

_BATCH = 2000
_DAY = 86_400
_SWING = 0.6  # how much busier the busy hours are, below 1
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

    `connection` is the product's name for the store.
    """

    count: int
    days: float
    failed: float
    now: float
    connection: str = "store 270392"

    def created_at(self, number: int) -> float:
        """In order, with quiet and busy hours in each day."""
        day = self.days * number / self.count
        day -= _SWING * math.sin(2 * math.pi * day) / (2 * math.pi)
        return self.now - (self.days - day) * _DAY


def seed(connection: Connection, plan: Plan, chance: random.Random) -> None:
    """Transfers, oldest first, with their attempts, some customers and rejections."""
    count, now = plan.count, plan.now
    people = max(1, count // 4)
    rows: list[dict[str, Any]] = []
    for number in range(count):
        rows.append(_transfer(number, number % people, plan, chance))
        if len(rows) == _BATCH or number == count - 1:
            numbers = connection.execute(insert(transfers).returning(transfers.c.seq), rows).scalars().all()
            tried = zip(sorted(numbers), rows, strict=True)
            connection.execute(insert(attempts), [_attempt(seq, row) for seq, row in tried if row["attempts"]])
            rows = []
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
    refused = CATALOG[Slug.UNAUTHORIZED].sentence
    connection.execute(
        insert(rejections),
        [
            {
                "at": now - each * 600,
                "status": 401,
                "error": Slug.UNAUTHORIZED.value,
                "reason": refused,
                "address": "192.0.2.7",
            }
            for each in reversed(range(300))
        ],
    )


def _transfer(number: int, customer: int, plan: Plan, chance: random.Random) -> dict[str, Any]:
    created_at = plan.created_at(number)
    record = record_of(customer)
    text = json.dumps(record)
    shares = (0.955 - plan.failed, 0.04, plan.failed, 0.005)
    status = chance.choices(("succeeded", "skipped", "failed", "cancelled"), shares)[0]
    failure = failure_of(chance) if status == "failed" else None
    tried = status in {"succeeded", "failed"}
    saved = status == "succeeded" or (failure is not None and failure.slug is Slug.SUBSCRIPTION)
    seconds = chance.uniform(0.15, 0.9)
    guid = str(uuid.UUID(int=chance.getrandbits(128), version=4))
    reasons = {"skipped": "superseded by transfer …", "cancelled": "Cancelled by hand."}
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
        "status": status,
        "promised": False,
        "tries": 0,
        "attempts": int(tried),
        "next_attempt_at": None,
        "owner": None,
        "action": ("created" if number == customer else "updated") if saved else None,
        "external_id": str(143_000 + customer) if tried else None,
        "subscription": chance.choice(("subscribed", "unchanged")) if status == "succeeded" else None,
        "reason": failure.detail if failure else reasons.get(status),
        "error": failure.slug.value if failure else None,
        "failure": dump_failure(failure),
        "superseded_by": None,
        "created_at": created_at,
        "started_at": created_at + 0.002 if tried else None,
        "finished_at": created_at + seconds,
    }


def _attempt(seq: int, row: dict[str, Any]) -> dict[str, Any]:
    began = row["started_at"]
    seconds = row["finished_at"] - began
    steps = {"load": 0.0, "link": 0.001, "upsert": round(seconds * 0.6, 4)}
    if row["error"] != Slug.CUSTOMER:
        steps |= {"write_back": 0.0, "subscription": round(seconds * 0.4, 4)}
    return {
        "transfer_seq": seq,
        "number": 1,
        "started_at": began,
        "finished_at": row["finished_at"],
        "outcome": "failed" if row["error"] else "succeeded",
        "failure": row["failure"],
        "steps": json.dumps(steps),
    }


async def fill(url: str, plan: Plan) -> None:
    """Bring the database to the present schema, then fill it."""
    database = Database(read_url(url))
    try:
        await database.migrate()
        chance = random.Random(4)  # noqa: S311 - made-up data, the same each time
        await database.run(seed, plan, chance)
    finally:
        await database.aclose()


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("database_url")
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--days", type=float, default=30)
    parser.add_argument("--failed", type=float, default=0.055, help="the share that failed")
    parser.add_argument("--connection", default="store 270392", help="the product's name for the store")
    given = parser.parse_args()
    asyncio.run(
        fill(given.database_url, Plan(given.count, given.days, given.failed, time.time(), given.connection))
    )


if __name__ == "__main__":
    main()
