"""Calls the API as a client does, in this process: the same application that the functions serve."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx

from shared.api.application import build_api
from shared.composition import Services

ACTOR = "jo.operator@contoso.example"


@asynccontextmanager
async def open_client(services: Services) -> AsyncIterator[httpx.AsyncClient]:
    """Answers with a client of a composed product's API."""
    transport = httpx.ASGITransport(app=build_api(services))
    headers = {"X-Actor": ACTOR, "X-Forwarded-For": "10.0.0.9, 203.0.113.7:51000"}
    async with httpx.AsyncClient(transport=transport, base_url="http://api/api", headers=headers) as client:
        yield client
