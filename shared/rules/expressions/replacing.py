"""Replace, the one function with five meanings: which positions are filled decides."""

from collections.abc import Callable, Sequence

from shared.rules.expressions.conversion import Unfit, as_text, bounded
from shared.rules.expressions.regexes import Match, Pattern, compile_pattern, expand_replacement, search, substitute
from shared.rules.expressions.registry import Argument, Evaluate, Scope, built, evaluate_eagerly

_NAMES = ("oldValue", "regexPattern", "regexGroupName", "replacementValue", "replacementAttributeName", "template")
_FORMS = (
    "oldValue with replacementValue, oldValue with template, regexPattern with replacementValue, "
    "regexPattern with regexGroupName and replacementValue, or "
    "regexPattern with regexGroupName and replacementAttributeName"
)
Arguments = dict[str, Argument]


@built(
    "Replace",
    "source, oldValue?, regexPattern?, regexGroupName?, replacementValue?, replacementAttributeName?, template?",
)
def replace(arguments: Sequence[Argument]) -> Evaluate:
    """Replace parts of a text, case-sensitively; the filled positions choose one of five forms.

    oldValue, replacementValue: every oldValue in the source is replaced.
    oldValue, template: every oldValue in the template is replaced by the source.
    regexPattern, replacementValue: every match is replaced; `${name}` and `$1` stand for groups.
    regexPattern, regexGroupName, replacementValue: only what the group matched is replaced.
    regexPattern, regexGroupName, replacementAttributeName: the source when it has a value, else what the group
    matches in the other attribute.

    Patterns are .NET's and must be constants. A null source answers null, except in the last form. A pattern that
    takes too long fails this user only.
    """
    source, *others = arguments
    given = {
        name: argument
        for name, argument in zip(_NAMES, others, strict=False)
        if argument.given and not (name != "replacementValue" and argument.constant and argument.value in ("", None))
    }
    form = _BUILDERS.get(frozenset(given))
    if form is None:
        raise Unfit(f"one of these was expected: {_FORMS}")
    return form(source, given)


def _old_with_replacement(source: Argument, given: Arguments) -> Evaluate:
    def implementation(_scope: Scope, text: object, old: object, new: object) -> str | None:
        source_text, old_text = as_text(text, "source"), as_text(old, "oldValue")
        return _replaced(source_text, old_text, as_text(new, "replacementValue") or "")

    return _evaluated(source, [given["oldValue"], given["replacementValue"]], implementation)


def _old_with_template(source: Argument, given: Arguments) -> Evaluate:
    def implementation(_scope: Scope, text: object, old: object, template: object) -> str | None:
        source_text = as_text(text, "source")
        if source_text is None:
            return None
        return _replaced(as_text(template, "template"), as_text(old, "oldValue"), source_text)

    return _evaluated(source, [given["oldValue"], given["template"]], implementation)


def _regex_with_replacement(source: Argument, given: Arguments) -> Evaluate:
    pattern = _pattern(given["regexPattern"])

    def implementation(scope: Scope, text: object, new: object) -> str | None:
        source_text = as_text(text, "source")
        if source_text is None:
            return None
        expand = expand_replacement(as_text(new, "replacementValue") or "", pattern)
        return substitute(pattern, source_text, expand, scope=scope)

    return _evaluated(source, [given["replacementValue"]], implementation)


def _regex_group_with_replacement(source: Argument, given: Arguments) -> Evaluate:
    pattern = _pattern(given["regexPattern"])
    group = _group(given["regexGroupName"], pattern)

    def implementation(scope: Scope, text: object, new: object) -> str | None:
        source_text = as_text(text, "source")
        if source_text is None:
            return None
        expand = expand_replacement(as_text(new, "replacementValue") or "", pattern)

        def replace_group(match: Match) -> str:
            start, end = match.span(group)
            if start < 0:
                return match.group()
            return source_text[match.start() : start] + expand(match) + source_text[end : match.end()]

        return substitute(pattern, source_text, replace_group, scope=scope)

    return _evaluated(source, [given["replacementValue"]], implementation)


def _regex_group_from_other(source: Argument, given: Arguments) -> Evaluate:
    pattern = _pattern(given["regexPattern"])
    group = _group(given["regexGroupName"], pattern)

    def implementation(scope: Scope, text: object, other: object) -> str | None:
        source_text, other_text = as_text(text, "source"), as_text(other, "replacementAttributeName")
        if source_text or other_text is None:
            return source_text or None
        match = search(pattern, other_text, scope=scope)
        return match.group(group) if match else None

    return _evaluated(source, [given["replacementAttributeName"]], implementation)


_BUILDERS: dict[frozenset[str], Callable[[Argument, Arguments], Evaluate]] = {
    frozenset({"oldValue", "replacementValue"}): _old_with_replacement,
    frozenset({"oldValue", "template"}): _old_with_template,
    frozenset({"regexPattern", "replacementValue"}): _regex_with_replacement,
    frozenset({"regexPattern", "regexGroupName", "replacementValue"}): _regex_group_with_replacement,
    frozenset({"regexPattern", "regexGroupName", "replacementAttributeName"}): _regex_group_from_other,
}


def _evaluated(source: Argument, others: list[Argument], implementation: Callable[..., object]) -> Evaluate:
    return evaluate_eagerly("Replace", [source.evaluate, *(other.evaluate for other in others)], implementation)


def _replaced(text: str | None, old: str | None, new: str) -> str | None:
    if not text or not old:
        return text
    bounded(len(text) + text.count(old) * (len(new) - len(old)))
    return text.replace(old, new)


def _pattern(argument: Argument) -> Pattern:
    if not argument.constant or not isinstance(argument.value, str):
        raise Unfit('regexPattern: a constant in double quotes was expected, for example "[^a-z]+"')
    return compile_pattern(argument.value, "regexPattern")


def _group(argument: Argument, pattern: Pattern) -> int | str:
    name = argument.value
    group = pattern.group(name) if argument.constant and isinstance(name, str) else None
    if group is None:
        raise Unfit('regexGroupName: a constant was expected that names a group of the pattern, written "(?<name>...)"')
    return group
