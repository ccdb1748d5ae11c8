"""How sentences call the attributes of a table: by their last name, in words, or by what everybody says instead."""

from __future__ import annotations

import re
from typing import Final

from shared.operations.tutorials.rows import Attributes
from shared.rules.attribute_paths import parse_path

_WORK_MAIL: Final = 'emails[type eq "work"].value'
_COLLOQUIAL: Final = {
    "email": _WORK_MAIL,
    "emails": _WORK_MAIL,
    "mail": _WORK_MAIL,
    "workemail": _WORK_MAIL,
    "emailaddress": _WORK_MAIL,
    "firstname": "name.givenName",
    "lastname": "name.familyName",
    "surname": "name.familyName",
    "jobtitle": "title",
}


def named_paths(table: Attributes, text: str) -> tuple[str, ...]:
    """Paths of the attributes of a table that a text names, in the order of the text."""
    known = {name: path for name, path in _COLLOQUIAL.items() if table.find(path)}
    known |= {last_name(row.path).casefold(): row.path for row in table.attributes}
    words = re.findall(r"[a-z0-9]+", text.casefold())
    pairs = [first + second for first, second in zip(words, [*words[1:], ""], strict=True)]
    found: dict[str, None] = {}
    for word, pair in zip(words, pairs, strict=True):
        path = known.get(pair) or known.get(word)
        if path is not None:
            found[path] = None
    return tuple(found)


def last_name(path: str) -> str:
    """The part of a path that people say: `givenName` of `name.givenName`, `emails` of `emails[...].value`."""
    parsed = parse_path(path)
    return parsed.sub if parsed.sub and parsed.sub != "value" else parsed.name
