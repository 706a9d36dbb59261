"""The control: the same two calls for each webhook, by a stateless FastAPI application on plain httpx."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
from fastapi import FastAPI
from pydantic import BaseModel

_URL = f"{os.environ['STAMPED_API_URL']}/api/v2/270392"


class Record(BaseModel):
    """As much of a customer record as the two calls need."""

    id: int
    email_address: str
    first_name: str
    tracking_guid: str


@asynccontextmanager
async def _lifespan(application: FastAPI) -> AsyncIterator[None]:
    async with httpx.AsyncClient(auth=("pubkey", "key"), timeout=15) as client:
        application.state.client = client
        yield


app = FastAPI(lifespan=_lifespan)


@app.post("/webhooks/customers")
async def receive(record: Record) -> dict[str, Any]:
    """Upsert, then subscribe."""
    client: httpx.AsyncClient = app.state.client
    body = {"email": record.email_address, "firstName": record.first_name}
    saved = await client.post(f"{_URL}/dashboard/customers/add", json=body)
    saved.raise_for_status()
    subscribed = await client.post(f"{_URL}/survey/subscribe", json={"email": record.email_address})
    subscribed.raise_for_status()
    return {"results": [{"external_id": str(saved.json()["id"])}]}
