"""Two people swap user name and mail, at vendors that keep both unique."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.simulation.tenant import Tenant
from tests.simulation.vendors import ClarizenSimulator, FuzeSimulator, PureCloudSimulator, VendorSimulator
from tests.world import HandClock, World, open_world


def _work_email(resource: dict[str, object]) -> object:
    return next(each["value"] for each in resource["emails"] if each["type"] == "work")  # type: ignore[attr-defined, union-attr]


def _swap(tenant: Tenant, one: str, other: str, swapped: tuple[str, ...]) -> None:
    names = [{name: tenant.user(user_id)[name] for name in swapped} for user_id in (one, other)]
    tenant.update(one, **names[1])
    tenant.update(other, **names[0])


async def _accounts(world: World, user_ids: list[str]) -> list[tuple[str, object]]:
    by_id = {resource["id"]: resource for resource in world.vendors["app"].resources()}
    found = [by_id[(await world.account("app", user_id)).target_id] for user_id in user_ids]
    return [(str(resource["userName"]), _work_email(resource)) for resource in found]


BOTH = ("userPrincipalName", "mail")
NAME = ("userPrincipalName",)


@pytest.mark.parametrize(
    ("simulator", "profile", "swapped"),
    [
        pytest.param(FuzeSimulator, "fuze", BOTH, id="Fuze matches by mail and keeps the user name unique too"),
        pytest.param(FuzeSimulator, "fuze", NAME, id="Fuze, where only the name that it cannot filter is swapped"),
        pytest.param(
            PureCloudSimulator, "purecloud", BOTH, id="PureCloud matches by user name and keeps the mail unique too"
        ),
        pytest.param(ClarizenSimulator, "clarizen-one", BOTH, id="Clarizen keeps only the user name unique"),
        pytest.param(ClarizenSimulator, "clarizen-one", NAME, id="Clarizen, where only the name is swapped"),
    ],
)
async def test_two_people_who_swap_user_name_and_mail_both_arrive(
    simulator: type[VendorSimulator],
    profile: str,
    swapped: tuple[str, ...],
    azurite: str,
    name_prefix: str,
    tmp_path: Path,
) -> None:
    tenant = Tenant(1, 12)
    pair = [user_id for user_id in tenant.user_ids() if "mail" in tenant.user(user_id)][:2]
    principal = tenant.create_service_principal("Swapping")
    role = tenant.service_principals[principal]["appRoles"][0]["id"]
    for user_id in pair:
        tenant.assign(principal, user_id, role)
    clock = HandClock()
    async with open_world(
        tmp_path,
        azurite=azurite,
        prefix=name_prefix,
        tenant=tenant,
        vendors={"app": simulator(clock=lambda: clock.now().timestamp())},
        configure=lambda vendors, _: (
            f"app:\n  profile: {profile}\n  service_principal_id: {principal}\n"
            f"  base_url: {vendors['app'].base_url}\n  auth: {{type: bearer, token: APP_TOKEN}}\n"
        ),
        clock=clock,
    ) as world:
        await world.provision_all()
        before = await _accounts(world, pair)

        _swap(tenant, *pair, swapped)
        await world.provision_all()

        after = await _accounts(world, pair)
        assert [name for name, _ in after] == [name for name, _ in before[::-1]]
        assert [mail for _, mail in after] == [mail for _, mail in (before[::-1] if "mail" in swapped else before)]
        assert world.vendors["app"].violations == []
