"""provisioning.yaml with the profiles: what is put together, and every refusal with its line."""

from datetime import date
from pathlib import Path

import pytest

from shared.config.applications import load_applications, missing_settings, parse_applications
from shared.config.errors import ConfigurationError
from shared.config.urls import AddressError, checked_webhook_url

VAULT = "@Microsoft.KeyVault(SecretUri=https://kv.vault.azure.net/secrets/APP-URL)"
FUZE = """
  fuze:
    profile: fuze
    service_principal_id: 11111111-1111-1111-1111-111111111111
    auth: {type: bearer, token: FUZE_TOKEN}
"""
DESIGN = """\
version: 1
defaults:
  deletion_guard: {max_count: 500, max_percent: 20, min_population: 50}
applications:
  fuze:
    profile: fuze
    service_principal_id: 11111111-1111-1111-1111-111111111111
    base_url: https://api.fuze.com/scim/v2
    auth: {type: bearer, token: FUZE_TOKEN}
  purecloud:
    profile: purecloud
    service_principal_id: 22222222-2222-2222-2222-222222222222
    region: mypurecloud.ie
    auth: {type: oauth2_client_credentials, client_id: PURECLOUD_CLIENT_ID, client_secret: PURECLOUD_CLIENT_SECRET}
  acme:
    profile: scim
    service_principal_id: 33333333-3333-3333-3333-333333333333
    base_url: http://127.0.0.1:9001/scim/v2
    auth: {type: bearer, token: ACME_TOKEN}
    scope: assigned
    exclude_default_access: true
    scoping_filters:
      - name: Engineering in Europe
        clauses:
          - {attribute: department, operator: EQUALS, value: Engineering}
          - {attribute: usageLocation, operator: REGEX MATCH, value: "^(DE|FR|NL)$"}
    mappings:
      users:
        - {target: title, source: jobTitle}
        - {target: nickName, expression: 'ToLower([givenName])', apply: on_create}
        - {target: userType, constant: Employee}
        - {target: 'phoneNumbers[type eq "fax"].value', remove: true}
    groups: {enabled: true}
    rate_limit: {requests_per_second: 10}
    deprovisioning: {out_of_scope: disable, hard_deleted: delete}
    drift: {mode: report, every: 7d}
    notify: {webhook: ACME_WEBHOOK_URL}
"""


def load(tmp_path: Path, text: str, **environment: str):
    file = tmp_path / "provisioning.yaml"
    file.write_text(text, encoding="utf-8")
    return load_applications(file, environment)


def refusals(tmp_path: Path, text: str, **environment: str):
    with pytest.raises(ConfigurationError) as refusal:
        load(tmp_path, text, **environment)
    return refusal.value.problems


def application(tmp_path: Path, changes: str = "", profile: str = "scim", **environment: str):
    text = f"""version: 1
applications:
  app:
    profile: {profile}
    service_principal_id: 11111111-1111-1111-1111-111111111111
    auth: {{type: bearer, token: APP_TOKEN}}
    {changes}
"""
    return load(tmp_path, text, **environment)["app"]


SCIM = "base_url: https://x.example/scim"


def test_the_documented_sample_works_as_shown(tmp_path):
    applications = load(tmp_path, DESIGN)

    acme, purecloud = applications["acme"], applications["purecloud"]
    targets = {mapping.target: mapping for mapping in acme.users.mappings}
    assert list(applications) == ["fuze", "purecloud", "acme"]
    assert purecloud.base_url == "https://api.mypurecloud.ie/api/v2/scim/v2"
    assert purecloud.auth.token_url == "https://login.mypurecloud.ie/oauth/token"
    assert purecloud.rate_limit.requests_per_second == 4
    assert targets["nickName"].expression == "ToLower([givenName])"
    assert targets["userType"].constant == "Employee"
    assert 'phoneNumbers[type eq "fax"].value' not in targets
    assert targets["userName"].source == "userPrincipalName"
    assert acme.groups is not None
    assert acme.drift.every == "7d"
    assert applications["fuze"].deletion_guard.max_count == 500


def test_the_shipped_sample_starts_without_a_single_secret():
    applications = load_applications(Path(__file__).parents[2] / "provisioning.yaml", {})

    assert {entry.profile.name for entry in applications.values()} == {
        "fuze",
        "fortes-change-cloud",
        "purecloud",
        "clarizen-one",
        "scim",
    }
    assert applications.enabled == ()
    assert missing_settings(applications, {}) == ()


