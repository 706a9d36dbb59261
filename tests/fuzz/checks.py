"""What Schemathesis cannot be told by statuses alone. Loaded by `st` (see schemathesis.toml), not by pytest."""

from __future__ import annotations

import copy
import json
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import unquote

import schemathesis
from schemathesis.checks import CheckContext
from schemathesis.core.failures import Failure, FailureGroup
from schemathesis.core.transport import Response
from schemathesis.generation.case import Case
from schemathesis.generation.meta import REQUEST_SHAPE_PROBES, coverage_scenario
from schemathesis.hooks import HookContext
from schemathesis.specs.openapi.checks import negative_data_rejection

SYNC: Final = "POST /customers/{customer_id}/sync"
TRANSFERRING: Final = frozenset({"POST /webhooks/customers", SYNC, "POST /transfers/{transfer_id}/retry"})
TRANSFER_FAILURES: Final = frozenset(
    {
        "/errors/customer-create-or-update-failed",
        "/errors/subscribe-or-unsubscribe-failed",
        "/errors/customer-not-loaded",
    }
)
NO_ID: Final = "This is no customer id."
NOT_FOR_JSON_SCHEMA: Final = frozenset({"/id: This is another customer than the one in the address."})
ACCEPTS: Final = (
    "*/*",
    "application/json",
    "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "application/json;q=0.5, TEXT/HTML",
    "text/html;q=0",
    "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5",
    "image/png",
)


class RefusedThoughValid(Failure):
    """One per fault, where Schemathesis' own check has one per operation."""

    code = "ST951"
    checks = ("valid_data_is_taken",)
    kind_title = "The code is narrower than the schema"
    __slots__ = ("fault",)

    def __init__(self, *, operation: str, fault: str) -> None:
        super().__init__(operation=operation, message=fault)
        self.fault = fault

    @property
    def _unique_key(self) -> str:
        return self.fault


class StatusOnlyByDefault(Failure):
    """`default` is there for 405 and 500."""

    code = "ST952"
    checks = ("statuses_are_named",)
    kind_title = "A status that only `default` documents"
    __slots__ = ("status",)

    def __init__(self, *, operation: str, status: int) -> None:
        super().__init__(operation=operation, message=f"Received: {status}")
        self.status = status

    @property
    def _unique_key(self) -> str:
        return str(self.status)


@schemathesis.hook
def before_load_schema(_context: HookContext, raw_schema: dict[str, Any]) -> None:
    """`Accept`, which OpenAPI has no words for, where answers may depend on it."""
    examples = {str(number): {"value": value} for number, value in enumerate(ACCEPTS)}
    accept = {"name": "Accept", "in": "header", "schema": {"type": "string"}, "examples": examples}
    for path, methods in raw_schema["paths"].items():
        if "get" in methods and (path == "/metrics" or path.startswith("/errors")):
            methods["get"].setdefault("parameters", []).append(accept)


@schemathesis.hook
def before_call(_context: HookContext, case: Case[Any], _kwargs: dict[str, Any]) -> None:
    """The body of a sync is about the customer in the address, which no schema can say."""
    if case.operation.label == SYNC and _is(case, positive=True) and isinstance(case.body, dict):
        body: dict[str, Any] = case.body
        if body.get("id") is not None and body["id"] != "":
            case.body = body | {"id": unquote(str(case.path_parameters["customer_id"]))}


@schemathesis.check
def valid_data_is_taken(_ctx: CheckContext, response: Response, case: Case[Any]) -> None:
    """Valid data is never a body or an id of the wrong shape; Stamped.io may still refuse it."""
    if _is_probe(case) or not _is(case, positive=True) or response.status_code < HTTPStatus.BAD_REQUEST:
        return
    label, problem = case.operation.label, _problem_of(response)
    faults = _faults_of(problem)
    refused = response.status_code in {HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.BAD_GATEWAY}
    by_stamped = label in TRANSFERRING and problem.get("type") in TRANSFER_FAILURES
    if (refused and not by_stamped) or response.status_code == HTTPStatus.BAD_REQUEST or NO_ID in faults[0]:
        failures = [
            RefusedThoughValid(operation=label, fault=fault)
            for fault in faults
            if fault not in NOT_FOR_JSON_SCHEMA
        ]
        if failures:
            raise FailureGroup(failures)


@schemathesis.check
def invalid_data_becomes_no_transfer(ctx: CheckContext, response: Response, case: Case[Any]) -> bool | None:
    """A transfer that failed was taken, so Schemathesis is asked as if it had been answered 202."""
    if case.operation.label not in TRANSFERRING or _problem_of(response).get("type") not in TRANSFER_FAILURES:
        return None
    taken = copy.copy(response)
    taken.status_code = HTTPStatus.ACCEPTED
    return negative_data_rejection(ctx, taken, case)


@schemathesis.check
def statuses_are_named(_ctx: CheckContext, response: Response, case: Case[Any]) -> None:
    """Schemathesis' own check is content with any status where `default` is documented."""
    if _is_probe(case) or response.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        return
    if str(response.status_code) not in case.operation.responses.status_codes:
        raise StatusOnlyByDefault(operation=case.operation.label, status=response.status_code)


def _is(case: Case[Any], *, positive: bool) -> bool:
    return case.meta is not None and case.meta.generation.mode.is_positive is positive


def _is_probe(case: Case[Any]) -> bool:
    return coverage_scenario(case) in REQUEST_SHAPE_PROBES


def _problem_of(response: Response) -> dict[str, Any]:
    try:
        problem = json.loads(response.content)
    except ValueError:
        return {}
    return problem if isinstance(problem, dict) else {}


def _faults_of(problem: dict[str, Any]) -> list[str]:
    """Without positions in lists, which differ for the same fault."""
    faults = {f"{_generic(each['pointer'])}: {each['detail']}" for each in problem.get("errors") or ()}
    return sorted(faults) or [str(problem.get("detail"))]


def _generic(pointer: str) -> str:
    return "/".join("N" if part.isdecimal() else part for part in pointer.split("/"))
