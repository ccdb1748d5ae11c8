"""Route templates of HTTP triggers, matched as ASP.NET does. Pure."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Self
from urllib.parse import unquote
from uuid import UUID

_PARAMETER = re.compile(
    r"\{(?P<star>\*{0,2})(?P<name>\w+)(?P<constraints>(?::[a-z]+(?:\([^)]*\))?)*)(?P<end>\?|=[^}]*)?\}"
)
_CONSTRAINT = re.compile(r":([a-z]+)(?:\(([^)]*)\))?")


def _accepts(convert: Callable[[str], object]) -> Callable[[str], bool]:
    def accept(value: str) -> bool:
        try:
            convert(value)
        except ValueError:
            return False
        return True

    return accept


def _bounded(measure: Callable[[str], int], low: str | None, high: str | None) -> Callable[[str], bool]:
    def accept(value: str) -> bool:
        try:
            size = measure(value)
        except ValueError:
            return False
        return (low is None or int(low) <= size) and (high is None or size <= int(high))

    return accept


def _check(name: str, argument: str | None) -> Callable[[str], bool]:
    """Answers with the test that a constraint stands for. Raises: ValueError on one that is not known."""
    simple: dict[str, Callable[[str], bool]] = {
        "int": re.compile(r"[+-]?\d+", re.ASCII).fullmatch,
        "long": re.compile(r"[+-]?\d+", re.ASCII).fullmatch,
        "bool": re.compile(r"true|false", re.IGNORECASE).fullmatch,
        "alpha": re.compile(r"[A-Za-z]*").fullmatch,
        "guid": _accepts(UUID),
        "decimal": _accepts(float),
        "double": _accepts(float),
        "float": _accepts(float),
        "required": bool,
    }
    if argument is None:
        if name not in simple:
            raise ValueError(f"constraint {name} is not known")
        return simple[name]
    low, _, high = (part.strip() for part in argument.partition(","))
    match name:
        case "regex":
            return re.compile(argument).search
        case "length":
            return _bounded(len, low, high or low)
        case "minlength":
            return _bounded(len, low, None)
        case "maxlength":
            return _bounded(len, None, low)
        case "min":
            return _bounded(int, low, None)
        case "max":
            return _bounded(int, None, low)
        case "range":
            return _bounded(int, low, high)
    raise ValueError(f"constraint {name} is not known")


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """One part of a template between slashes: a literal (no `name`) or a parameter."""

    literal: str = ""
    name: str = ""
    checks: tuple[Callable[[str], bool], ...] = ()
    is_optional: bool = False
    default: str | None = None
    takes_rest: bool = False

    @property
    def rank(self) -> int:
        """Answers with how early this is tried: the more it says, the earlier."""
        if not self.name:
            return 0
        return 4 if self.takes_rest else 2 - bool(self.checks)

    def accepts(self, value: str) -> bool:
        """Answers whether a path segment fits."""
        if not self.name:
            return value.lower() == self.literal.lower()
        return bool(value) and all(check(value) for check in self.checks)


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A template such as `users/{id:int?}`."""

    template: str
    segments: tuple[Segment, ...]

    @classmethod
    def parse(cls, template: str) -> Self:
        """Answers with the route a template means. Raises: ValueError with the part that is wrong."""
        parts = [part for part in template.strip("/").split("/") if part]
        segments = tuple(_segment(template, part) for part in parts)
        if any(segment.takes_rest for segment in segments[:-1]):
            raise ValueError(f"route {template!r}: a parameter that takes the rest must be the last")
        return cls(template=template, segments=segments)

    @property
    def order(self) -> tuple[int, ...]:
        """Answers with the key that puts the route that says most first."""
        return (*(segment.rank for segment in self.segments), 3)

    def match(self, path: Sequence[str]) -> dict[str, str] | None:
        """Answers with the parameters' values for path segments, None if the path is another route's."""
        values: dict[str, str] = {}
        for position, segment in enumerate(self.segments):
            if segment.takes_rest:
                values[segment.name] = "/".join(path[position:])
                return values
            if position >= len(path):
                if segment.default is not None:
                    values[segment.name] = segment.default
                elif not segment.is_optional:
                    return None
                continue
            if not segment.accepts(path[position]):
                return None
            if segment.name:
                values[segment.name] = path[position]
        return values if len(path) <= len(self.segments) else None


def split_path(raw_path: str) -> list[str]:
    """Answers with the decoded segments of a raw URL path; an encoded slash stays encoded, as on the platform."""
    parts = [part for part in raw_path.strip("/").split("/") if part]
    return [unquote(re.sub("%2f", "%252F", part, flags=re.IGNORECASE)) for part in parts]


def in_order(routes: Iterable[Route]) -> list[Route]:
    """Answers with routes in the order they are tried."""
    return sorted(routes, key=lambda route: route.order)


def _segment(template: str, part: str) -> Segment:
    match = _PARAMETER.fullmatch(part)
    if match is None:
        if "{" in part or "}" in part:
            raise ValueError(
                f"route {template!r}: {part!r} is not understood; a parameter is a whole segment: {{name:int?}}"
            )
        return Segment(literal=part)
    try:
        checks = tuple(_check(name, argument) for name, argument in _constraints(match["constraints"]))
    except (ValueError, re.error) as error:
        raise ValueError(f"route {template!r}: {part!r}: {error}") from error
    end = match["end"] or ""
    return Segment(
        name=match["name"],
        checks=checks,
        is_optional=end == "?",
        default=end[1:] if end.startswith("=") else None,
        takes_rest=bool(match["star"]),
    )


def _constraints(text: str) -> list[tuple[str, str | None]]:
    return [(found[1], found[2]) for found in _CONSTRAINT.finditer(text)]
