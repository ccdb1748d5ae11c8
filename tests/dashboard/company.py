"""What the dashboard shows in its tests: the deployed app, a vendor that refuses somebody, people with odd names."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import httpx

from tests.functions.deployment import Deployment, eventually, open_deployment
from tests.simulation.vendors import AcmeSimulator, FuzeSimulator
from tests.simulation.vendors.exchange import Answer, Exchange, Refusal
from tests.simulation.vendors.rules import Rule
from tests.simulation.vendors.simulator import VendorSimulator

KEY = "key-of-this-host"
HOSTILE = '<img src="x" onerror="alert(1)"><script>alert(2)</script>"\'&lt;{{7*7}}'
REFUSED = f"{HOSTILE} \N{RIGHT-TO-LEFT OVERRIDE}desufer si eman eht"
ODD_NAMES = {
    "html": f"Html {HOSTILE}",
    "emoji": "Emoji \N{WOMAN}\N{ZERO WIDTH JOINER}\N{ROCKET} \N{REGIONAL INDICATOR SYMBOL LETTER D}",
    "rtl": "Rtl \N{RIGHT-TO-LEFT OVERRIDE}\u05d3\u05e0\u05d9 \u05db\u05d4\u05df",
    "long": "Long" + "Donaudampfschifffahrtsgesellschaft" * 7,
}
GUARD = "deletion_guard: {max_count: 1, max_percent: 100, min_population: 0}"


def _refuse(sim: VendorSimulator, exchange: Exchange) -> Answer | None:
    name = exchange.payload.get("userName", "") if isinstance(exchange.payload, dict) else ""
    if isinstance(sim, ChoosyVendor) and sim.is_choosy and exchange.method == "POST" and name.startswith("refused"):
        raise Refusal(400, "invalidValue", REFUSED)
    return None


class ChoosyVendor(AcmeSimulator):
    """Acme, but it refuses user names that begin with `refused`, in words that are HTML."""

    rules: ClassVar[tuple[Rule, ...]] = (Rule(id="choosy", check=_refuse),)
    is_choosy = True


@dataclass(slots=True, kw_only=True)
class Company:
    """The deployment, and who is who in it."""

    deployment: Deployment
    vendor: ChoosyVendor
    url: str
    """Of the dashboard, with the slash."""
    leavers: list[str]
    """Unassigned from acme and from fuze, and held at both."""
    odd: dict[str, str]
    """Kind of name -> directory id of somebody who has it, and an account."""
    refused: str
    """Directory id of the person whom acme refuses."""

    async def read(self, address: str) -> Any:
        """Answers with what the API says."""
        async with httpx.AsyncClient(trust_env=False, headers={"x-functions-key": KEY}) as client:
            return (await client.get(f"{self.url}../{address}")).raise_for_status().json()

    async def states(self, app: str = "acme") -> dict[str, int]:
        """Answers with how many accounts are in which state."""
        states: dict[str, int] = (await self.read(f"applications/{app}"))["states"]
        return states


@asynccontextmanager
async def open_company(folder: Path) -> AsyncIterator[Company]:
    """Starts everything, and waits until three leavers are held at both vendors and one person failed at acme."""
    vendor = ChoosyVendor()
    with open_deployment(folder, users=12, vendors={"acme": vendor, "fuze": FuzeSimulator()}) as deployment:
        tenant = deployment.tenant
        deployment.guards = {"acme": GUARD, "fuze": GUARD}
        deployment.configure()
        people = [user for user in map(tenant.user, tenant.user_ids()) if user.get("accountEnabled")]
        members = [user["id"] for user in people if user["userType"] == "Member"][:6]
        odd = {kind: _hire(deployment, f"{kind}.name", name) for kind, name in ODD_NAMES.items()}
        refused = _hire(deployment, "refused.person", "Refused Person")
        for user_id in (*members, *odd.values()):
            deployment.assign(user_id)
        acme = deployment.principals["acme"]
        tenant.assign(acme, refused, deployment.role(acme))
        host = deployment.start(HOST_FUNCTION_KEY=KEY)
        company = Company(
            deployment=deployment,
            vendor=vendor,
            url=f"{host.url}/api/dashboard/",
            leavers=members[:3],
            odd=odd,
            refused=refused,
        )

        async def is_filled() -> bool:
            return len(deployment.held("acme")) == 10 and (await company.states())["escrowed"] == 1

        assert await eventually(lambda: len(deployment.held("fuze")) == 10), deployment.log()[-3000:]
        assert await eventually(is_filled), deployment.log()[-3000:]
        for user_id in company.leavers:
            deployment.unassign(user_id)

        async def is_held() -> bool:
            return [(await company.states(app))["held"] for app in ("acme", "fuze")] == [3, 3]

        assert await eventually(is_held), deployment.log()[-3000:]
        yield company


def _hire(deployment: Deployment, local_part: str, name: str) -> str:
    address = f"{local_part}@contoso.onmicrosoft.example"
    return deployment.tenant.hire(
        userPrincipalName=address,
        mail=address,
        displayName=name,
        givenName="A",
        surname="B",
        accountEnabled=True,
        userType="Member",
    )
