"""The command line: what a person sees, what a program reads, and the exit codes both rely on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import anyio.to_thread
import pytest
from click.testing import Result
from typer.testing import CliRunner

from shared.api import log_routes
from shared.cli.__main__ import app
from shared.cli.client import _CODES
from shared.cli.exit_codes import ExitCode
from shared.operations.log_export import ExportBounds
from shared.provisioning.figures.cycles import Cycle, CycleBook
from shared.storage.queues import Message
from tests.provisioning.meddling import meddle
from tests.simulation.azurite import Azurite
from tests.simulation.tenant import Tenant
from tests.simulation.vendors import AcmeSimulator
from tests.world import HandClock, World, minimal_configuration, open_world

ROOT = Path(__file__).resolve().parents[2]
STORAGE = "UseDevelopmentStorage=true"
NO_STORAGE = (
    "DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;AccountKey=c2VjcmV0;"
    "QueueEndpoint=http://127.0.0.1:1/a;TableEndpoint=http://127.0.0.1:1/a;"
)
ONE_APPLICATION = """
version: 1
applications:
  acme:
    profile: scim
    service_principal_id: 33333333-3333-3333-3333-333333333333
    base_url: http://127.0.0.1:9/scim/v2
    auth: {type: bearer, token: ACME_TOKEN}
    mappings:
      users:
        - {target: nickName, expression: 'ToLower([givenName])'}
        - {target: password, expression: 'Redact([onPremisesImmutableId])', apply: on_create}
"""
PERSON = {
    "id": "7c0a9a52-9bd8-4f10-8f51-5c7a1d0a9c11",
    "userPrincipalName": "jo@contoso.example",
    "accountEnabled": True,
    "givenName": "Jo",
    "mailNickname": "jo",
    "onPremisesImmutableId": "hidden-17",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A tenant whose people are in every state the command line shows."""

    world: World
    settings: dict[str, str]
    in_sync: str
    disabled: str
    escrowed: str

    @property
    def configuration(self) -> str:
        """The text of provisioning.yaml."""
        return Path(self.settings["PROVISIONING_CONFIG"]).read_text()

    async def run(self, *arguments: str) -> Result:
        """Runs a command with the stage's settings; in a thread, because a command brings its own event loop."""
        return await anyio.to_thread.run_sync(lambda: run(*arguments, **self.settings))


def run(*arguments: str, **settings: str) -> Result:
    """Runs a command with these settings and none of this machine's."""
    cleared = dict.fromkeys([name for name in os.environ if name.startswith(("AzureWebJobs", "GRAPH_", "PROV"))])
    return CliRunner().invoke(app, list(arguments), env={**cleared, "COLUMNS": "200", **settings})


def written(folder: Path, text: str) -> str:
    path = folder / "provisioning.yaml"
    path.write_text(text, encoding="utf-8")
    return str(path)


@pytest.fixture(scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory, anyio_backend: str) -> AsyncIterator[Stage]:
    """Answers with a stage that the module's tests only read."""
    folder = tmp_path_factory.mktemp("cli")
    tenant = Tenant(3, 8)
    principal = tenant.create_service_principal("Stage")
    role = tenant.service_principals[principal]["appRoles"][0]["id"]
    people = [user_id for user_id in tenant.user_ids() if tenant.user(user_id)["accountEnabled"]][:3]
    for user_id in people:
        tenant.assign(principal, user_id, role)
    clock = HandClock()
    acme = AcmeSimulator(clock=lambda: clock.now().timestamp())
    with Azurite.in_memory() as azurite:
        async with open_world(
            folder,
            azurite=azurite.connection_string,
            prefix="",
            tenant=tenant,
            vendors={"acme": acme},
            clock=clock,
            in_memory=False,
            configure=lambda vendors, _: minimal_configuration("acme", vendors["acme"], principal),
        ) as world:
            acme.seed([{"userName": tenant.user(people[2])["userPrincipalName"], "externalId": "somebody-else"}])
            await world.provision_all()
            tenant.disable(people[1])
            await world.provision_all()
            # Commands go by the machine's clock: for them, too, the directory was read lately.
            now = datetime.now(UTC)
            lately = Cycle(began_at=now, ended_at=now, outcome="pulled")
            await CycleBook(tables=world.services.tables, clock=clock).note(lately)
            settings = {
                "AzureWebJobsStorage": azurite.connection_string,
                "GRAPH_BASE_URL": world.graph.base_url,
                "GRAPH_STATIC_TOKEN": "simulated",
                "PROVISIONING_CONFIG": str(folder / "provisioning.yaml"),
                "ACME_TOKEN": acme.token,
            }
            yield Stage(world=world, settings=settings, in_sync=people[0], disabled=people[1], escrowed=people[2])


