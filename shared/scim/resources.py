"""SCIM resources as plain dicts: from a flat attribute map to the body of a POST or PUT, and back (RFC 7643 2 and 3).

Pure. Writing is strict (names as the mapping spells them, JSON booleans, `schemas` exactly of what is there); reading
is lenient (names without case, "True" and "False" as booleans), because servers are.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Collection, Iterator, Mapping
from functools import lru_cache
from typing import Any, Literal

from shared.rules.attribute_paths import JSON, AttributePath, Attributes, parse_path

_CORE_PREFIX = "urn:ietf:params:scim:schemas:core:2.0:"
_MULTI_VALUED = frozenset(
    {"emails", "phonenumbers", "ims", "photos", "addresses", "entitlements", "roles", "x509certificates", "members"}
)
_SERVER_ASSIGNED = frozenset({"id", "meta", "schemas", "groups"})
_BOOLEAN_TEXT = {"True": True, "False": False}
_ABSENT: tuple[JSON | None, ...] = (None, "", [], {})


def is_absent(value: JSON | None) -> bool:
    """Answers whether a value counts as no value: null, an empty text, list or object are never sent."""
    return value is None or (not isinstance(value, (bool, int, float)) and value in _ABSENT)


@lru_cache(maxsize=4096)
def target_path(path: str) -> AttributePath:
    """Answers with the parts of a target path, `emails[type eq "work"]` read as its `value`. Raises `PathError`."""
    parsed = parse_path(path)
    urn = None if parsed.urn is None or parsed.urn.startswith(_CORE_PREFIX) else parsed.urn
    sub = parsed.sub
    if parsed.filters and sub is None:
        sub = "value"
    filters = tuple((name, filter_value(name, value)) for name, value in parsed.filters)
    return AttributePath(urn=urn, name=parsed.name, filters=filters, sub=sub, raw=parsed.raw)


def filter_value(name: str, value: str | bool | int) -> str | bool | int:
    """Answers with a clause's value as JSON: `primary` is a boolean, however the vendor's page quotes it."""
    if name.casefold() == "primary" and isinstance(value, str):
        return value.casefold() == "true"
    return value


def is_multi_valued(path: AttributePath) -> bool:
    """Answers whether the attribute is a list: it has a value filter, or RFC 7643 says so."""
    return bool(path.filters) or (path.urn is None and path.name.casefold() in _MULTI_VALUED)


def is_manager(path: AttributePath) -> bool:
    """Answers whether the path is an extension's `manager`, an object with `value` (RFC 7643 4.3) written as one id."""
    return path.urn is not None and path.name == "manager" and path.sub is None


def wire_value(path: AttributePath, value: JSON) -> JSON:
    """Answers with the value in the attribute's own structure: elements with `value`, or an object for a manager."""
    if path.filters or path.sub is not None:
        return value
    if is_manager(path):
        return value if isinstance(value, dict) else {"value": value}
    if is_multi_valued(path):
        entries = value if isinstance(value, list) else [value]
        return [entry if isinstance(entry, dict) else {"value": entry} for entry in entries]
    return value


def new_element(path: AttributePath, values: Mapping[str, JSON]) -> dict[str, JSON]:
    """Answers with the element a value filter describes, holding `values` (sub-attribute -> value).

    The work e-mail is marked `primary`: some servers ask for one (interop quirk 37), and Entra sends it so.
    """
    element: dict[str, JSON] = {**dict(path.filters), **values}
    is_email = path.urn is None and path.name.casefold() == "emails"
    if is_email and ("type", "work") in path.filters and "primary" not in element:
        element["primary"] = True
    return element


def build_resource(
    attributes: Attributes, *, schema_urn: str, schemas: Literal["all", "core"] = "all"
) -> dict[str, Any]:
    """Answers with the body that creates a resource with these attributes (RFC 7644 3.3).

    Typed values of one attribute become one list with one element per filter; `schemas` names the core schema and
    exactly the extensions whose attributes are there (`core`: the core schema alone, as Entra sends it). Absent values
    are left out.
    """
    resource: dict[str, Any] = {"schemas": [schema_urn]}
    for path, value in attributes.items():
        if not is_absent(value):
            _write(resource, target_path(path), value)
    listed = _schemas_of(resource, schema_urn)
    resource["schemas"] = listed if schemas == "all" else [schema_urn]
    return resource


def build_replacement(
    attributes: Attributes,
    *,
    schema_urn: str,
    resource_id: str,
    observed: Mapping[str, Any] | None = None,
    cleared: Collection[str] = (),
) -> dict[str, Any]:
    """Answers with a PUT body (RFC 7644 3.5.1): what was `observed` at the vendor, with our attributes written over it.

    A PUT drops what it does not name, so without `observed` every attribute that is not mapped is lost at the vendor.
    `cleared` are target paths that lose their value.
    """
    kept = {name: value for name, value in (observed or {}).items() if name.casefold() not in _SERVER_ASSIGNED}
    resource: dict[str, Any] = {"schemas": [schema_urn], "id": resource_id, **copy.deepcopy(kept)}
    for path in cleared:
        _clear(resource, target_path(path))
    for path, value in attributes.items():
        if not is_absent(value):
            _write(resource, target_path(path), value)
    resource["schemas"] = _schemas_of(resource, schema_urn)
    return resource


