"""What holds for every text and every user, not only for the documented ones."""

import json
import random
import string
import time
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.rules.expressions import (
    ExpressionError,
    ExpressionFailure,
    Redacted,
    compile_expression,
    describe_functions,
)
from shared.rules.expressions.conversion import Unfit
from shared.rules.expressions.regexes import compile_pattern, search
from shared.rules.expressions.registry import Scope
from tests.rules.expressions.contexts import CONTEXT

ANY_TEXT = st.text(max_size=30) | st.text(st.characters(exclude_categories=()), max_size=10)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | ANY_TEXT
DATES = st.sampled_from(["2026-01-31", "2020-03-16-07:00", "9999-12-31T23:59:59-14:00", "0001-01-01+14:00", "1/1/2020"])
VALUES = SCALARS | DATES | st.lists(SCALARS, max_size=4) | st.dictionaries(st.sampled_from(["id", "x"]), SCALARS)
CONSTANTS = st.one_of(
    st.text(max_size=12).map(lambda text: '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'),
    st.integers(-(2**63), 2**63 - 1).map(str),
    st.sampled_from(
        ["[a]", "[b]", "[c]", "", "True", "&HF7", '"d"', '"ww"', '"yyyy-MM-dd"', '"(?<g>.)"', '"g"', "1", "UTF8"]
    ),
)
NAMES = st.sampled_from([function.name for function in describe_functions()])


def _call(inner):
    return st.builds(lambda name, parts: f"{name}({','.join(parts)})", NAMES, st.lists(inner, max_size=7))


EXPRESSIONS = st.recursive(CONSTANTS, _call, max_leaves=12)
QUICK = settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def _fresh_context():
    return replace(CONTEXT, random=random.Random(1))


def _templates():
    """One call per function and number of arguments that compiles with attributes alone."""
    for function in describe_functions():
        for count in range(9):
            text = f"{function.name}({','.join(f'[{name}]' for name in 'abcdefghi'[:count])})"
            try:
                compile_expression(text)
            except ExpressionError:
                continue
            yield text
    yield "Replace([a], [b], , , [c], , )"
    yield "Replace([a], [b], , , , , [c])"
    yield 'Replace([a], , "(?<g>\\w+) ?(x)", , [b], , )'
    yield 'Replace([a], , "(?<g>\\w+)", "g", [b], , )'
    yield 'Replace([a], , "(?<g>\\w+)", "g", , [b], )'
    yield 'FormatDateTime([a], [b], "yyyy-MM-dd", [c])'
    yield from (f'DateAdd("{unit}", [a], [b])' for unit in ("yyyy", "m", "d", "ww", "h", "n", "s"))
    yield from (f'DateDiff("{unit}", [a], [b])' for unit in ("yyyy", "m", "d", "ww", "h", "n", "s"))
    yield from (f"[a] {operator} [b]" for operator in ("=", "<>", ">", ">=", "<", "<="))
    yield from ("[a] & [b]", "Now() < [a]", "CDate([a]) = [b]", "Switch(Redact([a]), [b], [c], [d])")


TEMPLATES = [compile_expression(text) for text in _templates()]


@settings(QUICK, max_examples=150)
@given(values=st.lists(VALUES, min_size=9, max_size=9))
def test_a_user_with_any_values_gets_an_answer_or_an_expression_failure(values):
    user = dict(zip("abcdefghi", values, strict=True))

    for expression in TEMPLATES:
        try:
            expression.evaluate(user, context=_fresh_context())
        except ExpressionFailure as failure:
            assert failure.reason


@QUICK
@given(text=EXPRESSIONS)
def test_any_well_formed_call_compiles_or_names_a_column(text):
    try:
        expression = compile_expression(text)
    except ExpressionError as error:
        assert 1 <= error.column <= len(text) + 1
        return

    for user in ({}, {"a": "", "b": ["x"], "c": 5}):
        try:
            expression.evaluate(user, context=_fresh_context())
        except ExpressionFailure as failure:
            assert failure.reason


@QUICK
@given(text=st.text(alphabet=st.sampled_from('Append()[]a",& =<>-1\\H\n') | st.characters(), max_size=60))
def test_any_text_compiles_or_names_a_column(text):
    try:
        compile_expression(text)
    except ExpressionError as error:
        assert 1 <= error.column <= len(text) + 1


@QUICK
@given(pattern=st.text(alphabet=string.printable, max_size=25), source=st.text(max_size=20))
def test_any_pattern_compiles_or_is_refused(pattern, source):
    try:
        expression = compile_expression(f"Replace([a], , {json.dumps(pattern, ensure_ascii=False)}, , [b], , )")
    except ExpressionError as error:
        assert "Replace" in error.message
        return

    try:
        expression.evaluate({"a": source, "b": "${x}$1$&"}, context=_fresh_context())
    except ExpressionFailure as failure:
        assert "longer" in failure.reason


