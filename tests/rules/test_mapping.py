"""From a source user to the account it should have."""

import random
import subprocess
import sys
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.config.mapping import AttributeMapping
from shared.config.profile import ResourceProfile, RoleRules, TargetAttribute
from shared.config.profile_files import find_profile
from shared.rules.expressions import AppRole, EvaluationContext
from shared.rules.failures import InvalidData
from shared.rules.mapping import compile_mappings, map_account

ROLES = (AppRole(id="r1", value="User", displayName="User"), AppRole(id="r2", value="Admin", displayName="Admin"))
USER = {
    "id": "u1",
    "userPrincipalName": "ada@example.org",
    "accountEnabled": True,
    "displayName": "Ada Lovelace",
    "givenName": "Ada",
    "surname": "Lovelace",
    "mail": "ada@example.org",
    "jobTitle": "Engineer",
    "mobilePhone": "089 1234",
    "businessPhones": ["+49 89 1234"],
    "department": "R&D",
    "employeeId": "42",
    "manager": {"id": "m1"},
    "proxyAddresses": ["SMTP:ada@example.org", "smtp:lovelace@example.org"],
    "mailNickname": "ada",
}


def context(roles=()):
    return EvaluationContext(
        now=datetime(2026, 11, 20, tzinfo=UTC), random=random.Random(1), new_guid=lambda: "guid", roles=roles
    )


def resource(*mappings, attributes=(), matching=()):
    known = {entry["path"]: entry for entry in attributes}
    for mapping in mappings:
        kind = "Boolean" if mapping["target"] == "active" else "String"
        known.setdefault(mapping["target"], {"path": mapping["target"], "type": kind})
    return ResourceProfile(
        endpoint="/Users",
        schema_urn="urn:ietf:params:scim:schemas:core:2.0:User",
        attributes=tuple(TargetAttribute.model_validate(entry) for entry in known.values()),
        matching=tuple({"target": target} for target in matching),
        mappings=tuple(AttributeMapping.model_validate(mapping) for mapping in mappings),
    )


def mapped(*mappings, user=USER, attributes=(), matching=(), roles=(), rules=None, soft_deleted=None):
    compiled = compile_mappings(resource(*mappings, attributes=attributes, matching=matching), rules)
    return map_account(compiled, user, context=context(roles), soft_deleted=soft_deleted)


def of_profile(name, user=USER, roles=(), soft_deleted=None):
    profile = find_profile(name, folder=None)
    return map_account(
        compile_mappings(profile.users, profile.roles), user, context=context(roles), soft_deleted=soft_deleted
    )


def test_a_fuze_account():
    account = of_profile("fuze")

    assert account.attributes == {
        "userName": "ada@example.org",
        "name.givenName": "Ada",
        "name.familyName": "Lovelace",
        'emails[type eq "work"].value': "ada@example.org",
        "active": True,
    }
    assert account.matching == (
        ('emails[type eq "work"].value', "ada@example.org"),
        ("userName", "ada@example.org"),
    )


def test_a_fuze_account_without_mail_is_matched_by_its_user_name():
    account = of_profile("fuze", user={**USER, "mail": None})

    assert account.matching[0] == ('emails[type eq "work"].value', "ada@example.org")


def test_a_purecloud_account_leaves_out_the_phone_number_that_is_not_e164():
    account = of_profile("purecloud")

    mobile = 'phoneNumbers[type eq "mobile"].value'
    assert account.attributes['phoneNumbers[type eq "work"].value'] == "+49891234"
    assert mobile not in account.attributes
    assert mobile in account.kept
    assert [warning.target for warning in account.warnings] == [mobile]
    assert "089" not in str(account.warnings)


def test_the_manager_is_a_reference_by_source_id():
    account = of_profile("purecloud")

    manager = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager"
    assert account.references == {manager: "m1"}
    assert manager not in account.attributes


def test_a_clarizen_account_gets_the_one_role_that_is_allowed():
    account = of_profile("clarizen-one", roles=ROLES)

    assert account.attributes['roles[primary eq "True"].value'] == "User"
    assert account.attributes["name.formatted"] == "Ada Lovelace"


def test_a_clarizen_account_with_a_refused_role_only_is_not_written():
    with pytest.raises(InvalidData) as failure:
        of_profile("clarizen-one", roles=ROLES[1:])

    assert failure.value.target == 'roles[primary eq "True"].value'
    assert "Admin" in failure.value.reason


def test_a_leaver_with_a_refused_role_can_still_be_disabled():
    account = of_profile("clarizen-one", roles=ROLES[1:], soft_deleted=True)

    assert account.attributes["active"] is False


