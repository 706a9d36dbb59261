"""Talks to the service as its users do, shows what is said, and checks it."""

from __future__ import annotations

import json
import textwrap
import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Self

import httpx
import jmespath

from app.outbound.reason_phrases import reason_phrase

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from rich.console import Console

WEBHOOK_KEY = "sandbox-webhook-key"
OPERATOR_KEY = "sandbox-operator-key"
_SANDBOX = "/sandbox/_sandbox"
_FINAL = ("succeeded", "skipped", "failed", "cancelled")
_FINAL_SECONDS = 10.0
_LINE = 75
_SHOWN_HEADERS = ("Location", "Retry-After", "Preference-Applied", "Idempotent-Replayed")


class Unexpected(Exception):
    """An answer is not what it should be; the text names what and how."""


class Bridge:
    """A context with one HTTP client."""

    def __init__(self, url: str, console: Console) -> None:
        self.console = console
        self.failed_transfer = ""
        self._client = httpx.Client(base_url=url, timeout=30, trust_env=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self._client.close()

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        key: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """One request and its answer, both shown; the key is not."""
        shown = dict(headers or {})
        sent = dict(headers or {})
        if key is not None:
            shown["Authorization"] = "Bearer ***"
            sent["Authorization"] = f"Bearer {key}"
        self._show("→", f"{method} {path}", "bold cyan", shown, body)
        response = self._client.request(method, path, json=body, headers=sent)
        milliseconds = response.elapsed.total_seconds() * 1000
        telling = {name: response.headers[name] for name in _SHOWN_HEADERS if name in response.headers}
        status = f"{response.status_code} {reason_phrase(response.status_code)}"
        style = "bold green" if response.is_success else "bold red"
        self._show("←", f"{status}, after {milliseconds:.0f} ms", style, telling, _json_of(response))
        return response

    def webhook(self, notification: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> httpx.Response:
        """What iPaaS.com sends when a customer changed."""
        body = {"notifications": [notification]}
        return self.call("POST", "/webhooks/customers", body, key=WEBHOOK_KEY, headers=headers)

    def show_stamped_calls(self) -> None:
        """The calls that Stamped.io got since the last time, in order."""
        for call in self._control("GET", "calls"):
            short = call["path"].split("/", 4)[-1]  # without /api/v2/{store hash}/
            self.console.print(f"   Stamped.io got {call['method']} …/{short} ({call['status']})", style="dim")
        self._control("DELETE", "calls")

    def wait_until_final(self, transfer: str) -> None:
        """Asks for the transfer at this path, unshown, until it has ended. Raises Unexpected."""
        deadline = time.monotonic() + _FINAL_SECONDS
        headers = {"Authorization": f"Bearer {OPERATOR_KEY}"}
        while time.monotonic() < deadline:
            answer = self._client.get(transfer, headers=headers)
            expect(answer, HTTPStatus.OK, {})
            if answer.json()["status"] in _FINAL:
                return
            time.sleep(0.05)
        message = f"the transfer should have ended within {_FINAL_SECONDS:.0f} s."
        raise Unexpected(message)

    def break_stamped(self, fault: Mapping[str, Any]) -> None:
        """From now on the sandbox fails like this."""
        self._control("POST", "faults", fault)

    def mend_stamped(self) -> None:
        """From now on the sandbox works."""
        self._control("DELETE", "faults")

    def stamped_customers(self) -> list[dict[str, Any]]:
        """Every customer at the sandbox."""
        customers: list[dict[str, Any]] = self._control("GET", "customers")
        return customers

    def _control(self, method: str, what: str, body: Any = None) -> Any:
        response = self._client.request(method, f"{_SANDBOX}/{what}", json=body)
        if not response.is_success:
            message = f"the sandbox answered {method} {what} with {response.status_code}."
            raise Unexpected(message)
        return _json_of(response)

    def _show(self, arrow: str, line: str, style: str, headers: Mapping[str, str], body: Any) -> None:
        self.console.print(f" {arrow} {line}", style=style, markup=False)
        lines = [f"{name}: {value}" for name, value in headers.items()]
        if body is not None:
            lines += (body if isinstance(body, str) else _packed(body, outermost=True)).splitlines()
        for each in lines:
            own = " " * (len(each) - len(each.lstrip()) + 2)
            folded = textwrap.fill(each, self.console.width - 4, subsequent_indent=own, break_on_hyphens=False)
            self.console.print(textwrap.indent(folded, "   "), soft_wrap=True, markup=False)


def expect(answer: httpx.Response, status: int, members: Mapping[str, Any]) -> None:
    """Compare the status, and members of the body by JMESPath. Raises Unexpected."""
    if answer.status_code != status:
        message = f"the status should be {status}, but is {answer.status_code}."
        raise Unexpected(message)
    for path, wanted in members.items():
        require(path, wanted, jmespath.search(path, _json_of(answer)))


def require(what: str, wanted: object, found: object) -> None:
    """Raises Unexpected."""
    if found != wanted:
        message = f"{what} should be {json.dumps(wanted)}, but is {json.dumps(found)}."
        raise Unexpected(message)


def _json_of(response: httpx.Response) -> Any:
    try:
        return response.json() if response.content else None
    except ValueError:
        return response.text


def _packed(value: Any, prefix: str = "", indent: str = "", *, outermost: bool = False) -> str:
    """`prefix` and the value as JSON; whatever fits on a line stands on one, the outermost braces aside."""
    flat = prefix + json.dumps(value, ensure_ascii=False)
    if not isinstance(value, dict | list) or not value or (not outermost and len(indent + flat) <= _LINE):
        return flat
    inner = indent + "  "
    if isinstance(value, dict):
        parts = [_packed(item, f"{json.dumps(name)}: ", inner) for name, item in value.items()]
        begin, end = "{", "}"
    else:
        parts = [_packed(item, "", inner) for item in value]
        begin, end = "[", "]"
    body = ",\n".join(inner + part for part in parts)
    return f"{prefix}{begin}\n{body}\n{indent}{end}"
