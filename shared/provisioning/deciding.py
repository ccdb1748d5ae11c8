"""From a row and what the directory says to a plan (protocol step 22): mapping, references and planning, wired once.

The consumer carries the plan out, the preview shows it: both ask here, so that they cannot disagree. Pure, but for the
clock and the randomness that expressions may ask for.
"""

from __future__ import annotations

from collections.abc import Mapping

from shared.config.applications import Application
from shared.directory.mirror import GroupFacts, UserFacts
from shared.provisioning.accounts import Account, Reference, ResourceKind, SentTooLong, encode_sent
from shared.provisioning.mapping_source import SourceMapper
from shared.provisioning.memberships import doubtful_members
from shared.provisioning.planning import Plan, plan_account
from shared.provisioning.references import apply_references
from shared.provisioning.standing import Standing
from shared.rules.failures import InvalidData
from shared.rules.mapping import MappedAccount


class Decider:
    """Decides what is to be done about accounts. One instance per set of applications."""

    def __init__(self, mapper: SourceMapper) -> None:
        self._mapper = mapper

    def map_referring(
        self, application: Application, account: Account, facts: UserFacts | GroupFacts, standing: Standing
    ) -> MappedAccount | None:
        """The mapped account, where it may refer to others who have to be looked up before the plan is made.

        None: nobody has to be, also when the source cannot be mapped; the plan meets the same, and says why.
        """
        is_user = account.kind is ResourceKind.USER
        if not (is_user and standing.is_active and self._mapper.has_references(application)):
            return None
        try:
            return self._mapper.map_source(application, facts, roles=standing.roles, soft_deleted=False)
        except InvalidData:
            return None

    def decide(
        self,
        application: Application,
        account: Account,
        facts: UserFacts | GroupFacts,
        standing: Standing,
        *,
        mapped: MappedAccount | None,
        references: Mapping[str, Reference],
        distrusts: bool = False,
    ) -> Plan:
        """The plan. `mapped`: what `map_referring` answered. In doubt, the plan is the whole mapped state.

        `distrusts`: a person asked for everything to be sent again, so that what was sent before counts as unknown.

        Raises InvalidData when the source's values do not fit the target.
        """

        def map_as(soft_deleted: bool) -> MappedAccount:
            source = None if soft_deleted else mapped
            if source is None:
                source = self._mapper.map_source(application, facts, roles=standing.roles, soft_deleted=soft_deleted)
            return apply_references(source, references, soft_deleted=soft_deleted)

        plan = plan_account(
            application,
            account,
            standing,
            map_as=map_as,
            # What is in doubt about memberships leaves the group itself as it was sent.
            in_doubt=distrusts or (account.intent is not None and not doubtful_members(account)),
        )
        if plan.state is not None:
            try:
                encode_sent(plan.state)
            except SentTooLong as error:
                raise InvalidData(target="the account", source="", reason=str(error)) from error
        return plan
