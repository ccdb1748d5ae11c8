"""The shipped profiles against the vendors' tutorials, row by row."""

import logging
from pathlib import Path

import pytest
import yaml

from shared.config.errors import ConfigurationError
from shared.config.mapping import Apply
from shared.config.profile import Confidence, Mutability
from shared.config.profile_files import UnknownProfileError, find_profile, read_profile, shipped_profiles

PROFILES = Path(__file__).parents[2] / "shared/config/profiles"
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
FCC = "urn:ietf:params:scim:schemas:extension:fcc:2.0:User"

PRINTED = {
    "fuze": ["userName", "name.givenName", "name.familyName", 'emails[type eq "work"].value', "active"],
    "fortes-change-cloud": [
        "userName",
        "active",
        'emails[type eq "work"].value',
        "name.givenName",
        "name.familyName",
        "name.formatted",
        "externalId",
        f"{FCC}:administrator",
        f"{FCC}:loginDisabled",
    ],
    "purecloud": [
        "userName",
        "active",
        "displayName",
        'emails[type eq "work"].value',
        "title",
        'phoneNumbers[type eq "mobile"].value',
        'phoneNumbers[type eq "work"].value',
        f"{ENTERPRISE}:department",
        f"{ENTERPRISE}:manager",
        f"{ENTERPRISE}:employeeNumber",
    ],
    "clarizen-one": [
        "userName",
        "displayName",
        "active",
        "title",
        'emails[type eq "work"].value',
        'emails[type eq "home"].value',
        'emails[type eq "other"].value',
        "preferredLanguage",
        "name.givenName",
        "name.familyName",
        "name.formatted",
        "name.honorificPrefix",
        "name.honorificSuffix",
        'addresses[type eq "other"].formatted',
        'addresses[type eq "work"].formatted',
        'addresses[type eq "work"].country',
        'addresses[type eq "work"].region',
        'addresses[type eq "work"].locality',
        'addresses[type eq "work"].postalCode',
        'addresses[type eq "work"].streetAddress',
        'phoneNumbers[type eq "work"].value',
        'phoneNumbers[type eq "mobile"].value',
        'phoneNumbers[type eq "fax"].value',
        'phoneNumbers[type eq "home"].value',
        'phoneNumbers[type eq "other"].value',
        'phoneNumbers[type eq "pager"].value',
        "externalId",
        "nickName",
        "locale",
        'roles[primary eq"True".type]',
        'roles[primary eq"True".value]',
        "timezone",
        "userType",
        f"{ENTERPRISE}:department",
        f"{ENTERPRISE}:employeeNumber",
        f"{ENTERPRISE}:manager",
        f"{ENTERPRISE}:costCenter",
        f"{ENTERPRISE}:division",
        f"{ENTERPRISE}:division",
    ],
}
GROUPS = {"purecloud", "clarizen-one", "scim"}


def profile(name):
    return find_profile(name, folder=PROFILES)


def test_the_four_vendors_and_the_generic_profile_are_shipped():
    assert set(shipped_profiles()) == {*PRINTED, "scim"}


@pytest.mark.parametrize("name", PRINTED)
def test_every_row_of_the_tutorial_is_in_the_profile(name):
    attributes = profile(name).users.attributes

    printed = {entry.printed or entry.path for entry in attributes}

    assert set(PRINTED[name]) <= printed


@pytest.mark.parametrize("name", PRINTED)
def test_every_attribute_that_is_not_in_the_tutorial_says_where_it_comes_from(name):
    extra = [entry for entry in profile(name).users.attributes if (entry.printed or entry.path) not in PRINTED[name]]

    assert [entry.path for entry in extra if not (entry.confidence and entry.source)] == []
    assert Confidence.SEED not in {entry.confidence for entry in extra}


def test_clarizens_thirty_nine_rows_are_thirty_eight_attributes():
    rows = PRINTED["clarizen-one"]
    attributes = [entry for entry in profile("clarizen-one").users.attributes if entry.confidence is None]

    assert len(rows) == 39
    assert len(attributes) == len(set(rows)) == 38


