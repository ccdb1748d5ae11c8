"""A rotation of secrets: each one is tried alone, and a refused one is said before the other is revoked."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from shared.config.applications import Application, load_applications
from shared.config.settings import Settings
from shared.operations.connection_report import ConnectionReport, check_connection
from shared.scim.connections import ScimConnections
from shared.scim.refused_secrets import RefusedSecret, RefusedSecrets
from tests.scim.server import Received, Reply, Server, listed, scim, serving

OLD, NEW = "old-s3cret", "new-s3cret"
FIRST, SECOND = "ACME_TOKEN", "ACME_TOKEN_NEXT"
AUTHS = {
    "bearer": "{type: bearer, token: ACME_TOKEN, secondary_token: ACME_TOKEN_NEXT}",
    "api_key": "{type: api_key, key: ACME_TOKEN, secondary_key: ACME_TOKEN_NEXT, header: X-Key}",
    "oauth2": "{type: oauth2_client_credentials, client_id: ACME_ID, client_secret: ACME_TOKEN, "
    "secondary_client_secret: ACME_TOKEN_NEXT, token_url: 'ORIGIN/token', client_authentication: body}",
}


def taking(*accepted: str) -> Callable[[Received], Reply]:
    """A vendor that takes these secrets, however they come; a token is the secret it was got with."""

    def answer(request: Received) -> Reply:
        if request.path == "/token":
            secret = parse_qs(request.body.decode())["client_secret"][0]
            if secret not in accepted:
                return Reply(
                    status=401, body=b'{"error": "invalid_client"}', headers={"Content-Type": "application/json"}
                )
            body = json.dumps({"access_token": secret, "token_type": "Bearer", "expires_in": 3600}).encode()
            return Reply(body=body, headers={"Content-Type": "application/json"})
        given = request.headers.get("x-key") or request.headers["authorization"].removeprefix("Bearer ")
        return listed() if given in accepted else scim({"detail": f"{given} is not known"}, 401)

    return answer


@asynccontextmanager
async def connected(
    server: Server, folder: Path, auth: str = AUTHS["bearer"], **secrets: str
) -> AsyncIterator[tuple[Application, ScimConnections, dict[str, str], RefusedSecrets]]:
    environment = {"AzureWebJobsStorage": "UseDevelopmentStorage=true", "ACME_ID": "me", **secrets}
    path = folder / "provisioning.yaml"
    path.write_text(
        "version: 1\napplications:\n  acme:\n    profile: scim\n"
        "    service_principal_id: 33333333-3333-3333-3333-333333333333\n"
        f"    base_url: {server.origin}/scim\n    auth: {auth.replace('ORIGIN', server.origin)}\n"
    )
    refused = RefusedSecrets()
    connections = ScimConnections(secret=Settings.load(environment).secret, refused=refused)
    try:
        yield load_applications(path, environment)["acme"], connections, environment, refused
    finally:
        await connections.aclose()


async def check(server: Server, folder: Path, auth: str = AUTHS["bearer"], **secrets: str) -> ConnectionReport:
    async with connected(server, folder, auth, **secrets) as (application, connections, environment, _):
        return await check_connection(application, connections, environment=environment)


@pytest.mark.parametrize("auth", AUTHS.values(), ids=AUTHS)
@pytest.mark.parametrize(
    ("accepted", "ok", "each", "is_said"),
    [
        pytest.param((OLD, NEW), True, (True, True), "", id="both are good"),
        pytest.param((OLD,), True, (True, False), SECOND, id="the new one is mistyped"),
        pytest.param((NEW,), True, (False, True), FIRST, id="the old one is revoked"),
        pytest.param((), False, (False, False), "Check the settings", id="neither is good"),
    ],
)
async def test_every_secret_is_tried_alone(
    tmp_path: Path, auth: str, accepted: tuple[str, ...], ok: bool, each: tuple[bool, bool], is_said: str
) -> None:
    async with serving(taking(*accepted)) as server:
        report = await check(server, tmp_path, auth, ACME_TOKEN=OLD, ACME_TOKEN_NEXT=NEW)

    assert (report.ok, report.needs_a_person) == (ok, not all(each))
    assert [(secret.setting, secret.ok) for secret in report.secrets] == [(FIRST, each[0]), (SECOND, each[1])]
    assert is_said in report.advice and bool(report.advice) == bool(is_said)
    assert "s3cret" not in repr(report)


@pytest.mark.parametrize("second", ["", "@Microsoft.KeyVault(SecretUri=https://v/secrets/x)"])
async def test_a_second_secret_that_is_not_there_is_no_trouble(tmp_path: Path, second: str) -> None:
    async with serving(taking(OLD)) as server:
        report = await check(server, tmp_path, ACME_TOKEN=OLD, ACME_TOKEN_NEXT=second)

    assert (report.ok, report.needs_a_person, report.secrets, report.advice) == (True, False, (), "")
    assert report.settings == {FIRST: True, SECOND: False}
    assert len(server.requests) == 1


async def test_without_the_first_secret_the_second_is_used(tmp_path: Path) -> None:
    async with serving(taking(NEW)) as server:
        report = await check(server, tmp_path, ACME_TOKEN="", ACME_TOKEN_NEXT=NEW)

    assert (report.ok, report.settings) == (True, {FIRST: False, SECOND: True})


async def test_without_any_secret_nothing_is_asked(tmp_path: Path) -> None:
    async with serving(taking()) as server:
        report = await check(server, tmp_path)

    assert (report.ok, report.answer, server.requests) == (False, "not asked", [])
    assert FIRST in report.advice


@pytest.mark.parametrize("auth", AUTHS.values(), ids=AUTHS)
async def test_that_the_second_secret_is_used_is_told_once_and_known(
    tmp_path: Path, auth: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    async with (
        serving(taking(NEW)) as server,
        connected(server, tmp_path, auth, ACME_TOKEN=OLD, ACME_TOKEN_NEXT=NEW) as (
            application,
            connections,
            _,
            refused,
        ),
    ):
        before = refused.of("acme")
        for _ in range(3):
            assert (await connections.client_of(application).test_connection()).ok
        after = refused.of("acme")

    told = [each.message for each in caplog.records if each.message.startswith("credential.refused")]
    assert (before, after) == (None, RefusedSecret(FIRST, SECOND))
    assert told == ['credential.refused {"application":"acme","setting":"ACME_TOKEN","instead":"ACME_TOKEN_NEXT"}']


async def test_two_refused_secrets_are_told_once_however_often_they_are_tried(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    async with (
        serving(taking()) as server,
        connected(server, tmp_path, ACME_TOKEN=OLD, ACME_TOKEN_NEXT=NEW) as (application, connections, _, _),
    ):
        for _ in range(3):
            assert not (await connections.client_of(application).test_connection()).ok

    assert len([each for each in caplog.records if each.message.startswith("credential.refused")]) == 1
