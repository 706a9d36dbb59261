"""Transfers as a file: pages of the list, one after the other, so that none is too many and no reader waits."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from starlette.responses import StreamingResponse

from app.api.answers import ExportItem, TransferItem
from app.ledger import reports
from app.privacy import masked

if TYPE_CHECKING:
    from app.api.openapi import Responses
    from app.filters import Format
    from app.ledger.database import Database
    from app.ledger.reports import Filter
    from app.ledger.session import Session
    from app.ledger.stored import Stored

_ROWS: Final = 500  # of one transaction
_RECORDS: Final = 50  # the same with records, each of which may have 1 MiB
_FORMULA: Final = ("=", "+", "-", "@")  # what a spreadsheet may take for one begins so
_CELL: Final = re.compile(r";(?=\s*[=+@-])")  # where a spreadsheet that splits by semicolons sees one begin
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]+")
_TYPES: Final[dict[Format, str]] = {"csv": "text/csv; charset=utf-8", "json": "application/json"}
EXPORTED: Final[Responses] = {
    200: {
        "description": "A header and a line for each, or a list with a line for each.",
        "content": {
            "text/csv": {"schema": {"type": "string"}},
            "application/json": {"schema": {"type": "array", "items": {"type": "object"}}},
        },
        "headers": {"Content-Disposition": {"description": "A file's name", "schema": {"type": "string"}}},
    }
}


@dataclass(frozen=True, slots=True)
class _Chunk:
    """What one transaction found; `cursor` None = that was the last of it."""

    text: str
    rows: int
    cursor: int | None


async def exported(  # noqa: PLR0913 - what, and how
    database: Database,
    wanted: Filter,
    written: Format,
    now: float,
    *,
    most: int | None = None,
    reveal: bool = False,
) -> StreamingResponse:
    """A file of those that are there now, newest first. Raises DatabaseGone before anything is sent."""
    first = await _read(database, wanted, written, most, reveal=reveal)

    async def body() -> AsyncIterator[str]:
        yield _head(written, reveal=reveal)
        chunk, left = first, most
        while True:
            yield chunk.text
            left = None if left is None else left - chunk.rows
            if chunk.cursor is None or left == 0:
                break
            further = await _read(database, replace(wanted, cursor=chunk.cursor), written, left, reveal=reveal)
            if written == "json" and further.rows:
                yield ",\n"
            chunk = further
        yield "\n]\n" if written == "json" else ""

    headers = {"Content-Disposition": f'attachment; filename="{file_name(wanted, written, now)}"'}
    return StreamingResponse(body(), headers=headers, media_type=_TYPES[written])


def file_name(wanted: Filter, written: Format, now: float) -> str:
    """With the status and the time that it is about, in UTC; it never names a person."""
    until = now if wanted.until is None else wanted.until
    parts = (
        "transfers",
        wanted.status,
        _compact(wanted.since),
        "to" if wanted.since else "until",
        _compact(until),
    )
    return "-".join(part for part in parts if part) + f".{written}"


def csv_lines(items: list[dict[str, Any]]) -> str:
    """Lines as RFC 4180 has them; no text in them begins as a formula does."""
    written = io.StringIO()
    csv.writer(written).writerows([_cell(value) for value in item.values()] for item in items)
    return written.getvalue()


async def _read(database: Database, wanted: Filter, written: Format, left: int | None, *, reveal: bool) -> _Chunk:
    size = min(_RECORDS if reveal else _ROWS, _ROWS if left is None else left)
    return await database.read(_chunk, wanted, written, size, reveal=reveal)


def _chunk(session: Session, wanted: Filter, written: Format, size: int, *, reveal: bool) -> _Chunk:
    found = reports.listed(session, wanted, size, records=reveal)
    items = [_item(each, reveal=reveal) for each in found]
    text = csv_lines(items) if written == "csv" else ",\n".join(json.dumps(each) for each in items)
    return _Chunk(text, len(found), found[-1].seq if len(found) == size else None)


def _item(transfer: Stored, *, reveal: bool) -> dict[str, Any]:
    if reveal:
        return ExportItem.revealing(transfer).model_dump(mode="json")
    return masked(TransferItem.of(transfer).model_dump(mode="json"))


def _head(written: Format, *, reveal: bool) -> str:
    if written == "json":
        return "[\n"
    names = ExportItem.model_fields if reveal else TransferItem.model_fields
    return csv_lines([{name: name for name in names}])


def _cell(value: Any) -> Any:
    """On one line, without what could drive a terminal either."""
    if not isinstance(value, str):
        return value
    plain = _CELL.sub(";'", _CONTROL.sub(" ", value))
    return f"'{plain}" if plain.lstrip().startswith(_FORMULA) or _CONTROL.search(value) else plain


def _compact(seconds: float | None) -> str:
    return "" if seconds is None else f"{datetime.fromtimestamp(seconds, UTC):%Y%m%dT%H%M%SZ}"
