"""What a vendor holds against what was last sent to it: is that drift, and is it repaired? Pure.

A vendor that writes names in its own letter case, or trims them, has not drifted (interop quirk 40): letter case and
blanks around a text are ignored here, whatever a mapping says about them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from shared.config.profile import Mutability, ResourceProfile
from shared.provisioning.accounts import Account, AccountState
from shared.provisioning.generations import is_behind
from shared.rules.attribute_paths import JSON, Attributes
from shared.scim.resources import is_absent, read_attribute, target_path

SYSTEMATIC_MIN = 20
SYSTEMATIC_SHARE = 0.5
"""From so many accounts on, and above this share of those compared, a difference is the vendor's way or somebody's bulk
change, and not one account's drift."""


class DriftCause(StrEnum):
    """Why an account was looked at alone."""

    CHANGED = "changed"
    """The vendor's list showed other values."""
    UNSEEN = "unseen"
    """The vendor's list did not show the account, or the vendor cannot list."""
    MEMBERS = "members"
    """A group with members, which lists do not show."""
    DOUBTED = "doubted"
    """A write had no answer within the last day; a late one may have landed behind the one that settled it."""


class DriftStatus(StrEnum):
    """What became of an account that differs."""

    SUSPECTED = "suspected"
    """Still to be read by itself."""
    REPORTED = "reported"
    """Differs; a person decides, because the application's mode is `report` or the account is gone and not missed."""
    REPAIRING = "repairing"
    """Differs, and was raised to be written again."""
    SYSTEMATIC = "systematic"
    """Differs as most accounts do, so it is not repaired: the vendor changes the value, or somebody changed it for all
    of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """How many accounts a round has compared, and how many of them differed, path by path."""

    compared: int = 0
    differing: Mapping[str, int]

    def is_systematic(self, path: str) -> bool:
        """Whether most accounts differ in this."""
        count = self.differing.get(path, 0)
        return count >= SYSTEMATIC_MIN and count > SYSTEMATIC_SHARE * self.compared


VANISHED = "(account)"
"""Stands for the account itself where others name a path; no path of an attribute looks like this."""


def is_settled(account: Account, *, config: str, now: datetime) -> bool:
    """Whether the row says what the vendor should hold: nothing wanted, under way, in doubt, held or to be mapped anew.

    Only then is a difference drift; everything else is a change that is still on its way.
    """
    under_way = account.pending or account.intent is not None or account.is_leased(now)
    waits = account.staged or account.permit or account.recheck
    known = account.target_id and account.sent is not None and not is_behind(account.config, config)
    return (
        bool(known) and not under_way and not waits and account.state in (AccountState.IN_SYNC, AccountState.DISABLED)
    )


def find_drift(
    sent: Attributes, resource: Mapping[str, Any], *, profile: ResourceProfile, add_only: Collection[str] = ()
) -> dict[str, Any]:
    """Answers with the paths that hold something else than was sent, each with what they hold (None: nothing).

    Left out is what a server does not show: write-only attributes, those that look-ups exclude, and an absent `active`.
    """
    drifted: dict[str, Any] = {}
    for path, value in sent.items():
        if is_absent(value) or not _is_shown(path, profile):
            continue
        observed = read_attribute(resource, path)
        if is_absent(observed):
            observed = None
            if path == "active":
                continue
        if not _holds(observed, value, adds=path in add_only):
            drifted[path] = observed
    return drifted


def sent_as_observed(sent: Attributes, drifted: Mapping[str, Any]) -> dict[str, JSON]:
    """Answers with what the row must believe to be at the vendor, so that the next plan writes the difference alone."""
    believed = {path: value for path, value in sent.items() if path not in drifted}
    return {**believed, **{path: value for path, value in drifted.items() if value is not None}}


def judge_drift(
    paths: Collection[str], *, mode: str, cause: DriftCause, state: AccountState, sample: Sample
) -> tuple[DriftStatus, frozenset[str]]:
    """Answers with what is done about an account that differs in `paths`, or is gone (`VANISHED`), and in which.

    Our own late write is repaired in every mode. Somebody who should have no access loses it again, however many others
    were given it back too: the deletion guard is asked before. An account that is gone is only missed when it should be
    active.
    """
    leaves = state is AccountState.DISABLED
    is_repairing = mode == "repair" or cause is DriftCause.DOUBTED
    if not is_repairing or (leaves and VANISHED in paths):
        return DriftStatus.REPORTED, frozenset()
    repaired = frozenset(path for path in paths if leaves or not sample.is_systematic(path))
    return (DriftStatus.REPAIRING if repaired else DriftStatus.SYSTEMATIC), repaired


def _is_shown(path: str, profile: ResourceProfile) -> bool:
    attribute = profile.attribute(path)
    if attribute is not None and attribute.mutability is Mutability.WRITE_ONLY:
        return False
    name = target_path(path).name.casefold()
    return name not in {hidden.casefold() for hidden in profile.lookup_without}


def _holds(observed: Any, value: JSON, *, adds: bool) -> bool:
    """Whether what the vendor shows is what was sent, apart from sub-attributes that it adds of its own."""
    if isinstance(value, list) or isinstance(observed, list):
        return _holds_all(_as_list(observed), _as_list(value), adds=adds)
    if isinstance(value, Mapping):
        return isinstance(observed, Mapping) and all(
            is_absent(entry) or _holds(_field(observed, name), entry, adds=False) for name, entry in value.items()
        )
    if isinstance(observed, Mapping):
        observed = _field(observed, "value")
    return bool(_form(observed) == _form(value))


def _holds_all(observed: Sequence[Any], values: Sequence[JSON], *, adds: bool) -> bool:
    rest = list(observed)
    for value in values:
        match = next((entry for entry in rest if _holds(entry, value, adds=False)), None)
        if match is None:
            return False
        rest.remove(match)
    return adds or not rest


def _as_list(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _field(container: Mapping[str, Any], name: str) -> Any:
    return read_attribute(container, name)


def _form(value: Any) -> Any:
    """A value as it is compared: numbers and booleans as text, texts without letter case and blanks around them."""
    return None if is_absent(value) else str(value).strip().casefold()
