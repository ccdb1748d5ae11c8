"""Clients are built once, at first use; the pure modules need no HTTP library."""

import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from shared.scim.client import RequestPriority, ResourceType
from shared.scim.connections import ScimConnections, new_credentials
from shared.scim.error_catalogue import ERROR_CATALOGUE, ErrorCode, remedy_for
from tests.scim.server import application, listed, serving

BEARER = SimpleNamespace(type="bearer", token="TOKEN", secondary_token=None)


def connected_application(origin: str) -> Any:
    return SimpleNamespace(**vars(application(origin)), auth=BEARER)


async def test_an_application_keeps_its_client_until_its_configuration_changes() -> None:
    built: list[httpx.AsyncClient] = []

    def new_http() -> httpx.AsyncClient:
        built.append(httpx.AsyncClient())
        return built[-1]

    connections = ScimConnections(secret={"TOKEN": "t"}.__getitem__, new_http=new_http)
    before, after = connected_application("http://127.0.0.1:1"), connected_application("http://127.0.0.1:2")

    first = connections.client_of(before)
    again = connections.client_of(before)
    other = connections.client_of(after)
    await connections.aclose()
    await built[0].aclose()

    assert first is again
    assert other is not first
    assert len(built) == 2


async def test_a_client_asks_the_gate_of_its_application() -> None:
    passed: list[tuple[str, RequestPriority]] = []

    def gate_of(application: Any) -> Any:
        async def gate(priority: RequestPriority) -> None:
            passed.append((application.name, priority))

        return gate

    async with serving(lambda _request: listed()) as server:
        connections = ScimConnections(secret={"TOKEN": "t"}.__getitem__, gate_of=gate_of)
        answer = await connections.client_of(connected_application(server.origin)).test_connection()
        await connections.aclose()

    assert answer.ok
    assert passed == [("acme", RequestPriority.NORMAL)]


async def test_credentials_of_an_unknown_type_are_a_mistake_of_the_caller() -> None:
    async with httpx.AsyncClient() as http:
        with pytest.raises(ValueError, match="kerberos"):
            new_credentials(SimpleNamespace(type="kerberos"), application="acme", secret={}.__getitem__, http=http)


async def test_groups_of_an_application_without_groups_are_a_mistake_of_the_caller() -> None:
    source = connected_application("http://127.0.0.1:1")
    without = SimpleNamespace(**{**vars(source), "profile": source.profile.model_copy(update={"groups": None})})
    connections = ScimConnections(secret={"TOKEN": "t"}.__getitem__)

    with pytest.raises(ValueError, match="has no groups"):
        await connections.client_of(without).read(ResourceType.GROUP, "1")

    await connections.aclose()


def test_a_remedy_is_given_for_codes_of_the_catalogue_only() -> None:
    assert remedy_for("TooManyRequests") == ERROR_CATALOGUE[ErrorCode.TOO_MANY_REQUESTS].action
    assert remedy_for("held_by_departed") == ""


def test_the_pure_modules_import_neither_an_http_library_nor_pydantic() -> None:
    program = (
        "import sys, shared.scim.patching, shared.scim.filters, shared.scim.listing, shared.scim.classification\n"
        "print([name for name in ('httpx', 'pydantic', 'ssl', 'asyncio') if name in sys.modules])"
    )

    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert shown.stdout.strip() == "[]"
