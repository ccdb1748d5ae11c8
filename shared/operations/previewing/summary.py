"""From what was counted to what a person reads of one application: requests, time, the guard's verdict. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from shared.config.provisioning_file import ScopeMode
from shared.operations.previewing.accounts import View
from shared.operations.previewing.report import (
    ApplicationPreview,
    ConfigurationChange,
    GuardPreview,
    PreviewAction,
    RequestsPreview,
)
from shared.operations.previewing.tally import Tally
from shared.provisioning.applications_state import ApplicationStatus
from shared.provisioning.guard import WINDOW, Verdict, judge_hold


def summarize(view: View, tally: Tally, *, status: ApplicationStatus, is_complete: bool) -> ApplicationPreview:
    """One application. The guard is asked when all were looked at; until then its permits are taken for given."""
    guard = judge_guard(view, tally) if is_complete else None
    return ApplicationPreview(
        application=view.name,
        configuration=_change(view),
        status=status,
        counts={str(action): dict(reasons) for action, reasons in sorted(tally.actions.items())},
        obstacles={str(obstacle): count for obstacle, count in sorted(tally.obstacles.items()) if count},
        enters=tally.numbers["enters"],
        leaves=tally.numbers["leaves"],
        members_added=tally.numbers["members_added"],
        members_removed=tally.numbers["members_removed"],
        requests=_requests(view, tally, holds=guard is not None and guard.verdict is Verdict.HOLD),
        guard=guard,
        notes=tuple(_notes(view, tally)),
    )


def judge_guard(view: View, tally: Tally) -> GuardPreview:
    """What the deletion guard would say, with its own code and its row."""
    thresholds, guard = view.application.deletion_guard, view.guard
    if not guard.knows_population(view.now):
        # The guard would count them now, as they were counted here.
        guard = replace(guard, population=tally.numbers["linked"])
    counted = tally.numbers["counted"]
    verdict = judge_hold(thresholds, guard, counted=counted, still_held=tally.numbers["still_held"] > 0, now=view.now)
    return GuardPreview(
        verdict=verdict,
        counted=counted,
        held=counted if verdict is Verdict.HOLD else 0,
        released=guard.released_since(view.now - WINDOW),
        population=guard.population,
        max_count=thresholds.max_count,
        max_percent=thresholds.max_percent,
        min_population=thresholds.min_population,
        is_holding=bool(guard.held_up_to),
        is_distrusted=guard.distrusted_until is not None and view.now < guard.distrusted_until,
        groups_asked=tally.numbers["groups_asked"],
    )


def _requests(view: View, tally: Tally, *, holds: bool) -> RequestsPreview:
    numbers = tally.numbers
    disables = numbers["disables"] + (0 if holds else numbers["guarded_disables"])
    deletes = numbers["deletes"] + (0 if holds else numbers["guarded_deletes"])
    names = ("look_ups", "creates", "updates", "members", "reads")
    total = sum(numbers[name] for name in names) + disables + deletes
    rate = view.application.rate_limit.requests_per_second
    return RequestsPreview(
        **{name: numbers[name] for name in names},
        disables=disables,
        deletes=deletes,
        more_at_most=numbers["more_at_most"],
        total=total,
        requests_per_second=rate,
        seconds=total / rate if rate else None,
    )


def _change(view: View) -> ConfigurationChange:
    if view.in_force is None:
        return ConfigurationChange.NEW
    is_same = view.in_force.config_hash == view.application.config_hash
    return ConfigurationChange.SAME if is_same else ConfigurationChange.CHANGED


def _notes(view: View, tally: Tally) -> Iterator[str]:
    application, in_force = view.application, view.in_force
    if tally.actions.get(PreviewAction.CREATE):
        yield (
            "A create is an account that is made, or one that the vendor has already and that is taken over: "
            "only the vendor can tell which."
        )
    if any(matching.by == "list" or matching.fallback for matching in application.users.matching):
        yield "The vendor's accounts may have to be listed once to match them; these requests are not counted."
    if view.unread:
        yield (
            f"Not read from the directory so far: {', '.join(view.unread)}. They count as empty here, and are read "
            "for everybody when the configuration is in force."
        )
    if application.scope is ScopeMode.ASSIGNED and (
        in_force is None or in_force.scope is not ScopeMode.ASSIGNED or application.has_other_principal(in_force)
    ):
        yield (
            "The assignments of this service principal were not read so far: who is assigned is not known here. "
            "Nobody loses access before they were read."
        )
    takes_all_groups = application.groups is not None and application.scope is ScopeMode.ALL
    if takes_all_groups and not (in_force and in_force.groups is not None and in_force.scope is ScopeMode.ALL):
        yield "The members of groups that were never assigned were not read so far: they are not counted here."
    if tally.numbers["counted"]:
        yield (
            "The deletion guard judges what is staged together. Of departures that come over several rounds, the first "
            "may be let go before the others are held."
        )
