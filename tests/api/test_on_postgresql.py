"""What SQLite takes and PostgreSQL does not: every answer must be storable."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.api.operating import OPERATOR
from tests.conftest import BridgeFactory
from tests.postgres import fresh_database, server_url
from tests.support import WEBHOOK, Wire, envelope, notification, reply, with_consent


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    with fresh_database(server_url()) as url:
        yield url


async def test_control_characters_of_stamped_end_in_an_error_all_the_same(
    bridge: BridgeFactory, database: str
) -> None:
    wire = Wire(add=reply(400, {"message": "bad\x00thing"}))
    async with bridge(wire, database_url=database) as client:
        answer = await client.post(WEBHOOK, json=envelope(notification(id="1")))
    assert answer.status_code == 422
    assert answer.json()["stamped"]["message"] == "bad thing"


async def test_control_characters_of_a_record_end_in_an_error_all_the_same(
    bridge: BridgeFactory, database: str
) -> None:
    record = with_consent("a\x00b", comment="\x00", first_name="A\x00da")
    async with bridge(database_url=database, subscription_field="Consent") as client:
        answer = await client.post(WEBHOOK, json=envelope(notification(id="2", customer=record)))
    assert answer.status_code == 422
    assert "'a b'" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/transfers/a%00b", 404),
        ("/syncs/a%00b", 404),
        ("/transfers?customer_id=%00", 422),
        ("/transfers?tracking_guid=a%00", 422),
        ("/transfers?error=%00", 422),
    ],
)
async def test_control_characters_in_an_address(
    bridge: BridgeFactory, database: str, path: str, status: int
) -> None:
    async with bridge(database_url=database) as client:
        assert (await client.get(path, headers=OPERATOR)).status_code == status