async def test_status_counts_the_rows_and_shows_the_state(stage: Stage) -> None:
    result = await stage.run("status", "--json")

    [acme] = json.loads(result.stdout)
    counted = {name: number for name, number in acme["states"].items() if number}
    assert result.exit_code == ExitCode.OK
    assert counted == {"in_sync": 1, "disabled": 1, "escrowed": 1}
    assert (acme["name"], acme["status"], acme["pending"]) == ("acme", "Active", 1)


async def test_status_of_a_quarantined_application_asks_for_a_person(stage: Stage) -> None:
    await stage.world.services.states.impose_quarantine("acme", "InvalidCredentials", "401 the token ended")

    result = await stage.run("status")

    await stage.world.services.states.lift_quarantine("acme")
    assert result.exit_code == ExitCode.ATTENTION
    assert "InvalidCredentials: 401 the token ended" in result.stdout


async def test_the_log_is_shown_newest_first_and_of_one_person(stage: Stage) -> None:
    everybody = json.loads((await stage.run("log", "acme", "--json")).stdout)
    one = json.loads((await stage.run("log", "acme", "--user", stage.disabled, "--last", "1", "--json")).stdout)

    assert [line["at"] for line in everybody] == sorted((line["at"] for line in everybody), reverse=True)
    assert {line["source_id"] for line in everybody} >= {stage.in_sync, stage.disabled, stage.escrowed}
    assert [(line["source_id"], line["action"]) for line in one] == [(stage.disabled, "disable")]


async def test_the_story_of_an_escrowed_account_says_why_what_to_do_and_when_it_is_tried(stage: Stage) -> None:
    result = await stage.run("account", "acme", stage.escrowed, "--json")

    story = json.loads(result.stdout)
    assert result.exit_code == ExitCode.OK
    assert story["row"]["error_code"] == "ForeignAccount"
    assert "externalId" in story["remedy"]
    assert story["next"].startswith("In escrow: tried again by itself at 2026-11-2")
    assert story["directory"]["standing"] == "in_scope"
    assert story["log"][0]["status"] == "failure"


async def test_an_account_is_found_by_the_vendors_id_too_and_no_value_is_shown(stage: Stage) -> None:
    row = await stage.world.account("acme", stage.in_sync)

    result = await stage.run("account", "acme", row.target_id)

    name = stage.world.tenant.user(stage.in_sync)["userPrincipalName"]
    assert result.exit_code == ExitCode.OK
    assert stage.in_sync in result.stdout
    assert "userName" in result.stdout
    assert name.partition("@")[0] not in result.stdout.replace(stage.in_sync, "")


async def test_a_person_of_the_mirror_is_mapped_with_their_standing(stage: Stage) -> None:
    active = json.loads((await stage.run("map", "acme", "--user", stage.in_sync, "--json")).stdout)
    disabled = json.loads((await stage.run("map", "acme", "--user", stage.disabled, "--json")).stdout)

    assert (active["standing"], active["attributes"]["active"]) == ("in_scope", True)
    assert (disabled["standing"], disabled["attributes"]["active"]) == ("source_disabled", False)


async def test_mapping_a_person_touches_no_vendor(stage: Stage) -> None:
    before = len(stage.world.vendors["acme"].journal)

    await stage.run("map", "acme", "--user", stage.in_sync)

    assert len(stage.world.vendors["acme"].journal) == before


