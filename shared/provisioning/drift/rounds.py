"""How far the verification of an application's accounts has come: one row, so that a round goes on after a restart.

A round lists what the vendor holds, then looks for linked accounts that the list did not show, then reads every suspect
by itself, then says whose the accounts are that no row owns.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from shared.clock import read_instant, write_instant
from shared.provisioning.accounts import ResourceKind, read_known, write_columns
from shared.provisioning.applications_state import APPLICATIONS
from shared.provisioning.drift.comparing import Sample
from shared.scim.listing import ListPosition
from shared.storage.durable_writes import DurableWrite
from shared.storage.tables import CONTENDED_TRIES, Operation, StorageConflict, StorageContended, Tables, split_text

_KEY = "drift"
_PATHS_COUNTED = 200


class DriftPhase(StrEnum):
    """What a round is at."""

    LISTING = "listing"
    """Reading the vendor's list, page by page."""
    MISSING = "missing"
    """Looking for linked accounts that the list did not show."""
    CONFIRMING = "confirming"
    """Reading every suspect by itself."""
    OWNING = "owning"
    """Asking the directory whose the accounts are that no row owns."""
    DONE = "done"
    """Nothing to do before the next round is due."""


class RoundMoved(Exception):
    """Another process is at the same round, or a person asked for a new one: this one stops."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftRound:
    """One round of one application, as the row holds it."""

    application: str
    etag: str = ""
    started_at: datetime | None = None
    """None: there was no round yet."""
    finished_at: datetime | None = None
    phase: DriftPhase = DriftPhase.DONE
    kind: ResourceKind = ResourceKind.USER
    """Of which kind the list is read."""
    position: ListPosition = field(default_factory=ListPosition)
    """Where the list goes on."""
    pages: int = 0
    failures: int = 0
    """How often in a row the list could not be read."""
    cursor: str = ""
    """The account row after which the missing ones are looked for."""
    sample: Sample = field(default_factory=lambda: Sample(differing={}))
    vanished: int = 0
    drifted: int = 0
    repaired: int = 0
    unowned: int = 0
    problem: str = ""
    """Why the vendor's accounts could not be listed, so that each was read by itself; empty: they were."""
    requested: bool = False
    """A person asked for a round: the next one begins at once."""
    only_doubted: bool = False
    """Not a round: accounts that had been in doubt are read, and the last round's findings stand."""

    @property
    def id(self) -> str:
        """Names the round in the rows it writes."""
        return write_instant(self.started_at) if self.started_at else ""

    def begun(self, now: datetime) -> DriftRound:
        """The next round, from its start."""
        return DriftRound(application=self.application, etag=self.etag, started_at=now, phase=DriftPhase.LISTING)


class DriftRounds:
    """Reads and saves rounds."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def read(self, app: str) -> DriftRound:
        """Read the round of an application; one that was never begun is done."""
        row = await self._tables.read(APPLICATIONS, app, _KEY)
        if row is None:
            return DriftRound(application=app)
        values = row.values

        def count(name: str) -> int:
            return int(values.get(name, 0))

        return DriftRound(
            application=app,
            etag=row.etag,
            started_at=read_instant(row.text("started_at")),
            finished_at=read_instant(row.text("finished_at")),
            phase=read_known(row.text("phase"), DriftPhase.DONE),
            kind=read_known(row.text("kind"), ResourceKind.USER),
            position=_read_position(row.text("position")),
            pages=count("pages"),
            failures=count("failures"),
            cursor=row.text("cursor"),
            sample=Sample(compared=count("compared"), differing=json.loads(row.text("differing") or "{}")),
            vanished=count("vanished"),
            drifted=count("drifted"),
            repaired=count("repaired"),
            unowned=count("unowned"),
            problem=row.text("problem"),
            requested=bool(values.get("requested", False)),
            only_doubted=bool(values.get("only_doubted", False)),
        )

    async def save(self, moved: DriftRound) -> DriftRound:
        """Save a round over the version it was made from. Raises RoundMoved."""
        values = write_columns(
            started_at=moved.started_at,
            finished_at=moved.finished_at,
            phase=moved.phase,
            kind=moved.kind,
            pages=moved.pages,
            failures=moved.failures,
            cursor=moved.cursor,
            compared=moved.sample.compared,
            differing=json.dumps(dict(list(moved.sample.differing.items())[:_PATHS_COUNTED])),
            vanished=moved.vanished,
            drifted=moved.drifted,
            repaired=moved.repaired,
            unowned=moved.unowned,
            problem=moved.problem,
            requested=moved.requested,
            only_doubted=moved.only_doubted,
        ) | split_text("position", json.dumps(asdict(moved.position)))
        operation = Operation.replace(_KEY, values, etag=moved.etag) if moved.etag else Operation.insert(_KEY, values)
        try:
            etags = await self._tables.commit(DurableWrite.DRIFT_ROUND, APPLICATIONS, moved.application, [operation])
        except StorageConflict:
            raise RoundMoved from None
        return replace(moved, etag=etags[_KEY])

    async def request(self, app: str) -> None:
        """Let a new round begin with the next housekeeping, whatever one is at. Idempotent.

        Raises StorageUnavailable.
        """
        for _ in range(CONTENDED_TRIES):
            current = await self.read(app)
            try:
                await self.save(replace(current, requested=True))
            except RoundMoved:
                continue
            return
        raise StorageContended(f"the round of verification of application {app}")


def added(sample: Sample, paths: Mapping[str, int], *, compared: int) -> Sample:
    """A sample with more accounts in it."""
    names = {*sample.differing, *paths}
    return Sample(
        compared=sample.compared + compared,
        differing={name: sample.differing.get(name, 0) + paths.get(name, 0) for name in sorted(names)},
    )


def _read_position(text: str) -> ListPosition:
    """Where the list goes on; from the start when another version wrote it."""
    try:
        values = json.loads(text) if text else {}
        return ListPosition(**{**values, "last_ids": tuple(values.get("last_ids", ()))})
    except (ValueError, TypeError):
        return ListPosition()
