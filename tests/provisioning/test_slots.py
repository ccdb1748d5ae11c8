"""A request leaves in its slot and at no other time: what is written before it must not make it late."""

from __future__ import annotations

from pathlib import Path

from shared.provisioning.account_rows import LeaseRequest, RowMoved
from shared.provisioning.accounts import ACCOUNTS, Account, Intent, IntentKind, ResourceKind
from shared.storage.durable_writes import DurableWrite, Moment
from shared.storage.limiter import RateLimited
from shared.storage.slots import LATENESS_S
from shared.storage.tables import Operation
from tests.simulation.tenant import Tenant
from tests.simulation.vendors import AcmeSimulator
from tests.world import HandClock, World, minimal_configuration, open_world

RATE = 10.0


def _world(azurite: str, prefix: str, folder: Path, clock: HandClock):
    tenant = Tenant(1, 12)
    principal = tenant.create_service_principal("Slots")
    role = tenant.service_principals[principal]["appRoles"][0]["id"]
    tenant.assign(principal, tenant.user_ids()[0], role)
    return open_world(
        folder,
        azurite=azurite,
        prefix=prefix,
        tenant=tenant,
        vendors={"app": AcmeSimulator(clock=lambda: clock.now().timestamp())},
        configure=lambda vendors, _: minimal_configuration(
            "app", vendors["app"], principal, more=f"rate_limit: {{requests_per_second: {RATE}}}"
        ),
        clock=clock,
    )


async def test_a_slot_that_is_over_is_not_entered(azurite: str, name_prefix: str, tmp_path: Path) -> None:
    clock = HandClock()
    async with _world(azurite, name_prefix, tmp_path, clock) as world:
        limiter = world.services.limiter
        slot = await limiter.reserve("app", RATE, first=False)
        late = await limiter.reserve("app", RATE, first=False)

        assert await limiter.enter("app", slot)
        assert clock.now() == slot
        clock.advance((late - clock.now()).total_seconds() + LATENESS_S * 1.01)
        assert not await limiter.enter("app", late)


async def test_a_slow_lease_write_costs_another_slot_instead_of_a_late_request(
    azurite: str, name_prefix: str, tmp_path: Path
) -> None:
    clock = HandClock()
    entered: list[bool] = []

    def stall(write: DurableWrite, moment: Moment) -> None:
        if (write, moment) == (DurableWrite.LEASE_AND_INTENT, Moment.BEFORE):
            clock.advance(0.3)

    def watch(world: World) -> None:
        enter = world.services.limiter.enter

        async def watched(*slot: object) -> bool:
            entered.append(await enter(*slot))  # type: ignore[arg-type]
            return entered[-1]

        world.services.limiter.enter = watched  # type: ignore[method-assign]

    async with _world(azurite, name_prefix, tmp_path, clock) as world:
        world.restart(stall)
        watch(world)

        await world.sync()
        await world.deliver()

        assert len(world.active("app")) == 1
        assert entered == [True, False, True]


async def test_a_write_without_a_slot_is_taken_back_unsent(azurite: str, name_prefix: str, tmp_path: Path) -> None:
    clock = HandClock()
    async with _world(azurite, name_prefix, tmp_path, clock) as world:
        limiter, calls = world.services.limiter, []
        depart = limiter.depart

        async def refused_once(*slot: object, first: bool) -> None:
            calls.append(slot)
            if len(calls) == 2:
                raise RateLimited(1.0)
            await depart(*slot, first=first)  # type: ignore[arg-type]

        limiter.depart = refused_once  # type: ignore[method-assign]

        await world.sync()
        await world.deliver()

        account = await world.account("app", world.tenant.user_ids()[0])
        assert [entry.method for entry in world.vendors["app"].journal] == ["GET"]
        assert (account.intent, account.lease_token, account.pending) == (None, "", True)
        await world.settle()
        assert len(world.active("app")) == 1


async def test_a_slot_of_an_account_that_moved_is_used_by_the_next_try(
    azurite: str, name_prefix: str, tmp_path: Path
) -> None:
    clock = HandClock()
    async with _world(azurite, name_prefix, tmp_path, clock) as world:
        rows, moved = world.services.rows, []
        take_lease = rows.take_lease

        async def moved_once(account: Account, request: LeaseRequest) -> Account:
            if not moved:
                moved.append(account)
                raise RowMoved
            return await take_lease(account, request)

        rows.take_lease = moved_once  # type: ignore[method-assign]

        await world.sync()
        await world.deliver()

        slots = world.services.limiter.slots
        assert len(world.active("app")) == 1
        assert slots["reserved"] == slots["entered"] == len(world.vendors["app"].journal)


async def test_a_reservation_is_taken_back_to_another_spelling_of_the_same_name(
    azurite: str, name_prefix: str, tmp_path: Path
) -> None:
    clock = HandClock()
    async with _world(azurite, name_prefix, tmp_path, clock) as world:
        rows = world.services.rows
        row = Operation.insert("user:1", {"wanted": "0000000001.00000001.000", "pending": True})
        await world.services.tables.commit(DurableWrite.RAISE, ACCOUNTS, "app", [row])
        account = await rows.read("app", ResourceKind.USER, "1")

        def request(token: str, name: str) -> LeaseRequest:
            intent = Intent(kind=IntentKind.PATCH, matching=name)
            return LeaseRequest(token=token, until=clock.now(), intent=intent, at=clock.now())

        in_doubt = await rows.take_lease(account, request("first", "Ada@x"))
        leased = await rows.take_lease(in_doubt, request("second", "ada@x"))
        await rows.undo_intent(leased, in_doubt)

        after = await rows.read("app", ResourceKind.USER, "1")
        assert (after.lease_token, after.intent) == ("", in_doubt.intent)
        assert await rows.find_reservation("app", ResourceKind.USER, "ada@x") == "user:1"
