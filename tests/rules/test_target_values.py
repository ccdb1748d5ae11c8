"""Values in the type and form the target asks for."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.config.profile import AttributeType, TargetAttribute, ValueFormat
from shared.rules.target_values import fit_value, is_empty, same_value, takes_any_text

BOOLEAN = TargetAttribute(path="active", type=AttributeType.BOOLEAN)
TEXT = TargetAttribute(path="title")
LIST = TargetAttribute(path="x", multi_valued=True)
NUMBER = TargetAttribute(path="n", type=AttributeType.INTEGER)
DECIMAL = TargetAttribute(path="n", type=AttributeType.DECIMAL)
COMPLEX = TargetAttribute(path="roles", type=AttributeType.COMPLEX, multi_valued=True)
PHONE = TargetAttribute(path="p", format=ValueFormat.E164)
COUNTRY = TargetAttribute(path="c", format=ValueFormat.COUNTRY_CODE)
DAY = TargetAttribute(path="d", format=ValueFormat.DATE)


@pytest.mark.parametrize(
    ("value", "attribute", "fitted"),
    [
        pytest.param("True", BOOLEAN, True, id="the text True becomes a boolean"),
        pytest.param("false", BOOLEAN, False, id="the text false becomes a boolean"),
        pytest.param(False, BOOLEAN, False, id="a boolean stays one"),
        pytest.param(True, TEXT, "True", id="a boolean in a text prints as Entra prints it"),
        pytest.param(42, TEXT, "42", id="a number in a text"),
        pytest.param("  ", TEXT, None, id="blanks are nothing"),
        pytest.param("", TEXT, None, id="an empty text is nothing"),
        pytest.param([], TEXT, None, id="an empty list is nothing"),
        pytest.param(None, TEXT, None, id="null is nothing"),
        pytest.param(["", "b", "c"], TEXT, "b", id="of several values the first that is not empty"),
        pytest.param("a", LIST, ["a"], id="one value for a list"),
        pytest.param(["a", "", "b", "a"], LIST, ["a", "b"], id="each value once, empty ones left out"),
        pytest.param("7", NUMBER, 7, id="a whole number from text"),
        pytest.param("7.5", DECIMAL, 7.5, id="a decimal from text"),
        pytest.param([{"value": "r"}], COMPLEX, [{"value": "r"}], id="a complex list as it is"),
        pytest.param({"a": 1, "b": None}, COMPLEX, {"a": 1}, id="a complex value without its nulls"),
        pytest.param("+1 (425) 555-0100", PHONE, "+14255550100", id="a phone number without its punctuation"),
        pytest.param("+49 (0)89 1234", PHONE, "+49891234", id="a phone number without its trunk zero"),
        pytest.param("tel:+14255550100;ext=12", PHONE, "tel:+14255550100;ext=12", id="a tel URI"),
        pytest.param("de", COUNTRY, "DE", id="a country code in upper case"),
        pytest.param("2026-02-03T00:00:00Z", DAY, "2026-02-03", id="the day of an instant"),
    ],
)
def test_a_value_is_fitted(value, attribute, fitted):
    result = fit_value(value, attribute)

    assert result.value == fitted
    assert type(result.value) is type(fitted)
    assert result.problem == ""


@pytest.mark.parametrize(
    ("value", "attribute"),
    [
        pytest.param("maybe", BOOLEAN, id="no boolean"),
        pytest.param("7.5", NUMBER, id="no whole number"),
        pytest.param("nan", DECIMAL, id="not a number"),
        pytest.param({"a": 1}, TEXT, id="a mapping for a text"),
        pytest.param("089 1234", PHONE, id="a phone number without country code"),
        pytest.param("+49 89 1234 ext 5", PHONE, id="a phone number with an extension"),
        pytest.param("Germany", COUNTRY, id="a country's name"),
        pytest.param("3 February", DAY, id="no day"),
        pytest.param("abcdef", TargetAttribute(path="x", max_length=5), id="too long"),
        pytest.param("a@b", TargetAttribute(path="x", forbidden_characters="@"), id="a forbidden character"),
        pytest.param("a-b", TargetAttribute(path="x", pattern="[a-z]+"), id="not of the pattern"),
        pytest.param("Super User", TargetAttribute(path="x", allowed_values=("User",)), id="not an allowed value"),
        pytest.param("a" * 40, TargetAttribute(path="x", pattern="(a+)+b"), id="a pattern without end"),
    ],
)
def test_a_value_that_does_not_fit_says_why_without_repeating_it(value, attribute):
    result = fit_value(value, attribute)

    assert result.value is None
    assert result.problem
    assert str(value) not in result.problem


@pytest.mark.parametrize(
    ("left", "right", "exact", "same"),
    [
        pytest.param("Ada", "ada", True, False, id="case matters"),
        pytest.param("Ada", "ada", False, True, id="case does not matter"),
        pytest.param(True, 1, False, False, id="a boolean is no number"),
        pytest.param(["a", "b"], ["b", "a"], True, True, id="lists without order"),
        pytest.param(["a", "a"], ["a", "b"], True, False, id="lists with repetition"),
        pytest.param(["A"], ["a"], False, True, id="lists without case"),
        pytest.param([{"v": 1}], [{"v": 1}], True, True, id="complex values"),
    ],
)
def test_sameness(left, right, exact, same):
    assert same_value(left, right, case_exact=exact) is same
    assert same_value(right, left, case_exact=exact) is same


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=3), children, max_size=3),
    max_leaves=6,
)


@settings(max_examples=300, deadline=None)
@given(JSON_VALUES, st.sampled_from([BOOLEAN, TEXT, LIST, NUMBER, DECIMAL, PHONE, COUNTRY, DAY]))
def test_any_value_is_fitted_or_refused_and_fitting_twice_changes_nothing(value, attribute):
    once = fit_value(value, attribute)

    if once.value is not None:
        assert fit_value(once.value, attribute).value == once.value


@pytest.mark.parametrize(
    ("attribute", "any_text"),
    [
        pytest.param(TEXT, True, id="a plain text"),
        pytest.param(TargetAttribute(path="since", type=AttributeType.DATE_TIME), True, id="an instant, sent as it is"),
        pytest.param(LIST, False, id="a list"),
        pytest.param(BOOLEAN, False, id="a boolean"),
        pytest.param(COMPLEX, False, id="a complex value"),
        pytest.param(PHONE, False, id="a form"),
        pytest.param(TargetAttribute(path="x", max_length=5), False, id="a length"),
        pytest.param(TargetAttribute(path="x", forbidden_characters="@"), False, id="forbidden characters"),
        pytest.param(TargetAttribute(path="x", allowed_values=("a",)), False, id="a list of values"),
        pytest.param(TargetAttribute(path="x", pattern="a+"), False, id="a pattern"),
    ],
)
@settings(max_examples=50, deadline=None)
@given(text=st.text(max_size=8))
def test_an_attribute_that_takes_any_text_gives_every_text_back(attribute, any_text, text):
    assert takes_any_text(attribute) is any_text
    if any_text and not is_empty(text):
        assert fit_value(text, attribute).value == text
