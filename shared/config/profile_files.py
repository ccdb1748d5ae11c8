"""The profiles that come with the product, and profiles of the operator's own."""

from __future__ import annotations

import difflib
import logging
from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from pathlib import Path
from typing import Final

from shared.config.errors import ConfigurationError
from shared.config.located_yaml import LocatedMap, parse_untrusted_yaml, read_yaml
from shared.config.profile import Profile
from shared.config.rule_checks import check_resource
from shared.config.validation import problem_at, validated

_FOLDER: Final = Path(__file__).parent / "profiles"
_LOG = logging.getLogger(__name__)


ProfileFinder = Callable[[str], Profile]
"""From the name that an application gives to its profile. Raises `UnknownProfileError` or `ConfigurationError`."""


class UnknownProfileError(ValueError):
    """There is no such profile; the text says which there are."""


def shipped_profiles() -> tuple[str, ...]:
    """Names of the profiles that come with the product."""
    return tuple(sorted(path.stem for path in _FOLDER.glob("*.yaml")))


def find_profile(name: str, *, folder: Path) -> Profile:
    """A shipped profile by name, or one of the operator's own by path relative to `folder`.

    Raises `UnknownProfileError`, or `ConfigurationError` with the mistakes of the file.
    """
    if name.endswith((".yaml", ".yml")):
        path = folder / name
        if not path.is_file():
            raise UnknownProfileError(f"the path of a profile relative to {folder.name}/; there is no file {name}")
        return read_profile(path)
    return find_shipped_profile(name)


def profiles_in(folder: Path) -> ProfileFinder:
    """Finds shipped profiles, and the operator's own in a folder."""
    return partial(find_profile, folder=folder)


def profiles_given(texts: Mapping[str, str]) -> ProfileFinder:
    """Finds shipped profiles, and those whose text was handed in under exactly this name. Opens no other file."""

    def find(name: str) -> Profile:
        if name in texts:
            return _checked_profile(parse_untrusted_yaml(texts[name], file=name))
        if name.endswith((".yaml", ".yml")):
            given = ", ".join(sorted(texts)) or "none"
            raise UnknownProfileError(
                f"the name of a profile that was handed in; there is no {name}, there are: {given}"
            )
        return find_shipped_profile(name)

    return find


def find_shipped_profile(name: str) -> Profile:
    """A profile that comes with the product. Raises `UnknownProfileError`."""
    shipped = shipped_profiles()
    if name not in shipped:
        close = difflib.get_close_matches(name, shipped, n=1)
        guess = f"; did you mean {close[0]}?" if close else ""
        raise UnknownProfileError(f"one of {', '.join(shipped)}, or the path of a YAML file{guess}")
    return _shipped_profile(name)


def read_profile(path: Path) -> Profile:
    """The profile in a file, checked. Raises `ConfigurationError`. Repaired paths are logged once per reading."""
    profile = _checked_profile(read_yaml(path))
    _log_repairs(profile)
    return profile


def _checked_profile(tree: LocatedMap) -> Profile:
    profile = validated(Profile, tree)
    if profile.transport == "not_scim":
        notes = "; ".join(note.text for note in profile.documentation.known_problems) or "it has no SCIM endpoint"
        raise ConfigurationError(
            [problem_at(tree, ("transport",), f"scim; {profile.title} cannot be connected: {notes}")]
        )
    _check(profile, tree)
    return profile


@lru_cache(maxsize=32)
def _shipped_profile(name: str) -> Profile:
    return read_profile(_FOLDER / f"{name}.yaml")


def _check(profile: Profile, tree: LocatedMap) -> None:
    problems = [
        problem_at(tree, (key, *location), expected)
        for key, resource in (("users", profile.users), ("groups", profile.groups))
        if resource is not None
        for location, expected in check_resource(resource, profile=profile.name, group=key == "groups")
    ]
    unknown = [key for key in profile.evidence if not _has_key(tree, key)]
    problems += [problem_at(tree, ("evidence", key), "a key that this file has") for key in unknown]
    if problems:
        raise ConfigurationError(problems)


def _has_key(tree: object, dotted: str) -> bool:
    for step in dotted.split("."):
        if not isinstance(tree, LocatedMap) or step not in tree:
            return False
        tree = tree[step]
    return True


def _log_repairs(profile: Profile) -> None:
    for resource in (profile.users, profile.groups):
        for repair in resource.repairs if resource is not None else ():
            _LOG.info(
                "profile.path_repaired",
                extra={
                    "profile": profile.name,
                    "printed": repair.printed,
                    "path": repair.path,
                    "reason": repair.reason,
                },
            )
