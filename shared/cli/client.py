"""The API as the command line calls it: a deployed app's over the network, or this machine's own in this process.

With `PROVISIONER_URL` set, a function app is asked, with the key in `PROVISIONER_KEY`. Without it the same API runs
inside the command, on the settings and the storage that the app would use.
"""

from __future__ import annotations

import getpass
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, TypeVar

from shared.cli.exit_codes import ExitCode
from shared.cli.refusals import CommandRefused
from shared.config.urls import AddressError, checked_url
from shared.operations.pages import Page

if TYPE_CHECKING:
    import httpx

T = TypeVar("T")

URL: Final = "PROVISIONER_URL"
KEY: Final = "PROVISIONER_KEY"
ACTOR: Final = "PROVISIONER_ACTOR"

_TIMEOUT_S: Final = 240.0
"""The platform ends a request after 230 s by itself."""

_PAGE: Final = 500
_NEXT: Final = "X-Next-Cursor"

_CODES: Final = {
    "configuration": ExitCode.CONFIGURATION,
    "setting-missing": ExitCode.CONFIGURATION,
    "storage-unavailable": ExitCode.UNAVAILABLE,
    "storage-refused": ExitCode.UNAVAILABLE,
    "directory-unavailable": ExitCode.UNAVAILABLE,
    "vendor-rate": ExitCode.UNAVAILABLE,
    "list-changed": ExitCode.UNAVAILABLE,
}
"""Problem -> exit code; of the others 409 needs a person, the rest was called wrongly."""


class Api:
    """Asks, and turns answers into reports and refusals into `CommandRefused`."""

    def __init__(self, client: httpx.AsyncClient, *, address: str) -> None:
        self._client = client
        self._address = address

    async def get(self, path: str, kind: type[T], **query: Any) -> T:
        """Read a report. Raises CommandRefused."""
        given = {name: value for name, value in query.items() if value not in ("", None)}
        return _decode(await self._ask("GET", path, params=given), kind)

    async def collect(self, path: str, kind: type[T], *, most: int = 0, **query: Any) -> list[T]:
        """Read a list page by page, all of it or the first `most` items. Raises CommandRefused."""
        found: list[T] = []
        cursor = ""
        while not most or len(found) < most:
            limit = min(_PAGE, most - len(found)) if most else _PAGE
            page = await self.get(path, Page[kind], limit=limit, cursor=cursor, **query)  # type: ignore[valid-type]
            found += page.items
            if page.next is None:
                break
            cursor = page.next
        return found

    async def post(self, path: str, kind: type[T], body: Mapping[str, Any] | None = None) -> T:
        """Do something, and read what came of it. Raises CommandRefused."""
        return _decode(await self._ask("POST", path, json=dict(body or {})), kind)

    async def download(self, path: str, **query: Any) -> AsyncIterator[bytes]:
        """Read a file, and those that follow where it was cut. Raises CommandRefused."""
        given = {name: value for name, value in query.items() if value not in ("", None)}
        while True:
            answer = await self._ask("GET", path, params=given)
            yield answer.content
            if _NEXT not in answer.headers:
                return
            given["cursor"] = answer.headers[_NEXT]

    async def _ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        import httpx

        try:
            answer = await self._client.request(method, path, **options)
        except httpx.TransportError as error:
            raise CommandRefused(
                f"{self._address} cannot be reached ({type(error).__name__}); check {URL} and that this machine may "
                "open connections to it",
                code=ExitCode.UNAVAILABLE,
            ) from error
        if answer.status_code >= 400:
            raise self._refusal(answer)
        return answer

    def _refusal(self, answer: httpx.Response) -> CommandRefused:
        if answer.status_code in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            return CommandRefused(
                f"{self._address} refuses the key: {KEY} must hold the key of the function `observe` to read, of "
                "`operate` to act, or a host key for both",
                code=ExitCode.CONFIGURATION,
            )
        if answer.headers.get("content-type", "") != "application/problem+json":
            return CommandRefused(
                f"{self._address} answers {answer.status_code} and not as the provisioner does; check {URL}, and "
                "Application Insights if it is the right one",
                code=ExitCode.UNAVAILABLE,
            )
        problem = answer.json()
        lines = [str(each["detail"]) for each in problem.get("errors", [])] or [str(problem["detail"])]
        otherwise = ExitCode.ATTENTION if answer.status_code == HTTPStatus.CONFLICT else ExitCode.USAGE
        return CommandRefused(*lines, code=_CODES.get(str(problem["type"]).rpartition(":")[2], otherwise))


@asynccontextmanager
async def open_api(environment: Mapping[str, str]) -> AsyncIterator[Api]:
    """Connect to the API that the settings mean. Raises CommandRefused, SettingsError, ConfigurationError."""
    import httpx

    headers = {"X-Client": "command line", "X-Actor": environment.get(ACTOR, "") or _this_person()}
    url = environment.get(URL, "")
    if url:
        address = _checked(url)
        headers["x-functions-key"] = environment.get(KEY, "")
        async with httpx.AsyncClient(base_url=f"{address}/api", headers=headers, timeout=_TIMEOUT_S) as client:
            yield Api(client, address=address)
        return
    from shared.api.application import build_api
    from shared.composition import load_services

    services = load_services(environment)
    headers["X-Forwarded-For"] = socket.gethostname()
    transport = httpx.ASGITransport(app=build_api(services))
    try:
        async with httpx.AsyncClient(transport=transport, base_url="http://local/api", headers=headers) as client:
            yield Api(client, address="this machine")
    finally:
        await services.close()


def _checked(url: str) -> str:
    try:
        return checked_url(url, key=URL)
    except AddressError as error:
        raise CommandRefused(f"{URL}: not usable; expected {error.expected}", code=ExitCode.CONFIGURATION) from error


def _this_person() -> str:
    try:
        name = getpass.getuser()
    except (OSError, KeyError):
        # A container whose user has no name.
        name = "unknown"
    return f"{name} at {socket.gethostname()}"[:100]


def _decode(answer: httpx.Response, kind: type[T]) -> T:
    from pydantic import TypeAdapter, ValidationError

    try:
        return TypeAdapter(kind).validate_json(answer.content)
    except ValidationError as error:
        raise CommandRefused(
            "the answer is of another version of the provisioner than this command line; use the same version",
            code=ExitCode.UNAVAILABLE,
        ) from error
