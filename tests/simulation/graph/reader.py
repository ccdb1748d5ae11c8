"""A plain reader of the simulator for tests: follows links, and keeps a copy that deltas are applied to.

It trusts nothing but the documented rules of delta queries, so a copy that differs from the tenant is a defect of the
simulator (or of the rules).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

import httpx

from tests.simulation.graph.people import JsonObject


@dataclass(slots=True)
class Round:
    """One complete round: its pages and the link to the next one."""

    pages: list[JsonObject]
    delta_link: str

    @property
    def objects(self) -> list[JsonObject]:
        """Everything on all pages, in order."""
        return [shown for page in self.pages for shown in page["value"]]

    def of(self, object_id: str) -> list[JsonObject]:
        """What the round says about one object."""
        return [shown for shown in self.objects if shown["id"] == object_id]


class GraphReader:
    """Reads with a token; a context manager because it holds a connection."""

    def __init__(self, base_url: str, *, token: str = "token") -> None:
        """Reads at `base_url`."""
        self.base_url = base_url
        self._client = httpx.Client(headers={"Authorization": f"Bearer {token}"}, trust_env=False, timeout=20)

    def get(self, url: str, **headers: str) -> httpx.Response:
        """Gets a link, or a path relative to the base URL."""
        return self._client.get(url if url.startswith("http") else f"{self.base_url}/{url}", headers=headers)

    def send(self, method: str, path: str, body: Any = None) -> httpx.Response:
        """Sends JSON to a path relative to the base URL, or to an absolute URL."""
        url = path if path.startswith("http") else f"{self.base_url}/{path}"
        return self._client.request(method, url, json=body)

    def json(self, url: str, **headers: str) -> JsonObject:
        """Gets JSON; raises for an error answer."""
        return dict(self.get(url, **headers).raise_for_status().json())

    def round(self, url: str, **headers: str) -> Round:
        """Follows nextLinks to the deltaLink."""
        pages = [self.json(url, **headers)]
        while "@odata.nextLink" in pages[-1]:
            pages.append(self.json(pages[-1]["@odata.nextLink"]))
        return Round(pages, pages[-1]["@odata.deltaLink"])

    def all(self, url: str) -> list[JsonObject]:
        """Follows nextLinks to the end of a list."""
        page = self.json(url)
        found = list(page["value"])
        while "@odata.nextLink" in page:
            page = self.json(page["@odata.nextLink"])
            found += page["value"]
        return found

    def __enter__(self) -> GraphReader:
        """Opens nothing yet."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes the connection."""
        self._client.close()


@dataclass(slots=True)
class Copy:
    """Users, managers and direct members, as rounds told them."""

    users: dict[str, JsonObject] = field(default_factory=dict)
    managers: dict[str, str] = field(default_factory=dict)
    members: dict[str, set[str]] = field(default_factory=dict)

    def apply_users(self, read: Round) -> None:
        """Applies a round of users/delta."""
        for shown in read.objects:
            if "@removed" in shown:
                self.users.pop(shown["id"], None)
                self.managers.pop(shown["id"], None)
                continue
            held = self.users.setdefault(shown["id"], {})
            held.update({name: value for name, value in shown.items() if "@" not in name})
            for manager in shown.get("manager@delta", ()):
                if "@removed" not in manager:
                    self.managers[shown["id"]] = manager["id"]
                elif self.managers.get(shown["id"]) == manager["id"]:
                    del self.managers[shown["id"]]

    def apply_groups(self, read: Round) -> None:
        """Applies a round of groups/delta."""
        for shown in read.objects:
            if "@removed" in shown:
                self.members.pop(shown["id"], None)
                continue
            held = self.members.setdefault(shown["id"], set())
            for member in shown.get("members@delta", ()):
                (held.discard if "@removed" in member else held.add)(member["id"])
