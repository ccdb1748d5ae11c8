"""App settings: defaults, bounds, and silence about secrets."""

import pytest

from shared.config.ncrontab import schedule_problem
from shared.config.settings import MissingSecretError, NotificationSettings, Settings, SettingsError

LOCAL = {"AzureWebJobsStorage": "UseDevelopmentStorage=true"}


def test_defaults_are_those_of_the_design():
    settings = Settings.load(LOCAL)

    assert settings.graph_base_url == "https://graph.microsoft.com/v1.0"
    assert settings.sync_schedule == "0 * * * * *"
    assert (settings.assignment_confirm_s, settings.sweep_after_s) == (300, 900)
    assert (settings.lease_s, settings.vendor_timeout_s, settings.grace_margin_s) == (60, 30, 60)
    assert settings.grace_s == 150
    assert str(settings.provisioning_config) == "provisioning.yaml"


def test_a_simulated_tenant_on_loopback_may_use_a_static_token():
    settings = Settings.load(
        {**LOCAL, "GRAPH_BASE_URL": "http://127.0.0.1:9000/v1.0/", "GRAPH_STATIC_TOKEN": "t0psecret"}
    )

    assert settings.graph_base_url == "http://127.0.0.1:9000/v1.0"
    assert settings.graph_static_token == "t0psecret"
    assert "t0psecret" not in repr(settings)


def test_identity_based_storage():
    settings = Settings.load(
        {
            "AzureWebJobsStorage__queueServiceUri": "https://s.queue.core.windows.net",
            "AzureWebJobsStorage__tableServiceUri": "https://s.table.core.windows.net/",
            "AzureWebJobsStorage__blobServiceUri": "https://s.blob.core.windows.net",
            "AzureWebJobsStorage__clientId": "c1",
        }
    )

    assert settings.storage.connection_string is None
    assert settings.storage.table_uri == "https://s.table.core.windows.net"
    assert settings.storage.client_id == "c1"


def test_storage_by_account_name():
    storage = Settings.load({"AzureWebJobsStorage__accountName": "acct"}).storage

    assert storage.queue_uri == "https://acct.queue.core.windows.net"
    assert storage.blob_uri == "https://acct.blob.core.windows.net"


CLIENT_STATE = "a secret of many letters"


def notifications(**changes: str) -> NotificationSettings:
    """Answers with the settings of change notifications."""
    return Settings.load({**LOCAL, **changes}).notifications


def test_change_notifications_are_off_until_there_is_an_address_and_a_secret():
    address = {"NOTIFICATION_URL": "https://app.example"}
    secret = {"NOTIFICATION_CLIENT_STATE": CLIENT_STATE}

    found = [notifications(**changes) for changes in ({}, address, secret, {**address, **secret})]

    assert [each.is_on for each in found] == [False, False, False, True]
    assert {each.problem for each in found} == {""}
    assert found[3].url == "https://app.example/api/notified"
    assert CLIENT_STATE not in repr(found[3])


@pytest.mark.parametrize(
    ("changes", "url"),
    [
        pytest.param(
            {"WEBSITE_HOSTNAME": "app.azurewebsites.net"}, "https://app.azurewebsites.net", id="the platform's"
        ),
        pytest.param({"WEBSITE_HOSTNAME": "localhost:7071"}, "", id="local tools are not reached from outside"),
        pytest.param(
            {"WEBSITE_HOSTNAME": "app.azurewebsites.net", "NOTIFICATION_URL": "https://id.example/"},
            "https://id.example",
            id="the address that is set",
        ),
    ],
)
def test_the_address_of_change_notifications(changes: dict[str, str], url: str):
    assert notifications(**changes).url == (url and f"{url}/api/notified")


