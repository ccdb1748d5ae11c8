"""A person restarts an application, with chosen scopes (entra-provisioning.md 1.5).

`watermark`, and `links` with it, are one number: the generation of the application. An account row says after which
restart it was applied (`generations`); one that is behind is due, as a row of an earlier configuration is, and is
queued in the vendor's pace. No row is raised, so what the guard holds, and what a person rejected, stays as it is.
`links` says besides that what was sent before counts as unknown: every linked account is asserted at its known id. A
link is never broken at once, as Entra does it: an unlinked leaver would keep access. An id that the vendor does not
know any more loses its link by the protocol's two 404s, and is matched or created again.

    1 mark for the puller   2 new generation   3 escrows   4 end of a quarantine

The puller takes the mark up under its lease: it begins the generation, should we have died before 2, raises whoever
should have an account and has no row, and removes the mark last. Every part may be repeated; whoever died in between
asks again, or need not.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from shared import telemetry
from shared.clock import Clock
from shared.config.applications import Application
from shared.provisioning.applications_state import ApplicationStates, ApplicationStatus
from shared.provisioning.checkpoint import Checkpoints, RestartMark
from shared.provisioning.generations import next_generation
from shared.provisioning.retries import Retries
from shared.storage.tables import CONTENDED_TRIES, StorageConflict, StorageContended


class RestartScope(StrEnum):
    """What is begun anew."""

    WATERMARK = "watermark"
    """Every account is looked at again, and whoever should have one; what does not differ costs no request."""
    ESCROWS = "escrows"
    """Accounts that failed are tried again now."""
    QUARANTINE = "quarantine"
    """A quarantine ends; a person's pause does not."""
    LINKS = "links"
    """What was sent is forgotten and sent again to every linked account; looks at every account, too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RestartReport:
    """What a restart began."""

    application: str
    at: datetime
    scopes: tuple[RestartScope, ...]
    """What was asked for, and what it implies."""
    generation: int
    """Number of the restart; 0: no account is looked at again because of it."""
    retried: int
    """How many failed accounts are tried again."""
    quarantine_ended: bool
    begun: Mapping[str, str]
    """Scope -> what was begun, in a sentence."""
    stopped: str
    """`Paused` or `Quarantine` when nothing is sent for now, else empty."""
    watch: str
    """Where to see how far it is, and what may hold it up."""


@dataclass(slots=True, kw_only=True)
class Restarts:
    """Restarts applications."""

    checkpoints: Checkpoints
    states: ApplicationStates
    retries: Retries
    clock: Clock

    async def restart(self, application: Application, scopes: Collection[RestartScope]) -> RestartReport:
        """Begin a restart; the queue carries it out, in the vendor's pace.

        Repeated, it leads to the same end: every account is looked at once more. Raises ValueError when no scope is
        given, StorageUnavailable.
        """
        if not scopes:
            raise ValueError("a restart needs at least one scope")
        chosen = {RestartScope(scope) for scope in scopes}
        if RestartScope.LINKS in chosen:
            chosen.add(RestartScope.WATERMARK)
        generation, retried, ended = 0, 0, False
        if RestartScope.WATERMARK in chosen:
            generation = await self._begin_generation(application.name, asserts=RestartScope.LINKS in chosen)
        if RestartScope.ESCROWS in chosen:
            retried = await self.retries.retry_all(application)
        if RestartScope.QUARANTINE in chosen:
            ended = await self.states.lift_quarantine(application.name)
        state = await self.states.read_fresh(application.name)
        ordered = tuple(scope for scope in RestartScope if scope in chosen)
        telemetry.emit(
            telemetry.Event.APPLICATION_RESTARTED,
            application=application.name,
            scopes=[scope.value for scope in ordered],
            generation=generation,
            count=retried,
            ended=ended,
        )
        return RestartReport(
            application=application.name,
            at=self.clock.now(),
            scopes=ordered,
            generation=generation,
            retried=retried,
            quarantine_ended=ended,
            begun={scope.value: _tell(scope, retried=retried, ended=ended) for scope in ordered},
            stopped=state.status.value if state.is_stopped else "",
            watch=_watch(ordered, state.status),
        )

    async def _begin_generation(self, app: str, *, asserts: bool) -> int:
        """The mark first, then the number: whoever finds the mark carries the rest out."""
        for _ in range(CONTENDED_TRIES):
            state = await self.states.read_fresh(app)
            earlier = await self.checkpoints.read_restart(app)
            mark = RestartMark(
                app=app,
                # Above one that is open, too: rows may have been applied after it by the time this one asserts them.
                generation=next_generation(
                    max(state.generation, earlier.generation if earlier is not None else 0), self.clock.now()
                ),
                asserts=asserts or (earlier is not None and earlier.asserts),
                etag=earlier.etag if earlier is not None else "",
            )
            try:
                await self.checkpoints.mark_restart(mark)
            except StorageConflict:
                continue
            await self.states.begin_generation(app, mark.generation, asserts=mark.asserts)
            return mark.generation
        raise StorageContended(f"the restart of application {app}")


def _tell(scope: RestartScope, *, retried: int, ended: bool) -> str:
    match scope:
        case RestartScope.WATERMARK:
            return "Every account is looked at again, and whoever should have one; what does not differ is not sent."
        case RestartScope.ESCROWS:
            return f"{retried} failed accounts are tried again."
        case RestartScope.QUARANTINE:
            return "The quarantine has ended." if ended else "There was no quarantine to end."
        case RestartScope.LINKS:
            return (
                "The whole state of every linked account is sent again; links stay, and one whose account is gone at "
                "the vendor is dropped after a second look and matched or created again."
            )


def _watch(scopes: tuple[RestartScope, ...], status: ApplicationStatus) -> str:
    words = []
    if RestartScope.WATERMARK in scopes:
        words.append(
            "The next sync fills the queue; the number of accounts still to be looked at falls in the vendor's pace. "
            "Departures wait for the deletion guard as always."
        )
    if RestartScope.ESCROWS in scopes:
        words.append("What fails again is in escrow again, with its reason.")
    if status is ApplicationStatus.PAUSED:
        words.append("The application is paused by a person: nothing is sent until it is resumed.")
    elif status is ApplicationStatus.QUARANTINE:
        words.append("The application is in quarantine: nothing is sent until a probe is good, or it is restarted.")
    return " ".join(words) or "Messages are worked on again."
