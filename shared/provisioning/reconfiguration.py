"""A new, changed, returning or restarted application: all of its accounts are looked at again."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace

from shared import telemetry
from shared.config.applications import Application
from shared.config.provisioning_file import ScopeMode
from shared.directory.assignments import bucket_range
from shared.directory.mirror import Mirror, Presence
from shared.provisioning.accounts import ACCOUNTS, ResourceKind, account_key
from shared.provisioning.applications_state import ApplicationStates
from shared.provisioning.assignment_pages import stream_name
from shared.provisioning.audit_trail import DEPLOYMENT, AuditTrail
from shared.provisioning.checkpoint import Checkpoints
from shared.provisioning.group_pages import GroupPages
from shared.provisioning.pull_run import PullRun
from shared.storage.tables import Tables

_DIGITS = "0123456789abcdef"


@dataclass(slots=True, kw_only=True)
class Reconfiguration:
    """Puts configurations into force, under the puller's lease."""

    states: ApplicationStates
    tables: Tables
    mirror: Mirror
    groups: GroupPages
    audit: AuditTrail
    checkpoints: Checkpoints

    async def apply(self, run: PullRun, reconfigured: Sequence[Application]) -> None:
        """A new or changed application: publish its configuration hash, and look at every account again, paced.

        Rows that were applied with another configuration are due by themselves. People who never had a row are raised
        where everybody is in scope; elsewhere they come with their assignments, which for an application that had none
        before were all raised just now. An application that was switched off for a while missed what happened
        meanwhile: everybody it knows, and who is in its groups, is raised.
        """
        for application in reconfigured:
            if not await self.states.publish_configuration(application):
                continue
            is_settled = bool(run.checkpoint.stream("users").saved_at)
            if application.scope is ScopeMode.ALL:
                if is_settled:
                    await self._raise_everybody(run, application)
            elif application.name not in run.checkpoint.configs and _was_assigned(run, application):
                await self._raise_known(run, application)
            await self.groups.compare_all(run, application)
            await self._note(application, run.checkpoint.configs.get(application.name, ""))
            configs = {**run.checkpoint.configs, application.name: application.config_hash}
            run.checkpoint = replace(run.checkpoint, configs=configs)
            if is_settled and application.name not in run.checkpoint.backlog:
                run.checkpoint = run.checkpoint.with_backlog(application.name, "")
            telemetry.emit(
                telemetry.Event.APPLICATION_CONFIGURED, application=application.name, config=application.config_hash
            )

    async def _note(self, application: Application, before: str) -> None:
        """Record the configuration that came into force; a run that is interrupted behind this records it again."""
        record = await self.audit.begin(
            "configure",
            actor=DEPLOYMENT,
            address="",
            via=DEPLOYMENT,
            application=application.name,
            config=application.config_hash,
            detail={"before": before},
        )
        await self.audit.conclude(record, "in force")

    async def take_up_restarts(self, run: PullRun) -> None:
        """Restarted applications: whoever should have an account and has no row is raised, and the queue is filled.

        Rows that exist are due by their generation, without a raise: what is held or was rejected stays so. The mark
        goes last, so that a run that dies is repeated; an application whose assignments were never read waits for them.
        """
        for mark in list(run.checkpoint.restarts.values()):
            application = run.applications.get(mark.app)
            if application is None or not application.enabled or not _has_read(run, application):
                continue
            # The process that asked may have died before it did.
            await self.states.begin_generation(mark.app, mark.generation, asserts=mark.asserts)
            await self._raise_missing(run, application)
            if application.name not in run.checkpoint.backlog:
                run.checkpoint = run.checkpoint.with_backlog(application.name, "")
            await self.checkpoints.end_restart(mark)

    async def _raise_missing(self, run: PullRun, application: Application) -> None:
        """Raise who is in the directory, may be in scope, and has no row: nobody is, unless a table was restored."""
        known: set[str] = set()
        for kind in ResourceKind:
            pages = self.tables.query(
                ACCOUNTS, application.name, first=f"{kind}:", before=f"{kind};", select=("wanted",)
            )
            async for page in pages:
                known.update(row.key for row in page if row.text("wanted"))
                await run.renew()
        async for user_ids in self._list_possible(run, application):
            missing = [user_id for user_id in user_ids if account_key(ResourceKind.USER, user_id) not in known]
            known.update(account_key(ResourceKind.USER, user_id) for user_id in missing)
            await self._raise_users(run, application, missing)
            await run.renew()
        if application.groups is not None:
            await self.groups.raise_missing(run, application, known)

    async def _list_possible(self, run: PullRun, application: Application) -> AsyncIterator[list[str]]:
        """Users who may be in scope: everybody, or who is assigned and the members of assigned groups."""
        if application.scope is ScopeMode.ALL:
            for digit in _DIGITS:
                async for users in self.mirror.list_users(digit):
                    yield [user.id for user in users if user.presence is Presence.ACTIVE]
            return
        for digit in _DIGITS:
            first, before = bucket_range(f"user:{digit}")
            direct = await self.mirror.read_assigned(application.name, first=first, before=before)
            yield [key.removeprefix("user:") for key, assignment in direct.items() if not assignment.gone]
        for group_id, assignment in (await run.assigned_groups(application.name)).items():
            if assignment.gone:
                continue
            async for members in self.mirror.list_members(group_id):
                yield [user_id for user_id, row in members if not row.values.get("gone", False)]

    def forget_departed(self, run: PullRun) -> None:
        """An application that is switched off is new when it comes back."""
        enabled = {application.name for application in run.applications.enabled}
        configs = {name: config for name, config in run.checkpoint.configs.items() if name in enabled}
        run.checkpoint = replace(run.checkpoint, configs=configs)

    async def _raise_known(self, run: PullRun, application: Application) -> None:
        """Raise every account row of an application, and the members of its groups."""
        rows = self.tables.query(ACCOUNTS, application.name, first="user:", before="user;", select=("wanted",))
        async for page in rows:
            # A row without a number was never raised: it only says that others refer to it.
            known = [row.key.removeprefix("user:") for row in page if row.text("wanted")]
            await self._raise_users(run, application, known)
        for group_id in await run.assigned_groups(application.name):
            async for members in self.mirror.list_members(group_id):
                await self._raise_users(run, application, [user_id for user_id, _ in members])

    async def _raise_users(self, run: PullRun, application: Application, user_ids: Sequence[str]) -> None:
        if user_ids:
            number = run.start_attempt()
            await run.raise_accounts(number, {application.name: dict.fromkeys(user_ids, False)})
            await run.renew()

    async def _raise_everybody(self, run: PullRun, application: Application) -> None:
        run.checkpoint = run.checkpoint.with_backlog(application.name, "")
        for digit in _DIGITS:
            async for users in self.mirror.list_users(digit):
                await self._raise_users(run, application, [user.id for user in users])


def _has_read(run: PullRun, application: Application) -> bool:
    """Whether the directory, and who is assigned, was read to the end before: if not, everybody is raised as it is."""
    if application.scope is ScopeMode.ASSIGNED:
        return bool(run.checkpoint.stream(stream_name(application.name)).principal)
    return bool(run.checkpoint.stream("users").saved_at)


def _was_assigned(run: PullRun, application: Application) -> bool:
    """Whether assignments of the application, of this or an earlier service principal, were taken in by an earlier run.

    A list that this run read to its end counts from the end of the run.
    """
    return bool(run.checkpoint.stream(stream_name(application.name)).principal)