@pytest.mark.parametrize(
    ("secret", "says"),
    [
        pytest.param("short", "16 to 128", id="short"),
        pytest.param("x" * 129, "16 to 128", id="longer than Graph takes"),
        pytest.param("sixteen and some \N{GRINNING FACE}", "ASCII", id="an emoji"),
        pytest.param("@Microsoft.KeyVault(SecretUri=https://v/secrets/x)", "did not resolve", id="not resolved"),
    ],
)
def test_a_secret_of_change_notifications_that_cannot_be_used_switches_them_off_and_nothing_else(
    secret: str, says: str
):
    found = notifications(NOTIFICATION_URL="https://app.example", NOTIFICATION_CLIENT_STATE=secret)

    assert not found.is_on
    assert says in found.problem
    assert secret not in repr(found)


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        pytest.param({"GRAPH_BASE_URL": "http://graph.example.com"}, "GRAPH_BASE_URL", id="http to another machine"),
        pytest.param(
            {"NOTIFICATION_URL": "http://app.example"}, "NOTIFICATION_URL", id="notifications over plain http"
        ),
        pytest.param({"GRAPH_BASE_URL": "ftp://localhost"}, "GRAPH_BASE_URL", id="another scheme"),
        pytest.param({"GRAPH_BASE_URL": "https://u:p@graph.example.com"}, "GRAPH_BASE_URL", id="a password in the URL"),
        pytest.param({"GRAPH_STATIC_TOKEN": "t0psecret"}, "GRAPH_STATIC_TOKEN", id="a static token for real Graph"),
        pytest.param(
            {"GRAPH_STATIC_TOKEN": "t0psecret", "GRAPH_BASE_URL": "https://127.0.0.1.example.com"},
            "GRAPH_STATIC_TOKEN",
            id="a host that only looks like loopback",
        ),
        pytest.param({"SYNC_SCHEDULE": "* * * * *"}, "SYNC_SCHEDULE", id="five fields"),
        pytest.param({"HOUSEKEEPING_SCHEDULE": "0 60 * * * *"}, "HOUSEKEEPING_SCHEDULE", id="minute sixty"),
        pytest.param({"LEASE_SECONDS": "soon"}, "LEASE_SECONDS", id="no number"),
        pytest.param({"LEASE_SECONDS": "nan"}, "LEASE_SECONDS", id="not a number"),
        pytest.param({"LEASE_SECONDS": "40"}, "LEASE_SECONDS", id="a lease as long as time-out and margin"),
        pytest.param({"LEASE_SECONDS": "601"}, "LEASE_SECONDS", id="too long a lease"),
        pytest.param({"VENDOR_TIMEOUT_SECONDS": "0"}, "VENDOR_TIMEOUT_SECONDS", id="no time for the vendor"),
        pytest.param({"VENDOR_TIMEOUT_SECONDS": "inf"}, "VENDOR_TIMEOUT_SECONDS", id="all time for the vendor"),
        pytest.param({"ASSIGNMENT_CONFIRM_SECONDS": "-1"}, "ASSIGNMENT_CONFIRM_SECONDS", id="a negative wait"),
        pytest.param({"SWEEP_AFTER_SECONDS": "1e9"}, "SWEEP_AFTER_SECONDS", id="never"),
        pytest.param({"AzureWebJobsStorage": ""}, "AzureWebJobsStorage__queueServiceUri", id="no storage"),
        pytest.param({"AzureWebJobsStorage": "t0psecret"}, "AzureWebJobsStorage", id="no connection string"),
    ],
)
def test_a_setting_that_cannot_work_is_refused_by_name_and_never_shown(changes, name):
    with pytest.raises(SettingsError) as refusal:
        Settings.load({**LOCAL, **changes})

    assert any(problem.startswith(f"{name}: ") and "expected" in problem for problem in refusal.value.problems)
    assert "t0psecret" not in str(refusal.value)


def test_all_mistakes_are_reported_together():
    with pytest.raises(SettingsError) as refusal:
        Settings.load({"SYNC_SCHEDULE": "x", "LEASE_SECONDS": "y"})

    assert len(refusal.value.problems) >= 5


def test_shorter_times_are_allowed_for_tests():
    settings = Settings.load(
        {
            **LOCAL,
            "LEASE_SECONDS": "11",
            "VENDOR_TIMEOUT_SECONDS": "0.5",
            "GRACE_MARGIN_SECONDS": "0",
            "ASSIGNMENT_CONFIRM_SECONDS": "1",
            "SWEEP_AFTER_SECONDS": "1",
        }
    )

    assert settings.grace_s == 11.5


def test_a_secret_is_found_by_name_or_the_name_is_told():
    settings = Settings.load({**LOCAL, "A_TOKEN": "t0psecret"})

    assert settings.secret("A_TOKEN") == "t0psecret"
    with pytest.raises(MissingSecretError, match=r"^B_TOKEN: "):
        settings.secret("B_TOKEN")


def test_a_key_vault_reference_that_did_not_resolve_is_no_secret():
    settings = Settings.load({**LOCAL, "A_TOKEN": "@Microsoft.KeyVault(SecretUri=https://v/secrets/a)"})

    with pytest.raises(MissingSecretError, match="did not resolve"):
        settings.secret("A_TOKEN")


@pytest.mark.parametrize(
    "schedule",
    ["0 * * * * *", "*/10 * * * * *", "0 0 9-17 * * MON-FRI", "0,30 5/10 * 1,15 jan-mar sun", "30 */5 * * * *"],
)
def test_a_six_field_schedule_is_accepted(schedule):
    assert schedule_problem(schedule) is None


@pytest.mark.parametrize(
    "schedule",
    [
        "",
        "00:05:00",
        "* * * * *",
        "60 * * * * *",
        "0 0 24 * * *",
        "0 0 0 0 * *",
        "0 * * * 13 *",
        "0 * * * * 7",
        "0 */0 * * * *",
        "0 5-2 * * * *",
        "0 , * * * *",
        "0 ? * * * *",
        "0 * * * * FOO",
        "%SCHEDULE%",
    ],
)
def test_any_other_schedule_is_refused(schedule):
    assert schedule_problem(schedule)