async def test_a_person_the_mirror_does_not_hold_yet_is_read_from_graph(stage: Stage) -> None:
    joiner = stage.world.tenant.hire(userPrincipalName="new@contoso.example")

    known = await stage.run("map", "acme", "--user", joiner, "--json")
    unknown = await stage.run("map", "acme", "--user", "00000000-1111-2222-3333-444444444444")

    assert json.loads(known.stdout)["attributes"]["userName"] == "new@contoso.example"
    assert unknown.exit_code == ExitCode.USAGE
    assert "neither the mirror nor Microsoft Graph knows a user" in unknown.stderr


async def test_a_good_connection_is_ok(stage: Stage) -> None:
    result = await stage.run("test-connection", "acme", "--json")

    [report] = json.loads(result.stdout)
    assert result.exit_code == ExitCode.OK
    assert (report["ok"], report["settings"]) == (True, {"ACME_TOKEN": True})


async def test_a_refused_token_is_told_with_the_settings_to_look_at_and_never_shown(stage: Stage) -> None:
    settings = {**stage.settings, "ACME_TOKEN": "a-wrong-token"}

    result = await anyio.to_thread.run_sync(lambda: run("test-connection", **settings))

    assert result.exit_code == ExitCode.ATTENTION
    assert "unauthorized 401" in result.stdout
    assert "ACME_TOKEN" in result.stdout
    assert "a-wrong-token" not in result.stdout


async def test_nothing_held_is_said_so_and_an_answer_needs_the_number_of_a_list(stage: Stage) -> None:
    listed = await stage.run("held", "list", "acme")
    refused = await stage.run("held", "approve", "acme", "everybody")
    nobody = await stage.run("held", "reject", "acme", "0000000001.00000001.000", "--json")

    assert (listed.exit_code, "Nothing is held." in listed.output) == (ExitCode.OK, True)
    assert (refused.exit_code, "is no list number" in refused.output) == (ExitCode.USAGE, True)
    assert nobody.exit_code == ExitCode.ATTENTION
    assert "held any more" in json.loads(nobody.stdout)["problems"][0]


async def test_a_pause_shows_in_the_status_with_its_history_and_ends_by_resume(stage: Stage) -> None:
    paused = [await stage.run("pause", "acme", "--reason", "maintenance") for _ in range(2)]
    shown = await stage.run("status", "acme")
    resumed = [await stage.run("resume", "acme") for _ in range(2)]
    history = json.loads((await stage.run("status", "acme", "--json")).stdout)[0]["history"]

    assert [result.exit_code for result in (*paused, *resumed)] == [ExitCode.OK] * 4
    assert "within five seconds" in paused[0].stdout
    assert "paused already" in paused[1].stdout
    assert "maintenance" in shown.stdout
    assert "was not stopped" in resumed[1].stdout
    assert [each["status"] for each in history[:2]] == ["Active", "Paused"]


async def test_failures_are_listed_with_since_when_how_often_and_what_to_do(stage: Stage) -> None:
    result = await stage.run("failures", "acme", "--json")
    other = await stage.run("failures", "acme", "--code", "Unheard")
    shown = await stage.run("failures", "acme")

    [failed] = json.loads(result.stdout)
    assert (result.exit_code, shown.exit_code) == (ExitCode.ATTENTION, ExitCode.ATTENTION)
    assert (other.exit_code, other.stdout.strip()) == (ExitCode.OK, "Nothing has failed.")
    assert (failed["source_id"], failed["code"], failed["state"]) == (stage.escrowed, "ForeignAccount", "escrowed")
    assert failed["first_at"] <= failed["last_at"] < failed["next_at"]
    assert failed["attempts"] >= 1
    assert "externalId" in failed["remedy"]
    assert stage.escrowed in shown.stdout


