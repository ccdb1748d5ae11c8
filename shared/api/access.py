"""What every route asks first: which application is meant, and who acts.

Keys are checked by the platform before a request comes here: the key of `observe` reads, the key of `operate` acts. Who
acts says so in `X-Actor`; where the platform's sign-in is switched on, its word counts instead.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import Depends, Header, Path, Request

from shared.api.problems import not_found, refused
from shared.composition import Services
from shared.config.applications import Application
from shared.provisioning.audit_trail import AuditRecord

_ACTOR = re.compile(r"[^\x00-\x1f\x7f-\x9f]{1,100}")
_CLIENTS = ("dashboard", "command line")
_SIGNED_IN = "x-ms-client-principal-name"
"""Set by App Service Authentication, which removes what a client sends under this name; trusted only where it is on."""

AppName = Annotated[str, Path(alias="app", description="Name of an application in provisioning.yaml.", max_length=100)]


def composed(request: Request) -> Services:
    """The product, its storage not looked at."""
    services: Services = request.app.state.services
    return services


async def prepared(request: Request) -> Services:
    """The product, with its tables and queues there. Raises StorageUnavailable."""
    services = composed(request)
    await services.ensure_storage()
    return services


Composed = Annotated[Services, Depends(composed)]
Prepared = Annotated[Services, Depends(prepared)]


def pick_application(services: Services, name: str) -> Application:
    """The application of that name. Raises Problem naming those there are."""
    found = services.applications.get(name)
    if found is None:
        known = ", ".join(services.applications) or "none"
        raise not_found("unknown-application", f"no application is called {name[:100]}; provisioning.yaml has: {known}")
    return found


def chosen_application(services: Composed, name: AppName) -> Application:
    """The application of the path."""
    return pick_application(services, name)


Chosen = Annotated[Application, Depends(chosen_application)]


class Act:
    """One action of one person, on its way into the audit trail."""

    def __init__(self, services: Services, record: AuditRecord) -> None:
        self._services = services
        self._record = record
        self._detail: dict[str, Any] = {}

    def note(self, **detail: Any) -> None:
        """Add what was asked for, or came of it, to the record."""
        self._detail |= detail

    async def conclude(self, status: int) -> None:
        """Complete the record. Raises StorageUnavailable."""
        await self._services.audit.conclude(self._record, str(status), detail=self._detail)


async def acting(
    request: Request,
    services: Prepared,
    x_actor: Annotated[str, Header(description="Who acts: a name or an address, for the audit trail.")] = "",
    x_client: Annotated[str, Header(description="`dashboard` or `command line`.")] = "",
) -> Act:
    """Note the action before it is done; `Frame` completes the record when the answer is known.

    Raises Problem when nobody says who acts, or the application does not exist.
    """
    actor, is_verified = _read_actor(request, services, x_actor)
    params: Mapping[str, str] = request.path_params
    application = pick_application(services, params["app"]) if "app" in params else None
    record = await services.audit.begin(
        request.scope["route"].name,
        actor=actor,
        is_verified=is_verified,
        address=_read_address(request),
        via=x_client if x_client in _CLIENTS else "api",
        application=application.name if application else "",
        config=application.config_hash if application else "",
        detail={name: value[:200] for name, value in params.items() if name != "app"},
    )
    act = Act(services, record)
    request.state.act = act
    return act


Acting = Annotated[Act, Depends(acting)]


def _read_actor(request: Request, services: Services, given: str) -> tuple[str, bool]:
    if services.settings.environment.get("WEBSITE_AUTH_ENABLED", "").lower() == "true":
        signed_in = request.headers.get(_SIGNED_IN, "")
        if signed_in:
            return signed_in[:100], True
    if not _ACTOR.fullmatch(given.strip()):
        raise refused("actor", "Say who acts in the header X-Actor: 1 to 100 characters; it goes into the audit trail.")
    return given.strip(), False


def _read_address(request: Request) -> str:
    """Where the request came from: the last hop is the one that the platform's own front end wrote."""
    hops = request.headers.get("x-forwarded-for", "").split(",")
    return hops[-1].strip()[:60]
