"""One transfer: what became of it, its trace, its error with what to do about it, and its record on asking."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from app.error_catalog import CATALOG
from app.ledger import customers, reports
from app.ledger.neighbours import neighbours
from app.ledger.tables import PENDING, RERUNNABLE
from app.monitoring.comparison import compare, text_of
from app.monitoring.guard import PageFault, by_of, go_to, not_found, origin_of
from app.monitoring.timeline import WriteBack, story, tries
from app.privacy import masked_record
from app.sentence import sentence

if TYPE_CHECKING:
    from app.ledger.stored import Stored
    from app.monitoring.site import Site

_PATIENCE_SECONDS = 3.0  # so that most re-runs have ended when the page comes back, also without scripts


def transfer_routes(router: APIRouter, site: Site) -> None:
    """Add the page of one transfer."""

    async def page(request: Request, transfer: Stored, *, asked: bool = False) -> Response:
        attempts, deeds = await site.database.read(reports.story_of, transfer.seq)
        others = await site.database.read(neighbours, transfer)
        customer = await site.database.read(customers.look, transfer.connection, transfer.customer_id)
        connection = site.connections.at(transfer.connection)
        write_back = WriteBack(bool(connection and connection.ipaas), bool(customer and customer.written_back))
        failure, unit_seconds = transfer.documented_failure(), site.settings.retry_unit_seconds
        comparison = None
        if connection is not None and transfer.record:
            before = others.sent.record if others.sent else None
            comparison = compare(connection.mapping, transfer.record, before, asked=asked)
        return site.pages.show(
            request,
            "transfer.html",
            transfer=transfer,
            sentence=sentence(transfer, attempts, deeds, unit_seconds=unit_seconds),
            events=story(transfer, attempts, deeds, write_back, unit_seconds),
            tries=tries(transfer, attempts, site.operations.now(), unit_seconds),
            others=others,
            comparison=comparison,
            origin=origin_of(request),
            failure=failure,
            entry=CATALOG[failure.slug] if failure else None,
            record=_record(transfer, asked=asked),
            asked=asked,
            can_rerun=transfer.status in RERUNNABLE,
            can_cancel=transfer.status in PENDING,
        )

    @router.get("/transfers/{transfer_id}")
    async def transfer(transfer_id: str, request: Request) -> Response:
        return await page(request, await _transfer(site, transfer_id))

    @router.post("/transfers/{transfer_id}/record")
    async def record(transfer_id: str, request: Request) -> Response:
        """A POST: the person's data stand in no address, and who asks is kept."""
        found = await _transfer(site, transfer_id)
        await site.operations.reveal(found, by_of(request))
        return await page(request, found, asked=True)

    @router.get("/transfers/{transfer_id}/{_action}")
    async def back(transfer_id: str, _action: str) -> Response:
        """Signing in again during one of the forms above ends here."""
        return go_to(f"/monitoring/transfers/{transfer_id}")


def action_routes(router: APIRouter, site: Site) -> None:
    """Add what the buttons of that page do."""

    @router.post("/transfers/{transfer_id}/retry")
    async def retry(transfer_id: str, request: Request) -> Response:
        found = await _transfer(site, transfer_id)
        if await site.operations.retry(found, _PATIENCE_SECONDS, by_of(request)) is None:
            raise _conflict(
                await _transfer(site, transfer_id), "Only a failed, cancelled or waiting one runs again."
            )
        return go_to(f"/monitoring/transfers/{found.id}")

    @router.post("/transfers/{transfer_id}/cancel")
    async def cancel(transfer_id: str, request: Request) -> Response:
        found = await _transfer(site, transfer_id)
        if await site.operations.cancel(found, by_of(request)) is None:
            raise _conflict(
                await _transfer(site, transfer_id), "Only an accepted or waiting one can be cancelled."
            )
        return go_to(f"/monitoring/transfers/{found.id}")


async def _transfer(site: Site, transfer_id: str) -> Stored:
    found = await site.database.read(reports.by_id, transfer_id)
    if found is None:
        raise not_found("transfer")
    return site.operations.explain(found)


def _record(transfer: Stored, *, asked: bool) -> list[tuple[str, str]]:
    """Field by field; masked until somebody asks, as anything may name the person."""
    if not transfer.record:
        return []
    fields: dict[str, Any] = json.loads(transfer.record)
    shown = fields if asked else masked_record(fields)
    return [(name, text_of(value)) for name, value in shown.items() if value not in (None, "", [], {})]


def _conflict(transfer: Stored, rule: str) -> PageFault:
    return PageFault(HTTPStatus.CONFLICT, f"This transfer is {transfer.status}", rule)
