"""Turns a parsed expression into one closure per node, once at start.

Everything that can be wrong without a user is found here: unknown functions and attributes, the number of arguments,
constants that a function cannot use, regular expressions. Calls whose arguments are all constants are evaluated here.
"""

import difflib
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial

from shared.rules.expressions.catalogue import FUNCTIONS
from shared.rules.expressions.comparing import COMPARISONS
from shared.rules.expressions.conversion import Unfit, as_text, date_text, is_null
from shared.rules.expressions.parsing import parse
from shared.rules.expressions.registry import Argument, Evaluate, Function, Scope, evaluate_eagerly
from shared.rules.expressions.syntax import Attribute, Call, Comparison, Concatenation, Constant, Empty, Node
from shared.rules.expressions.values import EvaluationContext, ExpressionError, ExpressionFailure, Redacted

ROLE_ATTRIBUTE = "appRoleAssignments"
"""Stands for the roles of the context; it is no property of the user."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compiled:
    """What compiling a text found out."""

    attributes: frozenset[str]
    functions: frozenset[str]
    evaluate: Callable[[Mapping[str, object], EvaluationContext], object]


def compile_text(text: str, *, known_attributes: Callable[[str], bool] | None = None) -> Compiled:
    """Answer the closure for `text` with the attributes and functions it uses.

    Raises:
        ExpressionError: the text cannot work for any user.
    """
    root = parse(text)
    compiler = _Compiler(known_attributes=known_attributes)
    argument = compiler.compile(root, outermost=True)
    if isinstance(root, Constant) and root.bare:
        raise _stray_name(root)
    return Compiled(
        attributes=frozenset(compiler.attributes),
        functions=frozenset(compiler.functions),
        evaluate=partial(_evaluate_for, argument.evaluate),
    )


def _evaluate_for(evaluate: Evaluate, user: Mapping[str, object], context: EvaluationContext) -> object:
    return printed(evaluate(Scope(user, context, context.regex_timeout_s)))


def printed(value: object) -> object:
    """Answer the value as it leaves the language: a date is text there."""
    if isinstance(value, datetime):
        return date_text(value)
    if isinstance(value, Redacted):
        return Redacted(printed(value.value))
    return value


@dataclass(slots=True)
class _Compiler:
    known_attributes: Callable[[str], bool] | None
    attributes: set[str] = field(default_factory=set)
    functions: set[str] = field(default_factory=set)

    def compile(self, node: Node, *, outermost: bool = False) -> Argument:
        match node:
            case Constant():
                return _constant(node.column, node.value)
            case Attribute():
                return self._attribute(node)
            case Call():
                return self._call(node, outermost=outermost)
            case Comparison():
                parts = [self._operand(node.left), self._operand(node.right)]
                implementation = COMPARISONS[node.operator]
                return _folded(node.column, f"operator {node.operator}", parts, implementation)
            case Concatenation():
                parts = [self._operand(part) for part in node.parts]
                return _folded(node.column, "operator &", parts, _concatenate)
            case Empty():
                return Argument(node.column, _answer(None), given=False, constant=True)

    def _operand(self, node: Node) -> Argument:
        if isinstance(node, Constant) and node.bare:
            raise _stray_name(node)
        return self.compile(node)

    def _attribute(self, node: Attribute) -> Argument:
        if self.known_attributes is not None and not self.known_attributes(node.name):
            raise ExpressionError(
                f"[{node.name}] is no known source attribute; attribute names are case-sensitive", node.column
            )
        self.attributes.add(node.name)
        name = node.name
        return Argument(node.column, lambda scope: scope.user.get(name), given=True, constant=False)

    def _call(self, node: Call, *, outermost: bool) -> Argument:
        function = FUNCTIONS.get(node.name)
        if function is None:
            raise _unknown_function(node)
        if function.options.outermost and not outermost:
            raise ExpressionError(f"{node.name} was expected as the outermost function only", node.column)
        _check_count(function, node)
        self.functions.add(node.name)
        if function.options.roles:
            return self._role_call(function, node)
        nodes = list(node.arguments)
        if function.options.left_out is not None and len(nodes) == function.minimum:
            nodes.insert(function.options.left_out, Empty(node.column))
        arguments = [self._argument(function, node.column, position, part) for position, part in enumerate(nodes)]
        try:
            evaluate = function.build(arguments)
        except Unfit as unfit:
            raise ExpressionError(f"{node.name}: {unfit}", node.column) from None
        if function.foldable and all(argument.constant for argument in arguments):
            return _constant(node.column, _evaluate_now(node.column, evaluate))
        return Argument(node.column, evaluate, given=True, constant=False, predicate=function.options.predicate)

    def _role_call(self, function: Function, node: Call) -> Argument:
        only = node.arguments[0]
        if not (isinstance(only, Attribute) and only.name == ROLE_ATTRIBUTE):
            raise ExpressionError(f"{node.name}: [{ROLE_ATTRIBUTE}] was expected", only.column or node.column)
        return Argument(node.column, function.build([]), given=True, constant=False)

    def _argument(self, function: Function, call_column: int, position: int, node: Node) -> Argument:
        parameter = function.parameter(position)
        column = node.column or call_column
        accepted = function.options.names.get(parameter.name, ())
        if isinstance(node, Constant) and node.bare and node.value not in accepted:
            raise _stray_name(node, accepted)
        if isinstance(node, Empty) and not (parameter.optional or parameter.repeating):
            raise ExpressionError(f"{function.name}: a value was expected for {parameter.name}", column)
        argument = self.compile(node)
        check = function.options.checks.get(parameter.name)
        if check is not None and argument.given and argument.constant:
            try:
                check(argument.value)
            except Unfit as unfit:
                raise ExpressionError(f"{function.name}: {unfit}", column) from None
        return argument


def _constant(column: int, value: object) -> Argument:
    return Argument(column, _answer(value), given=True, constant=True, value=value)


def _answer(value: object) -> Evaluate:
    return lambda _scope: value


def _folded(column: int, name: str, parts: list[Argument], implementation: Callable[..., object]) -> Argument:
    evaluate = evaluate_eagerly(name, [part.evaluate for part in parts], partial(_without_scope, implementation))
    if all(part.constant for part in parts):
        return _constant(column, _evaluate_now(column, evaluate))
    return Argument(column, evaluate, given=True, constant=False)


def _without_scope(implementation: Callable[..., object], _scope: Scope, *values: object) -> object:
    return implementation(*values)


def _evaluate_now(column: int, evaluate: Evaluate) -> object:
    """Evaluate what depends on no user; what fails here would fail for everybody."""
    nothing = EvaluationContext(now=datetime(1970, 1, 1, tzinfo=UTC), random=random.Random(0), new_guid=str)
    try:
        return evaluate(Scope({}, nothing, nothing.regex_timeout_s))
    except ExpressionFailure as failure:
        raise ExpressionError(str(failure), column) from None


def _concatenate(*values: object) -> str | None:
    if all(is_null(value) for value in values):
        return None
    return "".join(as_text(value, "operand") or "" for value in values)


def _check_count(function: Function, node: Call) -> None:
    count = len(node.arguments)
    most = None if function.repeats else len(function.parameters)
    if count < function.minimum or (most is not None and count > most) or (function.options.even and count % 2):
        raise ExpressionError(
            f"{function.name}: {_expected_count(function, most)} expected, {count} found; "
            f"it is written {function.signature}",
            node.column,
        )


def _expected_count(function: Function, most: int | None) -> str:
    if function.options.even:
        return f"an even number of arguments, {function.minimum} or more, was"
    if most is None:
        return f"at least {function.minimum} arguments were"
    if most == function.minimum:
        return {0: "no arguments were", 1: "1 argument was"}.get(most, f"{most} arguments were")
    return f"{function.minimum} to {most} arguments were"


def _unknown_function(node: Call) -> ExpressionError:
    folded = {name.lower(): name for name in FUNCTIONS}
    near = difflib.get_close_matches(node.name.lower(), folded, n=1, cutoff=0.6)
    advice = f"did you mean {folded[near[0]]}? Names are case-sensitive" if near else "no such function exists"
    return ExpressionError(f"unknown function {node.name[:60]}; {advice}", node.column)


def _stray_name(node: Constant, accepted: tuple[str, ...] = ()) -> ExpressionError:
    hint = f", or one of {', '.join(accepted)}" if accepted else ""
    return ExpressionError(
        f"{str(node.value)[:60]} was not expected: text belongs in double quotes, an attribute in [ ]{hint}",
        node.column,
    )
