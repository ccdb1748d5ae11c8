"""What goes wrong, as a problem document (RFC 9457): a type that programs match, a sentence that people can act on.

Nothing from inside is told: no exception text, no storage name, no value that was sent beyond what it was called.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from shared.config.applications import ConfigurationError
from shared.config.settings import MissingSecretError
from shared.operations.cursors import CursorRefused
from shared.operations.pages import FilterRefused
from shared.operations.people import TermRefused
from shared.operations.previewing.previewer import PreviewRefused
from shared.provisioning.held_deletions import ListChanged
from shared.storage.limiter import RateLimited
from shared.storage.tables import StorageRefused, StorageUnavailable

MEDIA_TYPE = "application/problem+json"
_PREFIX = "urn:scim-provisioner:problem:"
_MOST = 50
"""Mistakes that are listed."""

PROBLEM_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string", "format": "uri", "description": f"{_PREFIX}<name>; stable."},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "What is wrong and what to do."},
        "errors": {
            "type": "array",
            "description": "Each mistake by itself, where there can be several.",
            "items": {
                "type": "object",
                "properties": {"pointer": {"type": "string"}, "detail": {"type": "string"}},
            },
        },
    },
}


class Problem(Exception):
    """A request that cannot be answered as asked."""

    def __init__(
        self,
        status: HTTPStatus,
        name: str,
        detail: str,
        *,
        errors: list[dict[str, str]] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.name = name
        self.detail = detail
        self.errors = errors or []
        self.headers = headers or {}

    def response(self) -> JSONResponse:
        """The document."""
        content: dict[str, Any] = {
            "type": f"{_PREFIX}{self.name}",
            "title": self.status.phrase,
            "status": int(self.status),
            "detail": self.detail,
        }
        if self.errors:
            content["errors"] = self.errors
        return JSONResponse(content, status_code=self.status, headers=dict(self.headers), media_type=MEDIA_TYPE)


def not_found(name: str, detail: str) -> Problem:
    """What was asked for does not exist."""
    return Problem(HTTPStatus.NOT_FOUND, name, detail)


def conflict(name: str, detail: str) -> Problem:
    """What was asked for cannot be done now."""
    return Problem(HTTPStatus.CONFLICT, name, detail)


def unavailable(name: str, detail: str) -> Problem:
    """Something that is needed does not answer."""
    return Problem(HTTPStatus.SERVICE_UNAVAILABLE, name, detail, headers={"Retry-After": "5"})


def refused(name: str, detail: str) -> Problem:
    """The request itself is wrong."""
    return Problem(HTTPStatus.BAD_REQUEST, name, detail)


def answer_problems(api: FastAPI) -> None:
    """Let every expected failure end as a problem document. A bug raises, and fails the invocation."""

    def answers(kind: type[Exception], make: Callable[[Any], Problem]) -> None:
        async def answer(_: Request, error: Exception) -> JSONResponse:
            return make(error).response()

        api.add_exception_handler(kind, answer)

    answers(Problem, lambda problem: problem)
    answers(StorageUnavailable, _storage)
    answers(RateLimited, _rate)
    answers(ConfigurationError, _configuration)
    answers(MissingSecretError, _setting)
    answers(CursorRefused, lambda error: refused("cursor", str(error)))
    answers(FilterRefused, lambda error: refused("filter", str(error)))
    answers(TermRefused, lambda error: refused("search", str(error)))
    answers(PreviewRefused, lambda error: refused("preview", str(error)))
    answers(ListChanged, _list_changed)
    answers(RequestValidationError, _validation)
    answers(HTTPException, _http)


def _storage(error: StorageUnavailable) -> Problem:
    if isinstance(error, StorageRefused):
        detail = f"{error}. Nothing is lost; it goes on by itself when the cause is gone."
        return Problem(HTTPStatus.SERVICE_UNAVAILABLE, "storage-refused", detail, headers={"Retry-After": "60"})
    detail = "storage does not answer; nothing is lost. Check AzureWebJobsStorage; here ./dev host starts Azurite"
    return Problem(HTTPStatus.SERVICE_UNAVAILABLE, "storage-unavailable", detail, headers={"Retry-After": "5"})


def _rate(error: RateLimited) -> Problem:
    detail = "The vendor's rate has no room now, or it asked for a pause. Try again after Retry-After seconds."
    wait_s = str(max(1, round(error.wait_s)))
    return Problem(HTTPStatus.SERVICE_UNAVAILABLE, "vendor-rate", detail, headers={"Retry-After": wait_s})


def _configuration(error: ConfigurationError) -> Problem:
    many = len(error.problems) > _MOST
    detail = (
        f"provisioning.yaml cannot be used; {f'the first {_MOST} mistakes are' if many else 'every mistake is'} listed."
    )
    errors = [{"pointer": "", "detail": str(problem)} for problem in error.problems[:_MOST]]
    return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "configuration", detail, errors=errors)


def _setting(error: MissingSecretError) -> Problem:
    return Problem(HTTPStatus.CONFLICT, "setting-missing", f"The setting {error.name} is missing or did not resolve.")


def _list_changed(_: ListChanged) -> Problem:
    detail = "The rows kept changing meanwhile; what is left is still held. Read the list and answer again."
    return conflict("list-changed", detail)


def _validation(error: RequestValidationError) -> Problem:
    errors = [
        {"pointer": "/".join(str(part) for part in each["loc"]), "detail": str(each["msg"])}
        for each in error.errors()[:_MOST]
    ]
    return Problem(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "invalid-request",
        "The request is not as described in openapi.json.",
        errors=errors,
    )


def _http(error: HTTPException) -> Problem:
    status = HTTPStatus(error.status_code)
    details = {
        HTTPStatus.NOT_FOUND: "There is no such address; see openapi.json.",
        HTTPStatus.METHOD_NOT_ALLOWED: "This address does not take this method; see openapi.json.",
    }
    name = status.phrase.lower().replace(" ", "-")
    return Problem(status, name, details.get(status, "The request cannot be read."), headers=error.headers)
