"""Microsoft Graph as a transport: msgraph-sdk authenticates and builds URLs, pages come back as raw JSON.

Pages never go through the SDK's models: measured at 94 users a second with models against 21,000 raw, and a typed
attribute cannot tell a cleared property from an absent one. Retries are not done here either: a throttled run ends, and
the next one starts after Retry-After (nothing sleeps inside a function).

GraphError
 +-- GraphThrottled       429, or 503 with Retry-After: not before `retry_after_s`
 +-- GraphRefused         401, 403: which permission is missing
 +-- SynchronizationReset 410 or an expired token: start a full round
 +-- GraphNotFound        404: the object does not exist, or is not visible yet
 +-- ForeignLink          a link that leaves the configured Graph host
 +-- GraphUnavailable     anything else: try again at the next run
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from shared.clock import Clock

if TYPE_CHECKING:
    import httpx
    from msgraph.graph_request_adapter import GraphRequestAdapter
    from msgraph.graph_service_client import GraphServiceClient

_RESET_CODES = frozenset({"syncstatenotfound", "syncstateinvalid", "resyncrequired"})
"""Codes of an expired or invalid delta token (graph.md section 1; the last two are assumed)."""

_DEFAULT_WAIT_S = 30.0
"""Wait after a 429 that names no time (assumed; Graph documents Retry-After on every 429)."""

_LONGEST_WAIT_S = 86_400.0
"""A longer Retry-After is nonsense: it must not stop the directory from being read for ever."""

MEMBERS_AT_ONCE = 999
"""The largest page of a group's members that Graph gives; without asking it gives a hundred."""

_PERMISSIONS = (("/users", "User.Read.All"), ("/groups", "GroupMember.Read.All"), ("/service", "Application.Read.All"))

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


class GraphError(Exception):
    """Graph did not give what was asked for."""


class GraphThrottled(GraphError):
    """Graph asks us to wait."""

    def __init__(self, retry_after_s: float) -> None:
        super().__init__(f"Microsoft Graph is throttling; not asked again for {retry_after_s:.0f} s")
        self.retry_after_s = retry_after_s


class GraphRefused(GraphError):
    """Graph did not accept our identity, or its permissions do not suffice."""

    def __init__(self, status: int, permission: str, *, code: str = "") -> None:
        advice = (
            f"the app's identity needs the application permission {permission}, with admin consent"
            if status == 403
            else "no valid token was presented; check the identity of the function app (AZURE_CLIENT_ID) and the tenant"
        )
        super().__init__(f"Microsoft Graph answered {status}: {advice}")
        self.status = status
        self.permission = permission
        self.code = code


class SynchronizationReset(GraphError):
    """The delta token is gone: forget the watermark and read everything."""


class GraphNotFound(GraphError):
    """Graph knows no such object."""


class ForeignLink(GraphError):
    """A link points outside the configured Graph host; it was not followed and no token was sent."""


class GraphUnavailable(GraphError):
    """No usable answer: network, server error, truncated or malformed body."""


