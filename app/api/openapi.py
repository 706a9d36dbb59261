"""Builds the pieces of OpenAPI that FastAPI cannot see, since bodies are read and answers are written by hand."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import BaseModel

OPERATOR_SECURITY: list[dict[str, Any]] = [{"operatorKey": []}]
_shown_examples: list[dict[str, Any]] = []


def header(name: str, description: str, example: str) -> dict[str, Any]:
    """A header of a request."""
    schema = {"type": "string"}
    return {"in": "header", "name": name, "description": description, "example": example, "schema": schema}


def query(name: str, description: str, schema: dict[str, Any]) -> dict[str, Any]:
    """A parameter of a query."""
    return {"in": "query", "name": name, "description": description, "schema": schema}


def told(name: str, description: str, schema: str = "string") -> dict[str, Any]:
    """A header of an answer."""
    return {name: {"description": description, "schema": {"type": schema}}}


def body_of(model: type[BaseModel], example: dict[str, Any]) -> dict[str, Any]:
    """An operator's request body."""
    schema = model.model_json_schema()
    content = {"application/json": {"schema": _inlined(schema, schema.pop("$defs", {})), "example": example}}
    return {"security": OPERATOR_SECURITY, "requestBody": {"required": True, "content": content}}


def _inlined(schema: Any, definitions: dict[str, Any]) -> Any:
    """Without references, which would point to the root of the whole document."""
    if isinstance(schema, list):
        return [_inlined(each, definitions) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _inlined(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    return {name: _inlined(each, definitions) for name, each in schema.items()}


def _named(**named: dict[str, Any]) -> dict[str, Any]:
    _shown_examples.extend(named.values())
    return {"examples": {name.replace("_", " "): {"value": value} for name, value in named.items()}}


def problem(description: str, headers: dict[str, Any] | None = None, /, **named: dict[str, Any]) -> dict[str, Any]:
    """An answer that is a problem, with examples by name."""
    schema = {"$ref": "#/components/schemas/Problem"}
    content = {"application/problem+json": {"schema": schema, **_named(**named)}}
    return {"description": description, "content": content} | ({"headers": headers} if headers else {})


def answer(
    description: str, model: type[BaseModel], headers: dict[str, Any] | None = None, /, **named: dict[str, Any]
) -> dict[str, Any]:
    """An answer of this shape, with examples by name."""
    shown = {"description": description, "model": model, "content": {"application/json": _named(**named)}}
    return shown | ({"headers": headers} if headers else {})


def complete_answers(paths: dict[str, Any]) -> None:
    """Put members that are null back into the examples, where FastAPI drops them; and the answers in order."""
    whole = {_fingerprint(example): example for example in _shown_examples}
    for operation in (operation for methods in paths.values() for operation in methods.values()):
        operation["responses"] = dict(sorted(operation["responses"].items()))
        for response in operation["responses"].values():
            for content in response.get("content", {}).values():
                for example in content.get("examples", {}).values():
                    example["value"] = whole.get(_fingerprint(example["value"]), example["value"])


def _fingerprint(example: Any) -> str:
    return json.dumps(_without_nulls(example), sort_keys=True)


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nulls(each) for name, each in value.items() if each is not None}
    return [_without_nulls(each) for each in value] if isinstance(value, list) else value
