"""What is wrong around an application: a table of causes, each told once, with what to do."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from shared.config.applications import Application, load_applications
from shared.config.settings import Settings
from shared.operations.application_problems import ApplicationProblem, find_problems
from shared.provisioning.applications_state import UNREADABLE, ApplicationState, ApplicationStatus
from shared.provisioning.figures.cycles import Cycle, Cycles
from shared.scim.refused_secrets import RefusedSecret
from tests.world import START

UNRESOLVED = "@Microsoft.KeyVault(SecretUri=https://kv.vault.azure.net/secrets/ACME-TOKEN)"
GOOD = {"ACME_TOKEN": "t0ken", "ACME_HOOK_URL": "https://hooks.example/x", "ACME_HOOK_SECRET": "k"}


@pytest.fixture(scope="module")
def acme(tmp_path_factory: pytest.TempPathFactory) -> Application:
    path = tmp_path_factory.mktemp("problems") / "provisioning.yaml"
    path.write_text(
        """
version: 1
applications:
  acme:
    profile: scim
    service_principal_id: 33333333-3333-3333-3333-333333333333
    base_url: https://acme.example/scim/v2
    auth: {type: bearer, token: ACME_TOKEN}
    notify: {webhook: ACME_HOOK_URL}
"""
    )
    return load_applications(path, {})["acme"]


def ran(outcome: str, *, minutes_ago: float, complete_minutes_ago: float | None = 1.0, error: str = "") -> Cycles:
    """What the sync noted: its last run, and when the directory was read to its end."""
    at = START - timedelta(minutes=minutes_ago)
    complete = None if complete_minutes_ago is None else START - timedelta(minutes=complete_minutes_ago)
    return Cycles(last=Cycle(began_at=at, ended_at=at, outcome=outcome, error=error), complete_at=complete)


def quarantined(reason: str, detail: str) -> ApplicationState:
    return ApplicationState(name="acme", status=ApplicationStatus.QUARANTINE, reason=reason, detail=detail)


def found(
    acme: Application,
    *,
    state: ApplicationState | None = None,
    cycles: Cycles | None = None,
    client_state: str = "",
    refused: RefusedSecret | None = None,
    **settings: str,
) -> tuple[ApplicationProblem, ...]:
    storage = {"AzureWebJobsStorage": "UseDevelopmentStorage=true"}
    return find_problems(
        acme,
        state=state or ApplicationState(name="acme"),
        cycles=cycles or ran("pulled", minutes_ago=1),
        environment={**GOOD, **settings},
        notifications=Settings.load({**storage, "NOTIFICATION_CLIENT_STATE": client_state}).notifications,
        refused=refused,
        now=START,
    )


def test_nothing_is_wrong_where_all_is_well(acme: Application) -> None:
    assert found(acme) == ()
    assert found(acme, cycles=Cycles()) == ()


@pytest.mark.parametrize(
    ("cycles", "code"),
    [
        pytest.param(ran("GraphRefused", minutes_ago=0, error="Microsoft Graph answered 403"), "DirectoryRefused"),
        pytest.param(ran("GraphUnavailable", minutes_ago=0, complete_minutes_ago=5), ""),
        pytest.param(ran("GraphUnavailable", minutes_ago=0, complete_minutes_ago=16), "DirectoryUnread"),
        pytest.param(ran("GraphUnavailable", minutes_ago=0, complete_minutes_ago=None), "DirectoryUnread"),
        pytest.param(ran("to be continued", minutes_ago=4, complete_minutes_ago=600), ""),
        pytest.param(ran("to be continued", minutes_ago=16, complete_minutes_ago=600), "DirectoryUnread"),
        pytest.param(ran("nothing new", minutes_ago=14, complete_minutes_ago=14), ""),
        pytest.param(ran("nothing new", minutes_ago=16, complete_minutes_ago=16), "DirectoryUnread"),
    ],
)
def test_the_directory_is_a_problem_when_it_is_refused_or_not_read_for_long(
    acme: Application, cycles: Cycles, code: str
) -> None:
    assert [problem.code for problem in found(acme, cycles=cycles)] == ([code] if code else [])


@pytest.mark.parametrize(
    ("settings", "code", "name"),
    [
        pytest.param({"ACME_TOKEN": ""}, "SettingMissing", "ACME_TOKEN", id="a credential is absent"),
        pytest.param({"ACME_TOKEN": UNRESOLVED}, "SettingUnresolved", "ACME_TOKEN", id="a credential did not resolve"),
        pytest.param({"ACME_TOKEN": UNRESOLVED.upper()}, "SettingUnresolved", "ACME_TOKEN", id="in other letters"),
        pytest.param({"ACME_HOOK_SECRET": ""}, "SettingMissing", "ACME_HOOK_SECRET", id="a webhook's key is absent"),
    ],
)
def test_a_setting_without_a_secret_is_named_and_never_shown(
    acme: Application, settings: dict[str, str], code: str, name: str
) -> None:
    [problem] = found(acme, **settings)

    assert (problem.code, problem.text.startswith(f"{name}: ")) == (code, True)
    assert "vault.azure.net" not in problem.text.casefold() + problem.remedy.casefold()
    assert problem.remedy.endswith("then take it up as the README says (Take up a changed secret).")


@pytest.mark.parametrize(
    ("client_state", "code"),
    [
        pytest.param("", "", id="off"),
        pytest.param("sixteen printable", "", id="on"),
        pytest.param(UNRESOLVED, "SettingUnresolved", id="the vault was not reached"),
        pytest.param("short", "SettingUnusable", id="no secret of ours"),
    ],
)
def test_a_secret_of_notifications_that_cannot_be_used_is_named(
    acme: Application, client_state: str, code: str
) -> None:
    problems = found(acme, client_state=client_state)

    assert [each.code for each in problems] == ([code] if code else [])
    assert all("NOTIFICATION_CLIENT_STATE" in each.text for each in problems)
    assert not any("vault.azure.net" in each.text for each in problems)


def test_an_address_that_a_setting_does_not_give_is_told_once(tmp_path: Path) -> None:
    path = tmp_path / "provisioning.yaml"
    path.write_text(
        "version: 1\napplications:\n  acme: {profile: scim, base_url: '${ACME_URL}', "
        "service_principal_id: '${ACME_PRINCIPAL}', auth: {type: bearer, token: ACME_TOKEN}}\n"
    )
    lost = load_applications(path, {"ACME_PRINCIPAL": "nobody"})["acme"]
    stopped = quarantined(UNREADABLE, "ACME_PRINCIPAL: this app setting cannot be used")

    problems = found(lost, state=stopped)

    assert sorted((each.code, each.text.partition(":")[0]) for each in problems) == [
        ("SettingMissing", "ACME_URL"),
        ("SettingUnusable", "ACME_PRINCIPAL"),
    ]


def test_a_secret_that_is_refused_while_another_one_is_used_is_named(acme: Application) -> None:
    [problem] = found(acme, refused=RefusedSecret("ACME_TOKEN", "ACME_TOKEN_NEXT"))

    assert problem.code == "CredentialRefused"
    assert problem.text.startswith("ACME_TOKEN: ") and "ACME_TOKEN_NEXT" in problem.text


def test_a_quarantine_for_want_of_a_setting_is_told_once(acme: Application) -> None:
    stopped = quarantined("Unauthorized", "ACME_TOKEN: this app setting is absent")

    assert [each.code for each in found(acme, state=stopped, ACME_TOKEN="")] == ["SettingMissing"]
    assert [each.code for each in found(acme, state=stopped)] == ["Unauthorized"]


def test_a_status_of_another_version_is_named_with_what_to_do(acme: Application) -> None:
    state = ApplicationState(name="acme", status=ApplicationStatus.PAUSED, unknown_status="Draining")

    [problem] = found(acme, state=state)

    assert (problem.code, "Draining" in problem.text) == ("StatusUnknown", True)
    assert "resume APP" in problem.remedy


@pytest.mark.parametrize("reason", [UNREADABLE, "TooManyFailures", "Unauthorized", "SomethingNew"])
def test_every_quarantine_says_what_to_do(acme: Application, reason: str) -> None:
    [problem] = found(acme, state=quarantined(reason, "why"))

    assert (problem.code, problem.text) == (reason, f"{reason}: why")
    assert problem.remedy


def test_of_a_disabled_application_nothing_is_wrong(acme: Application, tmp_path: Path) -> None:
    path = tmp_path / "provisioning.yaml"
    path.write_text(
        "version: 1\napplications:\n  acme: {profile: scim, enabled: false, base_url: 'https://acme.example/scim/v2', "
        "service_principal_id: 33333333-3333-3333-3333-333333333333, auth: {type: bearer, token: OTHER_TOKEN}}\n"
    )
    resting = load_applications(path, {})["acme"]

    assert found(resting, state=quarantined("Unauthorized", ""), cycles=ran("GraphRefused", minutes_ago=0)) == ()