def test_a_generic_account_has_every_default_of_entra():
    account = of_profile("scim")

    assert account.attributes['emails[type eq "other"].value'] == "lovelace@example.org"
    assert account.attributes["externalId"] == "ada"
    assert account.attributes["urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department"] == "R&D"
    assert account.on_create == {}


def test_nothing_that_is_empty_is_sent():
    account = of_profile("scim", user={"id": "u1", "userPrincipalName": "a@x", "displayName": " ", "jobTitle": None})

    assert account.attributes == {"userName": "a@x", "active": True}


@pytest.mark.parametrize(
    "expression",
    [
        'Switch([IsSoftDeleted], , "False", "True", "True", "False")',
        'Switch([IsSoftDeleted],,"False","True","True","False")',
        "Not([IsSoftDeleted])",
    ],
)
@pytest.mark.parametrize("soft_deleted", [True, False])
def test_the_usual_expressions_of_active_give_a_boolean(expression, soft_deleted):
    attributes = [{"path": "active", "type": "Boolean"}]

    account = mapped({"target": "active", "expression": expression}, attributes=attributes, soft_deleted=soft_deleted)

    assert account.attributes["active"] is not soft_deleted


def test_shipped_profiles_and_usual_expressions_load_no_grammar():
    program = """
import sys
from shared.config.profile_files import find_profile, shipped_profiles
from shared.rules.mapping import compile_mappings
for name in shipped_profiles():
    compile_mappings(find_profile(name, folder=None).users)
print([name for name in ("lark", "regex", "httpx", "azure", "msgraph") if name in sys.modules])
"""

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


def test_constant_join_and_fallback():
    account = mapped(
        {"target": "userType", "constant": "Employee"},
        {"target": "name.formatted", "join": ["givenName", "onPremisesDomainName", "surname"]},
        {"target": "nickName", "source": "preferredLanguage", "fallback": "givenName"},
    )

    assert account.attributes == {"userType": "Employee", "name.formatted": "Ada Lovelace", "nickName": "Ada"}


def test_an_expression_that_is_not_special_is_evaluated():
    account = mapped({"target": "nickName", "expression": "ToUpper([givenName])"})

    assert account.attributes == {"nickName": "ADA"}


def test_a_default_is_for_the_create_only():
    account = mapped({"target": "locale", "source": "preferredLanguage", "default": "en"})

    assert account.attributes == {}
    assert account.on_create == {"locale": "en"}
    assert account.kept == set()


def test_a_value_at_the_source_wins_over_the_default():
    account = mapped({"target": "locale", "source": "givenName", "default": "en"})

    assert account.attributes == {"locale": "Ada"}
    assert account.on_create == {}


def test_an_untouched_target_gets_only_its_default_on_create():
    account = mapped({"target": "locale", "none": True, "default": "en"}, {"target": "title", "none": True})

    assert account.attributes == {}
    assert account.on_create == {"locale": "en"}
    assert account.kept == {"locale", "title"}


def test_a_create_only_mapping_stays_out_of_updates():
    account = mapped({"target": "nickName", "source": "givenName", "apply": "on_create"})

    assert account.attributes == {}
    assert account.on_create == {"nickName": "Ada"}
    assert account.kept == {"nickName"}


@pytest.mark.parametrize(("clear", "kept"), [(True, set()), (False, {"title"})])
def test_a_value_that_becomes_empty_is_removed_unless_the_mapping_says_otherwise(clear, kept):
    account = mapped({"target": "title", "source": "preferredLanguage", "clear_when_empty": clear})

    assert "title" not in account.attributes
    assert account.kept == kept


def test_a_dropped_attribute_is_left_as_it_is():
    account = mapped({"target": "title", "expression": "IgnoreFlowIfNullOrEmpty([preferredLanguage])"})

    assert account.attributes == {}
    assert account.kept == {"title"}


def test_redaction_by_flag_and_by_function():
    account = mapped(
        {"target": "title", "source": "jobTitle", "redact": True},
        {"target": "nickName", "expression": "Redact([givenName])"},
    )

    assert account.attributes == {"title": "Engineer", "nickName": "Ada"}
    assert account.redacted == {"title", "nickName"}


def test_candidates_are_for_the_create():
    expression = 'SelectUniqueValue([givenName], Join("", [givenName], "2"))'

    account = mapped({"target": "nickName", "expression": expression, "apply": "on_create"})

    assert account.candidates == {"nickName": ("Ada", "Ada2")}
    assert account.on_create == {"nickName": "Ada"}


def test_values_of_an_add_only_list_are_named():
    attributes = [{"path": "tags", "multi_valued": True}]

    account = mapped({"target": "tags", "source": "proxyAddresses", "apply": "add_only"}, attributes=attributes)

    assert account.attributes["tags"] == USER["proxyAddresses"]
    assert account.add_only == {"tags"}


