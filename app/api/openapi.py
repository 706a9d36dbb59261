"""What OpenAPI shows beside the models: which problems a call may end in, and headers of answers."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, reduce
from itertools import chain
from typing import Any, Final

from fastapi import FastAPI
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel
from starlette.requests import Request

from app.api.problems import BROKEN, MEDIA_TYPE, OTHER_METHOD, Problem, Refusal

Responses = dict[int | str, dict[str, Any]]
Examples = Mapping[str, Problem]

_JSON = "application/json"
A_PAGE: Final = {"text/html": {"schema": {"type": "string"}}}  # for browsers
_VIEWER: Final = {"type": "http", "scheme": "bearer", "description": "A key of VIEWER_API_KEY."}
_NULL = "\0null"  # stands for null in examples: FastAPI drops what is None
_HEADERS: Final = {
    name: {"description": what, "schema": {"type": "integer" if name == "Retry-After" else "string"}}
    for name, what in {
        "Location": "Where to follow it",
        "Preference-Applied": "The preference that was met, where one was",
        "Idempotent-Replayed": "`true`: the recorded answer of a repeat; Stamped.io was not called",
        "Retry-After": "Seconds until it makes sense to try again",
        "WWW-Authenticate": "`Bearer`",
        "Allow": "With 405: the methods of this address",
    }.items()
}


def answered(
    when: str, *headers: str, status: int = 200, model: type[BaseModel] = Problem, examples: Examples | None = None
) -> Responses:
    """An answer of this model, with examples by name."""
    told = {
        name: {"value": _replaced(each.model_dump(mode="json", exclude_unset=True), None, _NULL)}
        for name, each in (examples or {}).items()
    }
    content = {_JSON: {"examples": told}} if told else {}
    documented = {name: _HEADERS[name] for name in headers if name in _HEADERS}
    return {int(status): {"description": when, "model": model, "content": content, "headers": documented}}


def refused(*refusals: Refusal) -> Responses:
    """The problems that refuse a call."""
    return either(
        *(
            answered(each.when, *each.sends, status=each.status, examples={each.when.rstrip("."): each.problem()})
            for each in refusals
        )
    )


def either(*answers: Responses) -> Responses:
    """All of these; those with the same status are told as one."""
    return reduce(_both, answers, {})


def _both(one: Any, other: Any) -> Any:
    if isinstance(one, dict):
        return {**one, **other, **{name: _both(one[name], other[name]) for name in one.keys() & other.keys()}}
    return f"{one} Or: {other}" if isinstance(one, str) and one != other else other


class DocumentedAPI(FastAPI):
    """FastAPI, but that problems have their media type, examples nulls, answers an order, and viewers a key."""

    def setup(self) -> None:
        """Written once: FastAPI does it for each request, and whoever asks needs no key."""

        @cache
        def written(root_path: str) -> bytes:
            servers = {"servers": [{"url": root_path}]} if root_path else {}
            return bytes(JSONResponse(self.openapi() | servers).body)

        async def openapi(request: Request) -> Response:
            return Response(written(request.scope.get("root_path", "").rstrip("/")), media_type=_JSON)

        self.add_route("/openapi.json", openapi, include_in_schema=False)
        super().setup()

    def openapi(self) -> dict[str, Any]:
        """Made once."""
        if self.openapi_schema is None:
            made = super().openapi()
            made["components"]["securitySchemes"]["viewerKey"] = _VIEWER
            for method, operation in chain.from_iterable(each.items() for each in made["paths"].values()):
                if method == "get" and {"operatorKey": []} in operation.get("security", ()):
                    operation["security"].append({"viewerKey": []})
                operation["responses"] = _replaced(dict(sorted(operation["responses"].items())), _NULL, None)
                for content in (answer.get("content", {}) for answer in operation["responses"].values()):
                    if content.get(_JSON, {}).get("schema", {}).get("$ref", "").endswith("/Problem"):
                        content[MEDIA_TYPE] = content.pop(_JSON)
                        content.update(A_PAGE if method == "get" else {})
        return super().openapi()


def _replaced(value: Any, old: object, new: object) -> Any:
    """`old` by `new`, all the way down."""
    if isinstance(value, dict):
        return {name: _replaced(each, old, new) for name, each in value.items()}
    if isinstance(value, list):
        return [_replaced(each, old, new) for each in value]
    return new if value == old else value


ANY_PROBLEM: Final[Responses] = {
    "default": answered(
        "Whatever else goes wrong is a problem, too.",
        "Allow",
        examples={"internal error": BROKEN.problem(), "other method": OTHER_METHOD.problem()},
    )[200]
}
