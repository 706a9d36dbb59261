"""The keys of each door."""

from __future__ import annotations

import pytest
from starlette.requests import Request

from app.api.problems import ProblemError
from app.api.security import Door
from app.keys import Keyring
from tests.support import OPERATOR_KEY, WEBHOOK_KEY


def request_with(header: str | None) -> Request:
    headers = [] if header is None else [(b"authorization", header.encode())]
    return Request({"type": "http", "headers": headers})


@pytest.mark.parametrize(
    ("header", "status"),
    [
        (None, 401),
        ("Bearer nobody", 401),
        (f"Bearer {WEBHOOK_KEY}", 403),
        (f"Basic {OPERATOR_KEY}", 401),
        (f"Bearer {OPERATOR_KEY}", None),
    ],
)
def test_what_opens_an_operators_door(header: str | None, status: int | None) -> None:
    door = Door(Keyring.of([WEBHOOK_KEY], [OPERATOR_KEY]), "operator", "")
    if status is None:
        door.require(request_with(header))
        return
    with pytest.raises(ProblemError) as raised:
        door.require(request_with(header))
    assert raised.value.status_code == status


def test_a_keyring_keeps_no_clear_key() -> None:
    keyring = Keyring.of([WEBHOOK_KEY], [OPERATOR_KEY])
    assert WEBHOOK_KEY not in repr(keyring)
    assert OPERATOR_KEY not in repr(keyring)
    assert all(WEBHOOK_KEY.encode() not in digest for digest in keyring.webhook)
