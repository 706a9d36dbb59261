"""The tables as they are now; `migrations/` says how they came about."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    and_,
    func,
    literal_column,
    select,
    union_all,
)

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Select

metadata = MetaData()

DAY: Final = 86_400.0  # seconds

# SQLite numbers rows by itself only in an INTEGER primary key
_Sequence = BigInteger().with_variant(Integer, "sqlite")

# One row per customer: what Stamped.io is to hold, was told, may yet do, and who is at work (docs/adr/0013).
customers = Table(
    "customers",
    metadata,
    Column("connection", String, primary_key=True),
    Column("customer_id", String, primary_key=True),
    Column("external_id", String),  # the link; one customer's only (rule 8)
    Column("linked_at", Float),  # when Stamped.io named it; null = it came with a record
    Column("written_back", Boolean, nullable=False),  # iPaaS.com knows it, too
    Column("written_back_to", String),  # the destination that was told it last; null = whichever
    Column("destination", String),  # the last one that a trigger named
    Column("place", BigInteger, nullable=False),  # the last place given in the order of receipt
    Column("wanted", Text),  # JSON of order.Wanted
    Column("settled", Text),  # the same, as the last attempt found it whose end nobody can take back
    Column("settled_place", BigInteger),  # the last place given then: what came later is to be added
    Column("told", Boolean),  # the consent that Stamped.io was told last; null = none, or unknown
    Column("doubt", Text),  # JSON: transfers whose record was sent without an answer; null = no doubt
    Column("verify_at", Float),  # when to look what such a call has done
    Column("due_at", Float),  # when an attempt is due; below 0 = whatever the clock says; null = nothing waits
    Column("rank", Integer, nullable=False, server_default="1"),  # whose turn it is then: ranks.Rank
    Column("owner", String),  # the replica that is at work
    Column("sending", String),  # the transfer whose record it sends
    Column("runs", Integer, nullable=False),  # counts attempts, so that each claim is another one
)

transfers = Table(
    "transfers",
    metadata,
    Column("seq", _Sequence, primary_key=True, autoincrement=True),  # the order in lists
    Column("id", String, nullable=False),
    Column("connection", String, nullable=False),
    Column("customer_id", String),
    Column("tracking_guid", String, nullable=False),
    Column("repeat_key", String),  # what makes a notification "the same again"; null = never
    Column("destination", String),
    Column("traceparent", String),  # the trace that its trigger belongs to; null = none
    Column("scope", String, nullable=False),
    Column("trigger", String, nullable=False),
    Column("debug", Boolean, nullable=False),
    Column("loading", Boolean, nullable=False),  # its record is still to be fetched; until then it has no place
    Column("place", BigInteger),  # of its customer's triggers, when its record was in hand
    Column("entered", BigInteger),  # the place at which it came, or came again
    Column("record", Text),  # JSON; null = none, to be fetched, or deleted after RETENTION_DAYS
    Column("fetched", Boolean, nullable=False),  # the record came from iPaaS.com, so a re-run fetches it anew
    Column("record_hash", String),
    Column("email_hash", String),
    Column("changed_at", Float),  # the record's own updated_datetime; like all times: seconds since 1970, UTC
    Column("consent", Boolean),  # as the record says it; null = absent or unreadable
    Column("status", String, nullable=False),
    Column("promised", Boolean, nullable=False),  # a 202 was given: retries are the service's
    Column("tries", Integer, nullable=False),  # failed attempts since the promise
    Column("attempts", Integer, nullable=False),
    Column("next_attempt_at", Float),
    Column("rank", Integer, nullable=False, server_default="1"),  # ranks.Rank
    Column("owner", String),  # the replica that runs it
    Column("action", String),
    Column("external_id", String),
    Column("subscription", String),
    Column("reason", Text),
    Column("error", String),  # slug
    Column("stamped_status", Integer),  # what Stamped.io answered, where it failed for that
    Column("failure_group", String),  # of those that fail alike: grouping.group_of
    Column("failure", Text),  # JSON
    Column("before", Text),  # JSON: how a failed one had ended before it was run again
    Column("superseded_by", String),
    Column("created_at", Float, nullable=False),
    Column("day", Integer, nullable=False),  # of `created_at`, since 1970
    Column("started_at", Float),
    Column("finished_at", Float),
    UniqueConstraint("id", name="uq_transfers_id"),
    UniqueConstraint(
        "customer_id", "connection", "repeat_key", name="uq_transfers_repeat"
    ),  # finds customers, too
    sqlite_autoincrement=True,
)

RUNNING: Final = "running"
PENDING: Final = ("accepted", "waiting")
OPEN: Final = (*PENDING, RUNNING)
RERUNNABLE: Final = ("failed", "cancelled", "waiting")
FINAL: Final = ("succeeded", "skipped", "failed", "cancelled")

# as literals: a planner that sees a parameter can't tell that a partial index fits
is_pending = transfers.c.status.in_([literal_column(f"'{status}'") for status in PENDING])
is_open = transfers.c.status.in_([literal_column(f"'{status}'") for status in OPEN])


def is_oldest() -> ColumnElement[bool]:
    """The first of each open status, by the index on status and place: the oldest open one is among them."""
    firsts = (select(func.min(transfers.c.seq)).where(transfers.c.status == status) for status in OPEN)
    return transfers.c.seq.in_(union_all(*firsts))


def each_value(column: Column[Any], *among: ColumnElement[bool]) -> Select[Any]:
    """Every value that there is, once: a step in the column's index for each, which is of these rows."""
    first = select(func.min(column).label("value")).where(*among).cte(f"{column.name}_values", recursive=True)
    following = select(func.min(column)).where(column > first.c.value, *among).correlate(first).scalar_subquery()
    found = first.union_all(select(following).where(first.c.value.is_not(None)))
    return select(found.c.value).where(found.c.value.is_not(None))


