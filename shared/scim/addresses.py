"""Where each request of an application goes. Pure.

The base URL is joined by hand: with or without a slash at its end, with or without a query that has to stay (interop
quirk 11). An id is one path segment, whatever it holds (quirk 10).
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from shared.config.urls import is_loopback
from shared.scim.filters import query_string, search_parameters
from shared.scim.listing import ListPosition

if TYPE_CHECKING:
    from shared.config.applications import Application
    from shared.config.profile import ResourceProfile


class ResourceType(StrEnum):
    """What a request is about."""

    USER = "user"
    """A User (RFC 7643 4.1)."""
    GROUP = "group"
    """A Group (RFC 7643 4.2)."""


class Addresses:
    """The URLs of one application. Raises ValueError unless its base URL is https, or http to loopback."""

    def __init__(self, application: Application) -> None:
        address = urlsplit(application.base_url)
        if address.scheme != "https" and not (address.scheme == "http" and is_loopback(address.hostname)):
            raise ValueError("base_url must be https; plain http is for loopback only")
        self._application = application
        self._protocol = application.profile.protocol
        self._base = f"{address.scheme}://{address.netloc}{address.path.rstrip('/')}"
        self._base_query = address.query

    def profile_of(self, resource_type: ResourceType) -> ResourceProfile:
        """Answers with the profile of users or groups. Raises ValueError for groups where there are none."""
        if resource_type == ResourceType.USER:
            return self._application.profile.users
        groups = self._application.profile.groups
        if groups is None:
            raise ValueError(f"application {self._application.name} has no groups")
        return groups

    def collection(self, resource_type: ResourceType) -> str:
        """Answers with the address where resources of a type are created."""
        return self._path(resource_type) + query_string({}, base_query=self._base_query)

    def resource(
        self, resource_type: ResourceType, resource_id: str, *, to_read: bool = False, with_members: bool = False
    ) -> str | None:
        """Answers with the address of one resource; None for an id that no URL can carry as a segment."""
        if not resource_id.strip(".") or _has_lone_surrogate(resource_id):
            return None
        hidden = self._excluded(resource_type) if to_read else ()
        excluded = tuple(name for name in hidden if not (with_members and name == "members"))
        parameters = search_parameters(None, excluded=excluded, start_index=None)
        query = query_string(parameters, base_query=self._base_query)
        return f"{self._path(resource_type)}/{quote(resource_id, safe='')}{query}"

    def page(
        self, resource_type: ResourceType, position: ListPosition, *, filter_text: str | None, count: int | None
    ) -> str:
        """Answers with the address of a page of a list or look-up; `count` None means the profile's page size."""
        size = min(count or self._protocol.page_size, self._protocol.max_page_size or 2**31)
        start = None if position.cursor is not None else position.start
        parameters = search_parameters(
            filter_text, excluded=self._excluded(resource_type), start_index=start, count=size
        )
        parameters["cursor"] = position.cursor
        return self._path(resource_type) + query_string(parameters, base_query=self._base_query)

    def _path(self, resource_type: ResourceType) -> str:
        endpoint = "/" + self.profile_of(resource_type).endpoint.strip("/")
        return self._base + (endpoint.lower() if self._protocol.path_case == "lower" else endpoint)

    def _excluded(self, resource_type: ResourceType) -> tuple[str, ...]:
        without = self.profile_of(resource_type).lookup_without
        return without or (("members",) if resource_type == ResourceType.GROUP else ())


def _has_lone_surrogate(text: str) -> bool:
    return any("\ud800" <= character <= "\udfff" for character in text)
