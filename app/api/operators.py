"""What operators' calls share: reading what they ask for, and answers that nobody keeps."""

from __future__ import annotations

from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, TypeVar

from fastapi.responses import JSONResponse
from pydantic import BaseModel, ValidationError

from app.api.answers import NO_STORE
from app.api.intake import invalid
from app.ipaas.models import faults_of

M = TypeVar("M", bound=BaseModel)


def read_as(model: type[M], value: Any) -> M:
    """Raises ProblemError 422 that points at each fault."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise invalid(faults_of(error)) from None


def private_json(body: dict[str, Any], status: int = HTTPStatus.OK, **headers: str) -> JSONResponse:
    """An answer that no cache keeps."""
    return JSONResponse(body, status, NO_STORE | headers)


def sync_started(sync_id: str) -> JSONResponse:
    """Where to follow a sync."""
    return private_json({"sync_id": sync_id}, HTTPStatus.ACCEPTED, Location=f"/syncs/{sync_id}")


def seconds_of(since: datetime | None) -> float | None:
    """Seconds since 1970; a time without a zone is UTC."""
    if since is None:
        return None
    return (since if since.tzinfo else since.replace(tzinfo=UTC)).timestamp()