class Graph:
    """Exchanges JSON documents with Graph. One instance per process, built on first use."""

    def __init__(self, *, base_url: str, credential: Any, clock: Clock) -> None:
        self._base_url = base_url.rstrip("/")
        self._origin = _origin(base_url)
        self._credential = credential
        self._clock = clock
        self._client: GraphServiceClient | None = None
        self._adapter: GraphRequestAdapter | None = None
        self._transport: httpx.AsyncHTTPTransport | None = None
        self.requests: Counter[str] = Counter()
        """Requests made so far, by first path segment."""

    async def close(self) -> None:
        """Close connections and credential."""
        if self._transport is not None:
            # The SDK's middleware does not pass a close on to the transport it wraps.
            await self._transport.aclose()
        await self._credential.close()

    async def read_users_delta(self, select: Sequence[str]) -> dict[str, Any]:
        """Read the first page of a full round of users."""
        from kiota_abstractions.base_request_configuration import RequestConfiguration
        from msgraph.generated.users.delta.delta_request_builder import DeltaRequestBuilder

        parameters = DeltaRequestBuilder.DeltaRequestBuilderGetQueryParameters(select=list(select))
        builder = self._graph().users.delta
        return await self.read(
            builder.to_get_request_information(RequestConfiguration(query_parameters=parameters)).url
        )

    async def read_groups_delta(self, select: Sequence[str]) -> dict[str, Any]:
        """Read the first page of a full round of groups and their members."""
        from kiota_abstractions.base_request_configuration import RequestConfiguration
        from msgraph.generated.groups.delta.delta_request_builder import DeltaRequestBuilder

        parameters = DeltaRequestBuilder.DeltaRequestBuilderGetQueryParameters(select=list(select))
        builder = self._graph().groups.delta
        return await self.read(
            builder.to_get_request_information(RequestConfiguration(query_parameters=parameters)).url
        )

    async def read_service_principal(self, service_principal_id: str) -> dict[str, Any]:
        """Read a service principal: its app roles."""
        builder = self._graph().service_principals.by_service_principal_id(service_principal_id)
        return await self.read(builder.to_get_request_information().url)

    def list_assignments(self, service_principal_id: str) -> AsyncIterator[list[dict[str, Any]]]:
        """Read all app-role assignments of a service principal, page by page."""
        builder = self._graph().service_principals.by_service_principal_id(service_principal_id)
        return self.list_pages(builder.app_role_assigned_to.to_get_request_information().url)

    def list_members(self, group_id: str) -> AsyncIterator[list[dict[str, Any]]]:
        """Read the direct members of a group, page by page."""
        from kiota_abstractions.base_request_configuration import RequestConfiguration
        from msgraph.generated.groups.item.members.members_request_builder import MembersRequestBuilder

        parameters = MembersRequestBuilder.MembersRequestBuilderGetQueryParameters(top=MEMBERS_AT_ONCE)
        builder = self._graph().groups.by_group_id(group_id).members
        configuration = RequestConfiguration(query_parameters=parameters)
        return self.list_pages(builder.to_get_request_information(configuration).url)

    async def exists(self, path: str) -> bool:
        """Whether an object such as `/users/<id>` exists."""
        try:
            await self.read(path)
        except GraphNotFound:
            return False
        return True

    async def list_pages(self, url: str) -> AsyncIterator[list[dict[str, Any]]]:
        """Read a collection to its end. Raises GraphUnavailable when a page repeats: a list that loops is no list."""
        seen: set[str] = set()
        while True:
            page = await self.read(url)
            if "value" not in page:
                raise GraphUnavailable("a page of Microsoft Graph has no list of objects")
            yield page["value"]
            following = page.get("@odata.nextLink")
            if following is None:
                return
            if not isinstance(following, str) or following in seen:
                raise GraphUnavailable("a list of Microsoft Graph links back to a page already read")
            seen.add(following)
            url = following

    async def read(self, url: str) -> dict[str, Any]:
        """Read one JSON document: an absolute link from Graph, or a path below the base URL.

        Raises GraphError; a link whose origin is not the configured one is refused before anything is sent.
        """
        return _parse(await self._exchange("GET", url))

    async def create(self, path: str, document: Mapping[str, Any]) -> dict[str, Any]:
        """POST a document to a collection; answer what was made of it. Raises GraphError.

        Without an answer it may exist all the same.
        """
        return _parse(await self._exchange("POST", path, document))

    async def update(self, path: str, document: Mapping[str, Any]) -> dict[str, Any]:
        """PATCH some properties of an object; answer the object. Raises GraphError."""
        return _parse(await self._exchange("PATCH", path, document))

    async def remove(self, path: str) -> None:
        """DELETE an object; one that is gone already is no error. Raises GraphError."""
        with suppress(GraphNotFound):
            await self._exchange("DELETE", path)

    async def _exchange(self, method: str, url: str, document: Mapping[str, Any] | None = None) -> Any:
        """One request and its body, None when it has none. What it goes to is refused unless it is Graph's own host."""
        from kiota_abstractions.api_error import APIError
        from kiota_abstractions.method import Method
        from kiota_abstractions.request_information import RequestInformation
        from msgraph.generated.models.o_data_errors.o_data_error import ODataError

        absolute = url if "://" in url else self._base_url + url
        self.require_own(absolute)
        self._graph()
        request = RequestInformation()
        request.http_method = Method[method]
        request.url = absolute
        request.headers.add("Accept", "application/json")
        if document is not None:
            request.headers.add("Content-Type", "application/json")
            request.content = json.dumps(document).encode()
        self.requests[urlsplit(absolute).path.removeprefix(urlsplit(self._base_url).path).split("/")[1]] += 1
        try:
            return await self._adapter.send_primitive_async(request, "bytes", {"XXX": ODataError})  # type: ignore[union-attr]
        except APIError as error:
            raise _translate(error, absolute, self._clock.now()) from error
        except Exception as error:
            # The SDK lets httpx, h2, azure-identity and its own exceptions through; none of them is ours to decide on.
            raise _unavailable(error) from error

    def require_own(self, link: str) -> None:
        """Raise ForeignLink unless the link's origin is the configured Graph host."""
        if _origin(link) != self._origin:
            raise ForeignLink(f"a link from Microsoft Graph leads to another host than {self._origin[1]}; not followed")

    def _graph(self) -> GraphServiceClient:
        if self._client is None:
            import httpx
            from kiota_authentication_azure.azure_identity_authentication_provider import (
                AzureIdentityAuthenticationProvider,
            )
            from kiota_http.middleware.options import RedirectHandlerOption, RetryHandlerOption
            from msgraph.graph_request_adapter import GraphRequestAdapter
            from msgraph.graph_service_client import GraphServiceClient
            from msgraph_core import GraphClientFactory

            host = self._origin[1]
            authentication = AzureIdentityAuthenticationProvider(
                self._credential, scopes=[f"https://{_audience(host)}/.default"], allowed_hosts=[host]
            )
            options: Any = {
                RetryHandlerOption.get_key(): RetryHandlerOption(max_retries=0, should_retry=False),
                # What another address answers is not Graph's word, even when no token was sent there.
                RedirectHandlerOption.get_key(): RedirectHandlerOption(should_redirect=False),
            }
            self._transport = httpx.AsyncHTTPTransport(http2=True)
            bare = httpx.AsyncClient(transport=self._transport, timeout=httpx.Timeout(60.0, connect=10.0))
            http = GraphClientFactory.create_with_default_middleware(client=bare, options=options)
            self._adapter = GraphRequestAdapter(authentication, client=http)
            self._adapter.base_url = self._base_url
            self._client = GraphServiceClient(request_adapter=self._adapter)
        return self._client


