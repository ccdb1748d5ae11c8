"""Which attributes a request body writes: a flat list of touches, read from POST, PUT and PATCH bodies alike.

The vendor rules speak about attributes, so they look at touches and never at the shape a client chose. The same walk
can leave touches out of the body, which is how an attribute is ignored before the SCIM core sees the request.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

CORE_URNS = ("urn:ietf:params:scim:schemas:core:2.0:User", "urn:ietf:params:scim:schemas:core:2.0:Group")
ENTERPRISE_URN = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
_PATH = re.compile(
    r"^(?:(?P<urn>urn:[^\[\]\"\s]+):)?(?P<name>[A-Za-z$][\w$-]*)(?:\[(?P<filter>[^\]]*)\])?(?:\.(?P<sub>[A-Za-z$][\w$-]*))?$"
)
_TERM = re.compile(r'(?P<name>[\w.$-]+)\s+eq\s+(?:"(?P<text>[^"]*)"|(?P<word>[^\s"\]]+))', re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Touch:
    """One attribute a request writes. `type` is that of the multi-valued element it belongs to, when it says so."""

    op: str
    """`set` for POST and PUT; `add`, `replace` or `remove` for PATCH."""
    urn: str = ""
    name: str = ""
    sub: str = ""
    type: str = ""
    selector: tuple[tuple[str, str], ...] = ()
    """The comparisons of the PATCH path's filter, lower-case names."""
    value: Any = None
    raw: str = field(default="", compare=False)
    """The key or path as the client wrote it."""

    @property
    def path(self) -> str:
        """Answers with `urn:name.sub`, folded, for comparison with `attribute_key`."""
        return attribute_key(self.urn, self.name, self.sub)

    @property
    def label(self) -> str:
        """Answers with the attribute's name for people."""
        kind = f'[type eq "{self.type}"]' if self.type else ""
        return f"{self.urn + ':' if self.urn else ''}{self.name}{kind}{'.' + self.sub if self.sub else ''}"


def attribute_key(urn: str, name: str, sub: str = "") -> str:
    """Answers with one folded name for an attribute, the same for a path, a key and a schema entry."""
    return f"{urn}:{name}{'.' + sub if sub else ''}".casefold().lstrip(":")


def parse_touch(text: str, *, urns: Iterable[str], op: str = "set") -> Touch | None:
    """Answers with the attribute a path or key names, or None when it is not an attribute path."""
    folded = text.casefold()
    for urn in (*CORE_URNS, *urns):
        own = "" if urn in CORE_URNS else urn
        if folded == urn.casefold():
            return Touch(op=op, urn=own, raw=text)
        if folded.startswith(urn.casefold() + ":"):
            inner = parse_touch(text[len(urn) + 1 :], urns=(), op=op)
            return inner and Touch(
                op=op, urn=own, name=inner.name, sub=inner.sub, type=inner.type, selector=inner.selector, raw=text
            )
    match = _PATH.match(text)
    if match is None:
        return Touch(op=op, urn=text, raw=text) if folded.startswith("urn:") else None
    terms = tuple(
        (term["name"].casefold(), term["text"] if term["text"] is not None else term["word"])
        for term in _TERM.finditer(match["filter"] or "")
    )
    return Touch(
        op=op,
        urn=match["urn"] or "",
        name=match["name"],
        sub=match["sub"] or "",
        type=dict(terms).get("type", ""),
        selector=terms,
        raw=text,
    )


