"""A user as mappings and filters see it: Graph's JSON plus the names Entra computes.

Graph's object stays as it was stored; the view answers the other names when they are asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from shared.config.applications import Application
from shared.config.mapping import AttributeMapping, Computed
from shared.config.provisioning_file import ScopingFilter
from shared.rules.source_attributes import (
    IS_SOFT_DELETED,
    LEGACY_NAMES,
    ORIGINAL_UPN,
    canonical_user_attribute,
    graph_property,
    referenced_attributes,
)

_ALWAYS_SELECTED = ("id", "accountEnabled", "displayName", "userPrincipalName")
_GROUPS_SELECTED = ("id", "displayName", "mailNickname", "securityEnabled", "members")
_GUEST_MARK = "#EXT#"
_READ_AS_IS = frozenset({"id", "givenName", "surname", "displayName", "mail", "jobTitle", "department", "mailNickname"})


class SourceUser(Mapping[str, object]):
    """One directory object, read by any name a mapping may use. A name without a value is absent."""

    __slots__ = ("_properties", "_soft_deleted")

    def __init__(self, properties: Mapping[str, object], *, soft_deleted: bool | None = None) -> None:
        """`soft_deleted` None: only what the object itself says (`accountEnabled`)."""
        self._properties = properties
        self._soft_deleted = soft_deleted

    def __getitem__(self, name: str) -> object:
        value = self._read(name)
        if value is None:
            raise KeyError(name)
        return value

    def __iter__(self) -> Iterator[str]:
        return iter(self._properties)

    def __len__(self) -> int:
        return len(self._properties)

    def _read(self, name: str) -> object:
        if name in _READ_AS_IS:
            return self._properties.get(name)
        canonical = canonical_user_attribute(name) or name
        if canonical == IS_SOFT_DELETED:
            return self.soft_deleted
        if canonical == "userPrincipalName":
            raw = self._properties.get(canonical)
            return visible_upn(raw) if isinstance(raw, str) else raw
        if canonical == ORIGINAL_UPN:
            return self._properties.get("userPrincipalName")
        if canonical == "telephoneNumber":
            phones = self._properties.get("businessPhones")
            return phones[0] if isinstance(phones, list) and phones else None
        if canonical == "manager":
            return reference_id(self._properties.get("manager"))
        whole, _, part = LEGACY_NAMES.get(canonical, canonical).partition(".")
        value = self._properties.get(whole)
        if part:
            return value.get(part) if isinstance(value, Mapping) else None
        return value

    @property
    def soft_deleted(self) -> bool:
        """Entra's IsSoftDeleted: unassigned, out of scope, disabled or deleted at the source."""
        if self._soft_deleted is not None:
            return self._soft_deleted
        stored = self._properties.get(IS_SOFT_DELETED)
        if isinstance(stored, bool):
            return stored
        return self._properties.get("accountEnabled") is False


def visible_upn(upn: str) -> str:
    """`alias@domain` of a guest's `alias_domain#EXT#@tenant`; any other name as it is."""
    home, mark, _ = upn.partition(_GUEST_MARK)
    alias, underscore, domain = home.rpartition("_")
    if not mark or not underscore or not alias or not domain:
        return upn
    return f"{alias}@{domain}"


def reference_id(value: object) -> str | None:
    """The source id of a reference, as an id, as Graph's object or as the list of a delta page."""
    if isinstance(value, list):
        present = [entry for entry in value if not (isinstance(entry, Mapping) and "@removed" in entry)]
        value = present[-1] if present else None
    if isinstance(value, Mapping):
        value = value.get("id")
    return value if isinstance(value, str) and value else None


def select_properties(applications: Iterable[Application]) -> tuple[str, ...]:
    """The Graph user properties to track for these applications, sorted: everything a mapping or filter reads."""
    names: set[str] = set()
    for application in applications:
        if application.enabled:
            names.update(*(mapping_sources(mapping) for mapping in application.users.mappings))
            names.update(_filter_sources(application.scoping_filters))
    properties = {graph_property(name) for name in names} | set(_ALWAYS_SELECTED)
    return tuple(sorted(properties - {""}))


def select_group_properties(applications: Iterable[Application]) -> tuple[str, ...]:
    """The Graph group properties to track for these applications, sorted."""
    names: set[str] = set(_GROUPS_SELECTED)
    for application in applications:
        if application.enabled and application.groups is not None:
            names.update(*(mapping_sources(mapping) for mapping in application.groups.mappings))
            names.update(_filter_sources(application.group_scoping_filters))
    return tuple(sorted({"id" if name.casefold() == "objectid" else name for name in names}))


def mapping_sources(mapping: AttributeMapping) -> tuple[str, ...]:
    """The names of the source attributes that a mapping reads, as written."""
    if mapping.expression is not None:
        return referenced_attributes(mapping.expression)
    if mapping.computed is Computed.OTHER_ADDRESS:
        return ("proxyAddresses",)
    if mapping.computed is Computed.NOT_SOFT_DELETED:
        return (IS_SOFT_DELETED,)
    return tuple(name for name in (mapping.source, mapping.fallback, *mapping.join) if name)


def _filter_sources(filters: Iterable[ScopingFilter]) -> tuple[str, ...]:
    return tuple(clause.attribute for scoping_filter in filters for clause in scoping_filter.clauses)