def on_any_day() -> ColumnElement[bool]:
    """All of them, said so that an index by day is of use."""
    return transfers.c.day.in_(each_value(transfers.c.day))


is_loading = literal_column("loading", Boolean)
# True of all, and said by lists, or by what counts, only. Else a plan that PostgreSQL made for the hot path while
# the table was empty would take their index, and keep it for ever.
is_listed = transfers.c.created_at > literal_column("0")
is_counted = transfers.c.trigger != literal_column("''")  # no bound, which SQLite would scan by


def _some(name: str, where: ColumnElement[bool], *columns: ColumnElement[Any], unique: bool = False) -> None:
    """An index over the few rows that this is true of."""
    Index(name, *columns, unique=unique, sqlite_where=where, postgresql_where=where)


_some(
    "ix_customers_due",
    customers.c.due_at.is_not(None),
    customers.c.connection,
    customers.c.rank,
    customers.c.due_at,
)
_some("ix_customers_verify", customers.c.verify_at.is_not(None), customers.c.connection, customers.c.verify_at)
_some("ix_customers_owner", customers.c.owner.is_not(None), customers.c.owner)
_some(  # rule 8, also where two take one at once
    "ix_customers_external",
    customers.c.external_id.is_not(None),
    customers.c.connection,
    customers.c.external_id,
    unique=True,
)
_some("ix_transfers_open", is_open, transfers.c.connection, transfers.c.customer_id)
_some(
    "ix_transfers_loading",
    is_loading,
    transfers.c.connection,
    transfers.c.rank,
    transfers.c.next_attempt_at,
)
Index("ix_transfers_status", transfers.c.status, transfers.c.seq)
_some("ix_transfers_connection", is_listed, transfers.c.connection, transfers.c.seq)
_some("ix_transfers_arrival", is_counted, transfers.c.connection, transfers.c.trigger, transfers.c.created_at)
for _name, _column in (
    ("ix_transfers_error", transfers.c.error),
    ("ix_transfers_group", transfers.c.failure_group),
    ("ix_transfers_stamped", transfers.c.stamped_status),
):
    _some(_name, _column.is_not(None), _column, transfers.c.seq)
# random keys, by day: so a webhook only changes pages of today, however many transfers are stored (docs/adr/0015)
Index("ix_transfers_guid", transfers.c.day, transfers.c.tracking_guid)
Index("ix_transfers_email", transfers.c.day, transfers.c.email_hash)
Index("ix_transfers_created", transfers.c.created_at)
_some(
    "ix_transfers_record_kept",
    and_(transfers.c.record.is_not(None), transfers.c.finished_at.is_not(None)),
    transfers.c.finished_at,
)

attempts = Table(
    "attempts",
    metadata,
    Column("transfer_seq", _Sequence, primary_key=True, autoincrement=False),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("started_at", Float, nullable=False),
    Column("finished_at", Float, nullable=False),
    Column("outcome", String, nullable=False),
    Column("failure", Text),  # JSON
    Column("steps", Text, nullable=False),  # JSON: seconds of each step
    Column("calls", Text, nullable=False, server_default="[]"),  # JSON: by noting.dump
)