def test_an_empty_file_has_no_applications(tmp_path):
    assert len(load(tmp_path, "version: 1\napplications:\n")) == 0


def test_missing_settings_are_named_for_enabled_applications_only(tmp_path):
    applications = load(tmp_path, DESIGN.replace("profile: fuze", "profile: fuze\n    enabled: false"))

    missing = missing_settings(applications, {"ACME_TOKEN": "x", "PURECLOUD_CLIENT_ID": ""})

    assert [(entry.application, entry.key, entry.setting) for entry in missing] == [
        ("purecloud", "auth.client_id", "PURECLOUD_CLIENT_ID"),
        ("purecloud", "auth.client_secret", "PURECLOUD_CLIENT_SECRET"),
        ("acme", "notify.webhook", "ACME_WEBHOOK_URL"),
        ("acme", "notify.secret", "ACME_WEBHOOK_SECRET"),
    ]


def test_a_setting_whose_key_vault_reference_did_not_resolve_is_missing_and_its_reference_is_not_told(tmp_path):
    applications = load(tmp_path, DESIGN.replace("profile: fuze", "profile: fuze\n    enabled: false"))
    resolved = {name: "x" for _, name in applications["purecloud"].setting_names + applications["acme"].setting_names}

    missing = missing_settings(applications, {**resolved, "ACME_TOKEN": " @microsoft.keyvault(SecretUri=https://kv)"})

    assert [(entry.application, entry.setting, entry.is_unresolved) for entry in missing] == [
        ("acme", "ACME_TOKEN", True)
    ]
    assert str(missing[0]).startswith("ACME_TOKEN: the Key Vault reference of this app setting did not resolve")
    assert "https://kv" not in str(missing[0])


@pytest.mark.parametrize(
    ("changes", "environment", "key", "says"),
    [
        pytest.param("base_url: '${APP_URL}/scim'", {}, "base_url", "needed by", id="an absent address"),
        pytest.param("base_url: '${APP_URL}'", {"APP_URL": " "}, "base_url", "needed by", id="an empty address"),
        pytest.param("base_url: '${APP_URL}'", {"APP_URL": VAULT}, "base_url", "did not resolve", id="unresolved"),
        pytest.param("base_url: '${APP_URL}'", {"APP_URL": "http://10.0.0.1"}, "base_url", "https;", id="unusable"),
        pytest.param("region: '${APP_URL}'", {}, "region", "needed by", id="a region"),
        pytest.param("region: '${APP_URL}'", {"APP_URL": "mars"}, "region", "expected one of", id="no region"),
        pytest.param("base_url: https://h", {}, "service_principal_id", "needed by", id="an absent principal"),
        pytest.param(
            "base_url: https://h",
            {"APP_URL": "no-guid"},
            "service_principal_id",
            "expected a GUID",
            id="a principal that is none",
        ),
    ],
)
def test_a_setting_without_an_address_stops_its_application_only(tmp_path, changes, environment, key, says):
    text = f"""
version: 1
applications:
  app:
    profile: purecloud
    service_principal_id: 11111111-1111-1111-1111-111111111111
    auth: {{type: oauth2_client_credentials, client_id: APP_ID, client_secret: APP_SECRET}}
    {changes}
"""
    if key == "service_principal_id":
        text = text.replace("11111111-1111-1111-1111-111111111111", "${APP_URL}")
    secrets = {"APP_ID": "i", "APP_SECRET": "s", "FUZE_TOKEN": "t"}

    applications = load(tmp_path, text + FUZE.removeprefix("\n"), **environment, **secrets)

    [missing] = missing_settings(applications, secrets)
    app = applications["app"]
    assert (missing.application, missing.key, missing.setting) == ("app", key, "APP_URL")
    assert says in str(missing)
    assert not any(value in str(missing) for value in environment.values() if value.strip())
    assert (key, "APP_URL") in app.setting_names
    assert (app.base_url, bool(app.service_principal_id)) == ("", key != "service_principal_id")
    assert applications["fuze"].base_url == "https://api.fuze.com/scim/v2"


def test_the_service_principal_may_be_named_by_a_setting(tmp_path):
    text = "version: 1\napplications:" + FUZE.replace("11111111-1111-1111-1111-111111111111", "${FUZE_PRINCIPAL}")

    fuze = load(tmp_path, text, FUZE_PRINCIPAL=" ABCDEFAB-1111-1111-1111-111111111111\n")["fuze"]

    assert fuze.service_principal_id == "abcdefab-1111-1111-1111-111111111111"
    assert fuze.setting_names == (("service_principal_id", "FUZE_PRINCIPAL"), ("auth.token", "FUZE_TOKEN"))


