"""SCIM filters for look-ups (RFC 7644 3.4.2.2), and the check that a returned resource really is the one asked for.

Pure. A server may ignore a filter it does not understand and return everybody (interop quirk 23): a hit counts only
after `matches`.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any
from urllib.parse import quote

from shared.rules.attribute_paths import AttributePath
from shared.scim.resources import read_attribute, target_path

_PLAIN = re.compile(r"[A-Za-z0-9@._+-]+")
_CASE_EXACT = frozenset({"id", "externalid"})


class ValuePathForm(StrEnum):
    """How a filter names a value of a list."""

    SUFFIX = "suffix"
    """`emails[type eq "work"].value eq "a"`: what Entra sends."""
    INSIDE = "inside"
    """`emails[type eq "work" and value eq "a"]`: the grammar of RFC 7644."""


def equality_filter(
    path: str, value: str | bool | int, *, form: ValuePathForm = ValuePathForm.SUFFIX, quoted: bool = True
) -> str:
    """Answers with the filter `path eq value`; quotes, backslashes and control characters in the value are escaped.

    `quoted` False leaves the quotation marks away where the value needs no escape, for servers that want it so.
    """
    parsed = target_path(path)
    name = parsed.name if parsed.urn is None else f"{parsed.urn}:{parsed.name}"
    literal = _literal(value, quoted=quoted)
    if not parsed.filters:
        name = name if parsed.sub is None else f"{name}.{parsed.sub}"
        return f"{name} eq {literal}"
    clauses = " and ".join(f"{attribute} eq {_literal(wanted, quoted=True)}" for attribute, wanted in parsed.filters)
    if form is ValuePathForm.INSIDE:
        return f"{name}[{clauses} and {parsed.sub} eq {literal}]"
    return f"{name}[{clauses}].{parsed.sub} eq {literal}"


def query_string(parameters: Mapping[str, str | int | None], *, base_query: str = "") -> str:
    """Answers with `?a=b&c=d`, percent-encoded to the last reserved character, or "" without parameters.

    None is left out.
    `base_query` is the query of the base URL, kept in front as it was written.
    """
    pairs = [
        f"{name}={quote(str(value), safe='', errors='replace')}"
        for name, value in parameters.items()
        if value is not None
    ]
    parts = ([base_query] if base_query else []) + pairs
    return f"?{'&'.join(parts)}" if parts else ""


def search_parameters(
    filter_text: str | None, *, excluded: Sequence[str] = (), start_index: int | None = 1, count: int | None = None
) -> dict[str, str | int | None]:
    """Answers with the parameters of a look-up or list; groups are asked for without `members` through `excluded`."""
    return {
        "excludedAttributes": ",".join(excluded) or None,
        "filter": filter_text,
        "startIndex": start_index,
        "count": count,
    }


def matches(resource: Mapping[str, Any], path: str, value: str | bool | int) -> bool:
    """Answers whether a returned resource carries the value at this path.

    `id` and `externalId` are compared exactly (RFC 7643 3.1), everything else without case and in Unicode NFC.
    A path into a list matches when one of its values does.
    """
    found = read_attribute(resource, path)
    exact = is_case_exact(target_path(path))
    wanted = _comparable(value, exact=exact)
    candidates = found if isinstance(found, list) else [found]
    return any(_comparable(candidate, exact=exact) == wanted for candidate in candidates if candidate is not None)


def is_case_exact(path: AttributePath) -> bool:
    """Answers whether RFC 7643 compares this attribute with case."""
    return path.urn is None and path.sub is None and path.name.casefold() in _CASE_EXACT


def _comparable(value: Any, *, exact: bool) -> str:
    if isinstance(value, Mapping):
        value = value.get("value")
    text = unicodedata.normalize("NFC", str(value))
    return text if exact else unicodedata.normalize("NFC", text.casefold())


def _literal(value: str | bool | int, *, quoted: bool) -> str:
    literal = json.dumps(value, ensure_ascii=False)
    return literal if quoted or not isinstance(value, str) or not _PLAIN.fullmatch(value) else value
