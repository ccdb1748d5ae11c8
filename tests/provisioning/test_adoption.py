"""Accounts that were there before: adopted when they are certainly free or ours, never touched otherwise."""

from __future__ import annotations

import pytest

from shared.provisioning.accounts import AccountState
from shared.provisioning.attempt import OwnCode
from shared.scim.error_catalogue import ErrorCode
from tests.provisioning.stories import Scenery, open_stage
from tests.simulation.vendors.options import VendorOptions

CLEARING = Scenery(more="adoption: {clears: true}")


async def test_a_free_account_is_claimed_before_its_first_write(azurite: str) -> None:
    async with open_stage(azurite) as stage:
        [target] = stage.acme.seed([{"userName": "ann@contoso.example", "active": False}])
        user_id = stage.hire(userPrincipalName="ann@contoso.example")

        await stage.settle()

        assert (await stage.account(user_id)).target_id == target
        assert await stage.findings() == []
        assert [entry.method for entry in stage.acme.journal] == ["GET", "PATCH"]


async def test_an_adopted_account_keeps_what_the_directory_is_silent_about(azurite: str) -> None:
    """As with Entra: whoever connects a vendor does not empty its accounts by that."""
    async with open_stage(azurite) as stage:
        [target] = stage.acme.seed([{"userName": "ann@contoso.example", "active": True, "title": "Root"}])
        user_id = stage.hire(userPrincipalName="ann@contoso.example", jobTitle=None)
        await stage.settle()
        kept = stage.resource(target)["title"]

        stage.tenant.update(user_id, jobTitle="Pilot")
        await stage.settle()
        stage.tenant.update(user_id, jobTitle=None)
        await stage.settle()

        assert kept == "Root"
        assert stage.resource(target).get("title") is None


async def test_an_adopted_account_keeps_nothing_that_the_directory_does_not_say_where_adoption_clears(
    azurite: str,
) -> None:
    async with open_stage(azurite, CLEARING) as stage:
        beforehand = {"userName": "ann@contoso.example", "active": True, "title": "Root", "nickName": "annie"}
        [target] = stage.acme.seed([{**beforehand, "emails": [{"type": "home", "value": "ann@home.example"}]}])
        user_id = stage.hire(userPrincipalName="ann@contoso.example", jobTitle=None)

        await stage.settle()

        there = stage.resource(target)
        assert (await stage.account(user_id)).target_id == target
        assert await stage.findings() == []
        assert (there.get("title"), there["nickName"], there["emails"][0]["value"]) == (
            None,
            "annie",
            "ann@home.example",
        )


@pytest.mark.parametrize(
    ("fault", "options"),
    [
        ("reset", {"applied": False}),
        ("reset", {"applied": True}),
        ("throttle", {"retry_after": 3}),
        ("error", {"status": 400}),
    ],
    ids=["no answer", "a lost answer", "not now", "a refusal"],
)
async def test_an_adoption_that_takes_two_tries_clears_what_was_there_all_the_same(
    fault: str, options: dict[str, object], azurite: str
) -> None:
    async with open_stage(azurite, CLEARING) as stage:
        stage.acme.seed([{"userName": "ann@contoso.example", "active": True, "title": "Root"}])
        stage.acme.faults.add(fault, method="PATCH", **options)
        stage.hire(userPrincipalName="ann@contoso.example", jobTitle=None)

        await stage.settle()
        # The ladder's first rung.
        await stage.pass_time(6 * 3600)
        await stage.settle()

        assert await stage.findings() == []


async def test_the_adopted_account_of_ones_own_manager_gets_its_manager(azurite: str) -> None:
    async with open_stage(azurite) as stage:
        stage.acme.seed([{"userName": "ann@contoso.example", "active": True}])
        user_id = stage.hire(userPrincipalName="ann@contoso.example")
        stage.tenant.set_manager(user_id, user_id)

        await stage.settle()

        assert await stage.findings() == []


async def test_an_account_with_somebody_elses_external_id_is_never_written(azurite: str) -> None:
    async with open_stage(azurite) as stage:
        stage.seed_foreign("ann@contoso.example")
        user_id = stage.hire(userPrincipalName="ann@contoso.example")

        await stage.settle()

        account = await stage.account(user_id)
        assert (account.state, account.error_code) == (AccountState.ESCROWED, OwnCode.FOREIGN_ACCOUNT)
        assert await stage.findings(excused={user_id}) == []
        assert {entry.method for entry in stage.acme.journal} == {"GET"}


async def test_two_hits_are_never_guessed_between(azurite: str) -> None:
    async with open_stage(azurite, Scenery(options=VendorOptions(user_name_unique=False))) as stage:
        for _ in range(2):
            stage.seed_foreign("ann@contoso.example", external_id=None)
        user_id = stage.hire(userPrincipalName="ann@contoso.example")

        await stage.settle()

        assert (await stage.account(user_id)).error_code == ErrorCode.DUPLICATE_TARGETS
        assert await stage.findings(excused={user_id}) == []


async def test_a_rename_onto_a_foreign_account_ends_in_escrow_and_touches_nobody(azurite: str) -> None:
    async with open_stage(azurite) as stage:
        stage.seed_foreign("ann@contoso.example")
        user_id = await stage.provisioned(userPrincipalName="bob@contoso.example")
        stage.rename(user_id, "ann")

        await stage.settle()

        account = await stage.account(user_id)
        assert (account.state, account.error_code) == (AccountState.ESCROWED, OwnCode.FOREIGN_ACCOUNT)
        assert await stage.keys("match") == {}
        assert await stage.findings(excused={user_id}) == []


async def test_an_account_the_vendor_cannot_find_yet_is_not_created_twice(azurite: str) -> None:
    async with open_stage(
        azurite, Scenery(options=VendorOptions(visible_after_s=200, user_name_unique=False))
    ) as stage:
        user_id = stage.hire(userPrincipalName="ann@contoso.example")
        await stage.sync()
        await stage.deliver()
        stage.tenant.update(user_id, jobTitle="Astronaut")

        await stage.settle()

        assert await stage.findings() == []
        assert [entry.method for entry in stage.acme.journal].count("POST") == 1