def test_of_a_text_that_anybody_wrote_no_setting_is_read_and_the_principal_may_be_the_same(tmp_path):
    named = "version: 1\napplications:" + FUZE.replace("11111111-1111-1111-1111-111111111111", "${FUZE_PRINCIPAL}")
    known = load(tmp_path, "version: 1\napplications:" + FUZE)["fuze"]

    given = parse_applications(named, {})["fuze"]

    assert (given.service_principal_id, given.unfilled) == ("", ())
    assert not given.has_other_principal(known)


TWO_SECRETS = {
    "token": "{type: bearer, token: ONE, secondary_token: TWO}",
    "key": "{type: api_key, key: ONE, secondary_key: TWO}",
    "client_secret": "{type: oauth2_client_credentials, client_id: ID, client_secret: ONE, "
    "secondary_client_secret: TWO, token_url: https://h/token}",
}


@pytest.mark.parametrize("key", TWO_SECRETS)
@pytest.mark.parametrize(
    ("one", "two", "missing"),
    [
        pytest.param("x", "x", [], id="both"),
        pytest.param("x", "", [], id="no second"),
        pytest.param("x", VAULT, [], id="a second that did not resolve"),
        pytest.param("", "x", [("ONE", False, "TWO")], id="no first"),
        pytest.param(VAULT, "x", [("ONE", True, "TWO")], id="a first that did not resolve"),
        pytest.param("", "", [("ONE", False, "")], id="neither"),
        pytest.param(VAULT, " ", [("ONE", True, "")], id="neither, and the vault was not reached"),
    ],
)
def test_of_two_secrets_one_is_enough_and_a_missing_first_one_is_said(tmp_path, key, one, two, missing):
    text = f"""
version: 1
applications:
  app:
    profile: scim
    service_principal_id: 11111111-1111-1111-1111-111111111111
    base_url: https://h/scim
    auth: {TWO_SECRETS[key]}
"""
    applications = load(tmp_path, text)

    found = missing_settings(applications, {"ID": "i", "ONE": one, "TWO": two})

    assert [(each.setting, each.is_unresolved, each.instead) for each in found] == missing
    assert all(each.key == f"auth.{key}" for each in found)
    assert all(("TWO is used in its place" in str(each)) is bool(each.instead) for each in found)


def test_defaults_are_merged_below_an_application_key_by_key(tmp_path):
    text = "version: 1\ndefaults:\n  deletion_guard: {max_count: 7, max_percent: 5}\n  scope: all\napplications:" + FUZE

    fuze = load(tmp_path, text + "    deletion_guard: {max_percent: 9}\n    scope: assigned\n")["fuze"]

    assert (fuze.deletion_guard.max_count, fuze.deletion_guard.max_percent) == (7, 9)
    assert fuze.scope == "assigned"


def test_authentication_of_an_application_replaces_the_default_as_a_whole(tmp_path):
    text = "version: 1\ndefaults: {auth: {type: oauth2_client_credentials, client_id: A_ID, client_secret: A_SECRET}}\n"

    assert load(tmp_path, text + "applications:" + FUZE)["fuze"].auth.type == "bearer"


@pytest.mark.parametrize(
    ("profile", "changes", "url"),
    [
        pytest.param("fuze", "", "https://api.fuze.com/scim/v2", id="the profile's default"),
        pytest.param("fuze", "base_url: https://f.example/scim/", "https://f.example/scim", id="an override"),
        pytest.param("clarizen-one", "region: eu", "https://serviceseu1.clarizen.com/scim/v2", id="a choice"),
        pytest.param("purecloud", "region: mypurecloud.jp", "https://api.mypurecloud.jp/api/v2/scim/v2", id="a region"),
        pytest.param("purecloud", "base_url: http://[::1]:1/x", "http://[::1]:1/x", id="loopback over http"),
        pytest.param("scim", "base_url: '${APP_URL}/scim'", "https://e.example/scim", id="from a setting"),
    ],
)
def test_the_endpoint(tmp_path, profile, changes, url):
    assert application(tmp_path, changes, profile, APP_URL="https://e.example").base_url == url


