"""What changed, and how to say it in a PATCH (RFC 7644 3.5.2) or in a dialect of it that a vendor understands.

Pure. Decisions:
- An element of a list that the vendor does not hold yet is added whole (`add emails [{type, value}]`), because `replace
  emails[type eq "work"].value` is `noTarget` on a strict server; one that it holds is changed through its filter.
- Where nothing is known about the vendor's state and nothing was read, an element is added, removed through its filter
  and added again: the filter then always selects something, so that the request is valid whether or not the element
  was there, and elements that are not ours stay. A server written for Entra instead gets `add` on the filter path,
  which it takes for create-or-change (interop quirk 30).
- Removals come first, so that an attribute spelled in a new way is not removed after it was set. `active` = true is the
  first change and `active` = false the last, because some servers refuse changes to inactive accounts (quirk 8).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from shared.rules.attribute_paths import JSON, AttributePath, Attributes
from shared.scim.resources import (
    build_replacement,
    build_resource,
    equal_values,
    has_element,
    is_absent,
    is_manager,
    is_multi_valued,
    new_element,
    read_attribute,
    target_path,
    wire_value,
)

if TYPE_CHECKING:
    from shared.config.profile import PatchDialect

Operation = dict[str, Any]
"""One element of `Operations`."""

_Element = tuple[str | None, str, tuple[tuple[str, str | bool | int], ...]]

__all__ = [
    "Difference",
    "Operation",
    "build_replacement",
    "build_resource",
    "diff",
    "full_patch",
    "member_operations",
    "patch_operations",
    "read_attribute",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """What has to change at the target: paths with their new value, and paths that lose theirs."""

    set: Mapping[str, JSON]
    removed: tuple[str, ...]

    @property
    def is_empty(self) -> bool:
        """True when there is nothing to write."""
        return not self.set and not self.removed


def diff(sent: Attributes, wanted: Attributes, *, case_exact: Callable[[str], bool]) -> Difference:
    """Answers with what turns the state last sent into the wanted one.

    Null and empty values count as absent. The order of a list has no meaning. Where `case_exact(path)` is False a
    change of letter case alone is no change. A path that is merely spelled in another case is not removed.
    """
    changed = {
        path: value
        for path, value in wanted.items()
        if not is_absent(value) and not (path in sent and _same(sent[path], value, case_exact=case_exact, path=path))
    }
    gone = [path for path, value in sent.items() if not is_absent(value) and is_absent(wanted.get(path))]
    if gone:
        spelled = {path.casefold() for path, value in wanted.items() if not is_absent(value)}
        gone = [path for path in gone if path.casefold() not in spelled]
    return Difference(set=changed, removed=tuple(gone))


def _same(sent: JSON, wanted: JSON, *, case_exact: Callable[[str], bool], path: str) -> bool:
    if isinstance(sent, bool) is not isinstance(wanted, bool):
        return False
    return sent == wanted or equal_values(sent, wanted, case_exact=case_exact(path))


def patch_operations(difference: Difference, *, dialect: PatchDialect, present: Attributes) -> list[Operation]:
    """Answers with the operations that make the difference where `present` is what the target holds of ours."""
    held = frozenset(path for path, value in present.items() if not is_absent(value))
    return _operations(difference, dialect=dialect, held=held, elements=frozenset(_element(path) for path in held))


def full_patch(
    wanted: Attributes,
    *,
    dialect: PatchDialect,
    cleared: Collection[str] = (),
    observed: Mapping[str, Any] | None = None,
) -> list[Operation]:
    """Answers with the operations that assert the whole mapped state on an account whose state is unknown.

    Give the resource that was just read as `observed` where there is one (adoption): the operations are then exact.
    `cleared` are mapped paths that must have no value; unread, they are removed blindly, which RFC 7644 allows
    and a few servers refuse with `noTarget`.
    """
    state = {path: value for path, value in wanted.items() if not is_absent(value)}
    if observed is None:
        return _blind_operations(Difference(set=state, removed=tuple(cleared)), dialect=dialect)
    held = frozenset(path for path in (*state, *cleared) if not is_absent(read_attribute(observed, path)))
    elements = frozenset(_element(path) for path in state if has_element(observed, target_path(path)))
    removed = tuple(path for path in cleared if path in held)
    return _operations(Difference(set=state, removed=removed), dialect=dialect, held=held, elements=elements)


def member_operations(*, added: Sequence[str], removed: Sequence[str], dialect: PatchDialect) -> list[Operation]:
    """Answers with the operations that add and remove members of a group by their ids at the vendor."""
    operations: list[Operation] = []
    if removed and dialect.remove_members == "value":
        operations.append(_operation("remove", "members", [{"value": member} for member in removed], dialect=dialect))
    else:
        operations += [
            _operation("remove", f"members[value eq {json.dumps(member, ensure_ascii=False)}]", dialect=dialect)
            for member in removed
        ]
    if added:
        operations.append(_operation("add", "members", [{"value": member} for member in added], dialect=dialect))
    return operations


def _operations(
    difference: Difference, *, dialect: PatchDialect, held: frozenset[str], elements: frozenset[_Element]
) -> list[Operation]:
    kept = {_element(path) for path in (*(path for path in held if path not in difference.removed), *difference.set)}
    operations = _removals(difference.removed, kept=kept, dialect=dialect)
    missing: dict[_Element, dict[str, JSON]] = {}
    changes: dict[str, JSON] = {}
    for path, value in difference.set.items():
        if target_path(path).filters and _element(path) not in elements and not _creates_elements(dialect):
            missing.setdefault(_element(path), {})[path] = value
        else:
            changes[path] = value
    operations += [_add_element(values, dialect=dialect) for values in missing.values()]
    return _ordered([*operations, *_changes(changes, held=held, dialect=dialect)])


def _blind_operations(difference: Difference, *, dialect: PatchDialect) -> list[Operation]:
    kept = {_element(path) for path in difference.set}
    operations = _removals(difference.removed, kept=kept, dialect=dialect)
    found: dict[_Element, dict[str, JSON]] = {}
    changes: dict[str, JSON] = {}
    for path, value in difference.set.items():
        if target_path(path).filters and not _creates_elements(dialect):
            found.setdefault(_element(path), {})[path] = value
        else:
            changes[path] = value
    by_primary = {element[:2] for element in found if any(name == "primary" for name, _ in element[2])}
    whole: dict[str, Operation] = {}
    for element, values in found.items():
        addition = _add_element(values, dialect=dialect)
        if element[:2] in by_primary:
            # Adding a primary element unmarks the one the filter would have selected, so the list is written whole.
            replacement = {**addition, "op": _op_name("replace", dialect), "value": []}
            whole.setdefault(addition["path"], replacement)["value"] += addition["value"]
            continue
        removal = _operation("remove", _path_text(next(iter(values)), dialect.booleans, "element"), dialect=dialect)
        operations += [addition, removal, addition]
    operations += whole.values()
    held = frozenset(path for path in changes if not target_path(path).filters)
    return _ordered([*operations, *_changes(changes, held=held, dialect=dialect)])


def _creates_elements(dialect: PatchDialect) -> bool:
    """Whether the vendor takes a filter that selects nothing for an element to create, as Entra expects.

    Not every profile says so; a server that asks for Entra's legacy operation names was written for Entra.
    """
    declared = getattr(dialect, "missing_element", None)
    return declared == "filter_path" if declared is not None else dialect.op_case == "capitalized"


def _removals(paths: Iterable[str], *, kept: Collection[_Element], dialect: PatchDialect) -> list[Operation]:
    texts: dict[str, None] = {}
    for path in paths:
        whole = bool(target_path(path).filters) and _element(path) not in kept
        texts[_path_text(path, dialect.booleans, "element" if whole else "attribute")] = None
    return [_operation("remove", text, dialect=dialect) for text in texts]


def _add_element(values: Mapping[str, JSON], *, dialect: PatchDialect) -> Operation:
    first = target_path(next(iter(values)))
    subs: dict[str, JSON] = {}
    for path, value in values.items():
        subs.update(value if isinstance(value, dict) else {target_path(path).sub or "value": value})
    name = first.name if first.urn is None else f"{first.urn}:{first.name}"
    return _operation("add", name, [new_element(first, subs)], dialect=dialect)


def _changes(changes: Mapping[str, JSON], *, held: Collection[str], dialect: PatchDialect) -> list[Operation]:
    operations: list[Operation] = []
    together: dict[str, Any] = {}
    for path, value in changes.items():
        parsed = target_path(path)
        alone = bool(parsed.filters)
        nested = parsed.urn is not None and dialect.extension == "nested"
        if not alone and (dialect.style == "pathless" or nested):
            _place(together, parsed, value=_dialect_value(parsed, value, dialect=dialect), dialect=dialect)
        else:
            operations.append(_change(path, value, held=held, dialect=dialect))
    if together:
        operations.append({"op": _op_name("replace", dialect), "value": together})
    return operations


def _change(path: str, value: JSON, *, held: Collection[str], dialect: PatchDialect) -> Operation:
    parsed = target_path(path)
    written = _dialect_value(parsed, value, dialect=dialect)
    # An `add` to a list appends, so that a list we own whole is always replaced.
    name = "replace" if path in held or isinstance(written, list) else "add"
    if is_manager(parsed) and dialect.manager == "value_path":
        return _operation(
            name, f"{_path_text(path, dialect.booleans, 'attribute')}.value", _bare(value), dialect=dialect
        )
    return _operation(name, _path_text(path, dialect.booleans, "attribute"), written, dialect=dialect)


def _place(together: dict[str, Any], path: AttributePath, *, value: JSON, dialect: PatchDialect) -> None:
    """Adds one attribute to the object of a path-less operation: Entra's dotted and URN keys, or nested objects."""
    name = path.name if path.sub is None else f"{path.name}.{path.sub}"
    if dialect.extension == "urn_path":
        together[name if path.urn is None else f"{path.urn}:{name}"] = value
        return
    container = together if path.urn is None else together.setdefault(path.urn, {})
    if path.sub is None:
        container[path.name] = value
    else:
        container.setdefault(path.name, {})[path.sub] = value


