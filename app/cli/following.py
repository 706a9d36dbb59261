"""`transfers --follow`: what is new or changes, by asking again and again."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from app.cli.client import PAGE, ServiceProblem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from app.cli.client import Service

_PAUSE_SECONDS: Final = 2.0
_MOST: Final = 1000  # of the newest are looked at for changes
_ENDED: Final = frozenset({"succeeded", "skipped", "failed", "cancelled"})

State = tuple[Any, ...]


def changes(
    service: Service, params: Mapping[str, str | int], first: int, lost: Callable[[], None]
) -> Iterator[dict[str, Any]]:
    """The newest `first`, then each that is new or changes, oldest first, each state once; without an end.

    `lost`: the service does not answer any more, which is waited out. Raises ServiceProblem before that.
    """
    known: dict[str, State] = {}
    items = _newest(service, params, first, known)
    answers = True
    while True:
        for item in reversed(items):
            if known.get(item["transfer_id"]) != _state(item):
                known[item["transfer_id"]] = _state(item)
                yield item
        time.sleep(_PAUSE_SECONDS)
        try:
            items = _newest(service, params, _MOST, known)
            answers = True
        except ServiceProblem as problem:
            if not problem.is_own:
                raise
            if answers:
                lost()
            answers, items = False, []


def _newest(
    service: Service, params: Mapping[str, str | int], most: int, known: Mapping[str, State]
) -> list[dict[str, Any]]:
    """As far as something may be new: to a page of which all are known and have ended."""
    found: list[dict[str, Any]] = []
    for page in service.transfers({**params}, most):
        found += page["items"]
        if len(page["items"]) == PAGE and all(
            _has_ended(known.get(each["transfer_id"])) for each in page["items"]
        ):
            break
    return found


def _state(item: dict[str, Any]) -> State:
    return item["status"], item["attempts_made"]


def _has_ended(state: State | None) -> bool:
    return state is not None and state[0] in _ENDED