def _origin(url: str) -> tuple[str, str, int | None]:
    try:
        parts = urlsplit(url)
        port = parts.port or {"https": 443, "http": 80}.get(parts.scheme)
    except ValueError:
        raise ForeignLink("a link from Microsoft Graph is no URL; not followed") from None
    return parts.scheme, (parts.hostname or "").lower(), port


def _audience(host: str) -> str:
    return "graph.microsoft.com" if host in LOOPBACK else host


def _translate(error: Any, url: str, now: datetime) -> GraphError:
    status = error.response_status_code or 0
    headers = error.response_headers or {}
    code = str(getattr(getattr(error, "error", None), "code", "") or "")
    if status == 410 or (status in (400, 404) and code.lower() in _RESET_CODES):
        return SynchronizationReset("the delta token is no longer valid; a full round starts")
    if status == 429 or (status == 503 and headers.get("retry-after")):
        return GraphThrottled(_retry_after_s(headers.get("retry-after"), now))
    if status in (401, 403):
        permission = next((name for prefix, name in _PERMISSIONS if prefix in url), "User.Read.All")
        return GraphRefused(status, permission, code=code[:60])
    if status == 404 and code:
        # Only an answer in Graph's own shape says that something does not exist; a proxy's 404 says nothing.
        return GraphNotFound("Microsoft Graph knows no such object")
    return GraphUnavailable(f"Microsoft Graph answered {status}{f' ({code[:60]})' if code else ''}")


def _unavailable(error: Exception) -> GraphError:
    name = type(error).__name__
    if name in ("CredentialUnavailableError", "ClientAuthenticationError"):
        return GraphRefused(401, "User.Read.All")
    return GraphUnavailable(f"Microsoft Graph could not be reached: {name}")


def _retry_after_s(value: str | None, now: datetime) -> float:
    text = (value or "").strip()
    if text.isascii() and text.isdigit():
        return min(_LONGEST_WAIT_S, float(text))
    try:
        return min(_LONGEST_WAIT_S, max(1.0, (parsedate_to_datetime(text) - now).total_seconds()))
    except (ValueError, TypeError):
        return _DEFAULT_WAIT_S


def _parse(body: Any) -> dict[str, Any]:
    try:
        document: Any = json.loads(body)
    except (ValueError, TypeError, RecursionError):
        raise GraphUnavailable("an answer of Microsoft Graph was cut short or is no JSON") from None
    if not isinstance(document, dict):
        raise GraphUnavailable("an answer of Microsoft Graph is no JSON object")
    if b"\\ud" in body.lower():
        document = _without_lone_surrogates(document)
    if "value" in document and not isinstance(document["value"], list):
        raise GraphUnavailable("a page of Microsoft Graph has no list of objects")
    result: dict[str, Any] = document
    return result


def _without_lone_surrogates(value: Any) -> Any:
    """Half an escaped emoji is legal JSON and no legal text: storage and vendors would refuse it."""
    match value:
        case str():
            return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        case list():
            return [_without_lone_surrogates(entry) for entry in value]
        case dict():
            return {name: _without_lone_surrogates(entry) for name, entry in value.items()}
        case _:
            return value
