"""Lines for a shell that do what a page or a command does, quoted so that they can be pasted. Pure."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_OPTIONS: Final = {"customer_id": "customer", "sync_id": "sync", "email_hash": "email"}


def as_options(narrowed: Mapping[str, str | int]) -> str:
    """A filter, by the names that the service has for it, as the command line takes it."""
    names = {name: _OPTIONS.get(name, name.replace("_", "-")) for name in narrowed}
    return " ".join(f"--{names[name]} {shlex.quote(str(value))}" for name, value in narrowed.items())


def as_curl(address: str, query: Mapping[str, str]) -> str:
    """A GET of an operator's call; the key comes from the environment."""
    values = "".join(f" --data-urlencode {shlex.quote(f'{name}={value}')}" for name, value in query.items())
    get = " -G" if query else ""
    return f'curl{get} {shlex.quote(address)} -H "Authorization: Bearer $OPERATOR_API_KEY"{values}'