def test_clarizens_misprinted_paths_are_repaired_by_an_explicit_table_and_logged(caplog):
    with caplog.at_level(logging.INFO, logger="shared.config.profile_files"):
        read = read_profile(PROFILES / "clarizen-one.yaml")

    assert {repair.printed: repair.path for repair in read.users.repairs} == {
        'roles[primary eq"True".type]': 'roles[primary eq "True"].type',
        'roles[primary eq"True".value]': 'roles[primary eq "True"].value',
        f"{ENTERPRISE}:division": "",
    }
    assert [record.message for record in caplog.records] == ["profile.path_repaired"] * 3


@pytest.mark.parametrize("name", sorted(GROUPS))
def test_groups_have_the_three_attributes_of_the_tutorials(name):
    groups = profile(name).groups

    assert [(entry.path, entry.type) for entry in groups.attributes] == [
        ("displayName", "String"),
        ("externalId", "String"),
        ("members", "Reference"),
    ]


@pytest.mark.parametrize("name", ["fuze", "fortes-change-cloud"])
def test_a_vendor_without_groups_has_none(name):
    assert profile(name).groups is None


def test_fuze():
    fuze = profile("fuze")
    entitlements = next(entry for entry in fuze.users.attributes if entry.path.endswith("entitlements"))

    assert fuze.rate_limit.steady_rate == 10
    assert not fuze.users.attribute("userName").filterable
    assert [(entry.target, entry.by, entry.fallback) for entry in fuze.users.matching] == [
        ('emails[type eq "work"].value', "filter", "list"),
        ("userName", "list", None),
    ]
    assert entitlements.mutability is Mutability.CREATE_ONLY
    assert entitlements.path not in {mapping.target for mapping in fuze.users.mappings}


def test_fortes():
    fortes = profile("fortes-change-cloud")

    assert fortes.users.attribute(f"{FCC}:administrator").privileged
    assert {entry.type for entry in fortes.users.attributes if entry.path.startswith(FCC)} == {"Boolean"}
    assert [entry.path for entry in fortes.users.attributes if entry.filterable] == ["userName"]
    assert not {f"{FCC}:administrator", f"{FCC}:loginDisabled"} & {entry.target for entry in fortes.users.mappings}


def test_purecloud():
    purecloud = profile("purecloud")

    assert len(purecloud.base_url.regions) == 17
    assert purecloud.rate_limit.steady_rate == 4
    assert purecloud.protocol.page_size == 25
    assert (purecloud.protocol.version_mismatch_status, purecloud.protocol.version_mismatch_code) == (
        400,
        "invalidVers",
    )
    assert purecloud.protocol.etag
    assert purecloud.protocol.list_excludes_inactive
    assert purecloud.users.delete_means == "soft"
    assert (purecloud.groups.create, purecloud.groups.update, purecloud.groups.delete) == (False, True, False)
    assert not [entry for entry in purecloud.users.attributes if entry.path.startswith("name.")]


def test_clarizen():
    clarizen = profile("clarizen-one")

    assert len(clarizen.base_url.choices) == 4
    assert clarizen.roles.allowed == ("User",)
    assert clarizen.credentials.lifetime_days == 365
    assert clarizen.users.attribute(f"{ENTERPRISE}:organization").confidence is Confidence.ASSUMED


@pytest.mark.parametrize("name", PRINTED)
def test_default_access_does_not_entitle_as_the_tutorials_say(name):
    assert profile(name).roles.exclude_default_access


@pytest.mark.parametrize("name", shipped_profiles())
def test_every_quirk_has_evidence(name):
    written = yaml.safe_load((PROFILES / f"{name}.yaml").read_text())
    sections = ["base_url", "credentials", "roles", "rate_limit", "protocol"]
    quirks = {f"{section}.{key}" for section in sections for key in written.get(section) or {}}
    explained = set(written["evidence"])

    assert {quirk for quirk in quirks if quirk not in explained and quirk.split(".")[0] not in explained} == set()


