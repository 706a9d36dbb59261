"""What each answer of a foreign system means, and what the caller gets (contract, the table under "Problems")."""

from __future__ import annotations

from enum import StrEnum
from http import HTTPStatus


class Kind(StrEnum):
    """Classes of failure; they decide the answer's status and whether trying again can help."""

    DENIED = "denied"  # 401, 403: keys; 404: store
    REFUSED = "refused"  # other 4xx: the data
    THROTTLED = "throttled"  # 429
    UNAVAILABLE = "unavailable"  # 5xx, no connection, nonsense
    TIMEOUT = "timeout"  # no answer in time

    @property
    def status(self) -> int:
        """The status that this product answers with (contract, "Problems")."""
        return _ANSWERS[self][0]

    @property
    def retryable(self) -> bool:
        """Whether the same call may succeed later without anybody mending anything."""
        return _ANSWERS[self][1]

    @classmethod
    def of(cls, status: int, *, retryable: bool) -> Kind:
        """The class of a failure, by what the caller got; a fault of ours counts as what may pass."""
        found = (kind for kind, answer in _ANSWERS.items() if answer == (status, retryable))
        return next(found, cls.UNAVAILABLE if retryable else cls.REFUSED)


_ANSWERS: dict[Kind, tuple[int, bool]] = {
    Kind.DENIED: (502, False),
    Kind.REFUSED: (422, False),
    Kind.THROTTLED: (503, True),
    Kind.UNAVAILABLE: (502, True),
    Kind.TIMEOUT: (504, True),
}


def classify(status: int) -> Kind:
    """The class of a status that is no success (contract, the table under "Problems")."""
    if status in {401, 403, 404}:
        return Kind.DENIED
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return Kind.THROTTLED
    if HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR:
        return Kind.REFUSED
    return Kind.UNAVAILABLE
