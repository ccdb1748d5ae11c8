"""One table of functions: name, parameters, how many arguments, and what is checked before any user is seen.

A parameter list is written as in the documentation: `source, start, length?`. A trailing `?` means that the argument
may be left out or empty, a trailing `...` that it repeats (parameters that repeat take turns and may be empty).
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from shared.rules.expressions.conversion import Unfit, bounded
from shared.rules.expressions.values import DROP, EvaluationContext, ExpressionFailure, Redacted


@dataclass(slots=True)
class Scope:
    """One evaluation for one user; `regex_left_s` is what its regular expressions may still take together."""

    user: Mapping[str, object]
    context: EvaluationContext
    regex_left_s: float


Evaluate = Callable[[Scope], object]
Check = Callable[[object], None]


@dataclass(frozen=True, slots=True)
class Argument:
    """A compiled argument; `given` is False for a position left empty, `constant` True when no user is needed."""

    column: int
    evaluate: Evaluate
    given: bool
    constant: bool
    value: object = None
    predicate: bool = False


Build = Callable[[Sequence[Argument]], Evaluate]


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter as documented."""

    name: str
    optional: bool
    repeating: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What sets a function apart from a plain one.

    `minimum` replaces the number of required arguments, `even` wants an even number of them, `left_out` is the
    position that a call with the fewest arguments does without. `predicate` marks functions that answer a yes or no
    about their argument, `roles` those whose argument is [appRoleAssignments], `outermost` those that cannot be
    nested. `checks` test constants by parameter name, `names` lists the bare names a parameter accepts.
    """

    minimum: int | None = None
    even: bool = False
    left_out: int | None = None
    predicate: bool = False
    roles: bool = False
    outermost: bool = False
    checks: Mapping[str, Check] = field(default_factory=dict)
    names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """One function of the language.

    `build` turns compiled arguments into a closure; it raises `Unfit` for a mistake it can see without a user. A
    `foldable` one depends on its arguments alone.
    """

    name: str
    parameters: tuple[Parameter, ...]
    minimum: int
    build: Build
    documentation: str
    foldable: bool
    options: Options

    @property
    def signature(self) -> str:
        """Answer how the function is written; `?` marks what may be left empty, `...` what may be repeated."""
        shown = [f"{p.name}{'?' if p.optional else '...' if p.repeating else ''}" for p in self.parameters]
        return f"{self.name}({', '.join(shown)})"

    @property
    def summary(self) -> str:
        """Answer what the function does in one sentence."""
        return self.documentation.partition("\n")[0]

    @property
    def repeats(self) -> bool:
        """Answer whether the last parameters may be repeated without bound."""
        return any(p.repeating for p in self.parameters)

    def parameter(self, position: int) -> Parameter:
        """Answer the parameter an argument position belongs to; repeating ones take turns."""
        if position < len(self.parameters):
            return self.parameters[position]
        cycle = [p for p in self.parameters if p.repeating]
        return cycle[(position - len(self.parameters)) % len(cycle)]


FUNCTIONS: dict[str, Function] = {}


PLAIN = Options()


Implementation = Callable[..., object]


def plain(value: object) -> object:
    """Answer what a function sees: the value behind Redact, and null for an attribute that was dropped."""
    if isinstance(value, Redacted):
        value = value.value
    return None if value is DROP else value


def evaluate_eagerly(name: str, evaluators: Sequence[Evaluate], implementation: Implementation) -> Evaluate:
    """Answer a closure that evaluates all arguments, then calls `implementation(scope, *values)`.

    One redacted argument makes the result redacted, so that a value cannot leave Redact by being appended to.
    """

    def evaluate(scope: Scope) -> object:
        values = []
        redacted = False
        for evaluator in evaluators:
            value = evaluator(scope)
            redacted = redacted or isinstance(value, Redacted)
            values.append(plain(value))
        try:
            result = implementation(scope, *values)
            if isinstance(result, str):
                bounded(len(result))
        except Unfit as unfit:
            raise ExpressionFailure(name, str(unfit)) from None
        except OverflowError:
            raise ExpressionFailure(name, "a number or a date is out of range") from None
        return Redacted(result) if redacted and result is not None else result

    return evaluate


def null(_scope: Scope) -> object:
    """Evaluate an argument that was not given."""
    return None


def simple(
    name: str, parameters: str, options: Options = PLAIN
) -> Callable[[Callable[..., object]], Callable[..., object]]:
    """Register `f(*values)`: needs nothing but its arguments, so constant arguments are evaluated at start."""

    def register(implementation: Callable[..., object]) -> Callable[..., object]:
        def without_scope(_scope: Scope, *values: object) -> object:
            return implementation(*values)

        _add(name, _eager(name, parameters, without_scope), _Header(parameters, options, implementation, True))
        return implementation

    return register


def scoped(
    name: str, parameters: str, options: Options = PLAIN
) -> Callable[[Callable[..., object]], Callable[..., object]]:
    """Register `f(scope, *values)`: needs the clock, randomness, roles or another part of the context."""

    def register(implementation: Callable[..., object]) -> Callable[..., object]:
        _add(name, _eager(name, parameters, implementation), _Header(parameters, options, implementation, False))
        return implementation

    return register


def built(name: str, parameters: str, options: Options = PLAIN) -> Callable[[Build], Build]:
    """Register `f(arguments)`, which prepares what can be prepared and answers the closure itself."""

    def register(build: Build) -> Build:
        _add(name, build, _Header(parameters, options, build, False))
        return build

    return register


def parse_parameters(text: str) -> tuple[Parameter, ...]:
    """Answer the parameters of `source, start, length?`."""
    names = [part.strip() for part in text.split(",") if part.strip()]
    return tuple(Parameter(name.rstrip("?."), name.endswith("?"), name.rstrip("?").endswith("...")) for name in names)


def _eager(name: str, parameters: str, implementation: Implementation) -> Build:
    width = len(parse_parameters(parameters))

    def build(arguments: Sequence[Argument]) -> Evaluate:
        evaluators = [argument.evaluate for argument in arguments]
        return evaluate_eagerly(name, evaluators + [null] * (width - len(evaluators)), implementation)

    return build


@dataclass(frozen=True, slots=True)
class _Header:
    """How a function was registered."""

    parameters: str
    options: Options
    documented: Callable[..., object]
    foldable: bool


def _add(name: str, build: Build, header: _Header) -> None:
    parsed, options = parse_parameters(header.parameters), header.options
    required = max((position + 1 for position, p in enumerate(parsed) if not p.optional), default=0)
    FUNCTIONS[name] = Function(
        name=name,
        parameters=parsed,
        minimum=required if options.minimum is None else options.minimum,
        build=build,
        documentation=inspect.getdoc(header.documented) or "",
        foldable=header.foldable,
        options=options,
    )
