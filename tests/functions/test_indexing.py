"""What the platform finds when it indexes the app: exactly these functions, cheaply, and without touching a network."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from shared.config.applications import load_applications
from shared.config.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
CONFIGURATION = """
version: 1
applications:
  fuze:
    profile: fuze
    service_principal_id: 11111111-1111-1111-1111-111111111111
    base_url: https://api.fuze.example/scim/v2
    auth: {type: bearer, token: FUZE_TOKEN}
  acme-eu:
    profile: scim
    service_principal_id: 33333333-3333-3333-3333-333333333333
    base_url: http://127.0.0.1:9001/scim/v2
    auth: {type: bearer, token: ACME_TOKEN}
  off:
    enabled: false
    profile: scim
    service_principal_id: 44444444-4444-4444-4444-444444444444
    base_url: http://127.0.0.1:9002/scim/v2
    auth: {type: bearer, token: OFF_TOKEN}
"""
QUEUES = {
    "provision-fuze": "provision-fuze",
    "provision-fuze-first": "provision-fuze-first",
    "provision-acme-eu": "provision-acme-eu",
    "provision-acme-eu-first": "provision-acme-eu-first",
    "quarantine-fuze": "provision-fuze-poison",
    "quarantine-fuze-first": "provision-fuze-first-poison",
    "quarantine-acme-eu": "provision-acme-eu-poison",
    "quarantine-acme-eu-first": "provision-acme-eu-first-poison",
}
DIRECTORY_QUEUES = {
    "sync_directory_now": "directory-changed",
    "quarantine-directory-changed": "directory-changed-poison",
}
AZURE_ONLY = {
    "AzureWebJobsStorage__accountName",
    "AzureWebJobsStorage__queueServiceUri",
    "AzureWebJobsStorage__tableServiceUri",
    "AzureWebJobsStorage__blobServiceUri",
    "AzureWebJobsStorage__clientId",
    "AZURE_CLIENT_ID",
    "WEBSITE_HOSTNAME",
}
SIMULATION_ONLY = {"GRAPH_STATIC_TOKEN"}
HOST_ONLY = {"FUNCTIONS_WORKER_RUNTIME"}


ALWAYS = {
    "sync_directory": ["timerTrigger"],
    "housekeeping": ["timerTrigger"],
    "observe": ["httpTrigger", "http"],
    "operate": ["httpTrigger", "http"],
    "dashboard": ["httpTrigger", "http"],
    "notified": ["queue", "httpTrigger", "http"],
    **{name: ["queueTrigger"] for name in DIRECTORY_QUEUES},
}


class ReadingNoted(dict[str, str]):
    """Settings that remember which names were asked for."""

    def __init__(self, values: Mapping[str, str]) -> None:
        super().__init__(values)
        self.names: set[str] = set()

    def get(self, name: str, default: Any = None) -> Any:
        """Answers as a dict does, and notes the name."""
        self.names.add(name)
        return super().get(name, default)


def index(path: Path, temporary: Path, **settings: str) -> dict[str, Any]:
    """Answers with what indexing found, in a process of its own and with no settings but these.

    In `temporary`, its temporary folder, it leaves that the configuration was validated.
    """
    environment = {
        "PATH": os.environ["PATH"],
        "TMPDIR": str(temporary),
        "AzureWebJobsStorage": "UseDevelopmentStorage=true",
        "PROVISIONING_CONFIG": str(path),
        **settings,
    }
    finished = subprocess.run(
        [sys.executable, "-W", "error", "-m", "tests.functions.indexed"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr[-3000:]
    found: dict[str, Any] = json.loads(finished.stdout.splitlines()[-1])
    return found


def bindings_of(found: Mapping[str, Any], kind: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, bindings in found["functions"].items():
        for binding in bindings:
            if binding["type"] == kind:
                yield name, binding


@cache
def sample_values() -> dict[str, str]:
    values: dict[str, str] = json.loads((ROOT / "local.settings.sample.json").read_text())["Values"]
    return values


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Answers with what indexing finds for two enabled applications and one that is off."""
    path = tmp_path_factory.mktemp("indexing") / "provisioning.yaml"
    path.write_text(CONFIGURATION)
    return index(path, path.parent)


def test_the_functions_are_those_of_the_enabled_applications_and_those_of_every_app(found):
    assert set(found["functions"]) == {*QUEUES, *ALWAYS}


def test_every_function_has_its_trigger_and_nothing_else(found):
    kinds = {name: [binding["type"] for binding in bindings] for name, bindings in found["functions"].items()}

    assert kinds == {name: ["queueTrigger"] for name in QUEUES} | ALWAYS


