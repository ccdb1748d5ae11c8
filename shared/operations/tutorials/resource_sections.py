"""The parts of a profile about users and groups: attributes, how existing ones are found, the default mapping."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Final

from shared.config.profile import CORE_GROUP, CORE_USER, AttributeType, Mutability
from shared.operations.tutorials.default_mappings import group_mappings, user_mappings
from shared.operations.tutorials.drafting import Draft
from shared.operations.tutorials.facts import FactKind
from shared.operations.tutorials.naming import last_name, named_paths
from shared.operations.tutorials.refusals import TutorialRefused
from shared.operations.tutorials.rows import DIVISION, Attributes, TableAttribute
from shared.rules.attribute_paths import parse_path
from shared.rules.source_attributes import is_user_attribute

_USER_ORDER: Final = ("userName", "externalId", 'emails[type eq "work"].value')
_GROUP_ORDER: Final = ("displayName", "externalId")
_ORGANIZATION: Final = f"{DIVISION.rpartition(':')[0]}:organization"
_RIGHT: Final = re.compile(r"admin|superuser|owner", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Match:
    target: str
    rule: dict[str, str]
    line: int
    """Where it is said; 0: assumed."""
    marked: bool = False
    """Whether the table marks it as filterable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wording:
    """What sentences say about finding existing ones."""

    blocked: frozenset[str] = frozenset()
    """What cannot be filtered, in lower case."""
    matched: tuple[str, ...] = ()
    """Paths that are called matching attributes."""
    line: int = 0
    """Where they are."""


def users_section(draft: Draft) -> tuple[dict[str, Any], tuple[str, ...]]:
    """`users`, and the required attributes that a person must map. Raises `TutorialRefused` without a match key."""
    table = _with_required(draft, _with_added_sources(draft, _with_create_only(draft)))
    required = frozenset(row.path.casefold() for row in table.attributes if row.required) | {"username"}
    mappings, unmapped = user_mappings(table, required=required)
    wording = _wording(draft, table, groups=False)
    match = _match(table, order=_USER_ORDER, mappings=mappings, wording=wording)
    if match is None:
        raise TutorialRefused(
            "the table has no attribute by which existing accounts can be found",
            "Add a row such as |userName|String| to a copy of the tutorial and import that",
        )
    users: dict[str, Any] = {"endpoint": "/Users", "schema_urn": CORE_USER, **_actions(draft, table)}
    users |= _most_objects(draft, groups=False)
    _say_marks(draft, table, match=match)
    _prove_match(draft, "users.matching", match=match)
    users["attributes_evidence"] = draft.table_source(table.attributes[0].line)
    users["attributes"] = [
        {**_attribute(row, required=required, match=match, roles=draft.findings.roles.allowed), **_format(draft, row)}
        for row in table.attributes
    ]
    users["attributes"] += _optional_attributes(table)
    users |= _repairs(table)
    users["matching"] = [match.rule]
    users["mappings"] = list(mappings)
    draft.evidence["users.mappings"] = {
        "confidence": "microsoft",
        "source": "Entra's default mapping for the attributes of the table",
        "note": "externalId from objectId is ours: mailNickname can change",
    }
    _say_unmapped(draft, table, mapped={mapping["target"] for mapping in mappings})
    for path in unmapped:
        draft.say(FactKind.MAPPING, f"{path} is required and has no default mapping: map it in provisioning.yaml")
    return users, unmapped


def groups_section(draft: Draft) -> dict[str, Any]:
    """`groups`, empty when they are not provisioned."""
    table, findings = draft.findings.groups, draft.findings
    if table is None or findings.no_groups_line:
        _say_no_groups(draft)
        return {}
    mappings = group_mappings(table)
    wording = _wording(draft, table, groups=True)
    match = _match(table, order=_GROUP_ORDER, mappings=mappings, wording=wording)
    if match is None:
        draft.say(FactKind.GROUPS, "nothing in the table to find groups by; not provisioned", table.attributes[0].line)
        return {}
    groups: dict[str, Any] = {"endpoint": "/Groups", "schema_urn": CORE_GROUP}
    for line, keys, told in (
        (findings.fixed_groups_line, {"create": False, "delete": False}, "updated only: neither created nor deleted"),
        (findings.named_groups_line, {"rename": False}, "cannot be renamed"),
    ):
        if line:
            groups |= keys
            draft.say(FactKind.GROUPS, told, line)
            for key in keys:
                draft.prove(f"groups.{key}", line)
    draft.say(FactKind.GROUPS, "provisioned with their members", table.attributes[0].line)
    groups |= _most_objects(draft, groups=True)
    _prove_match(draft, "groups.matching", match=match)
    required = _required_of_groups(table, mapped={mapping["target"] for mapping in mappings}) | {
        match.target.casefold()
    }
    groups |= {"disable": False, "lookup_without": ["members"]}
    groups["attributes_evidence"] = draft.table_source(table.attributes[0].line)
    groups["attributes"] = [_attribute(row, required=required, match=match, roles=()) for row in table.attributes]
    groups |= _repairs(table)
    groups["matching"] = [match.rule]
    groups["mappings"] = list(mappings)
    return {"groups": groups}


