"""Tables of expressions: what agrees, what differs, and what cannot be read."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from shared.cli.__main__ import app
from shared.cli.exit_codes import ExitCode
from shared.cli.expression_table import check_rows, check_table

CONFORMANCE = Path(__file__).parents[1] / "rules/expressions/conformance.tsv"


def row(expression, attributes=None, expected=None):
    return "\t".join(["f", expression, json.dumps(attributes or {}), json.dumps(expected)])


def test_the_documented_examples_all_agree():
    result = check_table(CONFORMANCE)

    assert result.rows == 322
    assert result.differences == ()
    assert result.agrees


@pytest.mark.parametrize(
    ("expression", "attributes", "expected"),
    [
        pytest.param('Append([a], "b")', {"a": "a"}, "ab", id="a text"),
        pytest.param("Now()", {"$now": "2026-01-02T03:04:05Z"}, "1/2/2026 3:04:05 AM", id="a pinned clock"),
        pytest.param("IgnoreFlowIfNullOrEmpty([a])", {}, {"$drop": True}, id="nothing flows"),
        pytest.param('Error("x")', {}, {"$error": True}, id="a refusal for this user"),
        pytest.param("RandomString(6,6,0,0,0)", {}, {"$regex": "[0-9]{6}"}, id="a text of a form"),
        pytest.param('SelectUniqueValue("a", "b")', {"$taken": ["a"]}, "b", id="the first free candidate"),
        pytest.param(
            'SelectUniqueValue("a", "b")',
            {"$taken": ["a", "b"]},
            {"$error": "every candidate is taken"},
            id="none free",
        ),
        pytest.param("Redact([a])", {"a": "s"}, {"$value": "s", "$logged": "[Redact]"}, id="a hidden value"),
        pytest.param("[a]", {}, None, id="null"),
        pytest.param(
            "AssertiveAppRoleAssignmentsComplex([appRoleAssignments])",
            {"appRoleAssignments": [{"id": "1", "value": "v", "displayName": "V"}]},
            [{"primary": False, "value": "v", "display": "V"}],
            id="roles",
        ),
    ],
)
def test_a_row_that_agrees(expression, attributes, expected):
    assert check_rows(row(expression, attributes, expected)).agrees


@pytest.mark.parametrize(
    ("line", "found"),
    [
        pytest.param(row('Append([a], "b")', {"a": "a"}, "a"), '"ab"', id="another text"),
        pytest.param(row("BitAnd(1, 1)", {}, True), "1", id="a number is no boolean"),
        pytest.param(row("BitAnd(1, 1)", {}, 1.0), "1", id="a whole number is no decimal"),
        pytest.param(row("Append([a])"), "refused: column 1: Append: 2 arguments", id="a wrong expression"),
        pytest.param(row('Error("x")', {}, "y"), "failed: Error", id="an unexpected refusal"),
        pytest.param(row("[a]", {"a": "x"}, {"$error": True}), '"x"', id="a value instead of a refusal"),
        pytest.param(row("[a]", {"a": "x"}, {"$regex": "["}), '"x"', id="a broken pattern"),
        pytest.param(row("[a]", {"a": "a" * 40}, {"$regex": "(a+)+b"}), '"aaa', id="a pattern without end"),
        pytest.param("f\t[a]\t{}", "4 columns", id="a column short"),
        pytest.param("f\t[a]\t{\tnull", "the third column", id="input that is no JSON"),
        pytest.param("f\t[a]\t[]\tnull", "the third column", id="input that is no object"),
        pytest.param("f\t[a]\t{}\tplain", "the fourth column", id="output that is no JSON"),
        pytest.param(row("Now()", {"$now": "today"}), "$now", id="a clock that is none"),
        pytest.param(row("Now()", {"$now": "2026-01-02T03:04:05"}), "$now", id="a clock without zone"),
        pytest.param(row("[a]", {"$taken": "x"}), "$taken", id="taken values that are no list"),
        pytest.param(row("[a]", {"appRoleAssignments": "x"}), "appRoleAssignments", id="roles that are no list"),
    ],
)
def test_a_row_that_differs_says_what_was_found(line, found):
    result = check_rows("function\texpression\tinput\texpected\n\n" + line)

    assert [difference.line for difference in result.differences] == [3]
    assert found in result.differences[0].found


def test_a_table_without_a_row_does_not_agree():
    assert not check_rows("function\texpression\tinput\texpected\n").agrees


@settings(max_examples=100, deadline=None)
@given(st.text() | st.lists(st.text(), min_size=4, max_size=4).map("\t".join))
def test_any_text_is_a_table_or_a_difference(text):
    result = check_rows(text)

    assert len(result.differences) <= result.rows


@pytest.mark.parametrize(
    ("lines", "code", "shown"),
    [
        pytest.param([row("[a]", {"a": "x"}, "x")], 0, "1 rows, 1 as expected", id="all agree"),
        pytest.param([row("[a]", {"a": "x"}, "y"), row("[a]", {"a": "x"}, "x")], 1, "2 rows, 1 as", id="one differs"),
        pytest.param([], 1, "Write one row a line", id="an empty file"),
    ],
)
def test_the_command_ends_with_1_when_a_row_differs(tmp_path, lines, code, shown):
    file = tmp_path / "table.tsv"
    file.write_text("\n".join(lines), encoding="utf-8")

    answer = CliRunner().invoke(app, ["expressions", str(file)])

    assert answer.exit_code == code
    assert shown in answer.stdout


@pytest.mark.parametrize("options", [[], ["--json"]], ids=["for people", "as JSON"])
def test_a_file_that_is_no_text_is_refused_with_a_remedy(tmp_path, options):
    file = tmp_path / "table.tsv"
    file.write_bytes(b"\xff\xfe\xfa")

    answer = CliRunner().invoke(app, ["expressions", str(file), *options])

    assert answer.exit_code == ExitCode.UNAVAILABLE
    assert "save it again as UTF-8" in answer.output