def test_placeholders_of_a_template_are_filled(tmp_path):
    (tmp_path / "own.yaml").write_text(
        """
version: 1
name: own
title: Own
base_url: {template: "https://{tenant}.example.com/scim"}
users:
  endpoint: /Users
  schema_urn: urn:ietf:params:scim:schemas:core:2.0:User
  attributes: [{path: userName, filterable: true}, {path: active, type: Boolean}]
  matching: [{target: userName}]
  mappings: [{target: userName, source: mail}, {target: active, computed: not_soft_deleted}]
"""
    )

    assert application(tmp_path, "placeholders: {tenant: acme}", "own.yaml").base_url == "https://acme.example.com/scim"
    with pytest.raises(ConfigurationError, match=r"placeholders.tenant: a value for \{tenant\}"):
        application(tmp_path, "", "own.yaml")
    with pytest.raises(ConfigurationError, match=r"placeholders.tenant: letters"):
        application(tmp_path, "placeholders: {tenant: 'evil.example/x#'}", "own.yaml")


def test_a_disabled_application_needs_no_address(tmp_path):
    assert application(tmp_path, "enabled: false").base_url == ""


def test_protocol_keys_override_the_profile_one_by_one(tmp_path):
    changed = application(
        tmp_path, "region: mypurecloud.ie\n    protocol: {page_size: 10, patch: {op_case: capitalized}}", "purecloud"
    )

    assert changed.protocol.page_size == 10
    assert changed.protocol.patch.op_case == "capitalized"
    assert changed.protocol.patch.booleans == "json"
    assert changed.protocol.version_mismatch_status == 400


def test_actions_matching_and_own_attributes_override_the_profile(tmp_path):
    changed = application(
        tmp_path,
        SCIM
        + """
    actions: {users: {create: false}}
    matching: {users: [{target: externalId}, {target: userName}]}
    attributes: {users: [{path: 'urn:x:y:2.0:User:badge', mutability: createOnly}]}
    mappings: {users: [{target: 'urn:x:y:2.0:User:badge', source: employeeId}]}""",
    )

    badge = next(mapping for mapping in changed.users.mappings if mapping.target.endswith("badge"))
    assert not changed.users.create
    assert [entry.target for entry in changed.users.matching] == ["externalId", "userName"]
    assert badge.apply == "on_create"


def test_a_hard_deleted_user_is_deleted_where_the_vendor_can_and_disabled_elsewhere(tmp_path):
    assert application(tmp_path, SCIM).deprovisioning.hard_deleted == "delete"
    assert application(tmp_path, "", "fuze").deprovisioning.hard_deleted == "disable"


@pytest.mark.parametrize(
    ("changes", "differs"),
    [
        pytest.param("scope: all", True, id="scope"),
        pytest.param("mappings: {users: [{target: title, constant: x}]}", True, id="a mapping"),
        pytest.param("exclude_default_access: false", True, id="who is entitled"),
        pytest.param("deprovisioning: {out_of_scope: skip}", True, id="deprovisioning"),
        pytest.param("groups: {enabled: true}", True, id="groups"),
        pytest.param(
            "scoping_filters: [{name: f, clauses: [{attribute: mail, operator: IS NULL}]}]", True, id="a filter"
        ),
        pytest.param("rate_limit: {requests_per_second: 1}", False, id="the rate"),
        pytest.param("deletion_guard: {max_count: 1}", False, id="the guard"),
        pytest.param("notify: {webhook: HOOK_URL}", False, id="who is told"),
    ],
)
def test_the_hash_changes_exactly_with_what_decides_an_accounts_state(tmp_path, changes, differs):
    before = application(tmp_path, SCIM).config_hash
    after = application(tmp_path, f"{SCIM}\n    {changes}").config_hash

    assert (before != after) is differs
    assert before == application(tmp_path, SCIM).config_hash