Index("ix_attempts_finished", attempts.c.finished_at)

# How attempts ended in an hour that is over: counted once (docs/adr/0024).
hours = Table(
    "hours",
    metadata,
    Column("connection", String, primary_key=True),  # "" = of all together; there for each hour that is counted
    Column("hour", BigInteger, primary_key=True, autoincrement=False),  # its begin
    Column("succeeded", Integer, nullable=False),
    Column("failed", Integer, nullable=False),
    Column("recovered", Integer, nullable=False),  # failed ones whose transfer has succeeded since
    Column("put_off", Integer, nullable=False),
    Column("took", Text, nullable=False),  # JSON: how many by duration, as Tally has it
)

syncs = Table(
    "syncs",
    metadata,
    Column("id", String, primary_key=True),
    Column("connection", String, nullable=False),
    Column("kind", String, nullable=False),
    Column("total", Integer, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("cancelled_at", Float),
    Column("one_first", Boolean, nullable=False),  # the rest waits until one has succeeded (docs/adr/0027)
    Column("pilot", BigInteger),  # the seq of the last one that went first
    Column("held_at", Float),  # the pilot has failed: the rest is left as it was
)

# what is still to be entered
sync_blocks = Table(
    "sync_blocks",
    metadata,
    Column("sync_id", String, primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("size", Integer, nullable=False),
    Column("items", Text, nullable=False),  # JSON: customer ids, or seqs
)

sync_items = Table(
    "sync_items",
    metadata,
    Column("sync_id", String, primary_key=True),
    Column("transfer_seq", BigInteger, primary_key=True),
)
Index("ix_sync_items_transfer", sync_items.c.transfer_seq)

rejections = Table(
    "rejections",
    metadata,
    Column("seq", _Sequence, primary_key=True, autoincrement=True),
    Column("at", Float, nullable=False),
    Column("status", Integer, nullable=False),
    Column("error", String, nullable=False),
    Column("reason", Text, nullable=False),
    Column("address", String),
    sqlite_autoincrement=True,
)
Index("ix_rejections_at", rejections.c.at)

# Groups of failures that somebody has taken note of; what fails later has come back.
acknowledged = Table(
    "acknowledged",
    metadata,
    Column("failure_group", String, primary_key=True),
    Column("at", Float, nullable=False),
    Column("who", String, nullable=False),
)

# What people did, for one transfer or for a subject such as a sync; its transfers are found by `sync_items`.
trail = Table(
    "trail",
    metadata,
    Column("seq", _Sequence, primary_key=True, autoincrement=True),
    Column("at", Float, nullable=False),
    Column("transfer_seq", BigInteger),
    Column("subject", String),
    Column("what", String, nullable=False),
    Column("who", String, nullable=False),
    Column("address", String),
    Column("via", String, nullable=False),
    sqlite_autoincrement=True,
)
_some("ix_trail_transfer", trail.c.transfer_seq.is_not(None), trail.c.transfer_seq)
_some("ix_trail_subject", trail.c.subject.is_not(None), trail.c.subject)
_some("ix_trail_at", trail.c.transfer_seq.is_(None), trail.c.at)

# Before the calls of a connection to Stamped.io: what it is paused by, and what its throttle has counted.
gates = Table(
    "gates",
    metadata,
    Column("connection", String, primary_key=True),
    Column("calls", Text),  # JSON of window.Window; null = none yet
    Column("throttled_at", Float),
    Column("throttled_until", Float),
    Column("down_at", Float),
    Column("probe_at", Float),
    Column("probes", Integer, nullable=False),
    Column("paused_at", Float),
    Column("reason", Text),
)

# Which troubles were told by alerts, over all replicas together; times are seconds since 1970 (app/alerts).
alerts = Table(
    "alerts",
    metadata,
    Column("connection", String, primary_key=True),  # empty = none's own
    Column("code", String, primary_key=True),
    Column("begun_at", Float, nullable=False),
    Column("seen_at", Float, nullable=False),
    Column("told_at", Float),
    Column("is_open", Boolean, nullable=False),  # told, and its end is not told yet
)

replicas = Table(
    "replicas",
    metadata,
    Column("id", String, primary_key=True),
    Column("seen_at", Float, nullable=False),
)
