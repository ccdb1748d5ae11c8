"""The description of the API: the file is the code's, every operation is described, hostile calls end as it says."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from shared.api.application import build_api, describe_api
from shared.composition import load_services
from tests.api.calling import open_client
from tests.provisioning.pulls import APP, pulling

FILE = Path(__file__).resolve().parents[2] / "shared" / "api" / "openapi.json"
HOSTILE = (
    "..",
    "../../../etc/passwd",
    "%2e%2e%2f",
    "<img src=x onerror=alert(1)>",
    "' or PartitionKey ne '",
    "a\x00b",
    "\r\nX-Injected: 1",
    "\U0001f600" * 40,
    "\u202egnp.exe",
    "x" * 5_000,
    "-1",
    "99999999999999999999",
    "null",
    "[]",
)


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    """Answers with the description as the code makes it; nothing is connected for it."""
    return describe_api(build_api(load_services({"AzureWebJobsStorage": "UseDevelopmentStorage=true"})))


@pytest.fixture(scope="module")
async def client(azurite: str, anyio_backend: str) -> AsyncIterator[httpx.AsyncClient]:
    """Answers with a client of a small world that the module's tests call badly."""
    async with pulling(azurite, "topenapi") as world:
        await world.sync()
        async with open_client(world.services) as connected:
            yield connected


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Answers with method, path and description of every operation."""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def test_the_file_is_what_the_code_answers(document: dict[str, Any]) -> None:
    written = json.loads(FILE.read_text())

    assert written == document, "write it anew: ./dev provisioner openapi > shared/api/openapi.json"


def test_every_operation_has_a_name_a_sentence_and_its_problems(document: dict[str, Any]) -> None:
    found = list(operations(document))

    names = [operation["operationId"] for _, _, operation in found]
    assert len(names) == len(set(names)) >= 20
    assert [name for (_, _, each), name in zip(found, names, strict=True) if not each.get("description")] == []
    assert [name for (_, _, each), name in zip(found, names, strict=True) if "default" not in each["responses"]] == []
    assert {method for method, _, _ in found} == {"GET", "POST"}


def test_what_acts_names_who_acts(document: dict[str, Any]) -> None:
    silent = {
        operation["operationId"]
        for method, _, operation in operations(document)
        if method == "POST" and "x-actor" not in [each["name"] for each in operation.get("parameters", [])]
    }

    assert silent == {"check_application_connection", "check_connections", "preview"}


@pytest.mark.parametrize("hostile", HOSTILE, ids=range(len(HOSTILE)))
async def test_no_path_and_no_parameter_does_more_than_it_says(
    client: httpx.AsyncClient, document: dict[str, Any], hostile: str
) -> None:
    for method, path, operation in operations(document):
        if method != "GET":
            continue
        parameters = [each["name"] for each in operation.get("parameters", []) if each["in"] == "query"]
        for name in ("", *parameters):
            filled = path.removeprefix("/api").replace("{app}", APP)
            filled = filled.replace("{id}", quote(hostile, safe="")) if "{" in filled else filled
            answer = await client.get(filled, params={name: hostile} if name else {})

            assert answer.status_code < 500, (method, filled, name, answer.text)
            if answer.status_code >= 400:
                assert answer.headers["content-type"] == "application/problem+json", (filled, name)
                assert "Traceback" not in answer.text
                assert "X-Injected" not in answer.headers