DEEP = "(" * 2000 + "a" + ")" * 2000
PLAIN = """version: 1
applications:
  app:
    profile: fuze
    service_principal_id: 11111111-1111-1111-1111-111111111111
    auth: {type: bearer, token: APP_TOKEN}
"""
ADMINISTRATOR = "urn:ietf:params:scim:schemas:extension:fcc:2.0:User:administrator"
LONG = f'Append("{"x" * 9_987}", "")'
BASE = """version: 1
applications:
  app:
    profile: purecloud
    service_principal_id: 11111111-1111-1111-1111-111111111111
    region: mypurecloud.ie
    auth: {type: bearer, token: APP_TOKEN}
"""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("version: 2\n", "provisioning.yaml:1: version: one of 1", id="another version"),
        pytest.param("version: 1\napps: {}\n", ":2: apps: no such key; one of applications", id="an unknown top key"),
        pytest.param("version: 1\napplications: []\n", ":2: applications: a mapping", id="a list of applications"),
        pytest.param(
            "version: 1\napplications:\n  a:\n", ":3: applications.a: a mapping", id="an application without keys"
        ),
        pytest.param("version: 1\ndefaults: {scop: all}\n", ":2: defaults.scop: no such key", id="an unknown default"),
        pytest.param(BASE + "    scop: all\n", ":8: applications.app.scop: no such key", id="an unknown key"),
        pytest.param(BASE + "    scop: all\n", "did you mean scope?", id="the key that was meant"),
        pytest.param(
            BASE + "    scope: some\n", ":8: applications.app.scope: one of 'assigned' or 'all'", id="a scope"
        ),
        pytest.param(
            BASE + "    scope: all\n    scope: all\n", ":9: applications.app.scope: each key once", id="a key twice"
        ),
        pytest.param(BASE.replace("  app:", "  App_1:"), ":3: applications.App_1: a name of lower case", id="a name"),
        pytest.param(BASE.replace("  app:", f"  {'a' * 41}:"), "at most 40 characters", id="a long name"),
        pytest.param(BASE.replace("  app:", "  a--b:"), "single hyphens", id="two hyphens"),
        pytest.param(BASE.replace("  app:", "  app-first:"), "does not end in -first", id="a name like a queue's"),
        pytest.param(BASE.replace("purecloud", "purcloud"), ":4: applications.app.profile: one of", id="a profile"),
        pytest.param(
            BASE.replace("1111-", "111-", 1), ":5: applications.app.service_principal_id: a GUID", id="a GUID"
        ),
        pytest.param(BASE.replace("mypurecloud.ie", "mars"), ":6: applications.app.region: one of", id="a region"),
        pytest.param(
            BASE.replace("region: mypurecloud.ie", "scope: all"), ".region: a value for {region}", id="no region"
        ),
        pytest.param(
            BASE.replace("bearer", "basic"), ":7: applications.app.auth.username: this key", id="no user name"
        ),
        pytest.param(
            BASE.replace("bearer, token: APP_TOKEN", "basic, username: A_B, password: C_D"),
            ":7: applications.app.auth.type: one of oauth2_client_credentials, bearer",
            id="an authentication the vendor does not accept",
        ),
        pytest.param(
            BASE + "    base_url: http://10.0.0.1/scim\n",
            ":8: applications.app.base_url: https; plain http is for loopback only",
            id="plain http",
        ),
        pytest.param(BASE + "    base_url: https://u:p@h/scim\n", "without a user name or password", id="URL password"),
        pytest.param(
            BASE + "    base_url: https://h/scim?aadOptscim062020\n", "say protocol: {patch: ...}", id="Entra's flag"
        ),
        pytest.param(
            BASE + "    mappings: {users: [{target: titel, source: jobTitle}]}\n",
            ":8: applications.app.mappings.users[0].target: an attribute of profile purecloud",
            id="an unknown target",
        ),
        pytest.param(
            BASE + "    mappings:\n      users:\n        - target: title\n          source: jobTitel\n",
            ":11: applications.app.mappings.users[0].source: a user attribute of Microsoft Graph, or "
            "extension_<appId>_<name>; did you mean jobTitle",
            id="an unknown source",
        ),
        pytest.param(
            BASE + "    mappings: {users: [{target: title, expression: 'ToLower([mail]'}]}\n",
            ":8: applications.app.mappings.users[0].expression: an expression; column ",
            id="a bad expression",
        ),
        pytest.param(
            BASE + "    mappings: {users: [{target: title, expression: 'ToLower([mial])'}]}\n",
            "mappings.users[0].expression: an expression; column ",
            id="an unknown attribute in an expression",
        ),
        pytest.param(
            BASE + "    mappings: {users: [{target: title, expression: 'Guid()'}]}\n",
            "mappings.users[0].apply: on_create, because Guid gives another value each time",
            id="a value that never stays",
        ),
        pytest.param(
            BASE + f"    mappings: {{users: [{{target: title, expression: '{LONG}'}}]}}\n",
            ":8: applications.app.mappings.users[0].expression: at most 10000 characters",
            id="an expression of 10,001 characters",
        ),
        pytest.param(
            BASE + "    mappings: {users: [{target: title, expression: 'Trim([mail]))'}]}\n",
            "users[0].expression: an expression; column 13: this ) closes nothing",
            id="unbalanced brackets",
        ),
        pytest.param(
            BASE + "    mappings: {users: [{target: title, expression: 'Tirm([mail])'}]}\n",
            "users[0].expression: an expression; column 1: unknown function Tirm; did you mean Trim?",
            id="an unknown function",
        ),
        pytest.param(
            BASE + "    mappings: {users: [{target: title, expression: 'Append([mail])'}]}\n",
            "users[0].expression: an expression; column 1: Append: 2 arguments were expected, 1 found",
            id="too few arguments",
        ),
        pytest.param(
            BASE + """    mappings: {users: [{target: title, expression: 'Replace([mail], , "(x", , "", , )'}]}\n""",
            "users[0].expression: an expression; column 1: Replace: regexPattern: no valid regular expression",
            id="an impossible pattern in an expression",
        ),
        pytest.param(
            BASE + "    mappings: {users: [{target: id, source: objectId}]}\n",
            ":8: applications.app.mappings.users[0].target: an attribute that clients may set",
            id="a mapping to id",
        ),
        pytest.param(
            BASE
            + "    mappings:\n      users:\n"
            + "        - {target: title, source: jobTitle}\n        - {target: Title, source: mail}\n",
            ":11: applications.app.mappings.users[1].target: each target once",
            id="two mappings to one target",
        ),
        pytest.param(
            BASE + "    attributes: {users: [{path: 'urn:x:y:2.0:User:z', pattern: '('}]}\n",
            ":8: applications.app.attributes.users[0].pattern: a regular expression; missing )",
            id="an impossible pattern of an attribute",
        ),
        pytest.param(
            BASE + "    mappings: {users: [{target: title, source: mail, constant: x}]}\n",
            "exactly one of source, constant, expression, computed, join or none: true; found source and constant",
            id="two sources",
        ),
        pytest.param(
            BASE + "    mappings: {users: [{target: groups, source: mail}]}\n",
            "users[0].target: an attribute that is not read-only",
            id="a read-only target",
        ),
        pytest.param(
            BASE + "    mappings: {users: [{target: 'emails[type eq work].value', source: mail}]}\n",
            "users[0].target: column 8 of",
            id="a bad path",
        ),
        pytest.param(
            BASE + "    mappings: {users: [{target: roles, remove: true}]}\n",
            "users[0].target: the target of a mapping that the profile has",
            id="nothing to remove",
        ),
        pytest.param(
            BASE + "    mappings: {users: [{target: userName, remove: true}]}\n",
            "applications.app.matching.users[0].target: a target attribute that has a mapping",
            id="the matching attribute without a mapping",
        ),
        pytest.param(
            BASE + "    mappings: {users: [{target: displayName, remove: true}]}\n",
            "applications.app.mappings.users: a mapping of displayName, which the vendor requires",
            id="a required attribute without a mapping",
        ),
        pytest.param(
            BASE + "    matching: {users: [{target: title}]}\n",
            ":8: applications.app.matching.users[0].by: list; the vendor does not filter on this attribute",
            id="a match that cannot be filtered",
        ),
        pytest.param(
            BASE + "    scoping_filters: [{name: f, clauses: [{attribute: departmnt, operator: IS NULL}]}]\n",
            "extension_<appId>_<name>; did you mean department",
            id="an unknown attribute in a filter",
        ),
        pytest.param(
            BASE + "    scoping_filters: [{name: f, clauses: [{attribute: mail, operator: LIKE, value: x}]}]\n",
            "clauses[0].operator: one of 'EQUALS'",
            id="an unknown operator",
        ),
        pytest.param(
            BASE
            + "    scoping_filters: [{name: f, clauses: [{attribute: mail, operator: REGEX MATCH, value: '('}]}]\n",
            "clauses[0].value: a regular expression; missing )",
            id="a bad pattern",
        ),
        pytest.param(
            BASE + "    scoping_filters: [{name: f, clauses: [{attribute: mail, operator: EQUALS}]}]\n",
            "clauses[0]: a value to compare with EQUALS",
            id="nothing to compare with",
        ),
        pytest.param(BASE + "    scoping_filters: [{name: f, clauses: []}]\n", "at least 1 item", id="no clauses"),
        pytest.param(
            PLAIN + "    groups: {enabled: true}\n",
            ":7: applications.app.groups: no groups; Fuze has none over SCIM",
            id="groups at a vendor without groups",
        ),
        pytest.param(
            PLAIN + "    deprovisioning: {hard_deleted: delete}\n",
            ":7: applications.app.deprovisioning.hard_deleted: disable or skip",
            id="a delete that the vendor cannot",
        ),
        pytest.param(
            PLAIN + "    mappings: {users: [{target: active, remove: true}]}\n",
            ":3: applications.app.deprovisioning.out_of_scope: skip or delete",
            id="a disable without a mapping of active",
        ),
        pytest.param(
            PLAIN.replace("fuze", "fortes-change-cloud")
            + "    base_url: https://x.example\n"
            + f"    mappings: {{users: [{{target: '{ADMINISTRATOR}', constant: true}}]}}\n",
            "users[0].constant: no constant that gives everybody this right",
            id="administration rights for everybody",
        ),
        pytest.param(
            BASE + "    drift: {every: 7 days}\n", "drift.every: a whole number and s, m, h or d", id="a duration"
        ),
        pytest.param(BASE + "    drift: {every: 5m}\n", "drift: every: at least 1h", id="too often"),
        pytest.param(BASE + "    rate_limit: {requests_per_second: 0}\n", "0.001", id="no requests at all"),
        pytest.param(BASE + "    rate_limit: {requests_per_second: 1e-320}\n", "0.001", id="a request in an eternity"),
        pytest.param(BASE + "    rate_limit: {requests_per_second: 1e999}\n", "finite", id="endless requests"),
        pytest.param(BASE + "    rate_limit: {concurrency: 5}\n", "concurrency", id="a limit that nothing keeps"),
        pytest.param(BASE.replace("version: 1", "version: " + "9" * 5000), "version: one of 1", id="endless digits"),
        pytest.param(
            BASE + f"    attributes: {{users: [{{path: 'urn:x:y:2.0:User:z', pattern: '{DEEP}'}}]}}\n",
            "users[0].pattern: a regular expression; groups are nested too deeply",
            id="a bottomless pattern of an attribute",
        ),
        pytest.param(
            BASE
            + "    scoping_filters: [{name: f, clauses: [{attribute: mail, operator: REGEX MATCH, "
            + f"value: '{DEEP}'}}]}}]\n",
            "clauses[0].value: a regular expression; groups are nested too deeply",
            id="a bottomless pattern",
        ),
        pytest.param(
            BASE + "    notify: {webhook: https://hook}\n", "webhook: the name of a setting", id="a literal URL"
        ),
        pytest.param(
            BASE + "    notify: {secret: HOOK_SECRET}\n",
            "notify: webhook: the name of the setting",
            id="a secret alone",
        ),
        pytest.param(
            BASE + "    notify: {webhook: HOOK_URL, secret: HOOK_URL}\n",
            "notify: secret: the name of another setting",
            id="one setting for both",
        ),
        pytest.param(
            BASE.replace("token: APP_TOKEN", "token: APP_TOKEN, expires_on: 2027-02-30"),
            "expires_on: a day that exists",
            id="no such day",
        ),
    ],
)
def test_a_mistake_is_refused_with_file_line_key_and_what_was_expected(tmp_path, text, expected):
    problems = refusals(tmp_path, text)

    assert expected in "\n".join(str(problem) for problem in problems)
    assert all(problem.line > 0 for problem in problems)