@pytest.mark.parametrize(
    ("expression", "add_only", "display"),
    [
        ("AppRoleAssignmentsComplex([appRoleAssignments])", {"roles"}, "displayName"),
        ("AssertiveAppRoleAssignmentsComplex([appRoleAssignments])", set(), "display"),
    ],
)
def test_role_lists(expression, add_only, display):
    attributes = [{"path": "roles", "type": "Complex", "multi_valued": True}]

    account = mapped({"target": "roles", "expression": expression}, attributes=attributes, roles=ROLES)

    assert [role["value"] for role in account.attributes["roles"]] == ["Admin", "User"]
    assert all(role[display] == role["value"] for role in account.attributes["roles"])
    assert account.add_only == add_only


def test_case_only_changes_flow_unless_target_or_mapping_say_otherwise():
    account = mapped(
        {"target": "a", "source": "mail"},
        {"target": "b", "source": "mail", "case_exact": False},
        {"target": "c", "source": "mail"},
        attributes=[{"path": "c", "case_exact": False}],
    )

    assert account.case_ignored == {"b", "c"}


REQUIRED = [{"path": "title", "required": True}]


def test_a_missing_required_value_names_target_and_source_only():
    with pytest.raises(InvalidData) as failure:
        mapped({"target": "title", "source": "preferredLanguage"}, attributes=REQUIRED)

    assert (failure.value.target, failure.value.source) == ("title", "preferredLanguage")


def test_a_leaver_is_mapped_whatever_is_missing():
    account = mapped(
        {"target": "title", "source": "preferredLanguage"},
        {"target": "active", "computed": "not_soft_deleted"},
        attributes=REQUIRED,
        soft_deleted=True,
    )

    assert account.attributes == {"active": False}
    assert account.kept == {"title"}
    assert account.warnings[0].target == "title"


@pytest.mark.parametrize("value", ["maybe", None])
def test_an_active_that_is_neither_true_nor_false_is_refused_for_joiners_and_false_for_leavers(value):
    attributes = [{"path": "active", "type": "Boolean"}]
    mapping = {"target": "active", "source": "employeeType"}
    user = {**USER, "employeeType": value}

    leaver = mapped(mapping, attributes=attributes, user=user, soft_deleted=True)

    assert leaver.attributes["active"] is False
    with pytest.raises(InvalidData):
        mapped(mapping, attributes=attributes, user=user)


def test_a_privilege_is_never_cleared_by_an_empty_value():
    attributes = [{"path": "administrator", "type": "Boolean", "privileged": True}]

    with pytest.raises(InvalidData):
        mapped({"target": "administrator", "source": "employeeType"}, attributes=attributes)


def test_an_expression_that_fails_for_one_user_is_invalid_data_without_its_values():
    with pytest.raises(InvalidData) as failure:
        mapped({"target": "title", "expression": "Item([proxyAddresses], 9)"})

    assert failure.value.target == "title"
    assert "ada@" not in str(failure.value)


def test_a_role_rule_is_checked_for_lists_too():
    mapping = {"target": "roles", "computed": "app_roles_asserted"}
    attributes = [{"path": "roles", "type": "Complex", "multi_valued": True}]

    with pytest.raises(InvalidData):
        mapped(mapping, attributes=attributes, roles=ROLES, rules=RoleRules(allowed=("User",)))


def test_members_of_a_group_are_written_on_their_own():
    profile = find_profile("clarizen-one", folder=None)
    group = {"id": "g1", "displayName": "Team", "members": [{"id": "u1"}]}

    account = map_account(compile_mappings(profile.groups), group, context=context())

    assert account.attributes == {"displayName": "Team", "externalId": "g1"}
    assert account.matching == (("displayName", "Team"),)


PROPERTY_VALUES = st.none() | st.text(max_size=6) | st.booleans() | st.lists(st.text(max_size=3), max_size=2)


@settings(max_examples=150, deadline=None)
@given(
    st.dictionaries(st.sampled_from(sorted(USER)), PROPERTY_VALUES),
    st.sampled_from(["fuze", "fortes-change-cloud", "purecloud", "clarizen-one", "scim"]),
)
def test_a_leaver_is_always_mapped_to_inactive_and_never_to_null(user, name):
    account = of_profile(name, user=user, soft_deleted=True)

    assert account.attributes["active"] is False
    assert None not in account.attributes.values()
    assert not set(account.attributes) & set(account.on_create)


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(st.sampled_from(sorted(USER)), PROPERTY_VALUES))
def test_mapping_the_same_user_twice_gives_the_same_account(user):
    assert of_profile("scim", user=user, soft_deleted=True) == of_profile("scim", user=user, soft_deleted=True)
