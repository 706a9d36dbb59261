"""What each key opens, and nobody else learns."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conftest import BridgeFactory
from tests.support import OPERATOR_KEY, STAMPED_URL, STORE, VIEWER_KEY, WEBHOOK_KEY

STORES = [{"id": "default", "name": "default", "stamped_api_url": STAMPED_URL, "stamped_api_store_hash": STORE}]


@pytest.mark.parametrize(
    ("key", "role", "name"),
    [(WEBHOOK_KEY, "webhook", "default"), (OPERATOR_KEY, "operator", "ada"), (VIEWER_KEY, "viewer", "eve")],
)
async def test_a_key_says_whose_it_is(bridge: BridgeFactory, key: str, role: str, name: str) -> None:
    keys: dict[str, Any] = {"operator_api_key": f"ada:{OPERATOR_KEY}", "viewer_api_key": f"eve:{VIEWER_KEY}"}
    async with bridge(started=False, **keys) as client:
        answer = await client.get("/access", headers={"Authorization": f"Bearer {key}"})
        stranger = await client.get("/access", headers={"Authorization": "Bearer nobody"})
    assert answer.json() == {"role": role, "name": name, "connections": STORES}
    assert answer.headers["Cache-Control"] == "no-store"
    assert stranger.status_code == 401
    assert STORE not in stranger.text