def test_every_queue_function_listens_on_its_own_queue_of_the_one_storage_account(found):
    listening = dict(bindings_of(found, "queueTrigger"))

    assert {name: binding["queueName"] for name, binding in listening.items()} == QUEUES | DIRECTORY_QUEUES
    assert {binding["connection"] for binding in listening.values()} == {"AzureWebJobsStorage"}


def test_a_notification_becomes_a_message_on_the_queue_of_the_directory(found):
    [(name, binding)] = bindings_of(found, "queue")

    assert (name, binding["queueName"]) == ("notified", "directory-changed")
    assert binding["connection"] == "AzureWebJobsStorage"


def test_a_schedule_nobody_set_has_its_default(found):
    schedules = {name: binding["schedule"] for name, binding in bindings_of(found, "timerTrigger")}

    defaults = Settings()
    assert schedules == {"sync_directory": defaults.sync_schedule, "housekeeping": defaults.housekeeping_schedule}


def test_a_schedule_that_is_set_is_obeyed(tmp_path):
    path = tmp_path / "provisioning.yaml"
    path.write_text(CONFIGURATION)

    found = index(path, tmp_path, SYNC_SCHEDULE="*/20 * * * * *", HOUSEKEEPING_SCHEDULE="0 0 3 * * *")

    schedules = {name: binding["schedule"] for name, binding in bindings_of(found, "timerTrigger")}
    assert schedules == {"sync_directory": "*/20 * * * * *", "housekeeping": "0 0 3 * * *"}


def test_a_timer_keeps_no_status_that_would_run_it_late(found):
    assert {binding["useMonitor"] for _, binding in bindings_of(found, "timerTrigger")} == {False}


def test_reading_and_acting_have_a_key_each_and_the_page_without_data_needs_none(found):
    triggers = {
        name: (binding["route"], [str(method) for method in binding["methods"]], str(binding["authLevel"]).lower())
        for name, binding in bindings_of(found, "httpTrigger")
    }

    assert triggers == {
        "observe": ("{*path}", ["GET"], "function"),
        "operate": ("{*path}", ["POST"], "function"),
        "dashboard": ("dashboard/{*file}", ["GET"], "anonymous"),
        "notified": ("notified", ["POST"], "anonymous"),
    }


@pytest.mark.parametrize(
    "package",
    [
        "fastapi",
        "opentelemetry",
        "azure.monitor",
        "msgraph",
        "azure.identity",
        "azure.storage",
        "azure.data",
        "httpx",
        "aiohttp",
    ],
)
def test_indexing_does_not_load(found, package):
    assert [name for name in found["modules"] if name == package or name.startswith(f"{package}.")] == []


def test_the_grammar_of_expressions_is_loaded_only_when_the_file_has_one(found, tmp_path):
    path = tmp_path / "provisioning.yaml"
    path.write_text(CONFIGURATION + "    mappings: {users: [{target: title, expression: 'ToLower([jobTitle])'}]}\n")

    with_expression = index(path, tmp_path)

    assert "lark" not in found["modules"]
    assert "lark" in with_expression["modules"]


def test_indexing_touches_no_network(found):
    assert found["network"] == []


def test_no_application_still_makes_an_app(tmp_path):
    path = tmp_path / "provisioning.yaml"
    path.write_text("version: 1\napplications: {}\n")

    assert set(index(path, tmp_path)["functions"]) == set(ALWAYS)


def test_the_shipped_files_make_an_app(tmp_path):
    found = index(ROOT / "provisioning.yaml", tmp_path, **sample_values())

    assert set(found["functions"]) == set(ALWAYS)


def test_the_sample_sets_every_setting_that_is_read_and_makes_sense_on_this_machine():
    settings = ReadingNoted({"AzureWebJobsStorage__accountName": "account"})

    Settings.load(settings)

    assert settings.names - AZURE_ONLY - SIMULATION_ONLY - set(sample_values()) == set()


def test_the_sample_sets_nothing_that_nobody_reads():
    settings = ReadingNoted({"AzureWebJobsStorage": "UseDevelopmentStorage=true"})
    Settings.load(settings)
    applications = load_applications(ROOT / "provisioning.yaml", {})
    secrets = {setting for each in applications.values() for _, setting in each.setting_names}

    assert set(sample_values()) - settings.names - secrets == HOST_ONLY
    assert secrets - set(sample_values()) == set()


def test_the_sample_shows_the_defaults_and_no_secret():
    loaded = Settings.load(sample_values())

    secrets = [value for name, value in sample_values().items() if name.endswith(("_TOKEN", "_KEY", "_SECRET", "_ID"))]
    assert loaded == Settings(storage=loaded.storage)
    assert set(secrets) == {""}