@QUICK
@given(text=st.text(max_size=40))
def test_base64_there_and_back_is_the_same_text(text):
    expression = compile_expression("ConvertFromBase64(ConvertToBase64([a]))")

    assert expression.evaluate({"a": text}, context=CONTEXT) == text


@QUICK
@given(text=st.text(max_size=40))
def test_a_quoted_constant_is_the_text_it_was_made_from(text):
    quoted = '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'

    assert compile_expression(quoted).evaluate({}, context=CONTEXT) == text


@QUICK
@given(moment=st.datetimes().map(lambda value: value.replace(microsecond=0)))
def test_a_file_time_there_and_back_is_the_same_date(moment):
    user = {"a": moment.isoformat()}

    there = compile_expression("CDate([a])").evaluate(user, context=CONTEXT)
    back = compile_expression("DateFromNum(NumFromDate([a]))").evaluate(user, context=CONTEXT)

    assert there == back


@QUICK
@given(
    counts=st.lists(st.integers(0, 20), min_size=4, max_size=4), extra=st.integers(0, 30), avoided=st.text(max_size=5)
)
def test_a_random_string_keeps_its_promises(counts, extra, avoided):
    text = f"RandomString({sum(counts) + extra},{','.join(map(str, counts))},[a])"

    answer = compile_expression(text).evaluate({"a": avoided}, context=_fresh_context())

    digits, special, capital, lower = counts
    assert len(answer) == sum(counts) + extra
    assert sum(c in string.digits for c in answer) >= digits
    assert sum(not c.isalnum() for c in answer) >= special
    assert sum(c in string.ascii_uppercase for c in answer) >= capital
    assert sum(c in string.ascii_lowercase for c in answer) >= lower
    assert not set(answer) & set(avoided)


@pytest.mark.parametrize("text", [function.name for function in describe_functions()])
def test_a_redacted_value_never_leaves_a_function_in_the_clear(text):
    secret = "s3cr3t"
    expressions = [e for e in TEMPLATES if e.text.startswith(f"{text}([a]")]

    for expression in expressions:
        marked = compile_expression(expression.text.replace("[a]", "Redact([a])"))
        try:
            answer = marked.evaluate({"a": secret, "b": "1", "c": "1"}, context=_fresh_context())
        except ExpressionFailure as failure:
            assert secret not in str(failure)
            continue
        assert isinstance(answer, Redacted) or secret not in repr(answer)


BOMB = 'Replace([a], , "(a|aa)+$", , "", , )'
VICTIM = {"a": "a" * 60 + "b"}


def test_a_catastrophic_pattern_fails_this_user_in_time():
    bomb = compile_expression(BOMB)
    context = replace(CONTEXT, regex_timeout_s=0.05)
    started = time.perf_counter()

    with pytest.raises(ExpressionFailure, match=r"took longer than 0\.05 s; simplify the pattern"):
        bomb.evaluate(VICTIM, context=context)
    elapsed = time.perf_counter() - started

    assert elapsed < 2
    assert bomb.evaluate({"a": "xaa"}, context=context) == "x"


def test_patterns_of_one_evaluation_share_its_time():
    pattern = compile_pattern("(a|aa)+$", "regexPattern")
    scope = Scope({}, CONTEXT, 0.05)

    with pytest.raises(Unfit):
        search(pattern, VICTIM["a"], scope=scope)

    assert scope.regex_left_s <= 0
    with pytest.raises(Unfit):
        search(pattern, VICTIM["a"], scope=scope)


@pytest.mark.parametrize(
    "text",
    [
        'Replace([a], "x", , , , , "xx")',
        'Replace([a], "x", , , "xx", , )',
        'Replace([a], , "x", , "$_$_", , )',
        "Join([a], [a], [a])",
    ],
    ids=["template", "replacement", "regex replacement", "join"],
)
def test_nested_growth_ends_before_the_memory_does(text):
    nested = "[a]"
    for _ in range(40):
        nested = text.replace("[a]", nested, 1)
    expression = compile_expression(nested) if text[0] == "R" else compile_expression(text)

    with pytest.raises(ExpressionFailure, match="longer than"):
        expression.evaluate({"a": "x" * (1000 if text[0] == "R" else 40_000)}, context=CONTEXT)


def test_the_deepest_expression_allowed_can_be_evaluated():
    text = "Trim(" * 199 + "[a]" + ")" * 199

    assert compile_expression(text).evaluate({"a": " x "}, context=CONTEXT) == "x"
