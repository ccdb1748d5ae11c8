"""Bodies as a strict server wants them, and resources as lenient servers return them."""

from typing import Any

import pytest

from shared.scim.resources import build_replacement, build_resource, equal_values, read_attribute

CORE = "urn:ietf:params:scim:schemas:core:2.0:User"
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
FORTES = "urn:ietf:params:scim:schemas:extension:fcc:2.0:User"


def test_a_body_names_exactly_the_schemas_whose_attributes_are_there() -> None:
    attributes = {"userName": "a", f"{FORTES}:administrator": False, f"{ENTERPRISE}:department": ""}

    body = build_resource(attributes, schema_urn=CORE)

    assert body == {"schemas": [CORE, FORTES], "userName": "a", FORTES: {"administrator": False}}


def test_typed_values_become_one_list_with_one_element_per_type() -> None:
    attributes = {
        'emails[type eq "work"].value': "w@x",
        'emails[type eq "home"].value': "h@x",
        'addresses[type eq "work"].country': "DE",
        'addresses[type eq "work"].locality': "Berlin",
    }

    body = build_resource(attributes, schema_urn=CORE)

    assert body["emails"] == [{"type": "work", "value": "w@x", "primary": True}, {"type": "home", "value": "h@x"}]
    assert body["addresses"] == [{"type": "work", "country": "DE", "locality": "Berlin"}]


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        pytest.param("name.givenName", "G", {"name": {"givenName": "G"}}, id="a sub-attribute is nested"),
        pytest.param("roles", "User", {"roles": [{"value": "User"}]}, id="one role becomes a list"),
        pytest.param("roles", ["a", "b"], {"roles": [{"value": "a"}, {"value": "b"}]}, id="texts become elements"),
        pytest.param(
            'roles[primary eq "True"].value', "User", {"roles": [{"primary": True, "value": "User"}]},
            id="primary is a boolean",
        ),
        pytest.param('emails[type eq "home"]', "h@x", {"emails": [{"type": "home", "value": "h@x"}]}, id="no sub"),
        pytest.param(f"{ENTERPRISE}:manager", "7", {ENTERPRISE: {"manager": {"value": "7"}}}, id="a manager"),
        pytest.param(f"{CORE}:title", "T", {"title": "T"}, id="the core schema's own prefix"),
        pytest.param(
            f'{ENTERPRISE}:externalIds[authority eq "zoom"].value', "z",
            {ENTERPRISE: {"externalIds": [{"authority": "zoom", "value": "z"}]}},
            id="a typed value of an extension",
        ),
        pytest.param("title", "", {}, id="an empty text is left out"),
    ],
)  # fmt: skip
def test_an_attribute_in_a_body(path: str, value: Any, expected: dict[str, Any]) -> None:
    body = build_resource({path: value}, schema_urn=CORE)

    del body["schemas"]
    assert body == expected


RETURNED = {
    "id": 7,
    "UserName": "A",
    "active": "False",
    "name": {"givenname": "G"},
    "emails": [{"Type": "Work", "value": "w@x"}, {"type": "home", "value": "h@x"}, None, "odd"],
    "roles": [{"primary": "True", "value": "User"}],
    ENTERPRISE.lower(): {"Manager": {"value": "9", "displayName": "M"}},
    f"{FORTES}:administrator": "True",
    "phoneNumbers": None,
}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("userName", "A"),
        ("active", False),
        ("name.givenName", "G"),
        ('emails[type eq "work"].value', "w@x"),
        ("emails.value", ["w@x", "h@x"]),
        ('roles[primary eq "True"].value', "User"),
        (f"{ENTERPRISE}:manager", "9"),
        (f"{FORTES}:administrator", True),
        ('phoneNumbers[type eq "work"].value', None),
        ("name.familyName", None),
        ("title", None),
    ],
)
def test_reading_back_what_a_lenient_server_returns(path: str, expected: Any) -> None:
    assert read_attribute(RETURNED, path) == expected


@pytest.mark.parametrize(
    ("observed", "wanted", "equal"),
    [
        pytest.param("True", True, True, id="a boolean as text"),
        pytest.param(7, "7", True, id="an integer as text"),
        pytest.param("ANNA", "anna", True, id="other letter case"),
        pytest.param([{"value": "b"}, "a"], ["a", "b"], True, id="a list in another order"),
        pytest.param(None, [], True, id="no list is an empty list"),
        pytest.param("anna", "bert", False, id="another text"),
        pytest.param(False, None, False, id="false is not absent"),
        pytest.param({"value": "1", "x": "y"}, {"value": "1"}, False, id="another object"),
    ],
)
def test_a_value_read_back_equals_the_one_wanted(observed: Any, wanted: Any, equal: bool) -> None:
    assert equal_values(observed, wanted, case_exact=False) is equal


def test_a_replacement_keeps_what_is_not_ours_and_drops_what_only_the_server_writes() -> None:
    observed = {
        "id": "7",
        "meta": {},
        "groups": [1],
        "locale": "de",
        "title": "old",
        "userName": "a",
        ENTERPRISE: {"x": 1},
    }

    body = build_replacement(
        {"userName": "b"}, schema_urn=CORE, resource_id="7", observed=observed, cleared=["title", f"{ENTERPRISE}:x"]
    )

    assert body == {"schemas": [CORE], "id": "7", "locale": "de", "userName": "b"}
