"""Conditions and choices. Only the branch that is chosen is evaluated, so `Error` may stand in the other one."""

from collections.abc import Sequence
from datetime import datetime

from shared.rules.expressions.conversion import Unfit, as_boolean, as_text, is_blank, is_null
from shared.rules.expressions.registry import Argument, Evaluate, Options, Scope, built, plain, simple
from shared.rules.expressions.values import DROP, ExpressionFailure, Redacted


@built("IIF", "condition, valueIfTrue?, valueIfFalse?", Options(minimum=3))
def iif(arguments: Sequence[Argument]) -> Evaluate:
    """Answer valueIfTrue when the condition holds, else valueIfFalse.

    A null or empty condition does not hold; numbers hold unless zero; text must read True or False. Nest IIF for AND
    and OR. Beyond Entra: `[a] = ""`, IsPresent and IsNullOrEmpty work as conditions.
    """
    condition, if_true, if_false = (argument.evaluate for argument in arguments)

    def evaluate(scope: Scope) -> object:
        return if_true(scope) if _holds("IIF", condition, scope) else if_false(scope)

    return evaluate


@built("Switch", "source, defaultValue?, key..., value...", Options(even=True, minimum=4))
def switch(arguments: Sequence[Argument]) -> Evaluate:
    """Answer the value whose key equals the source, else defaultValue.

    Keys are compared as text and case-sensitively; the key "" matches null and empty; booleans read "True" and
    "False". An empty defaultValue means null. When the source and every key are IsPresent, IsNull, IsNullOrEmpty or
    IsString calls, the pairs are read as condition and value, and the first condition that holds decides.
    """
    pairs = [(key.evaluate, value.evaluate) for key, value in zip(arguments[::2], arguments[1::2], strict=True)]
    if all(argument.predicate for argument in arguments[::2]):
        return _first_holding(pairs)
    (source, default), *cases = pairs

    def evaluate(scope: Scope) -> object:
        wanted = _key("source", source, scope)
        for key, value in cases:
            if _key("key", key, scope) == wanted:
                return value(scope)
        return default(scope)

    return evaluate


@built("Coalesce", "source...")
def coalesce(arguments: Sequence[Argument]) -> Evaluate:
    """Answer the first argument that is not null, or null. An empty text counts as a value."""
    evaluators = [argument.evaluate for argument in arguments]

    def evaluate(scope: Scope) -> object:
        for evaluator in evaluators:
            value = evaluator(scope)
            if not is_null(plain(value)):
                return value
        return None

    return evaluate


@built("IgnoreFlowIfNullOrEmpty", "expression")
def ignore_flow_if_null_or_empty(arguments: Sequence[Argument]) -> Evaluate:
    """Leave the attribute out of the request when the expression is null or empty; an empty list counts as null."""
    evaluator = arguments[0].evaluate

    def evaluate(scope: Scope) -> object:
        value = evaluator(scope)
        return DROP if is_blank(plain(value)) else value

    return evaluate


@built("Redact", "value")
def redact(arguments: Sequence[Argument]) -> Evaluate:
    """Let the value flow while logs show [Redact]; whatever is computed from it is redacted as well."""
    evaluator = arguments[0].evaluate

    def evaluate(scope: Scope) -> object:
        value = evaluator(scope)
        return value if is_null(value) or isinstance(value, Redacted) else Redacted(value)

    return evaluate


@built("Error", "message")
def error(arguments: Sequence[Argument]) -> Evaluate:
    """Fail this user with the message; nobody else is affected. A redacted message is not shown."""
    evaluator = arguments[0].evaluate

    def evaluate(scope: Scope) -> object:
        value = evaluator(scope)
        try:
            message = str(value) if isinstance(value, Redacted) else as_text(plain(value), "message")
        except Unfit as unfit:
            message = str(unfit)
        raise ExpressionFailure("Error", message or "no message")

    return evaluate


@simple("IsNull", "expression", Options(predicate=True))
def is_null_function(value: object) -> bool:
    """Answer whether the expression is null: the attribute is absent. An empty list counts as absent."""
    return is_null(value)


@simple("IsNullOrEmpty", "expression", Options(predicate=True))
def is_null_or_empty(value: object) -> bool:
    """Answer whether the expression is null or an empty text."""
    return is_blank(value)


@simple("IsPresent", "expression", Options(predicate=True))
def is_present(value: object) -> bool:
    """Answer whether the expression is neither null nor empty: the inverse of IsNullOrEmpty."""
    return not is_blank(value)


@simple("IsString", "expression", Options(predicate=True))
def is_string(value: object) -> bool:
    """Answer whether the expression is text. A date is text in this language; numbers, booleans and lists are not."""
    return isinstance(value, str | datetime)


@simple("Not", "source")
def negate(source: object) -> str | None:
    """Answer "False" when the source is True, otherwise "True"; null therefore answers "True"."""
    holds = source is True or (isinstance(source, str) and source.strip().lower() == "true")
    return "False" if holds else "True"


@simple("CBool", "expression")
def cbool(expression: object) -> bool:
    """Answer True for a non-zero number, for True and for a comparison that holds, else False; null is False."""
    return as_boolean(expression, "expression")


def _first_holding(pairs: list[tuple[Evaluate, Evaluate]]) -> Evaluate:
    def evaluate(scope: Scope) -> object:
        for condition, value in pairs:
            if _holds("Switch", condition, scope):
                return value(scope)
        return None

    return evaluate


def _holds(function: str, condition: Evaluate, scope: Scope) -> bool:
    value = plain(condition(scope))
    try:
        return as_boolean(value, "condition")
    except Unfit as unfit:
        raise ExpressionFailure(function, str(unfit)) from None


def _key(parameter: str, evaluator: Evaluate, scope: Scope) -> str:
    value = plain(evaluator(scope))
    try:
        return as_text(value, parameter) or ""
    except Unfit as unfit:
        raise ExpressionFailure("Switch", str(unfit)) from None
