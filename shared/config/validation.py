"""From pydantic's errors to `file:line: key: what was expected`. Values are never repeated: one may be a secret."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from types import UnionType
from typing import Any, Final, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from shared.config.errors import MOST_PROBLEMS, ConfigurationError, Problem
from shared.config.located_yaml import LocatedMap, nearest_line
from shared.config.model import DAY_PATTERN, DURATION_PATTERN, GUID_OR_SETTING_PATTERN, SETTING_NAME_PATTERN

Model = TypeVar("Model", bound=BaseModel)
_PATTERNS: Final = {
    SETTING_NAME_PATTERN: "the name of a setting (upper case letters, digits and '_'), never the secret itself",
    GUID_OR_SETTING_PATTERN: "a GUID: the object id of the enterprise application; or ${NAME}, a setting with it",
    DURATION_PATTERN: "a whole number and s, m, h or d, such as 7d",
    DAY_PATTERN: "a day, YYYY-MM-DD",
}


def validated(model: type[Model], tree: LocatedMap, *, prefix: tuple[str, ...] = ()) -> Model:
    """The model a tree describes. Raises `ConfigurationError` with the mistakes, up to 200, and their lines."""
    try:
        return model.model_validate(tree)
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)[:MOST_PROBLEMS]
        problems = {_problem(model, tree, prefix, detail): None for detail in details if not _follows(detail, details)}
        raise ConfigurationError(problems) from None


def _follows(detail: Any, details: list[Any]) -> bool:
    """Whether a list only seems too short because its elements are mistaken."""
    depth = len(detail["loc"])
    return detail["type"] == "too_short" and any(
        len(other["loc"]) > depth and other["loc"][:depth] == detail["loc"] for other in details
    )


def key_text(steps: Iterable[object]) -> str:
    """`mappings.users[2].target` for ("mappings", "users", 2, "target")."""
    text = ""
    for step in steps:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else str(step)
    return text


def unknown_key(key: str, owner: type[BaseModel]) -> str:
    """What was expected in place of a key that `owner` does not have."""
    known = sorted(owner.model_fields)
    close = difflib.get_close_matches(key, known, n=1)
    guess = f"; did you mean {close[0]}?" if close else ""
    return f"no such key; one of {', '.join(known)}{guess}"


def problem_at(
    tree: LocatedMap, location: tuple[object, ...], expected: str, *, prefix: tuple[object, ...] = ()
) -> Problem:
    """A mistake at `location` of `tree`; `prefix` is where the tree itself stands in the file."""
    file, line = nearest_line(tree, location)
    return Problem(file=file, line=line, key=key_text((*prefix, *location)) or "(file)", expected=expected)


def _problem(model: type[BaseModel], tree: LocatedMap, prefix: tuple[str, ...], detail: Any) -> Problem:
    location, owner = _written_location(model, tree, detail["loc"])
    return problem_at(tree, location, _expected(detail, owner), prefix=prefix)


def _written_location(
    model: type[BaseModel], tree: Any, steps: tuple[str | int, ...]
) -> tuple[tuple[object, ...], type[BaseModel]]:
    """The steps that are keys of the file (pydantic adds the names of union members), and the model of the last one."""
    location: list[object] = []
    owner: type[BaseModel] = model
    kinds: tuple[type[BaseModel], ...] = (model,)
    for index, step in enumerate(steps):
        written = step in tree if isinstance(tree, Mapping) else isinstance(tree, list) and isinstance(step, int)
        tagged = _tagged(kinds, step)
        if not written and tagged is not None:
            owner, kinds = tagged, (tagged,)
        elif written or (isinstance(tree, Mapping) and index == len(steps) - 1):
            location.append(step)
            owner = next((kind for kind in kinds if step in kind.model_fields), kinds[0] if kinds else owner)
            if isinstance(step, str) and step in owner.model_fields:
                kinds = _models(owner.model_fields[step].annotation)
            tree = tree[step] if written else None
    return tuple(location), owner


def _models(annotation: Any) -> tuple[type[BaseModel], ...]:
    """The models an annotation may hold, looking into unions, tuples and mappings."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return (annotation,)
    if get_origin(annotation) in (Union, UnionType) or get_args(annotation):
        return tuple(model for argument in get_args(annotation) for model in _models(argument))
    return ()


def _tagged(kinds: tuple[type[BaseModel], ...], step: object) -> type[BaseModel] | None:
    for kind in kinds:
        tag = kind.model_fields.get("type")
        if tag is not None and step in get_args(tag.annotation):
            return kind
    return None


def _expected(detail: Any, owner: type[BaseModel]) -> str:
    kind, context = detail["type"], detail.get("ctx", {})
    if kind == "extra_forbidden":
        return unknown_key(str(detail["loc"][-1]), owner)
    if kind == "missing":
        return "this key is required"
    if kind in {"literal_error", "enum"}:
        return f"one of {context['expected']}"
    if kind == "union_tag_invalid":
        return f"type: one of {context['expected_tags']}"
    if kind == "union_tag_not_found":
        return "a mapping with the key type"
    if kind == "string_pattern_mismatch":
        return _PATTERNS.get(context["pattern"], f"text that matches {context['pattern']}")
    if kind in {"dict_type", "mapping_type", "model_type", "model_attributes_type"}:
        return "a mapping of keys to values"
    if kind in {"tuple_type", "list_type"}:
        return "a list"
    if kind == "string_type":
        return "text; put it in quotes if it looks like a number"
    message = str(detail["msg"])
    for start in ("Value error, ", "Input should be ", "String should have "):
        message = message.removeprefix(start)
    return message
