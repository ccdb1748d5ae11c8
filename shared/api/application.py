"""The API as one ASGI application: routes, problems, the audit trail, and its description.

`openapi.json` beside this file is what clients read; a test compares it with the code.
"""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

from shared.api import (
    account_routes,
    application_routes,
    audit_routes,
    drift_routes,
    held_routes,
    log_routes,
    people_routes,
    preview_routes,
)
from shared.api.frame import Frame
from shared.api.problems import MEDIA_TYPE, PROBLEM_SCHEMA, answer_problems
from shared.composition import Services

PREFIX = "/api"
"""`extensions.http.routePrefix` of host.json."""

_DESCRIPTION = (
    "What an operator sees and does. Send the function key as `x-functions-key`: the key of the function `observe` "
    "opens what is read with GET, the key of `operate` opens POST. Every POST that is more than a preview or a test of "
    "the connection names who acts in `X-Actor`. Instants are UTC, ISO 8601. What goes wrong is a problem document "
    "(RFC 9457); 401 comes from the platform, without a body."
)
_PROBLEM = {
    "description": "What went wrong.",
    "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
}
_ROUTERS = (
    application_routes,
    account_routes,
    held_routes,
    drift_routes,
    log_routes,
    people_routes,
    preview_routes,
    audit_routes,
)


def build_api(services: Services) -> FastAPI:
    """The API of a composed product. Nothing is connected before a request needs it."""
    api = FastAPI(
        title="SCIM provisioner",
        version="1",
        description=_DESCRIPTION,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        generate_unique_id_function=lambda route: route.name,
        redirect_slashes=False,
    )
    api.state.services = services
    answer_problems(api)
    for module in _ROUTERS:
        api.include_router(module.router, prefix=PREFIX)
    api.add_api_route(f"{PREFIX}/openapi.json", lambda: describe_api(api), include_in_schema=False)
    api.add_middleware(Frame)
    return api


def describe_api(api: FastAPI) -> dict[str, Any]:
    """The OpenAPI document: every operation, the key, and what a problem looks like."""
    document = api.openapi()
    components = document.setdefault("components", {})
    components["securitySchemes"] = {"functionKey": {"type": "apiKey", "in": "header", "name": "x-functions-key"}}
    document["security"] = [{"functionKey": []}]
    schemas = components.setdefault("schemas", {})
    schemas["Problem"] = dict(PROBLEM_SCHEMA)
    # The framework's own words for a request that it refuses; ours is a problem document, too.
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    for path in document["paths"].values():
        for operation in path.values():
            operation["responses"].pop("422", None)
            operation["responses"]["default"] = _PROBLEM
    return document
