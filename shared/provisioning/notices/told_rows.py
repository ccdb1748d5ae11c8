"""The row `told` of an application, in the table of its state: one write at a time, by whoever read it last."""

from __future__ import annotations

from dataclasses import replace

from shared.clock import read_instant
from shared.provisioning.accounts import write_columns
from shared.provisioning.applications_state import APPLICATIONS
from shared.provisioning.notices.due import Marks
from shared.provisioning.notices.notice import read_notices, write_notices
from shared.provisioning.notices.told import Told
from shared.storage.durable_writes import DurableWrite
from shared.storage.tables import Operation, Tables, split_text

_KEY = "told"


class ToldRows:
    """Reads and saves what was told."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def read(self, app: str) -> Told:
        """What an application's people were told. Raises StorageUnavailable."""
        row = await self._tables.read(APPLICATIONS, app, _KEY)
        if row is None:
            return Told(application=app)
        step = row.text("step")
        return Told(
            application=app,
            etag=row.etag,
            marks=Marks(
                status=row.text("status"),
                hold=row.text("hold"),
                expires_on=row.text("expires_on"),
                step=int(step) if step else None,
            ),
            waiting=read_notices(row.text("waiting")),
            claimed_until=read_instant(row.text("claimed_until")),
            attempts=int(row.values.get("attempts", 0)),
            failing_since=read_instant(row.text("failing_since")),
            next_attempt_at=read_instant(row.text("next_attempt_at")),
            problem=row.text("problem"),
            asked_to_wait=bool(row.values.get("asked_to_wait", False)),
            digest_day=row.text("digest_day"),
            sampled_at=read_instant(row.text("sampled_at")),
            sampled=row.text("sampled"),
        )

    async def save(self, write: DurableWrite, told: Told) -> Told:
        """Save over the version it was made from. Raises StorageConflict when somebody was faster."""
        marks = told.marks or Marks()
        values = write_columns(
            status=marks.status,
            hold=marks.hold,
            expires_on=marks.expires_on,
            step="" if marks.step is None else str(marks.step),
            claimed_until=told.claimed_until,
            attempts=told.attempts,
            failing_since=told.failing_since,
            next_attempt_at=told.next_attempt_at,
            problem=told.problem,
            asked_to_wait=told.asked_to_wait,
            digest_day=told.digest_day,
            sampled_at=told.sampled_at,
            sampled=told.sampled,
        ) | split_text("waiting", write_notices(told.waiting))
        operation = Operation.replace(_KEY, values, etag=told.etag) if told.etag else Operation.insert(_KEY, values)
        etags = await self._tables.commit(write, APPLICATIONS, told.application, [operation])
        return replace(told, marks=marks, etag=etags[_KEY])
