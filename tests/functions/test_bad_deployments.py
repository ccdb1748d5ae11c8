"""Deployments that lack something: the app starts, says what, serves who is well, and goes on when it is there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.functions.deployment import Deployment, eventually, open_deployment

UNRESOLVED = "@Microsoft.KeyVault(SecretUri=https://kv-provisioner.vault.azure.net/secrets/FUZE-TOKEN)"
NOBODY = "99999999-9999-9999-9999-999999999999"


@pytest.fixture
def deployment(tmp_path: Path) -> Iterator[Deployment]:
    with open_deployment(tmp_path, users=5) as running:
        running.assign_members()
        yield running


async def problems(deployment: Deployment, app: str) -> dict[str, str]:
    """Answers with code and text of what the API says is wrong around an application."""
    report = await deployment.ask(f"/applications/{app}")
    return {each["code"]: each["text"] for each in report["problems"]}


async def status(deployment: Deployment, app: str) -> Any:
    return (await deployment.ask(f"/applications/{app}"))["status"]


def is_served(deployment: Deployment, app: str) -> bool:
    """Whether a vendor holds exactly whom it should."""
    return bool(deployment.held(app)) and app not in deployment.differences()


@pytest.mark.parametrize(
    ("value", "code"),
    [
        pytest.param("", "SettingMissing", id="no secret"),
        pytest.param(UNRESOLVED, "SettingUnresolved", id="the vault was not reached"),
    ],
)
async def test_without_a_vendors_secret_the_others_are_served_and_a_restart_with_it_is_enough(
    deployment: Deployment, value: str, code: str
) -> None:
    host = deployment.start(FUZE_TOKEN=value)
    served = await eventually(lambda: is_served(deployment, "acme"))
    stopped = await eventually(lambda: _is(deployment, "fuze", "Quarantine"))
    told, well = await problems(deployment, "fuze"), await problems(deployment, "acme")
    tested = await deployment.ask("/applications/fuze/test-connection", post=True)
    asked = list(deployment.vendors["fuze"].journal)
    said = deployment.log()
    host.stop()

    deployment.start()
    recovered = await eventually(lambda: is_served(deployment, "fuze"))
    after = await problems(deployment, "fuze")

    assert served and stopped and recovered
    assert list(told) == [code]
    assert "FUZE_TOKEN" in told[code] and "vault.azure.net" not in told[code]
    assert well == after == {}
    assert (tested["ok"], tested["settings"]) == (False, {"FUZE_TOKEN": False})
    assert asked == []
    assert 'setting.missing {"application":"fuze"' in said
    assert 'application.quarantined {"application":"fuze"' in said
    assert "vault.azure.net" not in deployment.log()


async def test_without_graph_consent_it_starts_says_so_and_goes_on_with_the_consent(deployment: Deployment) -> None:
    deployment.graph.faults.add("forbidden", path="users/delta", times=None)
    deployment.start()
    told = await eventually(lambda: _tells(deployment, "acme", "DirectoryRefused"))
    text = (await problems(deployment, "fuze")).get("DirectoryRefused", "")
    said = deployment.log()

    deployment.graph.faults.clear()
    settled = await eventually(lambda: is_served(deployment, "acme") and is_served(deployment, "fuze"))

    assert told and settled
    assert "User.Read.All" in text
    assert "directory.refused" in said
    assert await problems(deployment, "acme") == {}


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        pytest.param("forbidden", "Application.Read.All", id="no consent for service principals"),
        pytest.param("not_found", "knows no such object", id="a service principal that is gone"),
    ],
)
async def test_a_service_principal_that_cannot_be_read_stops_its_application_only(
    deployment: Deployment, fault: str, says: str
) -> None:
    principal = deployment.principals["fuze"]
    deployment.graph.faults.add(fault, path=f"servicePrincipals/{principal}*", times=None)
    deployment.start()
    served = await eventually(lambda: is_served(deployment, "acme"))
    told = await eventually(lambda: _tells(deployment, "fuze", "ServicePrincipalUnreadable"))
    text = (await problems(deployment, "fuze"))["ServicePrincipalUnreadable"]
    said = deployment.log()

    deployment.graph.faults.clear()
    recovered = await eventually(lambda: is_served(deployment, "fuze"))

    assert served and told and recovered
    assert says in text and principal in text
    assert 'directory.assignments_unreadable {"application":"fuze"' in said
    assert 'application.quarantined {"application":"fuze"' in said
    assert await status(deployment, "fuze") == "Active"


async def test_a_wrong_service_principal_id_is_named_and_the_right_one_is_enough(deployment: Deployment) -> None:
    right = deployment.principals["fuze"]
    deployment.principals["fuze"] = NOBODY
    deployment.configure()
    deployment.principals["fuze"] = right
    host = deployment.start()
    served = await eventually(lambda: is_served(deployment, "acme"))
    told = await eventually(lambda: _tells(deployment, "fuze", "ServicePrincipalUnreadable"))
    text = (await problems(deployment, "fuze"))["ServicePrincipalUnreadable"]
    host.stop()

    deployment.configure()
    deployment.start()
    recovered = await eventually(lambda: is_served(deployment, "fuze"))

    assert served and told and recovered
    assert NOBODY in text
    assert await problems(deployment, "fuze") == {}


async def test_without_a_webhooks_secret_everybody_is_served_and_the_setting_is_named(deployment: Deployment) -> None:
    more = "    notify: {webhook: FUZE_WEBHOOK_URL, secret: FUZE_WEBHOOK_SECRET}\n"
    deployment.configure(more)
    deployment.start(FUZE_WEBHOOK_URL="https://hooks.contoso.example/fuze", FUZE_WEBHOOK_SECRET=UNRESOLVED)
    served = await eventually(lambda: is_served(deployment, "acme") and is_served(deployment, "fuze"))
    told = await problems(deployment, "fuze")
    tested = await deployment.ask("/applications/fuze/test-webhook", post=True)

    assert served
    assert list(told) == ["SettingUnresolved"]
    assert "FUZE_WEBHOOK_SECRET" in told["SettingUnresolved"]
    assert (tested["ok"], tested["problem"]) == (False, "setting_missing")
    assert await status(deployment, "fuze") == "Active"
    assert '"setting":"FUZE_WEBHOOK_SECRET"' in deployment.log()


async def _is(deployment: Deployment, app: str, wanted: str) -> bool:
    return bool(await status(deployment, app) == wanted)


async def _tells(deployment: Deployment, app: str, code: str) -> bool:
    return code in await problems(deployment, app)
