"""Target attribute paths, the ones that break naive splitting first."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.rules.attribute_paths import PathError, parse_path

ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
GENESYS = "urn:ietf:params:scim:schemas:extension:genesys:purecloud:2.0:User"


@pytest.mark.parametrize(
    ("text", "urn", "name", "filters", "sub"),
    [
        pytest.param("userName", None, "userName", (), None, id="a simple attribute"),
        pytest.param("name.givenName", None, "name", (), "givenName", id="a sub-attribute"),
        pytest.param('emails[type eq "work"].value', None, "emails", (("type", "work"),), "value", id="a value filter"),
        pytest.param('emails[ type EQ "work" ].value', None, "emails", (("type", "work"),), "value", id="loose blanks"),
        pytest.param('roles[primary eq "True"].value', None, "roles", (("primary", "True"),), "value", id="a text"),
        pytest.param("roles[primary eq true]", None, "roles", (("primary", True),), None, id="a boolean"),
        pytest.param('x[a eq "1" and b eq 2].c', None, "x", (("a", "1"), ("b", 2)), "c", id="two clauses"),
        pytest.param('x[a eq "q\\"]."].c', None, "x", (("a", 'q"].'),), "c", id="an escaped quote and a bracket"),
        pytest.param(f"{ENTERPRISE}:manager", ENTERPRISE, "manager", (), None, id="dots in the URN"),
        pytest.param(f"{ENTERPRISE}:manager.value", ENTERPRISE, "manager", (), "value", id="URN and sub-attribute"),
        pytest.param(
            f'{GENESYS}:externalIds[authority eq "a:b"].value',
            GENESYS,
            "externalIds",
            (("authority", "a:b"),),
            "value",
            id="a colon inside the filter",
        ),
        pytest.param(
            "urn:scim:schemas:extension:enterprise:1.0.department",
            "urn:scim:schemas:extension:enterprise:1.0",
            "department",
            (),
            None,
            id="SCIM 1.1 with a dot before the name",
        ),
        pytest.param(
            f"{ENTERPRISE}:attributes:customAttribute1",
            f"{ENTERPRISE}:attributes",
            "customAttribute1",
            (),
            None,
            id="any depth",
        ),
    ],
)
def test_a_path_is_taken_apart(text, urn, name, filters, sub):
    path = parse_path(text)

    assert (path.urn, path.name, path.filters, path.sub, path.raw) == (urn, name, filters, sub, text)


@pytest.mark.parametrize(
    ("text", "column"),
    [
        pytest.param("", 1, id="nothing"),
        pytest.param("name.", 6, id="nothing after the dot"),
        pytest.param("a.b.c", 4, id="two sub-attributes"),
        pytest.param("user name", 5, id="a blank"),
        pytest.param('roles[primary eq"True".type]', 7, id="Clarizen's misprint"),
        pytest.param("emails[type eq “work”].value", 8, id="curly quotes"),
        pytest.param('emails[type ne "work"].value', 13, id="another operator"),
        pytest.param('emails[type eq "work".value', 22, id="a missing bracket"),
        pytest.param("urn:", 5, id="no URN"),
        pytest.param(f"{ENTERPRISE}:", 60, id="no name after the URN"),
    ],
)
def test_a_bad_path_is_refused_with_its_column(text, column):
    with pytest.raises(PathError) as refusal:
        parse_path(text)

    assert refusal.value.column == column


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet='abu:rn.[]" eq\\2', max_size=40))
def test_any_text_is_a_path_or_is_refused(text):
    try:
        path = parse_path(text)
    except PathError as refusal:
        assert 1 <= refusal.column <= len(text) + 1
    else:
        assert path.raw == text
        assert path.name
