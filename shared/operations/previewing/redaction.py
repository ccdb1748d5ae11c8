"""What a preview must not show, whatever the previewed configuration says. Pure.

Whoever posts a configuration may leave `redact` out, map a redacted source to another target, or give the application
another name: what the configuration in force keeps from the logs of any application is kept from the preview too.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from shared.config.applications import Application
from shared.config.mapping import AttributeMapping
from shared.rules.source_attributes import graph_property
from shared.rules.source_user import mapping_sources

_REDACTS = re.compile(r"\bredact\s*\(", re.IGNORECASE)


def hidden_targets(application: Application, in_force: Collection[Application], kind: str) -> frozenset[str]:
    """Target paths, folded, whose values are not shown.

    Those that the previewed configuration of the application or the one in force redacts, and those of the previewed
    one that read, in a mapping that is not in force, what any application in force redacts.
    """
    mappings = _mappings(application, kind)
    hidden = {mapping.target.casefold() for mapping in mappings if _redacts(mapping)}
    own = next((each for each in in_force if each.name == application.name), None)
    if own is application:
        return frozenset(hidden)
    trusted = _mappings(own, kind) if own is not None else ()
    hidden |= {mapping.target.casefold() for mapping in trusted if _redacts(mapping)}
    redacting = [mapping for each in in_force for mapping in _mappings(each, kind) if _redacts(mapping)]
    secret = {name for mapping in redacting for name in _properties(mapping)}
    hidden |= {
        mapping.target.casefold()
        for mapping in mappings
        if mapping not in trusted and not secret.isdisjoint(_properties(mapping))
    }
    return frozenset(hidden)


def _mappings(application: Application, kind: str) -> tuple[AttributeMapping, ...]:
    if kind == "group" and application.groups is None:
        return ()
    return application.resource(kind).mappings


def _redacts(mapping: AttributeMapping) -> bool:
    return mapping.redact or bool(mapping.expression and _REDACTS.search(mapping.expression))


def _properties(mapping: AttributeMapping) -> set[str]:
    return {graph_property(name).casefold() for name in mapping_sources(mapping)} - {""}
