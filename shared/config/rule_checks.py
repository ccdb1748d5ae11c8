"""Mappings, matching attributes and scoping filters against what the source and the target really have.

Each check answers pairs (location below the resource or list, what was expected), so that the caller can name the line.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import TypeAlias

from shared.config.mapping import Apply, AttributeMapping, Computed
from shared.config.patterns import pattern_problem
from shared.config.profile import AttributeType, Mutability, ResourceProfile, TargetAttribute
from shared.config.provisioning_file import Operator, ScopingClause, ScopingFilter
from shared.rules.source_attributes import APP_ROLES, is_group_attribute, is_user_attribute, similar_attributes

Finding: TypeAlias = tuple[tuple[str | int, ...], str]

_REGEX = frozenset({Operator.REGEX_MATCH, Operator.NOT_REGEX_MATCH})
_CHANGING = re.compile(r"\b(Guid|RandomString|SelectUniqueValue)\s*\(")
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_ROLE_LISTS = frozenset({Computed.APP_ROLES_ADDED, Computed.APP_ROLES_ASSERTED})


def check_resource(resource: ResourceProfile, *, profile: str, group: bool) -> Iterator[Finding]:
    """What is wrong with the mappings and matching attributes of a profile's resource."""
    seen: set[str] = set()
    for index, mapping in enumerate(resource.mappings):
        if mapping.target.casefold() in seen:
            yield ("mappings", index, "target"), f"each target once; {mapping.target} has a mapping already"
        seen.add(mapping.target.casefold())
        for key, expected in check_mapping(mapping, resource, profile=profile, group=group):
            yield ("mappings", index, *key), expected
    yield from check_matching(resource)


def check_mapping(
    mapping: AttributeMapping, resource: ResourceProfile, *, profile: str, group: bool
) -> Iterator[Finding]:
    """What is wrong with one mapping."""
    attribute = resource.attribute(mapping.target)
    if mapping.target.casefold() in {"id", "meta", "schemas"}:
        yield ("target",), "an attribute that clients may set"
    elif attribute is None:
        yield ("target",), _unknown_target(mapping.target, resource, profile=profile)
    else:
        yield from _check_value(mapping, attribute)
    known = is_group_attribute if group else is_user_attribute
    for key, name in (("source", mapping.source), ("fallback", mapping.fallback)):
        if name is not None and not _is_readable(name, known):
            yield (key,), _unknown_source(name, group=group)
    for index, name in enumerate(mapping.join):
        if not _is_readable(name, known):
            yield ("join", index), _unknown_source(name, group=group)
    if mapping.expression is not None and mapping.computed_here is None:
        problem = _expression_problem(mapping.expression, group)
        if problem:
            yield ("expression",), problem
        changing = _CHANGING.search(_STRING.sub('""', mapping.expression))
        if changing and mapping.apply is not Apply.ON_CREATE:
            yield ("apply",), f"on_create, because {changing.group(1)} gives another value each time"


def check_matching(resource: ResourceProfile) -> Iterator[Finding]:
    """What is wrong with the attributes by which existing accounts are found, and with what must be mapped."""
    mapped = {mapping.target.casefold() for mapping in resource.mappings}
    for index, matching in enumerate(resource.matching):
        attribute = resource.attribute(matching.target)
        if matching.target.casefold() not in mapped:
            yield ("matching", index, "target"), "a target attribute that has a mapping"
        elif matching.by == "filter" and attribute is not None and not attribute.filterable:
            yield ("matching", index, "by"), "list; the vendor does not filter on this attribute"
    if not resource.matching:
        yield ("matching",), "at least one attribute by which an existing account is found"
    for attribute in resource.attributes:
        if attribute.required and attribute.path.casefold() not in mapped:
            yield ("mappings",), f"a mapping of {attribute.path}, which the vendor requires"


def check_filters(filters: Iterable[ScopingFilter], *, group: bool) -> Iterator[Finding]:
    """What is wrong with scoping filters."""
    known = is_group_attribute if group else is_user_attribute
    for index, scoping_filter in enumerate(filters):
        for number, clause in enumerate(scoping_filter.clauses):
            location = (index, "clauses", number)
            if not known(clause.attribute):
                yield (*location, "attribute"), _unknown_source(clause.attribute, group=group)
            expected = _value_problem(clause)
            if expected:
                yield (*location, "value"), expected


def _check_value(mapping: AttributeMapping, attribute: TargetAttribute) -> Iterator[Finding]:
    if attribute.mutability is Mutability.READ_ONLY:
        yield ("target",), "an attribute that is not read-only at the vendor"
    if mapping.apply is Apply.ADD_ONLY and not (attribute.multi_valued or mapping.computed in _ROLE_LISTS):
        yield ("apply",), "always or on_create; add_only is for multi-valued attributes"
    if attribute.type is AttributeType.BOOLEAN:
        for key, value in (("constant", mapping.constant), ("default", mapping.default)):
            if value is not None and str(value).casefold() not in {"true", "false"}:
                yield (key,), "true or false"
    if attribute.privileged and str(mapping.constant).casefold() == "true":
        yield ("constant",), "no constant that gives everybody this right; derive it from an app role"
    if attribute.type is AttributeType.REFERENCE and mapping.source is None:
        yield ("target",), "a direct mapping (source); a reference is resolved by id"
    limited = attribute.allowed_values and isinstance(mapping.constant, str)
    if limited and folded_word(str(mapping.constant)) not in folded_words(attribute.allowed_values):
        yield ("constant",), f"one of {', '.join(attribute.allowed_values)}"


def folded_word(text: str) -> str:
    """A role or enumerated value without case, blanks and punctuation: `Super User` and `Superuser` are the same."""
    return "".join(character for character in text.casefold() if character.isalnum())


@lru_cache(maxsize=256)
def folded_words(texts: tuple[str, ...]) -> frozenset[str]:
    """Several words of a profile, folded once and not for every account."""
    return frozenset(folded_word(text) for text in texts)


def _is_readable(name: str, known: Callable[[str], bool]) -> bool:
    return known(name) and name.casefold() != APP_ROLES.casefold()


def _unknown_target(target: str, resource: ResourceProfile, *, profile: str) -> str:
    close = difflib.get_close_matches(target, [entry.path for entry in resource.attributes], n=2)
    guess = f"; did you mean {' or '.join(close)}?" if close else ""
    return f"an attribute of profile {profile}, or of the application's own attributes{guess}"


def _unknown_source(name: str, *, group: bool) -> str:
    close = similar_attributes(name, group=group)
    guess = f"; did you mean {' or '.join(close)}?" if close else ""
    kind = "group" if group else "user"
    return f"a {kind} attribute of Microsoft Graph, or extension_<appId>_<name>{guess}"


@lru_cache(maxsize=512)
def _expression_problem(text: str, group: bool) -> str | None:
    from shared.rules.expressions import ExpressionError, compile_expression

    try:
        compile_expression(text, known_attributes=is_group_attribute if group else is_user_attribute)
    except ExpressionError as error:
        return f"an expression; {error}"
    return None


def _value_problem(clause: ScopingClause) -> str | None:
    if clause.operator in _REGEX:
        return pattern_problem(str(clause.value))
    if clause.operator in {Operator.BITS_SET, Operator.BITS_CLEAR} and not str(clause.value).isdecimal():
        return "a whole number, whose bits are compared"
    return None