def _say_no_groups(draft: Draft) -> None:
    findings = draft.findings
    if findings.no_groups_line:
        draft.say(FactKind.GROUPS, "unsupported, the tutorial says", findings.no_groups_line)
    elif findings.groups_capability_line:
        told = "named as a capability, but no table lists their attributes; not provisioned"
        draft.say(FactKind.GROUPS, told, findings.groups_capability_line)
    else:
        draft.say(FactKind.GROUPS, "unsupported: neither a capability nor a table of attributes names them")


def _required_of_groups(table: Attributes, *, mapped: set[str]) -> frozenset[str]:
    """What the table marks and a mapping fills. Members are left out: a group may have none."""
    return frozenset(
        row.path.casefold()
        for row in table.attributes
        if row.required and row.path in mapped and row.type is not AttributeType.REFERENCE
    )


def _most_objects(draft: Draft, *, groups: bool) -> dict[str, int]:
    most = next((each for each in draft.findings.most_objects if each.groups == groups), None)
    if most is None:
        return {}
    draft.prove(f"{'groups' if groups else 'users'}.max_objects", most.line)
    return {"max_objects": most.amount}


def _actions(draft: Draft, table: Attributes) -> dict[str, Any]:
    actions: dict[str, Any] = {}
    line = draft.findings.no_create_line
    if line:
        draft.say(FactKind.ACTIONS, "accounts are not created: the capabilities do not name it", line)
        draft.prove("users.create", line, note="say create: true if the vendor creates accounts")
        actions = {"create": False}
    active = table.find("active")
    if active is None:
        draft.say(FactKind.ACTIONS, "no attribute active: accounts can be deleted, not disabled")
        draft.prove("users.disable", 0, note="the table has no attribute active")
        return {**actions, "disable": False}
    draft.say(FactKind.ACTIONS, "accounts are disabled with active; whether DELETE works is not said", active.line)
    draft.prove("users.delete", 0, note="accounts are disabled; say delete: true if the vendor deletes")
    return {**actions, "delete": False}


def _with_required(draft: Draft, table: Attributes) -> Attributes:
    """The table with what a list calls required."""
    named = {path for name, _ in draft.findings.required_names for path in named_paths(table, name)}
    rows = tuple(replace(row, required=True) if row.path in named else row for row in table.attributes)
    return replace(table, attributes=rows)


def _with_added_sources(draft: Draft, table: Attributes) -> Attributes:
    """The table with the sources of the mappings that the reader is told to add."""
    sources: dict[str, str] = {}
    for added in draft.findings.added_mappings:
        row = table.find(added.target)
        usable = row is not None and is_user_attribute(added.source)
        if row is not None and usable:
            sources[row.path] = added.source
        told = f"{added.target} from {added.source}" + ("" if usable else ", which is left to you")
        draft.say(FactKind.MAPPING, f"to be added, the tutorial says: {told}", added.line)
        if added.default:
            draft.say(FactKind.MAPPING, f"default of {added.target}, to be set by you: {added.default}", added.line)
    rows = tuple(replace(row, source=sources.get(row.path, row.source)) for row in table.attributes)
    return replace(table, attributes=rows)


def _with_create_only(draft: Draft) -> Attributes:
    """The table with what sentences say about attributes that cannot be changed later."""
    table = draft.findings.users
    named: set[str] = set()
    for sentence, previous in draft.findings.create_only:
        words = set(re.findall(r"[\w.]+", previous.casefold()))
        before = [row.path for row in table.attributes if last_name(row.path).casefold() in words]
        hits = named_paths(table, sentence.text) or before
        named.update(hits)
        if not hits:
            names = ", ".join(re.findall(r"\*\*([^*]{1,40})\*\*", draft.findings.tutorial.lines[sentence.line - 1]))
            told = f"{names or 'something'}, which is not in the table: {previous} {sentence.text}"[:240]
            draft.say(FactKind.CREATE_ONLY, told, sentence.line)
    rows = tuple(
        replace(row, mutability=Mutability.CREATE_ONLY) if row.path in named else row for row in table.attributes
    )
    for row in rows:
        if row.mutability is Mutability.CREATE_ONLY:
            draft.say(FactKind.CREATE_ONLY, row.path, row.line)
    return replace(table, attributes=rows)


def _wording(draft: Draft, table: Attributes, *, groups: bool) -> _Wording:
    unfilterable = () if groups else draft.findings.unfilterable
    for name, line in unfilterable:
        draft.say(FactKind.FILTERABLE, f"not by {name}", line)
    blocked = frozenset(name.casefold() for name, _ in unfilterable)
    for said in draft.findings.matched_by:
        matched = named_paths(table, said.names)
        if said.groups == groups and matched:
            draft.say(FactKind.FILTERABLE, f"{'groups' if groups else 'accounts'} match by {matched[0]}", said.line)
            return _Wording(blocked=blocked, matched=matched, line=said.line)
    return _Wording(blocked=blocked)


