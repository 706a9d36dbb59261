"""The keys of each door."""

from __future__ import annotations

import pytest
from starlette.requests import Request

from app.api.guesses import Guesses
from app.api.problems import ProblemError
from app.api.security import Door
from app.keys import Key, KeyFault, Keyring, Role, Who, digests_of, read_key
from app.telemetry.metrics import Metrics
from tests.support import OPERATOR_KEY, VIEWER_KEY, WEBHOOK_KEY, FakeClock, keyring

ADA = Who("operator", "ada")
ROLES: dict[Role, str] = {"webhook": WEBHOOK_KEY, "operator": OPERATOR_KEY, "viewer": VIEWER_KEY}


def door_of(ring: Keyring, opens: Role) -> Door:
    return Door(ring, Guesses(FakeClock(), Metrics()), opens, "")


def request_with(header: str | None, method: str = "POST") -> Request:
    headers = [] if header is None else [(b"authorization", header.encode())]
    return Request({"type": "http", "method": method, "headers": headers})


@pytest.mark.parametrize("method", ["GET", "POST", "HEAD", "PUT", "DELETE"])
@pytest.mark.parametrize(
    ("header", "status"),
    [
        (None, 401),
        ("Bearer nobody", 401),
        ("Bearer ada", 401),
        (f"Bearer ada:{OPERATOR_KEY}", 401),
        (f"Bearer {WEBHOOK_KEY}", 403),
        (f"Basic {OPERATOR_KEY}", 401),
        (f"Bearer {OPERATOR_KEY}", None),
    ],
)
async def test_what_opens_an_operators_door(header: str | None, status: int | None, method: str) -> None:
    door = door_of(keyring(f"ada:{OPERATOR_KEY}"), "operator")
    if status is None:
        assert await door.require(request_with(header, method)) == ADA
        return
    with pytest.raises(ProblemError) as raised:
        await door.require(request_with(header, method))
    assert raised.value.status_code == status


@pytest.mark.parametrize("opens", ROLES)
@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
async def test_each_key_at_each_door(opens: Role, role: Role, method: str) -> None:
    door = door_of(keyring(OPERATOR_KEY), opens)
    request = request_with(f"Bearer {ROLES[role]}", method)
    if role == opens or (role, opens, method) == ("viewer", "operator", "GET"):
        assert await door.require(request) == Who(role, "default" if role == "webhook" else role)
        return
    with pytest.raises(ProblemError) as raised:
        await door.require(request)
    assert raised.value.status_code == 403


@pytest.mark.parametrize(
    ("text", "name", "secret"),
    [
        ("k3y-without-name", "viewer", "k3y-without-name"),
        ("ada:k3y", "ada", "k3y"),
        (" ada : k3y ", "ada", "k3y"),
        ("ada:with:colons", "ada", "with:colons"),
        (f"{'x' * 40}:k3y", "x" * 40, "k3y"),
        ("A.b_c-9:k3y", "A.b_c-9", "k3y"),
    ],
)
def test_a_name_stands_before_the_first_colon(text: str, name: str, secret: str) -> None:
    assert read_key("viewer", text) == Key(Who("viewer", name), secret)


@pytest.mark.parametrize(
    "text", [":k3y", "Ada L:k3y", f"{'x' * 41}:k3y", "\u00e4da:k3y", "a/b:k3y", "ada:", "ada: "]
)
def test_what_is_no_name_and_what_is_no_key(text: str) -> None:
    with pytest.raises(KeyFault) as raised:
        read_key("operator", text)
    assert "k3y" not in str(raised.value)


def test_a_keyring_says_whose_a_key_is_and_looks_at_every_one(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[bytes] = []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append(other)
        return one == other

    monkeypatch.setattr("app.keys.hmac.compare_digest", compare)
    hooks = [Key(Who("webhook", "1796"), "hook")]
    people = [read_key("operator", each) for each in ("ada:one", "ada:two", "bob:three")]
    ring = Keyring(people, lambda: digests_of(hooks))
    found = ((b"one", "ada"), (b"two", "ada"), (b"three", "bob"), (b"hook", "1796"), (b"ada", None), (b"", None))
    for key, name in found:
        compared.clear()
        who = ring.opened_by(key)
        assert (who.name if who else None) == name
        assert len(set(compared)) == 4
    hooks[:] = [Key(Who("webhook", "1797"), "other")]  # connections were read again
    assert ring.opened_by(b"hook") is None
    assert ring.opened_by(b"other") == Who("webhook", "1797")


def test_a_keyring_keeps_no_clear_key() -> None:
    ring = keyring(OPERATOR_KEY)
    for key in ROLES.values():
        assert key not in repr(vars(ring))
        assert key not in repr(read_key("operator", f"ada:{key}"))
    assert [who.role for _, who in ring.of_people()] == ["operator", "viewer"]