@pytest.mark.parametrize(
    "secret",
    ["eyJhbGciOiJIUzI1NiJ9.e30.x", "s3cr3t-value", "0123456789ABCDEF", "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", "A" * 65],
)
def test_a_secret_written_into_the_file_is_refused_and_not_repeated(tmp_path, secret):
    problems = refusals(tmp_path, BASE.replace("APP_TOKEN", secret))

    assert problems[0].key == "applications.app.auth.token"
    assert problems[0].line == 7
    assert secret not in str(problems)


def test_two_enabled_applications_must_not_own_the_same_accounts(tmp_path):
    twice = "version: 1\napplications:" + FUZE + FUZE.replace("fuze:", "fuze-eu:", 1)

    assert "applications.fuze-eu: another endpoint or credential than applications.fuze" in str(
        refusals(tmp_path, twice)[0]
    )
    assert len(load(tmp_path, twice + "    enabled: false\n")) == 2
    assert len(load(tmp_path, twice.replace("FUZE_TOKEN", "OTHER_TOKEN", 1))) == 2
    assert len(load(tmp_path, twice + "    base_url: https://eu.fuze.example/scim\n")) == 2


def test_all_mistakes_of_all_applications_are_reported_at_once_in_the_order_of_the_file(tmp_path):
    text = BASE + "    scope: some\n" + FUZE.replace("profile: fuze", "profile: fuse")

    lines = [problem.line for problem in refusals(tmp_path, text)]

    assert lines == sorted(lines)
    assert len(lines) == 2