def _match(
    table: Attributes, *, order: tuple[str, ...], mappings: Iterable[dict[str, Any]], wording: _Wording
) -> _Match | None:
    """How existing ones are found: by what the table marks, by what a sentence says, else by the usual attribute."""
    mapped = {mapping["target"] for mapping in mappings if "none" not in mapping and "computed" not in mapping}
    rows = [row for row in table.attributes if row.path in mapped and row.type is AttributeType.STRING]
    rows.sort(key=lambda row: order.index(row.path) if row.path in order else len(order))
    said = [row for row in rows if row.path in wording.matched]
    marked = [row for row in rows if row.filterable and row.path.casefold() not in wording.blocked]
    if marked:
        row = next((row for row in said if row in marked), marked[0])
        return _Match(target=row.path, rule={"target": row.path, "by": "filter"}, line=row.line, marked=True)
    known = said or [row for row in rows if row.path in order] or rows[:1]
    if not known:
        return None
    line = wording.line if said else 0
    free = [row for row in known if row.path.casefold() not in wording.blocked]
    if table.filters_marked or not free:
        return _Match(target=known[0].path, rule={"target": known[0].path, "by": "list"}, line=line)
    rule = {"target": free[0].path, "by": "filter", "fallback": "list"}
    return _Match(target=free[0].path, rule=rule, line=line)


def _prove_match(draft: Draft, key: str, *, match: _Match) -> None:
    draft.prove(key, match.line, note="" if match.marked else "what can be filtered is not published")


def _say_unmapped(draft: Draft, table: Attributes, *, mapped: set[str]) -> None:
    left = [
        row.path for row in table.attributes if row.path not in mapped and row.mutability is not Mutability.READ_ONLY
    ]
    if left:
        draft.say(FactKind.MAPPING, f"no default mapping, map in provisioning.yaml what is wanted: {', '.join(left)}")


def _format(draft: Draft, row: TableAttribute) -> dict[str, str]:
    """The form of countries and telephone numbers where the text asks for one."""
    if row.type is not AttributeType.STRING:
        return {}
    country, phone = draft.findings.country_code_line, draft.findings.phone_format_line
    if country and last_name(row.path) == "country":
        draft.say(FactKind.MAPPING, f"{row.path} is a code of two letters; any other value is left out", country)
        return {"format": "country_code"}
    if phone and last_name(row.path) == "phoneNumbers":
        draft.say(FactKind.MAPPING, f"{row.path} is written as E.164; what cannot be is left out", phone)
        return {"format": "e164"}
    return {}


def _say_marks(draft: Draft, table: Attributes, *, match: _Match) -> None:
    marked = [row for row in table.attributes if row.filterable]
    needed = [row for row in table.attributes if row.required]
    if marked:
        draft.say(FactKind.FILTERABLE, ", ".join(row.path for row in marked), marked[0].line)
    else:
        how = "by listing all accounts" if match.rule["by"] == "list" else "that it can be filtered is assumed"
        draft.say(FactKind.FILTERABLE, f"not marked; existing accounts are looked for by {match.target}, {how}")
    if needed:
        draft.say(FactKind.REQUIRED, ", ".join(row.path for row in needed), needed[0].line)


def _attribute(
    row: TableAttribute, *, required: frozenset[str], match: _Match, roles: tuple[str, ...]
) -> dict[str, Any]:
    path = parse_path(row.path)
    attribute: dict[str, Any] = {"path": row.path}
    notes = [row.note] if row.note else []
    if row.type is not AttributeType.STRING:
        attribute["type"] = row.type.value
    if row.multi_valued:
        attribute["multi_valued"] = True
    if row.path.casefold() in required:
        attribute["required"] = True
    if row.filterable or (row.path == match.target and match.rule["by"] == "filter"):
        attribute["filterable"] = True
        if not row.filterable:
            notes.append("that it can be filtered is assumed")
    if row.mutability is not Mutability.READ_WRITE:
        attribute["mutability"] = row.mutability.value
    if row.type is AttributeType.REFERENCE:
        attribute["reference_to"] = "any" if row.multi_valued else "user"
    if roles and path.name.casefold() == "roles" and path.sub == "value":
        attribute["allowed_values"] = list(roles)
    if row.type is AttributeType.BOOLEAN and path.urn is not None and _RIGHT.search(path.name):
        attribute["privileged"] = True
        notes.append("taken for a right because of its name")
    if row.printed != row.path:
        attribute["printed"] = row.printed
    return {**attribute, "note": "; ".join(notes)} if notes else attribute


def _optional_attributes(table: Attributes) -> list[dict[str, Any]]:
    """The `organization` that a second `division` in the same table most probably stands for."""
    twice = any(repair.printed == DIVISION and not repair.path for repair in table.repairs)
    if not twice or table.find(_ORGANIZATION) is not None:
        return []
    source = "the table prints division twice; other tutorials list organization beside costCenter and division"
    return [{"path": _ORGANIZATION, "confidence": "assumed", "source": source, "note": "not mapped by default"}]


def _repairs(table: Attributes) -> dict[str, Any]:
    repairs = [{"printed": each.printed, "path": each.path, "reason": each.reason} for each in table.repairs]
    return {"repairs": repairs} if repairs else {}