async def test_an_account_in_escrow_is_retried_and_one_that_is_not_is_refused(stage: Stage) -> None:
    one = await stage.run("retry", "acme", stage.escrowed)
    synced = await stage.run("retry", "acme", stage.in_sync)
    unclear = [await stage.run("retry", "acme"), await stage.run("retry", "acme", stage.escrowed, "--all")]
    message = Message(app="acme", kind="user", id=stage.escrowed)
    await stage.world.services.reconciler.provision(message, first=False)
    everybody = await stage.run("retry", "acme", "--all", "--json")
    await stage.world.services.reconciler.provision(message, first=False)

    assert one.exit_code == ExitCode.OK
    assert (synced.exit_code, "does not wait" in synced.stderr) == (ExitCode.ATTENTION, True)
    assert [result.exit_code for result in unclear] == [ExitCode.USAGE] * 2
    assert json.loads(everybody.stdout) == {"accounts": 1}


async def test_what_was_changed_at_the_vendor_and_who_has_no_owner_is_listed(stage: Stage) -> None:
    target_id = (await stage.world.account("acme", stage.in_sync)).target_id
    before = [await stage.run("drift", "list", "acme"), await stage.run("drift", "unowned", "acme")]
    meddle(stage.world.vendors["acme"], target_id, displayName="[b]Meddled[/b]")

    asked = await stage.run("drift", "verify", "acme")
    await stage.world.services.housekeeper.keep_house()
    listed = await stage.run("drift", "list", "acme")
    document = json.loads((await stage.run("drift", "list", "acme", "--json")).stdout)
    unowned = await stage.run("drift", "unowned", "acme")

    assert [result.exit_code for result in (*before, asked, unowned)] == [ExitCode.OK] * 4
    assert (listed.exit_code, "[b]Meddled[/b]" in listed.stdout) == (ExitCode.ATTENTION, True)
    assert [(each["source_id"], each["status"]) for each in document["accounts"]] == [(stage.in_sync, "reported")]
    assert document["accounts"][0]["paths"]["displayName"][1] == "[b]Meddled[/b]"
    assert "foreign" in unowned.stdout
    assert stage.escrowed in unowned.stdout


async def test_somebody_is_found_by_name_and_told_across_applications(stage: Stage) -> None:
    name = stage.world.tenant.user(stage.in_sync)["userPrincipalName"]

    found = await stage.run("find", name, "--json")
    shown = await stage.run("person", stage.in_sync)
    nobody = await stage.run("find", "nobody-is-called-so")

    assert [each["id"] for each in json.loads(found.stdout)["people"]] == [stage.in_sync]
    assert (shown.exit_code, "in_sync" in shown.stdout, "create" in shown.stdout) == (ExitCode.OK, True, True)
    assert (nobody.exit_code, "Nobody" in nobody.stdout) == (ExitCode.ATTENTION, True)


async def test_provisioning_on_demand_tells_the_six_steps_and_what_comes_next(stage: Stage) -> None:
    synced = await stage.run("provision", "acme", stage.in_sync, "--json")
    failed = await stage.run("provision", "acme", stage.escrowed)
    unknown = await stage.run("provision", "acme", "00000000-1111-2222-3333-444444444444", "--json")

    report = json.loads(synced.stdout)
    assert (synced.exit_code, report["outcome"], len(report["steps"])) == (ExitCode.OK, "unchanged", 6)
    assert (failed.exit_code, "ForeignAccount" in failed.stdout) == (ExitCode.ATTENTION, True)
    assert (unknown.exit_code, json.loads(unknown.stdout)["outcome"]) == (ExitCode.ATTENTION, "source_unknown")


async def test_a_preview_tells_what_a_file_would_change_before_it_is_deployed(stage: Stage, tmp_path: Path) -> None:
    mapping = "    mappings: {users: [{target: nickName, constant: '[b]Jo[/b]'}]}\n"
    changed = written(tmp_path, stage.configuration + mapping)

    now = await stage.run("preview", "acme", "--json")
    then = await stage.run("preview", "acme", "--config", changed)
    one = await stage.run("preview", "acme", "--user", stage.in_sync, "--json")
    broken = await stage.run("preview", "--config", written(tmp_path, "version: 2"))
    unclear = await stage.run("preview", "--user", stage.in_sync)

    summary = json.loads(now.stdout)["summary"]
    assert (now.exit_code, summary["next"], summary["applications"][0]["application"]) == (ExitCode.OK, None, "acme")
    assert (then.exit_code, "nickName: (nothing) -> [b]Jo[/b]" in then.stdout) == (ExitCode.OK, True)
    assert (one.exit_code, json.loads(one.stdout)["action"]) == (ExitCode.OK, "skip")
    assert (broken.exit_code, "version" in broken.stderr) == (ExitCode.CONFIGURATION, True)
    assert unclear.exit_code == ExitCode.USAGE


