"""Where a simulated vendor keeps its accounts: scim2-server's in-memory storage with a vendor's commit rules.

The storage adds what vendors do and the RFC leaves open: ids of an odd shape, soft deletion, switchable uniqueness,
and a commit hook that sees an account before and after a write. An index over e-mail addresses only narrows what the
core's filter walks, because a multi-valued filter costs the core about 0.4 ms per account.
"""

from __future__ import annotations

import datetime
import itertools
import random
import re
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from scim2_models import Meta, Resource, ResourceType, ScimFilter
from scim2_server.memory import InMemoryStorage

from tests.simulation.vendors.options import IdShape, VendorOptions

Json = dict[str, Any]
Commit = Callable[[str, Json | None, Json], Json]
Selects = Callable[[Resource[Any], str], bool]

_EMAIL_FILTER = re.compile(
    r'^emails(?:\[type eq "[^"]*"\](?:\.value)?|\.value)? eq "(?P<value>[^"\\]*)"$'
    r'|^emails\[type eq "[^"]*" and value eq "(?P<inner>[^"\\]*)"\]$',
    re.IGNORECASE,
)


class VendorStorage(InMemoryStorage):
    """Accounts and groups of one vendor tenant.

    `commit(resource_type, before, after)` is called inside every write: it may raise to refuse it, and its result is
    what is stored. `selects(resource, filter)` may hide an account from a list.
    """

    def __init__(
        self, options: VendorOptions, *, now: Callable[[], datetime.datetime], seed: str, strong_versions: bool = False
    ) -> None:
        super().__init__(clock=now)
        self.options = options
        self.commit: Commit = lambda _name, _before, after: after
        self.selects: Selects | None = None
        self.deleted: dict[str, Resource[Any]] = {}
        self.id_shape: Callable[[str], IdShape] = lambda _endpoint: options.id_shape
        self.next_id: str | None = None
        self.integer_ids: set[str] = set()
        self._random = random.Random(seed)
        self._strong_versions = strong_versions
        self.quoted_versions = False
        """Whether a strong version has its quotes in `meta.version` too."""
        self._emails: dict[str, set[str]] = {}
        self._emails_of: dict[str, set[str]] = {}

    def generate_id(self, resource_type: ResourceType, resource: Resource[Any]) -> str:
        """Answers with a new id of the shape in force; the same seed gives the same ids."""
        return self._new_id(str(resource_type.name))

    def _new_id(self, name: str) -> str:
        if self.next_id is not None:
            chosen, self.next_id = self.next_id, None
            return chosen
        shape = self.id_shape(f"/{name}s")
        number = self._random.getrandbits(128)
        if shape is IdShape.integer:
            value = str(number % 10**9)
            self.integer_ids.add(value)
            return value
        if shape is IdShape.slash:
            return f"ou=1/{number % 10**9} é"
        return str(uuid.UUID(int=number, version=4))

    def next_version(self) -> str:
        """Answers with the version of a new write; a strong one has only digits."""
        if not self._strong_versions:
            return super().next_version()
        number = next(self.versions)
        return f'"{number}"' if self.quoted_versions else str(number)

    def create(self, resource_type: ResourceType, resource: Resource[Any]) -> Resource[Any]:
        """Stores a new account after the commit rules saw it."""
        with self.lock:
            name = str(resource_type.name)
            return super().create(resource_type, self._committed(name, None, resource))

    def update(
        self, resource_type: ResourceType, resource: Resource[Any], *, expected_version: str | None = None
    ) -> Resource[Any]:
        """Stores a changed account after the commit rules compared it with what was stored."""
        with self.lock:
            name = str(resource_type.name)
            before = self._stored(resource_type, resource.id).model_dump()
            committed = self._committed(name, before, resource)
            return super().update(resource_type, committed, expected_version=expected_version)

    def _committed(self, name: str, before: Json | None, resource: Resource[Any]) -> Resource[Any]:
        proposed = resource.model_dump()
        final = self.commit(name, before, resource.model_dump())
        return resource if final == proposed else type(resource).model_validate(final)

    def delete(self, resource_type: ResourceType, resource_id: str, *, expected_version: str | None = None) -> None:
        """Deletes an account, softly where the vendor does, and takes it out of its groups."""
        with self.lock:
            gone = self._stored(resource_type, resource_id)
            super().delete(resource_type, resource_id, expected_version=expected_version)
            if self.options.soft_delete and resource_type.name == "User":
                self.deleted[resource_id] = gone
            for group in list(self._resources.get("Group", {}).values()):
                members = getattr(group, "members", None) or []
                left = [member for member in members if member.value != resource_id]
                if len(left) != len(members):
                    group.members = left or None  # type: ignore[attr-defined]
                    group.meta = group.meta.model_copy(update={"version": self.next_version()})  # type: ignore[union-attr]

    def restore(self, resource_id: str, change: Callable[[Resource[Any]], None]) -> None:
        """Brings a soft-deleted account back under its id, changed by `change`."""
        with self.lock:
            resource = self.deleted.pop(resource_id)
            change(resource)
            self._store(resource, self._values_of(resource))

    def put(self, name: str, resource: Resource[Any]) -> str:
        """Stores a resource as it is, without any rule, and answers with its id: accounts that were there before us."""
        with self.lock:
            now = self.clock()
            if resource.id is None:
                resource.id = self._new_id(name)
            resource.meta = Meta(resource_type=name, created=now, last_modified=now, version=self.next_version())
            self._store(resource, self._values_of(resource))
            return str(resource.id)

    def _candidates(self, names: list[str | None], scim_filter: ScimFilter[Any] | None) -> list[Resource[Any]]:
        text = str(scim_filter) if scim_filter is not None else ""
        match = _EMAIL_FILTER.match(text)
        if match and names == ["User"]:
            wanted = (match["value"] if match["value"] is not None else match["inner"]).lower()
            users = self._resources.get("User", {})
            found = [users[each] for each in self._emails.get(wanted, ())]
        else:
            found = super()._candidates(names, scim_filter)
        oldest_hidden = self.clock() - datetime.timedelta(seconds=self.options.visible_after_s)
        return [
            each
            for each in found
            if (self.selects is None or self.selects(each, text))
            and (not self.options.visible_after_s or each.meta.created <= oldest_hidden)  # type: ignore[union-attr,operator]
        ]

    def _values_of(self, resource: Resource[Any]) -> dict[str, Any]:
        return super()._values_of(resource) if self.options.user_name_unique else {}

    def _store(self, resource: Resource[Any], values: dict[str, Any]) -> None:
        super()._store(resource, values)
        emails = getattr(resource, "emails", None) or []
        found = {str(each.value).lower() for each in emails if each.value}
        self._emails_of[str(resource.id)] = found
        for email in found:
            self._emails.setdefault(email, set()).add(str(resource.id))

    def _remove(self, key: tuple[str | None, str]) -> None:
        super()._remove(key)
        for email in self._emails_of.pop(key[1], ()):
            self._emails[email].discard(key[1])

    def holders(self, email: str) -> set[str]:
        """Answers with the ids of the accounts that carry an e-mail address, whatever its case."""
        return set(self._emails.get(email.lower(), ()))

    def find(self, name: str, resource_id: str) -> Json | None:
        """Answers with a stored resource as JSON, None when there is none."""
        stored = self._resources.get(name, {}).get(resource_id)
        return None if stored is None else stored.model_dump()

    def all(self, name: str) -> list[Json]:
        """Answers with every stored resource of a type as JSON, `_deleted` true on the soft-deleted."""
        with self.lock:
            present = [{**each.model_dump(), "_deleted": False} for each in self._resources.get(name, {}).values()]
            if name == "User":
                present += [{**each.model_dump(), "_deleted": True} for each in self.deleted.values()]
            return present

    def as_kept(self) -> Json:
        """Answers with everything a restart must not lose, as JSON."""
        with self.lock:
            version = next(self.versions)
            self.versions = itertools.count(version)
            return {
                "resources": {
                    str(name): [each.model_dump() for each in resources.values()]
                    for name, resources in self._resources.items()
                },
                "deleted": [each.model_dump() for each in self.deleted.values()],
                "version": version,
                "random": self._random.getstate(),
                "integer_ids": sorted(self.integer_ids),
            }

    def take_up(self, kept: Json, models: Mapping[str, type[Resource[Any]]]) -> None:
        """Holds what `as_kept` answered in an earlier process, ids, versions and instants included."""
        with self.lock:
            for name, resources in kept["resources"].items():
                for each in resources:
                    resource = models[name].model_validate(each)
                    self._store(resource, self._values_of(resource))
            for each in kept["deleted"]:
                self.deleted[each["id"]] = models["User"].model_validate(each)
            self.versions = itertools.count(kept["version"])
            version, internal, gauss = kept["random"]
            self._random.setstate((version, tuple(internal), gauss))
            self.integer_ids = set(kept["integer_ids"])

    def is_visible(self, name: str, resource_id: str) -> bool:
        """Answers whether an id exists and is past the read-after-write lag; raises nothing."""
        stored = self._resources.get(name, {}).get(resource_id)
        if stored is None or stored.meta is None or stored.meta.created is None:
            return False
        lag = datetime.timedelta(seconds=self.options.visible_after_s)
        return stored.meta.created + lag <= self.clock()
