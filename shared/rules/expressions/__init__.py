"""The attribute-mapping expression language of Microsoft Entra provisioning.

Compile once at start, evaluate per user: `compile_expression('ToLower([mail])').evaluate(user, context=context)`.
Importing this package loads neither lark nor regex; the first `compile_expression` does.

Beyond Entra: IsPresent, IsNull and IsNullOrEmpty work inside IIF and Switch, SelectUniqueValue works for every target,
Switch sees the whole user in every cycle, a bare `[attribute]` or constant is an expression, True and False may stand
without quotes, and the functions of the cloud-sync reference exist (Trim, Error, ConvertFromBase64, DNComponent,
CRef, StringFromSID, Contains).

Where .NET cannot be followed:
- Characters count as one each; .NET counts two for those outside the basic plane and may cut them in half.
- Dates hold microseconds, not steps of 100 nanoseconds; the service's local time zone is taken to be UTC.
- CDate reads the forms listed in `date_parsing`; DateTime.Parse guesses at more.
- Regular expressions: no balancing groups, no options n and x, no numbered group names; the library's Unicode tables
  are newer than some of .NET's, and ignoring case compares characters one by one by Unicode's rules, not a culture's.
- Culture names are checked for their form only; sorting and comparing never follow a culture.

Where no source says what Entra does, the function's docstring states the decision (`describe_functions`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from shared.rules.expressions.values import (
    DROP,
    REDACTED,
    AppRole,
    Drop,
    EvaluationContext,
    ExpressionError,
    ExpressionFailure,
    Redacted,
    RoleAssignments,
    RoleFlow,
    UniqueValue,
)

__all__ = [
    "CHANGING_FUNCTIONS",
    "DROP",
    "REDACTED",
    "AppRole",
    "Drop",
    "EvaluationContext",
    "Expression",
    "ExpressionError",
    "ExpressionFailure",
    "FunctionDescription",
    "Redacted",
    "RoleAssignments",
    "RoleFlow",
    "UniqueValue",
    "compile_expression",
    "describe_functions",
]


CHANGING_FUNCTIONS = frozenset({"Guid", "Now", "RandomString"})
"""Functions that answer something else every time, so that a mapping that always applies would never come to rest."""


@dataclass(frozen=True, slots=True)
class FunctionDescription:
    """One function as a person needs it: how it is written, what it answers."""

    name: str
    signature: str
    summary: str
    documentation: str


@dataclass(frozen=True, slots=True)
class Expression:
    """A compiled expression; two with the same text are equal.

    `attributes` are the source attributes it reads, spelled as in the text ([appRoleAssignments] is none);
    `functions` the functions it uses, so that the configuration can insist on `apply: on_create` for those of
    `CHANGING_FUNCTIONS` and `SelectUniqueValue`.
    """

    text: str
    attributes: frozenset[str] = field(compare=False)
    functions: frozenset[str] = field(compare=False)
    _evaluate: Callable[[Mapping[str, object], EvaluationContext], object] = field(compare=False, repr=False)

    def evaluate(self, user: Mapping[str, object], *, context: EvaluationContext) -> object:
        """Answer the value for this user: a JSON value, None for null, or one of the markers of this package.

        Dates come back as text (`M/d/yyyy h:mm:ss tt`, UTC).

        Raises:
            ExpressionFailure: this user's values do not fit; nobody else is affected.
        """
        return self._evaluate(user, context)


def compile_expression(text: str, *, known_attributes: Callable[[str], bool] | None = None) -> Expression:
    """Answer the compiled form of `text`; every mistake that can be seen without a user is reported here.

    Raises:
        ExpressionError: with the column, the function and what was expected.
    """
    from shared.rules.expressions.compiling import compile_text

    compiled = compile_text(text, known_attributes=known_attributes)
    return Expression(text, compiled.attributes, compiled.functions, compiled.evaluate)


def describe_functions() -> list[FunctionDescription]:
    """Answer every function of the language in alphabetical order."""
    from shared.rules.expressions.catalogue import FUNCTIONS

    return [
        FunctionDescription(name, spec.signature, spec.summary, spec.documentation)
        for name, spec in sorted(FUNCTIONS.items())
    ]
