"""YAML with lines: what is read, and what is refused where."""

import pytest

from shared.config.errors import ConfigurationError
from shared.config.located_yaml import merge, nearest_line, parse_yaml, read_yaml


@pytest.mark.parametrize(
    ("text", "value"),
    [
        pytest.param("NO", "NO", id="a country is no boolean"),
        pytest.param("yes", "yes", id="a word is no boolean"),
        pytest.param("true", True, id="true"),
        pytest.param("0123", "0123", id="a code keeps its zero"),
        pytest.param("12:30", "12:30", id="a time is no number to the base 60"),
        pytest.param("2024-01-01", "2024-01-01", id="a day stays text"),
        pytest.param("42", 42, id="a whole number"),
        pytest.param("4.5", 4.5, id="a decimal"),
        pytest.param('"42"', "42", id="a quoted number is text"),
        pytest.param("~", None, id="null"),
    ],
)
def test_a_scalar_is_read_by_the_rules_of_yaml_1_2(text, value):
    read = parse_yaml(f"key: {text}", file="f.yaml")["key"]

    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize(
    ("text", "line", "expected"),
    [
        pytest.param("a: 1\nb: 2\na: 3", 3, "each key once", id="a key twice"),
        pytest.param("a:\n  b: 1\n  b: 2", 3, "each key once", id="a nested key twice"),
        pytest.param("a: [1, 2\nb: 3", 2, "valid YAML", id="a list without end"),
        pytest.param("- 1", 1, "a mapping", id="a list at the top"),
        pytest.param("", 1, "a mapping", id="an empty file"),
        pytest.param("a: &x {b: 1}\nc:\n  <<: *x", 3, "merge keys", id="a merge key"),
        pytest.param("a: &x [*x]", 1, "contains itself", id="an anchor inside itself"),
        pytest.param("? [1]\n: 2", 1, "plain words", id="a list as a key"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_line(text, line, expected):
    with pytest.raises(ConfigurationError) as refusal:
        parse_yaml(text, file="f.yaml")

    problem = refusal.value.problems[0]
    assert problem.line == line
    assert expected in problem.expected


def test_an_alias_bomb_is_refused():
    levels = "\n".join(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 10)}]" for n in range(1, 9))

    with pytest.raises(ConfigurationError, match="at most"):
        parse_yaml(f"l0: &l0 [x]\n{levels}", file="f.yaml")


def test_an_absent_file_is_refused_by_name(tmp_path):
    with pytest.raises(ConfigurationError, match=r"absent\.yaml:0: \(file\): a readable UTF-8 file"):
        read_yaml(tmp_path / "absent.yaml")


def test_a_merged_tree_remembers_where_each_value_was_written():
    tree = parse_yaml("low:\n  a: {x: 1}\n  b: 1\nhigh:\n  a: {y: 2}\n  c: [1,\n    2]", file="f.yaml")

    merged = merge(tree["low"], tree["high"])

    assert merged == {"a": {"x": 1, "y": 2}, "b": 1, "c": [1, 2]}
    assert nearest_line(merged, ("a", "x")) == ("f.yaml", 2)
    assert nearest_line(merged, ("a", "y")) == ("f.yaml", 5)
    assert nearest_line(merged, ("b",)) == ("f.yaml", 3)
    assert nearest_line(merged, ("c", 1)) == ("f.yaml", 7)
    assert nearest_line(merged, ("c", 9, "absent")) == ("f.yaml", 6)
