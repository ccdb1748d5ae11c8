"""What other parts of the program rely on."""

import random
import subprocess
import sys
from dataclasses import FrozenInstanceError, replace
from datetime import datetime

import pytest

from shared.rules.expressions import (
    DROP,
    AppRole,
    EvaluationContext,
    ExpressionFailure,
    Redacted,
    RoleAssignments,
    RoleFlow,
    UniqueValue,
    compile_expression,
    describe_functions,
)
from tests.rules.expressions.contexts import ADMIN, CONTEXT, READER

DOCUMENTED = [
    "AppRoleAssignments",
    "AppRoleAssignmentsComplex",
    "Append",
    "AssertiveAppRoleAssignmentsComplex",
    "BitAnd",
    "CBool",
    "CDate",
    "CRef",
    "CStr",
    "Coalesce",
    "Contains",
    "ConvertFromBase64",
    "ConvertToBase64",
    "ConvertToUTF8Hex",
    "Count",
    "DNComponent",
    "DateAdd",
    "DateDiff",
    "DateFromNum",
    "DefaultDomain",
    "Error",
    "FormatDateTime",
    "Guid",
    "IIF",
    "IgnoreFlowIfNullOrEmpty",
    "InStr",
    "IsNull",
    "IsNullOrEmpty",
    "IsPresent",
    "IsString",
    "Item",
    "Join",
    "Left",
    "Len",
    "Mid",
    "NormalizeDiacritics",
    "Not",
    "Now",
    "NumFromDate",
    "PCase",
    "RandomString",
    "Redact",
    "RemoveDuplicates",
    "Replace",
    "SelectUniqueValue",
    "SingleAppRoleAssignment",
    "Split",
    "StringFromSID",
    "StripSpaces",
    "Switch",
    "ToLower",
    "ToUpper",
    "Trim",
    "Word",
]


def test_importing_the_package_loads_neither_lark_nor_regex():
    program = "import shared.rules.expressions, sys; print({'lark', 'regex'} & set(sys.modules))"

    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert answer.stdout.strip() == "set()"


def test_an_expression_knows_its_text_attributes_and_functions():
    expression = compile_expression('IIF([a]="x", Append([b], [a]), SingleAppRoleAssignment([appRoleAssignments]))')

    assert expression.text.startswith("IIF(")
    assert expression.attributes == {"a", "b"}
    assert expression.functions == {"IIF", "Append", "SingleAppRoleAssignment"}


def test_an_expression_cannot_be_changed():
    expression = compile_expression("[a]")

    with pytest.raises(FrozenInstanceError):
        expression.text = "[b]"


def test_evaluating_leaves_the_user_as_it_was():
    user = {"a": ["x", "x"], "b": "y"}

    compile_expression("RemoveDuplicates([a])").evaluate(user, context=CONTEXT)
    compile_expression("Join([b], Trim([a]))").evaluate(user, context=CONTEXT)

    assert user == {"a": ["x", "x"], "b": "y"}


def test_every_documented_function_is_there_and_explained():
    functions = {function.name: function for function in describe_functions()}

    assert sorted(functions) == DOCUMENTED
    assert all(function.summary.endswith((".", ":")) for function in functions.values())
    assert functions["Mid"].signature == "Mid(source, start, length?)"
    assert functions["Switch"].signature == "Switch(source, defaultValue?, key..., value...)"


@pytest.mark.parametrize(
    ("text", "roles", "expected"),
    [
        ("SingleAppRoleAssignment([appRoleAssignments])", (ADMIN, READER), RoleAssignments(RoleFlow.SINGLE, (ADMIN,))),
        ("SingleAppRoleAssignment([appRoleAssignments])", (), None),
        ("AppRoleAssignmentsComplex([appRoleAssignments])", (ADMIN,), RoleAssignments(RoleFlow.ADD, (ADMIN,))),
        ("AppRoleAssignmentsComplex([appRoleAssignments])", (), None),
        ("AssertiveAppRoleAssignmentsComplex([appRoleAssignments])", (), RoleAssignments(RoleFlow.REPLACE, ())),
        ("AppRoleAssignments([appRoleAssignments])", (ADMIN, READER), ["admin", "reader"]),
        ('Append(SingleAppRoleAssignment([appRoleAssignments]), "!")', (READER,), "reader!"),
        (
            "Trim(SingleAppRoleAssignment([appRoleAssignments]))",
            (AppRole(id="3", value=None, displayName="User"),),
            "User",
        ),
    ],
    ids=[
        "the first of several roles wins",
        "no single role is null",
        "adding carries all roles",
        "nothing to add is null",
        "replacing with no role empties",
        "undocumented list of values",
        "a single role reads as its value",
        "a role without a value reads as its name",
    ],
)
def test_role_functions_answer_markers(text, roles, expected):
    answer = compile_expression(text).evaluate({}, context=replace(CONTEXT, roles=roles))

    assert answer == expected


def test_a_unique_value_lists_its_candidates_once_and_in_order():
    expression = compile_expression("SelectUniqueValue([a], [b], [a], [missing], Append([a], 2))")

    answer = expression.evaluate({"a": "jo", "b": ""}, context=CONTEXT)

    assert answer == UniqueValue(("jo", "jo2"))


def test_a_redacted_value_flows_but_does_not_print():
    answer = compile_expression('Append(Redact([a]), "x")').evaluate({"a": "secret"}, context=CONTEXT)

    assert answer == Redacted("secretx")
    assert "secret" not in f"{answer} {answer!r}"


def test_dropping_wins_over_redacting():
    expression = compile_expression("IgnoreFlowIfNullOrEmpty(Redact([a]))")

    assert expression.evaluate({}, context=CONTEXT) is DROP


def test_a_custom_error_fails_the_user_with_its_text():
    expression = compile_expression('IIF(IsPresent([a]), [a], Error("a is required"))')

    assert expression.evaluate({"a": "x"}, context=CONTEXT) == "x"
    with pytest.raises(ExpressionFailure) as caught:
        expression.evaluate({}, context=CONTEXT)
    assert (caught.value.function, caught.value.reason) == ("Error", "a is required")


def test_the_tenant_without_a_known_domain_fails_clearly():
    with pytest.raises(ExpressionFailure, match="default domain is not known"):
        compile_expression("DefaultDomain()").evaluate({}, context=replace(CONTEXT, default_domain=None))


def test_a_clock_without_a_zone_is_refused():
    with pytest.raises(ValueError, match="now"):
        EvaluationContext(now=datetime(2026, 1, 1), random=random.Random(), new_guid=str)  # noqa: DTZ001


def test_switch_sees_attributes_that_did_not_change():
    expression = compile_expression('Switch([companyName], "External", "Company A", "A")')

    assert expression.evaluate({"companyName": "Company A", "displayName": "new"}, context=CONTEXT) == "A"