def test_one_unknown_default_is_one_mistake_however_many_applications(tmp_path):
    text = "version: 1\ndefaults: {scop: all}\napplications:" + FUZE + BASE.partition("applications:")[2]

    assert [problem.key for problem in refusals(tmp_path, text)] == ["defaults.scop"]


@pytest.mark.parametrize(
    ("written", "settings"),
    [
        pytest.param(
            "{webhook: HOOK_URL}", ("HOOK_URL", "HOOK_SECRET"), id="the key's name follows from the address's"
        ),
        pytest.param("{webhook: TEAMS}", ("TEAMS", "TEAMS_SECRET"), id="also without _URL at its end"),
        pytest.param("{webhook: HOOK_URL, secret: HOOK_KEY}", ("HOOK_URL", "HOOK_KEY"), id="or is given"),
        pytest.param("{}", (), id="nobody is told"),
    ],
)
def test_a_webhook_has_two_settings_because_nothing_is_sent_unsigned(tmp_path, written, settings):
    told = application(tmp_path, f"{SCIM}\n    notify: {written}")

    assert tuple(setting for _, setting in told.notify_settings) == settings
    assert set(told.notify_settings) <= set(told.setting_names)
    assert not set(told.notify_settings) & set(told.connection_settings)


def test_who_is_told_can_be_a_default_of_which_an_application_replaces_a_key(tmp_path):
    text = "version: 1\ndefaults:\n  notify: {webhook: TEAM_URL, secret: TEAM_KEY}\napplications:" + FUZE

    same = load(tmp_path, text)["fuze"]
    other = load(tmp_path, text + "    notify: {webhook: FUZE_URL}\n")["fuze"]

    assert [setting for _, setting in same.notify_settings] == ["TEAM_URL", "TEAM_KEY"]
    assert [setting for _, setting in other.notify_settings] == ["FUZE_URL", "TEAM_KEY"]


