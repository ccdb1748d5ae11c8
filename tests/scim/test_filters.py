"""A look-up asks for exactly one value, whatever it holds, and only a resource that carries it is a hit."""

import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scim2_models import ScimFilter, User

from shared.scim.filters import ValuePathForm, equality_filter, matches, query_string, search_parameters

WORK = 'emails[type eq "work"].value'


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        ("userName", 'a"b\\c', r'userName eq "a\"b\\c"'),
        ("userName", "tab\there", r'userName eq "tab\there"'),
        ("userName", "\x00\x1f", r'userName eq "\u0000\u001f"'),
        ("name.givenName", "G", 'name.givenName eq "G"'),
        (WORK, "a@x", 'emails[type eq "work"].value eq "a@x"'),
        ("active", False, "active eq false"),
        ("urn:a:2.0:User:code", "7", 'urn:a:2.0:User:code eq "7"'),
    ],
)
def test_a_filter_escapes_its_value(path: str, value: str | bool, expected: str) -> None:
    assert equality_filter(path, value) == expected


def test_a_value_path_can_be_written_as_the_grammar_of_the_rfc_has_it() -> None:
    text = equality_filter(WORK, "a@x", form=ValuePathForm.INSIDE)

    assert text == 'emails[type eq "work" and value eq "a@x"]'


@pytest.mark.parametrize(
    ("value", "expected"),
    [("a@x.example", "userName eq a@x.example"), ("a b", 'userName eq "a b"'), ('a"', 'userName eq "a\\""')],
)
def test_a_value_goes_unquoted_only_where_that_is_harmless(value: str, expected: str) -> None:
    assert equality_filter("userName", value, quoted=False) == expected


@settings(max_examples=100, deadline=None)
@given(value=st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_any_value_survives_filter_and_url(value: str) -> None:
    query = query_string(search_parameters(equality_filter("userName", value), count=5), base_query="tenant=1")

    received = parse_qs(urlsplit("http://x/Users" + query).query, strict_parsing=True)

    assert query.isascii()
    assert set(received) == {"tenant", "filter", "startIndex", "count"}
    assert json.loads(received["filter"][0].removeprefix("userName eq ")) == value


@settings(max_examples=100, deadline=None)
@given(value=st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
@pytest.mark.parametrize("form", list(ValuePathForm))
def test_an_independent_parser_reads_the_filter_as_one_comparison(form: ValuePathForm, value: str) -> None:
    user = User(user_name="a", phone_numbers=[{"type": "work", "value": value}, {"type": "home", "value": "other"}])
    other = User(user_name="a", phone_numbers=[{"type": "work", "value": "other"}, {"type": "home", "value": value}])

    parsed = ScimFilter[User](equality_filter('phoneNumbers[type eq "work"].value', value, form=form))

    assert parsed.match(user)
    assert value == "other" or not parsed.match(other)


def test_a_lone_surrogate_does_not_break_the_url() -> None:
    query = query_string(search_parameters(equality_filter("userName", "a\ud800b")))

    assert query.isascii()


def test_groups_are_looked_up_without_their_members() -> None:
    parameters = search_parameters(equality_filter("displayName", "R&D #1 + 😀"), excluded=["members"])

    assert query_string(parameters) == (
        "?excludedAttributes=members&filter=displayName%20eq%20%22R%26D%20%231%20%2B%20%F0%9F%98%80%22&startIndex=1"
    )


@pytest.mark.parametrize(
    ("resource", "path", "value", "expected"),
    [
        pytest.param({"userName": "ANNA@x"}, "userName", "anna@X", True, id="user names without case"),
        pytest.param({"userName": "Stra\u00dfe"}, "userName", "STRASSE", True, id="folded, not lowered"),
        pytest.param({"userName": "e\u0301"}, "userName", "\u00e9", True, id="the same letter written in two ways"),
        pytest.param({"externalId": "Ab"}, "externalId", "ab", False, id="external ids with case"),
        pytest.param({"externalId": 7}, "externalId", "7", True, id="an integer external id"),
        pytest.param({"emails": [{"type": "work", "value": "a@x"}]}, WORK, "A@x", True, id="a typed e-mail"),
        pytest.param(
            {"emails": [{"type": "home", "value": "a@x"}]}, WORK, "a@x", False, id="an e-mail of another type"
        ),
        pytest.param({"emails": [{"value": "b"}, {"value": "a"}]}, "emails.value", "a", True, id="any of a list"),
        pytest.param({"userName": "bert"}, "userName", "anna", False, id="somebody else"),
        pytest.param({}, "userName", "None", False, id="absent is not a text"),
    ],
)
def test_a_hit_carries_the_value_asked_for(resource: dict[str, Any], path: str, value: str, expected: bool) -> None:
    assert matches(resource, path, value) is expected
