"""A patch is right when an independent SCIM implementation, applying it to the old resource, holds the new one."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scim2_models import Context, EnterpriseUser, PatchOp, ScimPolicy, User

from shared.config.profile import PatchDialect
from shared.scim.patching import (
    Difference,
    build_replacement,
    build_resource,
    diff,
    full_patch,
    member_operations,
    patch_operations,
)

CORE = "urn:ietf:params:scim:schemas:core:2.0:User"
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
FORTES = "urn:ietf:params:scim:schemas:extension:fcc:2.0:User"
PATCH_URN = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
WORK = 'emails[type eq "work"].value'
RFC = PatchDialect()
LEGACY = PatchDialect(op_case="capitalized", booleans="string", manager="plain", remove_members="value")

Person = User[EnterpriseUser]
ENTRA_MINDED = ScimPolicy(unmatched_path_filter=ScimPolicy.UnmatchedPathFilter.create)
WITHOUT_PRIMARY = ENTRA_MINDED.model_copy()

text = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1, max_size=8).filter(str.strip)
email = st.from_regex(r"[a-z]{1,5}@[a-z]{2,5}\.example", fullmatch=True)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "name.givenName": text,
    "name.familyName": text,
    "displayName": text,
    "title": text,
    "nickName": text,
    "active": st.booleans(),
    "externalId": text,
    WORK: email,
    'emails[type eq "home"].value': email,
    'phoneNumbers[type eq "mobile"].value': text,
    'addresses[type eq "work"].country': st.sampled_from(["DE", "IE"]),
    'addresses[type eq "work"].locality': text,
    'addresses[type eq "other"].formatted': text,
    'roles[primary eq "True"].value': text,
    f"{ENTERPRISE}:department": text,
    f"{ENTERPRISE}:employeeNumber": text,
    f"{ENTERPRISE}:manager": text,
}
states = st.fixed_dictionaries({"userName": email}, optional=VALUES)
cleared_paths = st.lists(st.sampled_from(sorted(VALUES)), max_size=6)


def exactly(_path: str) -> bool:
    return True


def body_of(attributes: dict[str, Any], policy: ScimPolicy | None = None) -> dict[str, Any]:
    body = Person.model_validate(build_resource(attributes, schema_urn=CORE)).model_dump(scim_ctx=None)
    return comparable(body, policy)


def comparable(body: dict[str, Any], policy: ScimPolicy | None) -> dict[str, Any]:
    """Entra's form sets the value of an e-mail and cannot mark it as primary."""
    if policy is WITHOUT_PRIMARY:
        emails = [{**entry, "primary": None} for entry in body.get("emails") or []]
        body = {**body, "emails": emails}
    return canonical(body)


def applied(resource: dict[str, Any], operations: list[dict[str, Any]], policy: ScimPolicy) -> dict[str, Any]:
    person = Person.model_validate(resource)
    if operations:
        message = {"schemas": [PATCH_URN], "Operations": json.loads(json.dumps(operations))}
        with policy:
            PatchOp[Person].model_validate(message, scim_ctx=Context.RESOURCE_PATCH_REQUEST).patch(person)
    return comparable(person.model_dump(scim_ctx=None), policy)


def canonical(value: Any) -> Any:
    if isinstance(value, dict):
        kept = {name: canonical(entry) for name, entry in value.items() if name not in {"meta", "schemas"}}
        kept = {name: entry for name, entry in kept.items() if entry not in (None, [], {}) and entry is not False}
        return kept | ({"active": False} if value.get("active") is False else {})
    if isinstance(value, list):
        return sorted((canonical(entry) for entry in value), key=lambda entry: json.dumps(entry, sort_keys=True))
    return value


