"""Scoping filters: every operator, every empty case, and the explanation."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.config.provisioning_file import Operator, ScopingClause, ScopingFilter
from shared.rules.failures import InvalidData
from shared.rules.scoping import evaluate

USER = {
    "department": "Engineering",
    "employeeId": "42",
    "accountEnabled": True,
    "otherMails": ["a@x", "b@y"],
    "employeeHireDate": "2024-03-01T00:00:00Z",
    "surname": "",
    "businessPhones": [],
}


def filter_of(*clauses, name="f"):
    return ScopingFilter(name=name, clauses=tuple(ScopingClause.model_validate(clause) for clause in clauses))


def in_scope(attribute, operator, value=None, user=USER, match=None):
    clause = {"attribute": attribute, "operator": operator, "value": value, "match": match}
    return evaluate([filter_of(clause)], user).in_scope


@pytest.mark.parametrize(
    ("attribute", "operator", "value", "expected"),
    [
        pytest.param("department", "EQUALS", "Engineering", True, id="equal"),
        pytest.param("department", "EQUALS", "engineering", False, id="equal but for case"),
        pytest.param("accountEnabled", "EQUALS", "true", True, id="a boolean and its text"),
        pytest.param("accountEnabled", "EQUALS", True, True, id="a boolean and a boolean"),
        pytest.param("employeeId", "EQUALS", 42, True, id="a text and its number"),
        pytest.param("department", "NOT EQUALS", "Sales", True, id="not equal"),
        pytest.param("department", "NOT EQUALS", "Engineering", False, id="not equal, yet it is"),
        pytest.param("department", "REGEX MATCH", "gin", True, id="a pattern matches anywhere"),
        pytest.param("department", "REGEX MATCH", "^gin$", False, id="an anchored pattern does not"),
        pytest.param("department", "REGEX MATCH", "(?<a>E)n", True, id="a .NET named group"),
        pytest.param("department", "NOT REGEX MATCH", "^S", True, id="no pattern found"),
        pytest.param("department", "Includes", "gine", True, id="includes"),
        pytest.param("department", "INCLUDES", "GINE", False, id="includes but for case"),
        pytest.param("department", "NOT INCLUDES", "Sales", True, id="includes not"),
        pytest.param("department", "STARTS WITH", "Eng", True, id="starts with"),
        pytest.param("department", "ENDS_WITH", "ring", True, id="ends with"),
        pytest.param("employeeId", "Greater_Than", 41, True, id="greater"),
        pytest.param("employeeId", "Greater_Than", 42, False, id="greater, yet equal"),
        pytest.param("employeeId", "Greater_Than_OR_EQUALS", "42", True, id="greater or equal"),
        pytest.param("employeeId", "LESS THAN", 100, True, id="less, as numbers and not as text"),
        pytest.param("employeeId", "LESS THAN OR EQUALS", 41, False, id="less or equal"),
        pytest.param("department", "GREATER THAN", 1, False, id="a text is not greater than a number"),
        pytest.param("employeeId", "GREATER THAN", -1, False, id="negative numbers are not compared"),
        pytest.param("employeeHireDate", "GREATER THAN", "2024-02-29", True, id="a later date"),
        pytest.param("employeeHireDate", "LESS THAN OR EQUALS", "2024-03-01", True, id="the same day"),
        pytest.param("surname", "IS NULL", None, True, id="an empty text is null"),
        pytest.param("businessPhones", "IS NULL", None, True, id="an empty list is null"),
        pytest.param("givenName", "IS NULL", None, True, id="an absent attribute is null"),
        pytest.param("department", "IS NULL", None, False, id="a value is not null"),
        pytest.param("department", "IS NOT NULL", None, True, id="not null"),
        pytest.param("accountEnabled", "IS TRUE", None, True, id="true"),
        pytest.param("accountEnabled", "IS FALSE", None, False, id="false"),
        pytest.param("employeeId", "&", 2, True, id="a bit is set"),
        pytest.param("employeeId", "&", 4, False, id="no bit is set"),
        pytest.param("employeeId", "!&", 4, True, id="bits are clear"),
        pytest.param("otherMails", "ENDS_WITH", "@y", True, id="any of several values"),
        pytest.param("otherMails", "NOT EQUALS", "a@x", False, id="all of several values for a negation"),
    ],
)
def test_operator(attribute, operator, value, expected):
    assert in_scope(attribute, operator, value) is expected


@pytest.mark.parametrize("operator", [op for op in Operator if op is not Operator.IS_NULL])
@pytest.mark.parametrize("user", [{}, {"department": None}, {"department": ""}, {"department": []}])
def test_an_empty_attribute_fails_every_clause_but_is_null(operator, user):
    without_value = operator in {Operator.IS_NOT_NULL, Operator.IS_TRUE, Operator.IS_FALSE}

    assert in_scope("department", operator, None if without_value else "1", user) is False
    assert in_scope("department", "IS NULL", None, user) is True


def test_any_and_all_can_be_asked_for():
    assert in_scope("otherMails", "ENDS_WITH", "@y", match="all") is False
    assert in_scope("otherMails", "NOT EQUALS", "a@x", match="any") is True


def test_clauses_are_joined_by_and_and_filters_by_or():
    engineering = {"attribute": "department", "operator": "EQUALS", "value": "Engineering"}
    sales = {"attribute": "department", "operator": "EQUALS", "value": "Sales"}

    assert evaluate([], USER).in_scope is True
    assert evaluate([filter_of(engineering, sales)], USER).in_scope is False
    assert evaluate([filter_of(sales), filter_of(engineering)], USER).in_scope is True
    assert evaluate([filter_of(sales), filter_of(sales)], USER).in_scope is False


def test_every_clause_is_explained_without_the_users_values():
    secret = filter_of(
        {"attribute": "department", "operator": "EQUALS", "value": "Sales"},
        {"attribute": "surname", "operator": "NOT EQUALS", "value": "x"},
        {"attribute": "department", "operator": "GREATER THAN", "value": 1},
        name="Filter title",
    )

    result = evaluate([secret], USER)

    assert result.as_mapping() == {
        "Filter title.department EQUALS": False,
        "Filter title.surname NOT EQUALS": False,
        "Filter title.department GREATER THAN": False,
    }
    assert [clause.reason for clause in result.explanation] == ["failed", "empty", "not_comparable"]
    assert "Engineering" not in str(result)


def test_a_pattern_that_takes_too_long_leaves_the_user_neither_in_nor_out():
    endless = filter_of({"attribute": "department", "operator": "REGEX MATCH", "value": "(a|aa)+$"})

    with pytest.raises(InvalidData) as failure:
        evaluate([endless], {"department": "a" * 60 + "!"})

    assert failure.value.source == "department"
    assert "aaa" not in str(failure.value)


def test_filters_read_the_names_that_entra_uses():
    assert in_scope(
        "extensionAttribute1", "EQUALS", "x", {"onPremisesExtensionAttributes": {"extensionAttribute1": "x"}}
    )


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.sampled_from(["Sales", "Engineering", "", None]), min_size=1, max_size=3),
    st.sampled_from(["Sales", "Engineering"]),
)
def test_equals_and_not_equals_never_both_hold(values, wanted):
    user = {"department": values}

    assert not (in_scope("department", "EQUALS", wanted, user) and in_scope("department", "NOT EQUALS", wanted, user))
