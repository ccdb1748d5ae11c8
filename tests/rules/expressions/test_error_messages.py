"""What the person who wrote the expression reads."""

import pytest

from shared.rules.expressions import ExpressionError, compile_expression

TABLE = [
    ("nothing at all", "", 1, "an expression was expected"),
    ("only white space", " \n", 1, "an expression was expected"),
    ("too long", '"' + "x" * 10_000 + '"', 10_001, "at most 10,000 characters were expected"),
    ("too deep", "Trim(" * 300 + "[a]" + ")" * 300, 501, "at most 200 calls inside each other"),
    ("a bracket never closed", "Append([a], Trim([b])", 22, "the ( at column 7 is never closed"),
    ("a bracket too many", "Trim([a]))", 10, "closes nothing"),
    ("a text never closed", 'Append([a], "x)', 13, "never closed"),
    ("curly quotes", "Append([a], “x”)", 13, 'straight double quotes " were expected'),
    ("single quotes", "Append([a], 'x')", 13, "double quotes"),
    ("text without quotes", "Append([a], x)", 13, "text belongs in double quotes, an attribute in [ ]"),
    ("null as a word", 'Switch([a], None, "k", "v")', 13, "text belongs in double quotes"),
    ("an attribute without its bracket", "Trim([a)", 6, "an attribute is written [name]"),
    ("an attribute without a name", "Trim([ ])", 6, "an attribute name was expected"),
    ("a missing comma", "Append([a] [b])", 12, "was not expected here"),
    ("AND", 'IIF([a]="1" AND [b]="2", "x", "y")', 13, "there is no AND; nest IIF"),
    ("two comparisons", "IIF([a] = [b] = [c], 1, 2)", 15, "was not expected here"),
    ("a misspelt function", 'Apend([a], "x")', 1, "unknown function Apend; did you mean Append?"),
    ("a function in the wrong case", "tolower([a])", 1, "did you mean ToLower? Names are case-sensitive"),
    ("an unknown function inside", "Append([a], Frobnicate([b]))", 13, "unknown function Frobnicate; no such function"),
    (
        "too few arguments",
        "Append([a])",
        1,
        "Append: 2 arguments were expected, 1 found; it is written Append(source, suffix)",
    ),
    ("too many arguments", "Now(1)", 1, "Now: no arguments were expected, 1 found"),
    ("a range of arguments", "Mid([a])", 1, "Mid: 2 to 3 arguments were expected, 1 found"),
    ("an odd Switch", 'Switch([a], "x", "k")', 1, "Switch: an even number of arguments, 4 or more, was expected"),
    ("one candidate only", "SelectUniqueValue([a])", 1, "at least 2 arguments were expected"),
    ("an empty required argument", "Append([a], )", 1, "Append: a value was expected for suffix"),
    ("an unknown attribute", "Append([mial], [mail])", 8, "[mial] is no known source attribute"),
    ("a nested SelectUniqueValue", 'Trim(SelectUniqueValue("a", "b"))', 6, "as the outermost function only"),
    ("a role function of something else", "SingleAppRoleAssignment([mail])", 25, "[appRoleAssignments] was expected"),
    ("an unknown interval", 'DateAdd("month", 1, [a])', 9, "DateAdd: interval: one of yyyy, m, d, ww, h, n, s"),
    ("an unknown encoding", "ConvertFromBase64([a], UTF7)", 24, "or one of Unicode, ASCII, UTF8"),
    ("an unknown compare type", 'InStr([a], "x", 1, vbText)', 20, "or one of vbBinaryCompare, vbTextCompare"),
    ("a culture that is none", 'ToLower([a], "turkish please")', 14, "ToLower: culture: a name such as tr-TR"),
    (
        "a date format without its quote",
        'FormatDateTime([a], , "yyyy\'", "d")',
        23,
        "inputFormat: a closing ' was expected",
    ),
    ("an unknown date style", 'FormatDateTime([a], "Loose", "d", "d")', 21, "dateTimeStyles: names out of None"),
    ("contradicting date styles", 'FormatDateTime([a], "AssumeLocal,AssumeUniversal", "d", "d")', 21, "not both"),
    ("position zero", "Mid([a], 0, 1)", 10, "Mid: start: 1 or more was expected"),
    ("index zero", "Item([a], 0)", 11, "Item: index: 1 or more was expected"),
    ("a constant that can never work", 'BitAnd("x", 1)', 1, "BitAnd: value1: a whole number was expected"),
    ("a date that does not exist", 'CDate("2026-02-30")', 1, "CDate: a date was expected"),
    (
        "an impossible pattern",
        'Replace([a], , "(x", , "", , )',
        1,
        "Replace: regexPattern: no valid regular expression",
    ),
    ("a pattern from an attribute", 'Replace([a], , [b], , "", , )', 1, "regexPattern: a constant in double quotes"),
    ("a balancing group", 'Replace([a], , "(?<x-y>z)", , "", , )', 1, "balancing groups"),
    ("an unknown escape", 'Replace([a], , "\\q", , "", , )', 1, "the escape \\q is not known"),
    ("a reference to nothing", 'Replace([a], , "(x)\\2", , "", , )', 1, "the reference \\2 names no group"),
    ("a group that is not there", 'Replace([a], , "x", "g", "", , )', 1, "names a group of the pattern"),
    (
        "a Replace of no known form",
        'Replace([a], "x", "y", , "z", , )',
        1,
        "Replace: one of these was expected: oldValue",
    ),
    ("a number too large", "BitAnd(99999999999999999999, 1)", 8, "at most 64 bits"),
    ("a bare name alone", "Unicode", 1, "text belongs in double quotes"),
]


@pytest.mark.parametrize(("text", "column", "message"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_a_mistake_is_named_with_its_column_and_what_was_expected(text, column, message):
    with pytest.raises(ExpressionError) as caught:
        compile_expression(text, known_attributes=lambda name: name in {"a", "b", "c", "mail"})

    assert message in caught.value.message
    assert caught.value.column == column
    assert str(caught.value).startswith(f"column {column}: ")
