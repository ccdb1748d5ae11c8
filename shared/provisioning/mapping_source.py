"""From the mirror to a mapped account: the compiled mappings of each application, built on first use."""

from __future__ import annotations

import random
import uuid

from shared.clock import Clock
from shared.config.applications import Application
from shared.config.profile import AttributeType
from shared.directory.mirror import GroupFacts, UserFacts
from shared.rules.expressions import AppRole, EvaluationContext
from shared.rules.mapping import CompiledMappings, MappedAccount, compile_mappings, map_account


class SourceMapper:
    """Maps source users. One instance per process; compiling is done once per application."""

    def __init__(self, *, clock: Clock) -> None:
        self._clock = clock
        self._random = random.SystemRandom()
        self._compiled: dict[tuple[str, str], CompiledMappings] = {}

    def map_source(
        self, application: Application, facts: UserFacts | GroupFacts, *, roles: tuple[AppRole, ...], soft_deleted: bool
    ) -> MappedAccount:
        """The account the user, or the group, should have at the application. Raises InvalidData."""
        context = EvaluationContext(
            now=self._clock.now(), random=self._random, new_guid=lambda: str(uuid.uuid4()), roles=roles
        )
        properties: dict[str, object] = {}
        if isinstance(facts, GroupFacts):
            compiled = self.mappings_of(application, "group")
            properties = {**facts.attributes, "id": facts.id}
        else:
            compiled = self.mappings_of(application, "user")
            if facts.user is not None:
                properties = {**facts.user.attributes, "id": facts.user.id}
        return map_account(compiled, properties, context=context, soft_deleted=soft_deleted)

    def has_references(self, application: Application) -> bool:
        """Whether accounts of the application refer to one another."""
        return any(
            step.attribute.type is AttributeType.REFERENCE for step in self.mappings_of(application, "user").steps
        )

    def mappings_of(self, application: Application, kind: str) -> CompiledMappings:
        """The compiled mappings of users or groups."""
        compiled = self._compiled.get((application.name, kind))
        if compiled is None:
            compiled = compile_mappings(application.resource(kind), application.roles)
            self._compiled[application.name, kind] = compiled
        return compiled