DIALECTS = [
    pytest.param(RFC, ScimPolicy(), id="as the RFC writes it, on a strict server"),
    pytest.param(RFC, ENTRA_MINDED, id="as the RFC writes it, on a server written for Entra"),
    pytest.param(PatchDialect(style="pathless"), ScimPolicy(), id="without paths"),
    pytest.param(PatchDialect(style="pathless", extension="nested"), ScimPolicy(), id="without paths, nested"),
    pytest.param(PatchDialect(extension="nested", manager="value_path"), ScimPolicy(), id="nested extensions"),
    pytest.param(PatchDialect(manager="value_path"), ScimPolicy(), id="manager by its value"),
    pytest.param(PatchDialect(op_case="capitalized"), WITHOUT_PRIMARY, id="as Entra writes it, on a server for Entra"),
]


@pytest.mark.parametrize(("dialect", "policy"), DIALECTS)
@settings(max_examples=150, deadline=None)
@given(old=states, new=states)
def test_applying_the_patch_to_the_old_resource_gives_the_new_one(
    dialect: PatchDialect, policy: ScimPolicy, old: dict[str, Any], new: dict[str, Any]
) -> None:
    operations = patch_operations(diff(old, new, case_exact=exactly), dialect=dialect, present=old)

    result = applied(build_resource(old, schema_urn=CORE), operations, policy)

    assert result == body_of(new, policy)


@pytest.mark.parametrize(("dialect", "policy"), DIALECTS)
@settings(max_examples=75, deadline=None)
@given(old=states, new=states)
def test_a_full_patch_on_an_unknown_state_gives_the_new_one(
    dialect: PatchDialect, policy: ScimPolicy, old: dict[str, Any], new: dict[str, Any]
) -> None:
    cleared = [path for path in old if path not in new]

    result = applied(build_resource(old, schema_urn=CORE), full_patch(new, dialect=dialect, cleared=cleared), policy)

    assert result == body_of(new, policy)


@pytest.mark.parametrize(("dialect", "policy"), DIALECTS)
@settings(max_examples=75, deadline=None)
@given(old=states, new=states, mapped=cleared_paths)
def test_a_full_patch_on_an_account_just_read_gives_the_new_one(
    dialect: PatchDialect, policy: ScimPolicy, old: dict[str, Any], new: dict[str, Any], mapped: list[str]
) -> None:
    resource = build_resource(old, schema_urn=CORE)
    cleared = [path for path in {*old, *mapped} if path not in new]

    operations = full_patch(new, dialect=dialect, cleared=cleared, observed=resource)

    assert applied(resource, operations, policy) == body_of(new, policy)


@settings(max_examples=75, deadline=None)
@given(state=states)
def test_the_same_state_needs_no_operation(state: dict[str, Any]) -> None:
    difference = diff(state, dict(state), case_exact=exactly)

    assert difference.is_empty
    assert patch_operations(difference, dialect=RFC, present=state) == []


@settings(max_examples=75, deadline=None)
@given(old=states, new=states)
def test_a_full_patch_leaves_elements_of_others_alone(old: dict[str, Any], new: dict[str, Any]) -> None:
    resource = build_resource({**old, 'emails[type eq "other"].value': "private@home.example"}, schema_urn=CORE)

    result = applied(resource, full_patch({**new, WORK: "w@x.example"}, dialect=RFC), ScimPolicy())

    assert "private@home.example" in {entry["value"] for entry in result["emails"]}


@settings(max_examples=75, deadline=None)
@given(old=states, new=states)
def test_a_replacement_over_what_was_read_gives_the_new_state(old: dict[str, Any], new: dict[str, Any]) -> None:
    cleared = [path for path in old if path not in new]
    observed = build_resource({**old, "locale": "de-DE"}, schema_urn=CORE)

    body = build_replacement(new, schema_urn=CORE, resource_id="7", observed=observed, cleared=cleared)

    result = canonical(Person.model_validate({**body, "id": None}).model_dump(scim_ctx=None))
    assert result == {**body_of(new), "locale": "de-DE"}