async def test_a_status_is_followed_until_nobody_is_in_line(stage: Stage) -> None:
    result = await stage.run("status", "--watch")

    assert (result.exit_code, "100.0%" in result.stdout) == (ExitCode.OK, True)


async def test_a_restart_says_what_was_begun_and_who_asked_is_on_the_trail(stage: Stage) -> None:
    begun = await stage.run("restart", "acme", "--reset", "quarantine", "--json")
    trail = await stage.run("audit", "--last", "1", "--json")
    shown = await stage.run("audit")

    assert (begun.exit_code, json.loads(begun.stdout)["scopes"]) == (ExitCode.OK, ["quarantine"])
    [record] = json.loads(trail.stdout)
    assert (record["action"], record["via"], record["detail"]) == (
        "restart_application",
        "command line",
        {"reset": ["quarantine"]},
    )
    assert " at " in record["actor"]
    assert "restart_application" in shown.stdout


async def test_the_log_is_written_to_a_file_in_both_shapes(stage: Stage, tmp_path: Path) -> None:
    archive, document = tmp_path / "log.zip", tmp_path / "log.json"

    results = [await stage.run("export", str(each), "--application", "acme") for each in (archive, document)]

    assert [result.exit_code for result in results] == [ExitCode.OK] * 2
    assert "ProvisioningLogs.csv" in zipfile.ZipFile(archive).namelist()
    assert {each["provisioningAction"] for each in json.loads(document.read_text())["value"]} >= {"create", "disable"}


async def test_what_one_file_of_the_log_does_not_hold_goes_on_in_the_next(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_routes, "_BOUNDS", ExportBounds(records=2))

    result = await stage.run("export", str(tmp_path / "log.json"), "--json")

    files = [Path(each["file"]) for each in json.loads(result.stdout)["files"]]
    parts = [json.loads(each.read_text()) for each in files]
    assert [each.name for each in files[:3]] == ["log.json", "log-2.json", "log-3.json"]
    assert [part["complete"] for part in parts] == [False] * (len(parts) - 1) + [True]
    ids = [line["id"] for part in parts for line in part["value"]]
    assert len(ids) == len(set(ids)) == len(json.loads((await stage.run("log", "acme", "--json")).stdout))


async def test_a_file_that_cannot_be_written_is_told_in_a_line(stage: Stage, tmp_path: Path) -> None:
    result = await stage.run("export", str(tmp_path / "nowhere" / "log.zip"))

    assert result.exit_code == ExitCode.UNAVAILABLE
    assert "name a file in a folder that exists" in result.stderr


async def test_a_webhook_that_nobody_configured_says_what_to_add(stage: Stage) -> None:
    result = await stage.run("test-webhook", "acme")

    assert (result.exit_code, "notify: {webhook:" in result.stdout) == (ExitCode.ATTENTION, True)


async def test_nobody_of_that_id_is_a_usage_error_that_says_which_ids_work(stage: Stage) -> None:
    result = await stage.run("account", "acme", "jo@contoso.example")

    assert result.exit_code == ExitCode.USAGE
    assert "use the directory's object id or the vendor's id" in result.stderr


def test_storage_that_refuses_is_as_unavailable_as_storage_that_is_silent() -> None:
    assert _CODES["storage-refused"] is _CODES["storage-unavailable"] is ExitCode.UNAVAILABLE