Keep = Callable[[Touch], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk:
    """A walk over a request body. `keep` sees each touch; what it refuses is left out of the result."""

    urns: tuple[str, ...]
    keep: Keep

    def resource(self, body: dict[str, Any], *, op: str = "set") -> dict[str, Any]:
        """Answers with a POST or PUT body without the refused attributes."""
        result: dict[str, Any] = {}
        for key, value in body.items():
            if key.casefold() == "schemas":
                result[key] = value
                continue
            touch = parse_touch(key, urns=self.urns, op=op)
            if touch is None or (":" in key and not touch.urn and not touch.name):
                result[key] = value
                continue
            if touch.raw.casefold().startswith("urn:") and isinstance(value, dict) and self._is_extension(touch):
                urn = touch.urn if not touch.name else touch.raw
                kept = {
                    k: v
                    for k, v in ((k, self.leaf(_at(touch, k, urn=urn), v)) for k, v in value.items())
                    if v is not GONE
                }
                if kept or not value:
                    result[key] = kept
                continue
            kept_value = self.leaf(touch, value)
            if kept_value is not GONE:
                result[key] = kept_value
        return result

    def _is_extension(self, touch: Touch) -> bool:
        return not touch.name or touch.urn.casefold() not in {urn.casefold() for urn in self.urns}

    def leaf(self, touch: Touch, value: Any) -> Any:
        """Answers with the value of one attribute without its refused parts, or GONE when nothing is left."""
        if touch.sub:
            return value if self.keep(_with(touch, value=value)) else GONE
        if isinstance(value, dict):
            return self._complex(touch, value)
        if isinstance(value, list) and value and all(isinstance(each, dict) for each in value):
            kept = [each for each in (self._complex(touch, each) for each in value) if each is not GONE]
            return kept or GONE
        return value if self.keep(_with(touch, value=value)) else GONE

    def _complex(self, touch: Touch, value: dict[str, Any]) -> Any:
        kind = touch.type or next((str(v) for k, v in value.items() if k.casefold() == "type"), "")
        kept = {k: v for k, v in value.items() if self.keep(_with(touch, value=v, sub=k, kind=kind))}
        lonely = kept and all(k.casefold() in {"type", "primary"} for k in kept) and len(kept) < len(value)
        return GONE if (value and not kept) or lonely else kept

    def patch(self, body: dict[str, Any]) -> dict[str, Any]:
        """Answers with a PATCH body without the refused attributes; operations left empty are left out."""
        key = next((k for k in body if k.casefold() == "operations"), "Operations")
        operations = body.get(key)
        if not isinstance(operations, list):
            return body
        return {**body, key: [kept for each in operations for kept in self._operation(each)]}

    def _operation(self, operation: Any) -> Iterator[Any]:
        if not isinstance(operation, dict):
            yield operation
            return
        fields = {k.casefold(): k for k in operation}
        op = str(operation.get(fields.get("op", "op"), "")).casefold()
        path = operation.get(fields.get("path", "path"))
        value = operation.get(fields.get("value", "value"))
        if not path:
            if not isinstance(value, dict):
                yield operation
                return
            kept = self.resource(value, op=op)
            if kept or not value:
                yield {**operation, fields.get("value", "value"): kept}
            return
        touch = parse_touch(str(path), urns=self.urns, op=op)
        if touch is None:
            yield operation
            return
        if not touch.name and isinstance(value, dict):
            value = self.resource({touch.urn: value}, op=op).get(touch.urn, GONE)
        else:
            value = self.leaf(touch, value)
        if value is GONE:
            return
        yield {**operation, fields["value"]: value} if "value" in fields else operation


GONE: Any = object()
"""Marks a value of which nothing was kept."""


def _with(touch: Touch, *, value: Any, sub: str | None = None, kind: str | None = None) -> Touch:
    return replace(
        touch,
        value=value,
        sub=touch.sub if sub is None else sub,
        type=touch.type if kind is None else kind,
    )


def _at(touch: Touch, key: str, *, urn: str) -> Touch:
    name, _, sub = key.partition(".")
    return Touch(op=touch.op, urn=urn, name=name, sub=sub, raw=f"{touch.raw}:{key}")


def pruned(payload: Any, *, method: str, urns: tuple[str, ...], keep: Keep) -> Any:
    """Answers with a request body without the touches `keep` refuses."""
    if not isinstance(payload, dict):
        return payload
    walk = Walk(urns=urns, keep=keep)
    return walk.patch(payload) if method == "PATCH" else walk.resource(payload)


def touches_of(payload: Any, *, method: str, urns: tuple[str, ...]) -> tuple[Touch, ...]:
    """Answers with every attribute a request body writes, in the order of the body."""
    seen: list[Touch] = []

    def collect(touch: Touch) -> bool:
        seen.append(touch)
        return True

    pruned(payload, method=method, urns=urns, keep=collect)
    return tuple(seen)