@pytest.mark.parametrize(
    ("sent", "wanted", "changed", "removed"),
    [
        pytest.param({}, {"title": "T"}, {"title": "T"}, (), id="a new value is set"),
        pytest.param({"title": "T"}, {}, {}, ("title",), id="a value that went is removed"),
        pytest.param({"title": "T"}, {"title": ""}, {}, ("title",), id="an empty text is no value"),
        pytest.param({}, {"title": ""}, {}, (), id="an empty text is never sent"),
        pytest.param({"title": "t"}, {"title": "T"}, {}, (), id="letter case alone is no change where case is ignored"),
        pytest.param({"externalId": "t"}, {"externalId": "T"}, {"externalId": "T"}, (), id="case counts where exact"),
        pytest.param({"active": True}, {"active": "True"}, {"active": "True"}, (), id="a boolean is not its text"),
        pytest.param({"x": 1}, {"x": True}, {"x": True}, (), id="true is not one"),
        pytest.param({"roles": ["a", "b"]}, {"roles": ["b", "a"]}, {}, (), id="a list has no order"),
        pytest.param({"roles": ["a"]}, {"roles": []}, {}, ("roles",), id="an empty list is no value"),
        pytest.param({"nickname": "a"}, {"nickName": "b"}, {"nickName": "b"}, (), id="a new spelling is not removed"),
    ],
)
def test_the_difference(
    sent: dict[str, Any], wanted: dict[str, Any], changed: dict[str, Any], removed: tuple[str, ...]
) -> None:
    difference = diff(sent, wanted, case_exact=lambda path: path == "externalId")

    assert difference == Difference(set=changed, removed=removed)


def operations_for(old: dict[str, Any], new: dict[str, Any], dialect: PatchDialect) -> list[dict[str, Any]]:
    return patch_operations(diff(old, new, case_exact=exactly), dialect=dialect, present=old)