def _dialect_value(path: AttributePath, value: JSON, *, dialect: PatchDialect) -> JSON:
    if is_manager(path) and dialect.manager == "plain":
        return _bare(value)
    written = wire_value(path, value)
    if path.sub is not None and not path.filters and is_multi_valued(path):
        return written
    if dialect.roles == "json_text" and path.name.casefold() == "roles" and isinstance(written, list):
        return [{"value": json.dumps(entry, ensure_ascii=False)} for entry in written]
    if isinstance(written, bool) and dialect.booleans == "string":
        return str(written)
    return written


def _bare(value: JSON) -> JSON:
    return value["value"] if isinstance(value, dict) and "value" in value else value


def _operation(name: str, path: str, value: JSON | None = None, *, dialect: PatchDialect) -> Operation:
    operation: Operation = {"op": _op_name(name, dialect), "path": path}
    if value is not None:
        operation["value"] = value
    return operation


def _op_name(name: str, dialect: PatchDialect) -> str:
    return name.capitalize() if dialect.op_case == "capitalized" else name


def _ordered(operations: list[Operation]) -> list[Operation]:
    """Removals first, then a re-activation, then the changes, a deactivation last."""
    return sorted(operations, key=_rank)


def _rank(operation: Operation) -> int:
    if operation.get("path") != "active":
        return 1
    return 0 if operation.get("value") in (True, "True") else 2


def _element(path: str) -> _Element:
    parsed = target_path(path)
    return (parsed.urn, parsed.name, parsed.filters)


@lru_cache(maxsize=8192)
def _path_text(path: str, booleans: str, form: str) -> str:
    """The path as sent: filters written anew, so that `primary eq "True"` is a boolean where the dialect has them."""
    parsed = target_path(path)
    text = parsed.name if parsed.urn is None else f"{parsed.urn}:{parsed.name}"
    if parsed.filters:
        clauses = " and ".join(f"{name} eq {_literal(value, booleans)}" for name, value in parsed.filters)
        text = f"{text}[{clauses}]"
    return text if parsed.sub is None or form == "element" else f"{text}.{parsed.sub}"


def _literal(value: str | bool | int, booleans: str) -> str:
    if isinstance(value, bool) and booleans == "string":
        return f'"{value}"'
    return json.dumps(value, ensure_ascii=False)