def test_a_missing_setting_is_named_and_nothing_is_asked(tmp_path: Path) -> None:
    path = written(tmp_path, ONE_APPLICATION)

    result = run("test-connection", "--json", AzureWebJobsStorage=NO_STORAGE, PROVISIONING_CONFIG=path)

    [report] = json.loads(result.stdout)
    assert result.exit_code == ExitCode.ATTENTION
    assert report["answer"] == "not asked"
    assert report["advice"].startswith("ACME_TOKEN: an app setting with this name is needed by applications.acme")


def test_a_connection_is_tested_without_storage_too(tmp_path: Path) -> None:
    path = written(tmp_path, ONE_APPLICATION)

    result = run("test-connection", "acme", AzureWebJobsStorage=NO_STORAGE, PROVISIONING_CONFIG=path, ACME_TOKEN="t")

    assert result.exit_code == ExitCode.ATTENTION
    assert "unreachable" in result.stdout
    assert "Check base_url" in result.stdout


def test_a_document_is_mapped_without_storage_and_redacted_values_are_not_shown(tmp_path: Path) -> None:
    path = written(tmp_path, ONE_APPLICATION)

    result = run("map", "acme", "--file", json.dumps(PERSON), "--json", PROVISIONING_CONFIG=path)

    preview = json.loads(result.stdout)
    assert result.exit_code == ExitCode.OK
    assert preview["attributes"]["nickName"] == "jo"
    assert preview["on_create"]["password"] == "[Redact]"
    assert "hidden-17" not in result.stdout
    assert preview["matching"] == {"userName": "jo@contoso.example"}


def test_a_document_that_cannot_be_mapped_says_which_target_and_source(tmp_path: Path) -> None:
    path = written(tmp_path, ONE_APPLICATION)
    (tmp_path / "person.json").write_text(json.dumps({**PERSON, "userPrincipalName": None}))

    result = run("map", "acme", "--file", str(tmp_path / "person.json"), PROVISIONING_CONFIG=path)

    assert result.exit_code == ExitCode.ATTENTION
    assert "userName" in result.stdout


def test_an_expression_is_evaluated_against_a_user() -> None:
    result = run("expressions", "--evaluate", 'Join(" ", [givenName], "x")', "--user", '{"givenName": "Jo"}', "--json")

    assert (result.exit_code, json.loads(result.stdout)) == (ExitCode.OK, {"value": "Jo x"})


def test_a_refused_expression_says_where() -> None:
    result = run("expressions", "--evaluate", "ToLowr([a])")

    assert result.exit_code == ExitCode.USAGE
    assert "column 1" in result.stderr
    assert "ToLower" in result.stderr


def test_the_functions_are_listed() -> None:
    listed = {entry["name"] for entry in json.loads(run("expressions", "--json").stdout)}

    assert {"Switch", "SingleAppRoleAssignment", "NormalizeDiacritics"} <= listed


def test_check_lists_the_mistakes_of_settings_and_file_at_once(tmp_path: Path) -> None:
    path = written(tmp_path, ONE_APPLICATION.replace("profile: scim", "profile: scam") + "  other: {colour: blue}\n")

    result = run("check", "--json", PROVISIONING_CONFIG=path, AzureWebJobsStorage=STORAGE, LEASE_SECONDS="x")

    problems = "\n".join(json.loads(result.stdout)["problems"])
    assert result.exit_code == ExitCode.CONFIGURATION
    assert "LEASE_SECONDS: not a number" in problems
    assert "provisioning.yaml:5: applications.acme.profile" in problems
    assert "applications.other.colour: no such key" in problems