@pytest.mark.parametrize(
    ("old", "new", "dialect", "expected"),
    [
        pytest.param(
            {"active": True}, {"active": False}, RFC,
            [{"op": "replace", "path": "active", "value": False}],
            id="a disable is a JSON boolean",
        ),
        pytest.param(
            {"active": True}, {"active": False}, LEGACY,
            [{"op": "Replace", "path": "active", "value": "False"}],
            id="Entra's legacy disable is a text",
        ),
        pytest.param(
            {}, {"nickName": "Babs"}, LEGACY,
            [{"op": "Add", "path": "nickName", "value": "Babs"}],
            id="Entra's legacy form adds what is new",
        ),
        pytest.param(
            {}, {WORK: "a@x"}, RFC,
            [{"op": "add", "path": "emails", "value": [{"type": "work", "value": "a@x", "primary": True}]}],
            id="a missing element is added whole",
        ),
        pytest.param(
            {WORK: "a@x"}, {WORK: "b@x"}, RFC,
            [{"op": "replace", "path": WORK, "value": "b@x"}],
            id="a held element is changed through its filter",
        ),
        pytest.param(
            {}, {WORK: "a@x"}, LEGACY,
            [{"op": "Add", "path": WORK, "value": "a@x"}],
            id="Entra adds a missing element through its filter",
        ),
        pytest.param(
            {"title": "a", WORK: "a@x"},
            {"title": "b", "name.givenName": "G", f"{FORTES}:administrator": True, WORK: "b@x"},
            PatchDialect(style="pathless"),
            [
                {"op": "replace", "path": WORK, "value": "b@x"},
                {"op": "replace", "value": {"title": "b", "name.givenName": "G", f"{FORTES}:administrator": True}},
            ],
            id="one operation without a path, filters apart",
        ),
        pytest.param(
            {}, {"title": "b", f"{FORTES}:administrator": True}, PatchDialect(extension="nested"),
            [
                {"op": "add", "path": "title", "value": "b"},
                {"op": "replace", "value": {FORTES: {"administrator": True}}},
            ],
            id="extensions nested under their URN",
        ),
        pytest.param(
            {}, {f"{ENTERPRISE}:manager": "7"}, RFC,
            [{"op": "add", "path": f"{ENTERPRISE}:manager", "value": {"value": "7"}}],
            id="a manager is an object",
        ),
        pytest.param(
            {}, {f"{ENTERPRISE}:manager": "7"}, LEGACY,
            [{"op": "Add", "path": f"{ENTERPRISE}:manager", "value": "7"}],
            id="a manager as a bare id",
        ),
        pytest.param(
            {}, {f"{ENTERPRISE}:manager": "7"}, PatchDialect(manager="value_path"),
            [{"op": "add", "path": f"{ENTERPRISE}:manager.value", "value": "7"}],
            id="a manager by its value",
        ),
        pytest.param(
            {}, {"roles": [{"value": "User", "display": "U"}]}, PatchDialect(roles="json_text"),
            [{"op": "replace", "path": "roles", "value": [{"value": '{"value": "User", "display": "U"}'}]}],
            id="roles as JSON text",
        ),
        pytest.param(
            {"roles": ["a"]}, {"roles": ["a", "b"]}, RFC,
            [{"op": "replace", "path": "roles", "value": [{"value": "a"}, {"value": "b"}]}],
            id="a list owned whole is replaced",
        ),
        pytest.param(
            {'roles[primary eq "True"].value': "User"}, {'roles[primary eq "True"].value': "Lite"}, RFC,
            [{"op": "replace", "path": "roles[primary eq true].value", "value": "Lite"}],
            id="primary is compared with a boolean",
        ),
        pytest.param(
            {"active": False, "title": "a"}, {"active": True, "title": "b", "nickName": "n"}, RFC,
            [
                {"op": "replace", "path": "active", "value": True},
                {"op": "replace", "path": "title", "value": "b"},
                {"op": "add", "path": "nickName", "value": "n"},
            ],
            id="an account is activated before it is changed",
        ),
        pytest.param(
            {"active": True, "nickName": "n"}, {"active": False, "title": "b"}, RFC,
            [
                {"op": "remove", "path": "nickName"},
                {"op": "add", "path": "title", "value": "b"},
                {"op": "replace", "path": "active", "value": False},
            ],
            id="an account is changed before it is disabled",
        ),
        pytest.param(
            {'addresses[type eq "work"].country': "DE", 'addresses[type eq "work"].locality': "B"},
            {'addresses[type eq "work"].locality': "B"}, RFC,
            [{"op": "remove", "path": 'addresses[type eq "work"].country'}],
            id="an element that still has values loses one of them",
        ),
    ],
)  # fmt: skip
def test_the_operations(
    old: dict[str, Any], new: dict[str, Any], dialect: PatchDialect, expected: list[dict[str, Any]]
) -> None:
    operations = operations_for(old, new, dialect)

    assert operations == expected


def test_an_element_nobody_knows_about_is_made_to_exist_before_it_is_removed_through_its_filter() -> None:
    addition = {"op": "add", "path": "emails", "value": [{"type": "work", "value": "a@x", "primary": True}]}

    operations = full_patch({WORK: "a@x"}, dialect=RFC)

    assert operations == [addition, {"op": "remove", "path": 'emails[type eq "work"]'}, addition]


def test_members_are_removed_by_filter_so_that_strict_servers_do_not_empty_the_group() -> None:
    operations = member_operations(added=["a", "b"], removed=['c"d'], dialect=RFC)

    assert operations == [
        {"op": "remove", "path": 'members[value eq "c\\"d"]'},
        {"op": "add", "path": "members", "value": [{"value": "a"}, {"value": "b"}]},
    ]


def test_members_are_removed_by_value_where_the_profile_says_so() -> None:
    operations = member_operations(added=[], removed=["c", "d"], dialect=LEGACY)

    assert operations == [{"op": "Remove", "path": "members", "value": [{"value": "c"}, {"value": "d"}]}]
