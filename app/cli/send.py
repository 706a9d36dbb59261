"""`send`: what iPaaS.com's webhook would send."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any
from uuid import uuid4

import typer

from app.cli.options import Json, read_input
from app.cli.output import results, talking

_FILE = typer.Option(metavar="FILE", help="The customer record as JSON; - reads standard input.")


def send(  # noqa: PLR0913 - the parts of a hook
    *,
    customer_id: Annotated[
        str | None, typer.Option("--id", metavar="ID", help="iPaaS.com's customer id; else the record's.")
    ] = None,
    scope: Annotated[str, typer.Option(help="The notification's scope.")] = "customer/updated",
    destination: Annotated[str | None, typer.Option(help="iPaaS.com's id of the Stamped.io subscription.")] = None,
    record: Annotated[Path | None, _FILE] = None,
    field: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="A field of the record, such as email_address; repeatable."),
    ] = None,
    custom_field: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="A custom field, such as SubscribeProfile=yes; repeatable."),
    ] = None,
    tracking_guid: Annotated[
        str | None, typer.Option(metavar="GUID", help="The notification's tracking GUID; else a new one.")
    ] = None,
    respond_async: Annotated[bool, typer.Option("--async", help="Don't wait: Prefer: respond-async.")] = False,
    wait: Annotated[
        int | None, typer.Option(min=0, max=120, metavar="SECONDS", help="Wait that long: Prefer: wait=N.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Send a customer as iPaaS.com's webhook would, with the webhook key.

    Without a record the service fetches it from iPaaS.com, if IPAAS_API_URL is set there.
    """
    if respond_async and wait is not None:
        message = "--async and --wait exclude each other"
        raise typer.BadParameter(message)
    customer = _record(record, field or [], custom_field or [])
    if customer is not None and customer_id is not None:
        customer.setdefault("id", customer_id)
    if customer_id is None and (customer is None or customer.get("id") is None):
        message = "name the customer by --id, or by the id in the record"
        raise typer.BadParameter(message)
    guid = tracking_guid or str(uuid4())
    parts = {"id": customer_id, "destination": destination, "scope": scope, "tracking_guid": guid}
    notification: dict[str, Any] = {name: value for name, value in parts.items() if value is not None}
    if customer is not None:
        notification["customer"] = customer
    headers = {"X-Correlation-Id": guid} if guid.isascii() and guid.isprintable() else {}
    if respond_async:
        headers["Prefer"] = "respond-async"
    elif wait is not None:
        headers["Prefer"] = f"wait={wait}"
    with talking(json=as_json) as (service, out):
        envelope = {"id": str(uuid4()), "attempt": 0, "notifications": [notification]}
        answer = service.webhook(envelope, headers)
        results(out, answer.body, answer.headers)


def _record(path: Path | None, fields: list[str], custom_fields: list[str]) -> dict[str, Any] | None:
    """The record of the file, with the single fields over it. None = there is neither."""
    if path is None and not fields and not custom_fields:
        return None
    found = {} if path is None else _read(path)
    found |= dict(_pair(text) for text in fields)
    if custom_fields:
        named = [dict(zip(("custom_field_name", "value"), _pair(text), strict=True)) for text in custom_fields]
        before = found.get("custom_fields")
        found["custom_fields"] = [*(before if isinstance(before, list) else []), *named]
    return found


def _read(path: Path) -> dict[str, Any]:
    try:
        body = json.loads(read_input(path, "--record"))
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        message = f"{path} has no JSON object"
        raise typer.BadParameter(message, param_hint="--record")
    return body


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        message = "a field is given as NAME=VALUE"
        raise typer.BadParameter(message)
    return name.strip(), value
