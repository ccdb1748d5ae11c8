"""A new, changed or returning application: its configuration comes into force, and its accounts are looked at again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from shared import telemetry
from shared.config.applications import Application
from shared.config.provisioning_file import ScopeMode
from shared.directory.mirror import Mirror
from shared.provisioning.accounts import ACCOUNTS
from shared.provisioning.applications_state import ApplicationStates
from shared.provisioning.assignment_pages import stream_name
from shared.provisioning.audit_trail import DEPLOYMENT, AuditTrail
from shared.provisioning.group_pages import GroupPages
from shared.provisioning.pull_run import PullRun
from shared.storage.tables import Tables


@dataclass(slots=True, kw_only=True)
class Reconfiguration:
    """Puts configurations into force, under the puller's lease."""

    states: ApplicationStates
    tables: Tables
    mirror: Mirror
    groups: GroupPages
    audit: AuditTrail

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
        for digit in "0123456789abcdef":
            async for users in self.mirror.list_users(digit):
                await self._raise_users(run, application, [user.id for user in users])


def _was_assigned(run: PullRun, application: Application) -> bool:
    """Whether assignments of the application, of this or an earlier service principal, were taken in by an earlier run.

    A list that this run read to its end counts from the end of the run.
    """
    return bool(run.checkpoint.stream(stream_name(application.name)).principal)