def test_check_names_a_setting_that_only_quarantines(tmp_path: Path) -> None:
    path = written(tmp_path, ONE_APPLICATION)

    missing = run("check", PROVISIONING_CONFIG=path, AzureWebJobsStorage=STORAGE)
    reference = "@Microsoft.KeyVault(SecretUri=https://kv)"
    unresolved = run("check", PROVISIONING_CONFIG=path, AzureWebJobsStorage=STORAGE, ACME_TOKEN=reference)
    complete = run("check", PROVISIONING_CONFIG=path, AzureWebJobsStorage=STORAGE, ACME_TOKEN="t")

    assert (missing.exit_code, missing.stdout.startswith("ACME_TOKEN: ")) == (ExitCode.ATTENTION, True)
    assert unresolved.exit_code == ExitCode.ATTENTION
    assert "ACME_TOKEN: the Key Vault reference of this app setting did not resolve" in unresolved.stdout
    assert (complete.exit_code, "connected applications: acme" in complete.stdout) == (ExitCode.OK, True)


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        pytest.param(["log", "nobody"], ExitCode.USAGE, "has: acme", id="an unknown application"),
        pytest.param(["map", "acme"], ExitCode.USAGE, "--user ID and --file", id="map without a user"),
        pytest.param(["map", "acme", "--file", "/no/such"], ExitCode.UNAVAILABLE, "cannot be read", id="no such file"),
        pytest.param(["map", "acme", "--file", "{"], ExitCode.USAGE, "is not JSON", id="a document that is no JSON"),
        pytest.param(["map", "acme", "--file", "[1]"], ExitCode.USAGE, "a JSON object", id="a document that is a list"),
        pytest.param(["status"], ExitCode.UNAVAILABLE, "storage does not answer", id="no storage"),
        pytest.param(["expressions", "/no/such.tsv"], ExitCode.USAGE, "no such file", id="no such table"),
        pytest.param(["log", "acme", "--last", "0"], ExitCode.USAGE, "Invalid value", id="a number out of bounds"),
    ],
)
def test_a_mistake_is_told_in_a_line_without_a_traceback(
    tmp_path: Path, arguments: list[str], code: ExitCode, says: str
) -> None:
    path = written(tmp_path, ONE_APPLICATION)

    result = run(*arguments, PROVISIONING_CONFIG=path, AzureWebJobsStorage=NO_STORAGE)

    assert result.exit_code == code, result.stderr
    assert says in result.stderr
    assert isinstance(result.exception, SystemExit)


def test_a_mistake_is_json_too_when_json_was_asked_for(tmp_path: Path) -> None:
    path = written(tmp_path, ONE_APPLICATION.replace("profile: scim", "profile: scam"))

    result = run("status", "--json", PROVISIONING_CONFIG=path, AzureWebJobsStorage=STORAGE)

    assert result.exit_code == ExitCode.CONFIGURATION
    assert "provisioning.yaml:5: applications.acme.profile" in json.loads(result.stdout)["problems"][0]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        pytest.param('{"Values": {"ACME_TOKEN": "t"}}', 0, id="what the environment lacks comes from the file"),
        pytest.param("not json", 3, id="a file that is no JSON is refused"),
        pytest.param('{"Values": {"LEASE_SECONDS": 60}}', 3, id="a number without quotes is refused"),
        pytest.param('{"IsEncrypted": true, "Values": {}}', 3, id="an encrypted file is refused"),
    ],
)
def test_local_settings_fill_what_the_environment_does_not_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str, expected: int
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "local.settings.json").write_text(content)
    path = written(tmp_path, ONE_APPLICATION)

    result = run("check", PROVISIONING_CONFIG=path, AzureWebJobsStorage=STORAGE)

    assert result.exit_code == expected, result.stdout + result.stderr


def test_the_exit_codes_are_in_the_help() -> None:
    said = " ".join(run("--help").stdout.split())

    assert all(f"{code.value} " in said for code in ExitCode)


def test_the_command_starts_as_a_program(tmp_path: Path) -> None:
    environment = {**os.environ, "PROVISIONING_CONFIG": written(tmp_path, ONE_APPLICATION)}

    finished = subprocess.run(
        [sys.executable, "-m", "shared.cli.__main__", "map", "acme", "--file", "-", "--json"],
        cwd=ROOT,
        env=environment,
        input=json.dumps(PERSON),
        capture_output=True,
        text=True,
        check=False,
    )

    assert (finished.returncode, finished.stderr) == (0, "")
    assert json.loads(finished.stdout)["attributes"]["userName"] == "jo@contoso.example"