def read_attribute(resource: Mapping[str, Any], path: str) -> Any:
    """Answers with the value at a path of a returned resource, None when there is none.

    Names are compared without case; the texts "True" and "False" are read as booleans (interop quirk 33); a path into a
    list without a filter gives the list of its values; a manager gives the id alone.
    """
    parsed = target_path(path)
    value = _found(_container(resource, parsed), parsed.name)
    if parsed.filters:
        element = next(_matching_elements(value, parsed.filters), None)
        value = None if element is None else _found(element, parsed.sub or "value")
    elif parsed.sub is not None:
        value = _sub_values(value, parsed.sub)
    elif is_manager(parsed) and isinstance(value, Mapping):
        value = _found(value, "value")
    return _as_boolean(value)


def has_element(resource: Mapping[str, Any], path: AttributePath) -> bool:
    """Answers whether a returned resource has an element that the path's value filter selects."""
    value = _found(_container(resource, path), path.name)
    return next(_matching_elements(value, path.filters), None) is not None


def equal_values(observed: Any, wanted: Any, *, case_exact: bool) -> bool:
    """Answers whether a value read back is the one wanted: "True" is true, 7 is "7", lists have no order."""
    observed, wanted = _as_boolean(observed), _as_boolean(wanted)
    if isinstance(observed, list) or isinstance(wanted, list):
        return _sorted_forms(observed, case_exact=case_exact) == _sorted_forms(wanted, case_exact=case_exact)
    return _form(observed, case_exact=case_exact) == _form(wanted, case_exact=case_exact)


def _sorted_forms(value: Any, *, case_exact: bool) -> list[str]:
    entries = value if isinstance(value, list) else [] if value is None else [value]
    return sorted(_form(entry, case_exact=case_exact) for entry in entries)


def _form(value: Any, *, case_exact: bool) -> str:
    if isinstance(value, Mapping) and len(value) == 1 and "value" in value:
        value = value["value"]
    if isinstance(value, (str, int, float)) and not isinstance(value, bool):
        text = str(value)
    else:
        text = json.dumps(value, sort_keys=True, default=str)
    return text if case_exact else text.casefold()


def _as_boolean(value: Any) -> Any:
    return _BOOLEAN_TEXT.get(value, value) if isinstance(value, str) else value


def _found(container: Any, name: str) -> Any:
    if not isinstance(container, Mapping):
        return None
    if name in container:
        return container[name]
    folded = name.casefold()
    return next((value for key, value in container.items() if isinstance(key, str) and key.casefold() == folded), None)


def _container(resource: Mapping[str, Any], path: AttributePath) -> Any:
    """The object that holds the attribute; some servers return extension attributes flat, under URN:name."""
    if path.urn is None:
        return resource
    nested = _found(resource, path.urn)
    if isinstance(nested, Mapping):
        return nested
    return {path.name: _found(resource, f"{path.urn}:{path.name}")}


def _matching_elements(value: Any, filters: tuple[tuple[str, str | bool | int], ...]) -> Iterator[Mapping[str, Any]]:
    elements = value if isinstance(value, list) else [value]
    for element in elements:
        if isinstance(element, Mapping) and all(
            equal_values(_found(element, name), expected, case_exact=False) for name, expected in filters
        ):
            yield element


def _sub_values(value: Any, sub: str) -> Any:
    if not isinstance(value, list):
        return _found(value, sub)
    found = [_found(element, sub) for element in value]
    return [entry for entry in found if entry is not None] or None


def _write(resource: dict[str, Any], path: AttributePath, value: JSON) -> None:
    container = resource if path.urn is None else resource.setdefault(path.urn, {})
    if path.filters:
        _write_element(container.setdefault(path.name, []), path, value)
    elif path.sub is not None and is_multi_valued(path):
        container[path.name] = [{path.sub: value}]
    elif path.sub is not None:
        container.setdefault(path.name, {})[path.sub] = value
    else:
        container[path.name] = copy.deepcopy(wire_value(path, value))


def _write_element(elements: list[Any], path: AttributePath, value: JSON) -> None:
    values: dict[str, JSON] = value if isinstance(value, dict) else {path.sub or "value": value}
    element = next(_matching_elements(elements, path.filters), None)
    if isinstance(element, dict):
        element.update(values)
    else:
        elements.append(new_element(path, values))


def _clear(resource: dict[str, Any], path: AttributePath) -> None:
    container = resource if path.urn is None else resource.get(path.urn, {})
    if path.filters:
        gone = list(_matching_elements(container.get(path.name), path.filters))
        container[path.name] = [element for element in container.get(path.name) or [] if element not in gone]
    elif path.sub is not None and isinstance(container.get(path.name), dict):
        container[path.name].pop(path.sub, None)
    else:
        container.pop(path.name, None)


def _schemas_of(resource: dict[str, Any], schema_urn: str) -> list[str]:
    for name in [name for name, value in resource.items() if name.startswith("urn:") and is_absent(value)]:
        del resource[name]
    return [schema_urn, *(name for name in resource if name.startswith("urn:"))]
