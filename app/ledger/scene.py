"""What a move sees of a customer, read at once under the customer's lock, and how it writes.

Statements are built once: building them anew costs more than running them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, bindparam, insert, or_, select, update

from app.ledger.database import lock_customer
from app.ledger.links import link_row
from app.ledger.stored import Stored, older
from app.ledger.tables import PENDING, RUNNING, is_open, transfers

if TYPE_CHECKING:
    from sqlalchemy import Connection, RowMapping

_of_customer = and_(
    transfers.c.connection == bindparam("name"), transfers.c.customer_id == bindparam("customer_id")
)
_SCENE = select(transfers).where(
    or_(and_(_of_customer, is_open), and_(_of_customer, transfers.c.repeat_key == bindparam("key")))
)
_BY_SEQ = select(transfers).where(transfers.c.seq == bindparam("wanted"))
_INSERT = insert(transfers).returning(transfers.c.seq)
_UPDATE = update(transfers).where(transfers.c.seq == bindparam("wanted"))
_EMPTY: dict[str, Any] = {column.name: None for column in transfers.columns if column.name != "seq"}


@dataclass(frozen=True, slots=True)
class Scene:
    """A customer's open transfers, the one with the wanted repeat key, and what was sent last."""

    rows: tuple[RowMapping, ...]
    link: RowMapping | None

    def same(self, key: str | None) -> RowMapping | None:
        """The transfer with this repeat key."""
        return next((row for row in self.rows if key is not None and row["repeat_key"] == key), None)

    def row(self, seq: int) -> RowMapping | None:
        """An open transfer."""
        return next((row for row in self.rows if row["seq"] == seq), None)

    def running(self, claimed: Stored) -> RowMapping | None:
        """The transfer as it was claimed; None = it was taken over, or has ended."""
        row = self.row(claimed.seq)
        mine = (RUNNING, claimed.owner, claimed.attempts)
        return row if row is not None and (row["status"], row["owner"], row["attempts"]) == mine else None

    def pending(self, but: str | None = None) -> RowMapping | None:
        """The customer's pending transfer, unless it is the one with this id."""
        return next((row for row in self.rows if row["status"] in PENDING and row["id"] != but), None)

    def has_running(self, but: int | None = None) -> bool:
        """Whether one runs, unless it is the one with this seq."""
        return any(row["status"] == RUNNING and row["seq"] != but for row in self.rows)

    def sent_newer(self, row: Any) -> str | None:
        """The id of the change that was sent already and is newer than this one."""
        sent = self.link
        if sent is None or sent["sent_seq"] is None or sent["sent_transfer_id"] == row["id"]:
            return None
        if _insists(row, sent["sent_seq"]):
            return None
        if older(row["changed_at"], row["seq"], sent["sent_changed_at"], sent["sent_seq"]):
            return str(sent["sent_transfer_id"])
        return None

    def newer(self, row: Any) -> str | None:
        """The id of a change that waits, or was sent already, and is newer than this one."""
        pending = self.pending(but=row["id"])
        if pending is not None and not _insists(row, pending["seq"]) and is_older(row, pending):
            return str(pending["id"])
        return self.sent_newer(row)


def enter(connection: Connection, name: str, customer_id: str | None, key: str | None = None) -> Scene:
    """Lock the customer to the end of the transaction, and look."""
    lock_customer(connection, name, customer_id)
    if customer_id is None:
        return Scene((), None)
    wanted = {"name": name, "customer_id": customer_id, "key": key}
    rows = connection.execute(_SCENE, wanted).mappings().all()
    return Scene(tuple(rows), link_row(connection, name, customer_id))


def enter_by_seq(connection: Connection, seq: int) -> tuple[RowMapping, Scene] | None:
    """The same for a transfer's customer. None = there is no such transfer."""
    row = by_seq(connection, seq)
    if row is None:
        return None
    scene = enter(connection, row["connection"], row["customer_id"])
    fresh = scene.row(seq) or by_seq(connection, seq)
    return (fresh, scene) if fresh is not None else None


def by_seq(connection: Connection, seq: int) -> RowMapping | None:
    """One transfer's row."""
    return connection.execute(_BY_SEQ, {"wanted": seq}).mappings().one_or_none()


def add(connection: Connection, values: dict[str, Any]) -> Stored:
    """Insert a transfer."""
    row = _EMPTY | values
    seq = connection.execute(_INSERT, row).scalar_one()
    return Stored.of(row | {"seq": seq})


def change(connection: Connection, row: Any, values: dict[str, Any]) -> Stored:
    """Update a transfer that was read in this transaction, under its customer's lock."""
    connection.execute(_UPDATE, values | {"wanted": row["seq"]})
    return Stored.of({**row, **values})


def is_older(row: Any, than: RowMapping) -> bool:
    """Whether one change is older than another, both not sent yet; of the same time: received earlier."""
    first, second = (row["changed_at"], row["seq"]), (than["changed_at"], than["seq"])
    return older(*first, *second) or (not older(*second, *first) and row["seq"] < than["seq"])


def _insists(row: Any, than_seq: int) -> bool:
    """A run by hand always sends, whatever the dates say; only what was received after it can be newer."""
    return bool(row["trigger"] != "webhook" and than_seq < row["seq"])


def superseded(by: str, now: float) -> dict[str, Any]:
    """What becomes of a change when a newer one makes it needless."""
    return {
        "status": "skipped",
        "reason": f"superseded by transfer {by}",
        "superseded_by": by,
        "error": None,
        "failure": None,
        "finished_at": now,
        "next_attempt_at": None,
        "owner": None,
    }


def supersede_pending(connection: Connection, scene: Scene, by: str, now: float) -> tuple[Stored, ...]:
    """End the customer's pending transfer, unless it is this one."""
    pending = scene.pending(but=by)
    if pending is None:
        return ()
    return (change(connection, pending, superseded(by, now)),)
