"""A directory object under the names mappings use."""

from pathlib import Path

import pytest

from shared.config.applications import load_applications
from shared.rules.source_attributes import is_user_attribute, referenced_attributes, similar_attributes
from shared.rules.source_user import SourceUser, reference_id, select_group_properties, select_properties, visible_upn

PROPERTIES = {
    "id": "u1",
    "userPrincipalName": "ada_example.org#EXT#@contoso.onmicrosoft.com",
    "businessPhones": ["+49 1", "+49 2"],
    "mobilePhone": "+49 3",
    "officeLocation": "Hall 1",
    "faxNumber": "+49 4",
    "onPremisesExtensionAttributes": {"extensionAttribute3": "three"},
    "employeeOrgData": {"costCenter": "C1", "division": None},
    "extension_0123456789abcdef0123456789abcdef_Badge": "B7",
    "accountEnabled": True,
    "mail": None,
}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("objectId", "u1"),
        ("userPrincipalName", "ada@example.org"),
        ("originalUserPrincipalName", "ada_example.org#EXT#@contoso.onmicrosoft.com"),
        ("telephoneNumber", "+49 1"),
        ("mobile", "+49 3"),
        ("physicalDeliveryOfficeName", "Hall 1"),
        ("facsimileTelephoneNumber", "+49 4"),
        ("extensionAttribute3", "three"),
        ("onPremisesExtensionAttributes.extensionAttribute3", "three"),
        ("employeeOrgData.costCenter", "C1"),
        ("extension_0123456789abcdef0123456789abcdef_Badge", "B7"),
        ("MOBILEPHONE", "+49 3"),
        ("IsSoftDeleted", False),
    ],
)
def test_a_name_answers_with_its_value(name, value):
    assert SourceUser(PROPERTIES)[name] == value


@pytest.mark.parametrize("name", ["mail", "employeeOrgData.division", "extensionAttribute4", "givenName"])
def test_a_name_without_a_value_is_absent(name):
    user = SourceUser(PROPERTIES)

    assert name not in user
    assert user.get(name) is None


@pytest.mark.parametrize(
    ("properties", "verdict", "soft_deleted"),
    [
        pytest.param({"accountEnabled": True}, None, False, id="enabled"),
        pytest.param({"accountEnabled": False}, None, True, id="disabled at the source"),
        pytest.param({}, None, False, id="not said"),
        pytest.param({"accountEnabled": True}, True, True, id="the caller knows better"),
        pytest.param({"accountEnabled": True, "IsSoftDeleted": True}, None, True, id="stored with the object"),
    ],
)
def test_soft_deleted_is_the_callers_verdict_or_what_the_object_says(properties, verdict, soft_deleted):
    assert SourceUser(properties, soft_deleted=verdict)["IsSoftDeleted"] is soft_deleted


@pytest.mark.parametrize(
    ("upn", "visible"),
    [
        pytest.param("ada_example.org#EXT#@t.onmicrosoft.com", "ada@example.org", id="a guest"),
        pytest.param("a_b_example.org#EXT#@t.onmicrosoft.com", "a_b@example.org", id="a guest with an underscore"),
        pytest.param("ada_l@example.org", "ada_l@example.org", id="a member with an underscore"),
        pytest.param("ada#EXT#@t.onmicrosoft.com", "ada#EXT#@t.onmicrosoft.com", id="a guest without a domain"),
    ],
)
def test_a_guests_name_is_the_one_of_its_home(upn, visible):
    assert visible_upn(upn) == visible


@pytest.mark.parametrize(
    ("value", "identifier"),
    [
        pytest.param("m1", "m1", id="an id"),
        pytest.param({"id": "m1", "@odata.type": "#user"}, "m1", id="Graph's object"),
        pytest.param([{"id": "m0", "@removed": {}}, {"id": "m1"}], "m1", id="a delta page with the old one removed"),
        pytest.param([{"id": "m0", "@removed": {}}], None, id="a removal only"),
        pytest.param(None, None, id="nobody"),
    ],
)
def test_a_reference_is_read_from_every_shape(value, identifier):
    assert reference_id(value) == identifier


def test_a_mistyped_attribute_is_unknown_and_the_right_one_is_suggested():
    assert not is_user_attribute("jobTitel")
    assert similar_attributes("jobTitel")[0] == "jobTitle"


def test_attributes_of_an_expression_are_found_outside_quotes_only():
    assert referenced_attributes('Join("[x]", [givenName], Left([mail], 3), "a\\"[y]")') == ("givenName", "mail")


def test_exactly_what_mappings_and_filters_read_is_selected(tmp_path: Path):
    file = tmp_path / "provisioning.yaml"
    file.write_text(
        """
version: 1
applications:
  on:
    profile: fuze
    service_principal_id: 11111111-1111-1111-1111-111111111111
    auth: {type: bearer, token: A_TOKEN}
    scoping_filters: [{name: f, clauses: [{attribute: usageLocation, operator: IS NOT NULL}]}]
    mappings: {users: [{target: name.givenName, expression: 'Left([extensionAttribute2], 3)'}]}
  off:
    enabled: false
    profile: clarizen-one
    region: eu
    service_principal_id: 22222222-2222-2222-2222-222222222222
    auth: {type: bearer, token: B_TOKEN}
"""
    )

    applications = load_applications(file, {})

    assert select_properties(applications.values()) == (
        "accountEnabled",
        "displayName",
        "id",
        "mail",
        "onPremisesExtensionAttributes",
        "surname",
        "usageLocation",
        "userPrincipalName",
    )
    assert "members" in select_group_properties(applications.values())
