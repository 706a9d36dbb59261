"""The shapes in which Stamped.io has been seen, or must be feared, to answer."""

from typing import Any

from starlette.responses import JSONResponse, Response

from app.sandbox.store import Customer, Operation, Style

_ENVELOPES: dict[Style, str] = {"nested": "customer", "data": "data", "result": "result"}
_WITHOUT_CUSTOMER: dict[Style, tuple[str, str | None]] = {
    "empty": ("", None),
    "null": ("null", "application/json"),
    "true": ("true", "application/json"),
    "text": ("OK", "text/plain"),
}


def one_customer(customer: Customer, style: Style, operation: Operation) -> Response:
    """Answer a call about one customer; GET one stays readable in every style."""
    if operation != "get" and style in _WITHOUT_CUSTOMER:
        content, media_type = _WITHOUT_CUSTOMER[style]
        return Response(content, media_type=media_type)
    if operation in ("add", "update") and style == "no_id":
        return JSONResponse({})
    fields = _fields(customer, style)
    if style == "list":
        return JSONResponse([fields])
    return JSONResponse({_ENVELOPES[style]: fields} if style in _ENVELOPES else fields)


def many_customers(customers: list[Customer], style: Style) -> Response:
    """Answer a search, which stays readable in every style."""
    found = [_fields(customer, style) for customer in customers]
    match style:
        case "list":
            return JSONResponse(found)
        case "data" | "result":
            return JSONResponse({style: found, "total": len(found)})
        case _:
            return JSONResponse({"results": [{"customer": fields} for fields in found], "total": len(found)})


def _fields(customer: Customer, style: Style) -> dict[str, Any]:
    fields = customer.answer()
    if style == "text_id":
        fields["id"] = str(customer.id)
    elif style == "no_subscribed":
        del fields["isSubscribed"]
    elif style == "null_subscribed":
        fields["isSubscribed"] = None
    return fields
