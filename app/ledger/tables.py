"""The tables as they are now; `migrations/` says how they came about."""

from __future__ import annotations

from typing import Final

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
    literal_column,
)

metadata = MetaData()

SANDBOX: Final = "sandbox "  # so begin the names of connections to one

# SQLite numbers rows by itself only in an INTEGER primary key
_Sequence = BigInteger().with_variant(Integer, "sqlite")

transfers = Table(
    "transfers",
    metadata,
    Column("seq", _Sequence, primary_key=True, autoincrement=True),  # the order of receipt
    Column("id", String, nullable=False),
    Column("connection", String, nullable=False),
    Column("customer_id", String),
    Column("tracking_guid", String, nullable=False),
    Column("repeat_key", String),  # what makes a notification "the same again"; null = never
    Column("destination", String),
    Column("scope", String, nullable=False),
    Column("trigger", String, nullable=False),
    Column("debug", Boolean, nullable=False),
    Column("record", Text),  # JSON; null = to be fetched, or deleted after RETENTION_DAYS
    Column("fetched", Boolean, nullable=False),  # the record came from iPaaS.com, so a re-run fetches it anew
    Column("record_hash", String),
    Column("email_hash", String),
    Column("changed_at", Float),  # the record's own updated_datetime; like all times: seconds since 1970, UTC
    Column("status", String, nullable=False),
    Column("promised", Boolean, nullable=False),  # a 202 was given: retries are the service's
    Column("tries", Integer, nullable=False),  # failed attempts since the promise
    Column("attempts", Integer, nullable=False),
    Column("next_attempt_at", Float),
    Column("owner", String),  # the replica that runs it
    Column("action", String),
    Column("external_id", String),
    Column("subscription", String),
    Column("reason", Text),
    Column("error", String),  # slug
    Column("failure", Text),  # JSON
    Column("superseded_by", String),
    Column("created_at", Float, nullable=False),
    Column("started_at", Float),
    Column("finished_at", Float),
    UniqueConstraint("id", name="uq_transfers_id"),
    UniqueConstraint("connection", "customer_id", "repeat_key", name="uq_transfers_repeat"),
    sqlite_autoincrement=True,
)

RUNNING: Final = "running"
PENDING: Final = ("accepted", "waiting")
OPEN: Final = (*PENDING, RUNNING)
RERUNNABLE: Final = ("failed", "cancelled", "waiting")
FINAL: Final = ("succeeded", "skipped", "failed", "cancelled")

is_sandboxed = transfers.c.connection.startswith(SANDBOX)

_one_per_customer = (transfers.c.connection, transfers.c.customer_id)

# as literals: a planner that sees a parameter can't tell that a partial index fits
is_running = transfers.c.status == literal_column(f"'{RUNNING}'")
is_pending = transfers.c.status.in_([literal_column(f"'{status}'") for status in PENDING])
is_open = transfers.c.status.in_([literal_column(f"'{status}'") for status in OPEN])

# The two rules that everything else rests on, kept by the database itself, across replicas:
# two transfers of a customer never run at once, and at most one waits.
Index(
    "ux_transfers_running", *_one_per_customer, unique=True, sqlite_where=is_running, postgresql_where=is_running
)
Index(
    "ux_transfers_pending", *_one_per_customer, unique=True, sqlite_where=is_pending, postgresql_where=is_pending
)
Index(
    "ix_transfers_open",
    transfers.c.status,
    transfers.c.next_attempt_at,
    transfers.c.seq,
    sqlite_where=is_open,
    postgresql_where=is_open,
)
Index("ix_transfers_status", transfers.c.status, transfers.c.seq)
Index("ix_transfers_error", transfers.c.error, transfers.c.seq)
Index("ix_transfers_customer", transfers.c.customer_id, transfers.c.seq)
Index("ix_transfers_guid", transfers.c.tracking_guid, transfers.c.seq)
Index("ix_transfers_email", transfers.c.email_hash, transfers.c.seq)
Index("ix_transfers_created", transfers.c.created_at)
_has_record = and_(transfers.c.record.is_not(None), transfers.c.finished_at.is_not(None))
Index("ix_transfers_record_kept", transfers.c.finished_at, sqlite_where=_has_record, postgresql_where=_has_record)

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
)

links = Table(
    "links",
    metadata,
    Column("connection", String, primary_key=True),
    Column("customer_id", String, primary_key=True),
    Column("external_id", String),
    Column("written_back", Boolean, nullable=False),
    Column("written_back_to", String),  # the destination that was told it last; null = whichever
    Column("sent_transfer_id", String),  # the newest change that reached Stamped.io
    Column("sent_seq", BigInteger),
    Column("sent_changed_at", Float),
)

Index("ix_links_external", links.c.connection, links.c.external_id)

syncs = Table(
    "syncs",
    metadata,
    Column("id", String, primary_key=True),
    Column("connection", String, nullable=False),
    Column("kind", String, nullable=False),
    Column("total", Integer, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("cancelled_at", Float),
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

replicas = Table(
    "replicas",
    metadata,
    Column("id", String, primary_key=True),
    Column("seen_at", Float, nullable=False),
)