@pytest.mark.parametrize("name", shipped_profiles())
def test_active_follows_soft_deletion_and_existing_accounts_are_matched(name):
    users = profile(name).users
    active = next(mapping for mapping in users.mappings if mapping.target == "active")

    assert active.computed == "not_soft_deleted"
    assert active.apply is Apply.ALWAYS
    assert users.matching
    assert users.verify_match


def test_an_unknown_profile_is_refused_with_a_suggestion():
    with pytest.raises(UnknownProfileError, match="did you mean purecloud"):
        find_profile("pureclod", folder=PROFILES)


def test_a_profile_of_the_operators_own_is_checked_like_a_shipped_one(tmp_path):
    (tmp_path / "own.yaml").write_text(
        """
version: 1
name: own
title: Own
users:
  endpoint: /Users
  schema_urn: urn:ietf:params:scim:schemas:core:2.0:User
  attributes:
    - {path: userName, required: true}
    - {path: id, mutability: readOnly}
  matching: [{target: userName}]
  mappings:
    - {target: id, source: objectId}
    - {target: nickName, source: givenNam}
evidence: {protocol.etag: {confidence: assumed, source: x}}
"""
    )

    with pytest.raises(ConfigurationError) as refusal:
        find_profile("own.yaml", folder=tmp_path)

    assert [(problem.line, problem.key) for problem in refusal.value.problems] == [
        (13, "users.mappings[0].target"),
        (14, "users.mappings[1].target"),
        (14, "users.mappings[1].source"),
        (11, "users.matching[0].target"),
        (12, "users.mappings"),
        (15, "evidence.protocol.etag"),
    ]


PLAIN_PROFILE = """
version: 1
name: own
title: Own
users:
  endpoint: /Users
  schema_urn: urn:ietf:params:scim:schemas:core:2.0:User
  attributes: [{path: userName, filterable: true}, {path: active, type: Boolean}]
  matching: [{target: userName}]
  mappings: [{target: userName, source: mail}, {target: active, computed: not_soft_deleted}]
"""


@pytest.mark.parametrize(
    ("written", "instead", "expected"),
    [
        pytest.param("title: Own", "titel: Own", ":4: titel: no such key; one of ", id="of the profile"),
        pytest.param("title: Own", "titel: Own", "did you mean title?", id="with the one that was meant"),
        pytest.param("  endpoint", "  disabel: true\n  endpoint", ":6: users.disabel: no such key", id="of users"),
        pytest.param(
            "path: userName,",
            "path: userName, mutable: true,",
            ":8: users.attributes[0].mutable: no such",
            id="of a row",
        ),
        pytest.param(
            "source: mail}", "sorce: mail}", ":10: users.mappings[0].sorce: no such key; one of ", id="of a mapping"
        ),
        pytest.param(
            "title: Own",
            "title: Own\nprotocol: {patch: {verbs: put}}",
            ":5: protocol.patch.verbs: no such key",
            id="of the dialect",
        ),
    ],
)
def test_an_unknown_key_is_refused_with_file_line_and_remedy(tmp_path, written, instead, expected):
    assert written in PLAIN_PROFILE
    (tmp_path / "own.yaml").write_text(PLAIN_PROFILE.replace(written, instead, 1))

    with pytest.raises(ConfigurationError) as refusal:
        find_profile("own.yaml", folder=tmp_path)

    assert str(refusal.value).startswith("own.yaml:")
    assert expected in str(refusal.value)


def test_a_vendor_that_does_not_speak_scim_is_recognised_and_refused(tmp_path):
    (tmp_path / "soap.yaml").write_text(
        """
version: 1
name: soap
title: Ticket Desk
transport: not_scim
users: {endpoint: /x, schema_urn: "urn:x:y"}
documentation: {known_problems: [{text: it speaks SOAP, confidence: vendor}]}
"""
    )

    with pytest.raises(ConfigurationError, match="Ticket Desk cannot be connected: it speaks SOAP"):
        find_profile("soap.yaml", folder=tmp_path)