@pytest.mark.parametrize(
    "auth",
    [
        "{type: bearer, token: A_TOKEN, expires_on: 2027-01-31}",
        "{type: api_key, key: A_KEY, header: X-Key, expires_on: '2027-01-31'}",
        "{type: basic, username: A_NAME, password: A_PASSWORD, expires_on: 2027-01-31}",
        "{type: oauth2_client_credentials, client_id: A_ID, client_secret: A_SECRET, "
        "token_url: https://a.example/token, expires_on: 2027-01-31}",
    ],
)
def test_every_secret_can_have_a_last_day(tmp_path, auth):
    text = BASE.replace("region: mypurecloud.ie", SCIM).replace("purecloud", "scim")

    assert load(tmp_path, text.replace("{type: bearer, token: APP_TOKEN}", auth))["app"].expires_on == date(2027, 1, 31)
    assert load(tmp_path, text)["app"].expires_on is None


@pytest.mark.parametrize(
    "url",
    [
        "https://hooks.example/services/T0/B0/x",
        "https://prod.example:443/workflows/1/run?api-version=1&sig=a%2Fb",
        "http://127.0.0.1:8080/hook",
    ],
)
def test_a_webhooks_address_may_have_a_query(url):
    assert checked_webhook_url(url, key="HOOK_URL") == url


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.example/t0ken",
        "http://127.0.0.1.hooks.example/t0ken",
        "https://user:t0ken@hooks.example/",
        "https:///t0ken",
        "ftp://hooks.example/t0ken",
        "https://hooks.example/t0ken x",
        "https://hooks.example/t0ken\r\nHost: other",
        "https://[t0ken",
        "https://hooks.example:port/t0ken",
        "t0ken",
    ],
)
def test_an_unusable_address_of_a_webhook_is_refused_without_repeating_it(url):
    with pytest.raises(AddressError) as refused:
        checked_webhook_url(url, key="HOOK_URL")

    assert "t0ken" not in f"{refused.value} {refused.value.key}"
    assert refused.value.key == "HOOK_URL"
