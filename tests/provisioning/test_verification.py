"""A round of verification at a vendor where people changed things by hand: found, reported, repaired, or left."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from shared.provisioning.accounts import ACCOUNTS, AccountState, ResourceKind
from shared.provisioning.applications_state import ApplicationStatus
from shared.provisioning.drift.comparing import VANISHED, DriftStatus
from shared.provisioning.drift.findings import Finding, Ownership, UnownedAccount, read_finding
from shared.provisioning.drift.rounds import DriftPhase, DriftRound
from tests.provisioning.meddling import meddle, remove
from tests.provisioning.pulls import APP, calm, people, pulling
from tests.world import World

Open = Callable[..., AbstractAsyncContextManager[World]]
DAY = 86_400
NOBODY = """
scoping_filters:
  - {name: none, clauses: [{attribute: department, operator: EQUALS, value: Nowhere}]}
"""


@pytest.fixture
def verifying(azurite: str, name_prefix: str) -> Open:
    """Answers with how to open a world in which everybody has an account and drift is looked for daily."""

    @asynccontextmanager
    async def opened(mode: str = "repair", *, users: int = 8, more: str = "", **given: Any) -> AsyncIterator[World]:
        text = f"scope: all\ndrift: {{mode: {mode}, every: 1d}}\n{more}"
        async with pulling(azurite, name_prefix, users=users, more=text, **given) as world:
            await calm(world)
            yield world

    return opened


async def run_round(world: World) -> DriftRound:
    """A day later housekeeping runs until the round is over; then what was raised is provisioned."""
    world.clock.advance(DAY)
    before = (await world.services.drift_rounds.read(APP)).started_at
    for _ in range(200):
        await world.services.housekeeper.keep_house()
        current = await world.services.drift_rounds.read(APP)
        if current.started_at != before and current.phase is DriftPhase.DONE:
            break
        world.clock.advance(300)
    else:
        raise AssertionError(f"the round does not end: {current}")
    await world.settle()
    return current


async def findings(world: World) -> dict[str, Finding]:
    rows = await world.services.tables.read_range(ACCOUNTS, APP, first="drift:", before="drift;")
    return {finding.source_id: finding for finding in map(read_finding, rows)}


async def unowned(world: World) -> dict[str, UnownedAccount]:
    pages = [page async for page in world.services.drift_findings.list_unowned(APP)]
    return {each.target_id: each for page in pages for each in page}


def held(world: World, target_id: str, kind: str = "User") -> dict[str, Any]:
    return next(found for found in world.vendors[APP].resources(kind) if found["id"] == target_id)


async def active_person(world: World) -> tuple[str, str]:
    """Somebody with an active account, and the vendor's id of it."""
    for user_id in people(world, 3):
        account = await world.account(APP, user_id)
        if account.state is AccountState.IN_SYNC:
            return user_id, account.target_id
    raise AssertionError("nobody has an account")


async def test_what_was_changed_at_the_vendor_is_written_again_and_nothing_else(verifying: Open) -> None:
    async with verifying() as world:
        vendor = world.vendors[APP]
        user_id, target_id = await active_person(world)
        name = held(world, target_id)["displayName"]
        meddle(vendor, target_id, displayName="Meddled", nickName="not ours")
        before = len(vendor.journal)

        done = await run_round(world)
        writes = [entry for entry in vendor.journal[before:] if entry.method not in ("GET", "HEAD")]

        assert held(world, target_id)["displayName"] == name
        assert held(world, target_id)["nickName"] == "not ours"
        assert [(entry.method, entry.path.endswith(target_id)) for entry in writes] == [("PATCH", True)]
        assert [each["path"] for each in writes[0].body["Operations"]] == ["displayName"]
        assert (done.drifted, done.repaired, done.vanished) == (1, 1, 0)
        found = (await findings(world))[user_id]
        assert (found.status, found.paths) == (DriftStatus.REPAIRING, {"displayName": (name, "Meddled")})
        reasons = [line["reason"] for line in await world.log(APP) if line["source_id"] == user_id]
        assert reasons[:2] == ["attributes_changed", "changed_at_vendor"]

        await run_round(world)
        assert await findings(world) == {}


async def test_a_report_writes_nothing(verifying: Open) -> None:
    async with verifying("report") as world:
        vendor = world.vendors[APP]
        user_id, target_id = await active_person(world)
        meddle(vendor, target_id, displayName="Meddled")
        before = len(vendor.journal)

        await run_round(world)
        found = (await findings(world))[user_id]
        await run_round(world)

        assert {entry.method for entry in vendor.journal[before:]} == {"GET"}
        assert found.status is DriftStatus.REPORTED
        assert (await findings(world))[user_id].found_at == found.found_at
        meddle(vendor, target_id, displayName=found.paths["displayName"][0])
        await run_round(world)
        assert await findings(world) == {}


async def test_without_drift_a_round_costs_a_request_a_page_and_changes_no_row(verifying: Open) -> None:
    async with verifying(users=30) as world:
        before = len(world.vendors[APP].journal)
        rows = await world.services.tables.read_range("accounts", APP, first="user:", before="user;")

        done = await run_round(world)

        assert len(world.vendors[APP].journal) - before == 2  # one page with everybody, and the empty one after it
        after = await world.services.tables.read_range("accounts", APP, first="user:", before="user;")
        assert [row.etag for row in after] == [row.etag for row in rows]
        assert done.sample.compared == sum(bool(row.values.get("target_id")) for row in rows)


async def test_a_leaver_who_was_enabled_at_the_vendor_is_disabled_again_behind_the_guard(verifying: Open) -> None:
    async with verifying() as world:
        user_id, target_id = await active_person(world)
        world.tenant.disable(user_id)
        await calm(world)
        meddle(world.vendors[APP], target_id, active=True)

        await run_round(world)
        await calm(world)

        assert held(world, target_id)["active"] is False
        assert (await world.account(APP, user_id)).state is AccountState.DISABLED
        staged = [line["reason"] for line in await world.log(APP) if line["source_id"] == user_id]
        assert "staged_for_deletion_guard" in staged


async def test_of_a_leaver_only_what_gives_access_back_is_drift(verifying: Open) -> None:
    async with verifying() as world:
        user_id, target_id = await active_person(world)
        world.tenant.disable(user_id)
        await calm(world)
        meddle(world.vendors[APP], target_id, displayName="Meddled")

        done = await run_round(world)

        assert (done.drifted, await findings(world)) == (0, {})
        world.tenant.enable(user_id)
        await calm(world)
        assert held(world, target_id)["active"] is True


async def test_an_account_that_vanished_is_made_again(verifying: Open) -> None:
    async with verifying() as world:
        vendor = world.vendors[APP]
        user_id, target_id = await active_person(world)
        name = held(world, target_id)["userName"]
        remove(vendor, target_id)

        done = await run_round(world)
        account = await world.account(APP, user_id)

        assert done.vanished == 1
        assert account.state is AccountState.IN_SYNC
        assert account.target_id != target_id
        assert held(world, account.target_id)["userName"] == name


async def test_an_account_that_vanished_is_reported_where_nothing_is_repaired_and_where_nobody_misses_it(
    verifying: Open,
) -> None:
    async with verifying("report") as world:
        user_id, target_id = await active_person(world)
        remove(world.vendors[APP], target_id)

        await run_round(world)

        assert (await findings(world))[user_id].is_gone
        assert (await world.account(APP, user_id)).target_id == target_id


async def test_when_most_accounts_are_gone_none_is_made_again(verifying: Open) -> None:
    async with verifying(users=50) as world:
        vendor = world.vendors[APP]
        linked = [found["id"] for found in vendor.resources()]
        for target_id in linked[:-10]:
            remove(vendor, target_id)

        done = await run_round(world)

        statuses = {found.status for found in (await findings(world)).values() if found.is_gone}
        assert len(linked) > 40
        assert DriftStatus.REPAIRING not in statuses
        assert DriftStatus.SYSTEMATIC in statuses
        assert done.repaired == 0
        assert len(vendor.resources()) == 10


async def test_what_the_vendor_does_to_everybody_is_reported_and_never_repaired(verifying: Open) -> None:
    async with verifying(users=40) as world:
        vendor = world.vendors[APP]
        for found in vendor.resources():
            meddle(vendor, found["id"], displayName=f"{found['displayName']} (Contoso)")
        user_id, target_id = await active_person(world)
        meddle(vendor, target_id, title="Meddled")
        before = len(vendor.journal)

        await run_round(world)

        statuses = {key: found.status for key, found in (await findings(world)).items()}
        active = {key for key in statuses if (await world.account(APP, key)).state is AccountState.IN_SYNC}
        assert {key for key in active if statuses[key] is DriftStatus.REPAIRING} == {user_id}
        written = [entry.body for entry in vendor.journal[before:] if entry.method == "PATCH"]
        assert {each["path"] for body in written for each in body["Operations"] if body is not None} <= {
            "title",
            "displayName",
        }
        assert held(world, target_id)["title"] != "Meddled"
        assert held(world, target_id)["displayName"].endswith("(Contoso)")


async def test_accounts_without_an_owner_are_listed_and_never_touched(verifying: Open) -> None:
    async with verifying(
        more="scoping_filters:\n  - {name: none, clauses: [{attribute: department, operator: EQUALS, value: Nowhere}]}"
    ) as world:
        vendor = world.vendors[APP]
        user_id = people(world, 1)[0]
        person = world.tenant.user(user_id)
        name = str(person["userPrincipalName"])
        seeded = vendor.seed(
            [
                {"userName": "local-admin", "active": True, "externalId": "theirs"},
                {"userName": name.upper(), "active": False},
            ]
        )
        versions = {found["id"]: found["meta"]["version"] for found in vendor.resources()}

        done = await run_round(world)
        listed = await unowned(world)

        assert done.unowned == 2
        assert listed[seeded[0]].ownership is Ownership.UNKNOWN
        assert (listed[seeded[0]].name, listed[seeded[0]].is_active) == ("local-admin", True)
        assert (listed[seeded[1]].ownership, listed[seeded[1]].source_id) == (Ownership.ADOPTABLE, user_id)
        assert {found["id"]: found["meta"]["version"] for found in vendor.resources()} == versions

        remove(vendor, seeded[0])
        await run_round(world)
        assert set(await unowned(world)) == {seeded[1]}


async def test_a_second_account_of_somebody_is_listed_as_a_duplicate(verifying: Open) -> None:
    async with verifying() as world:
        user_id, target_id = await active_person(world)
        vendor = world.vendors[APP]
        name = held(world, target_id)["userName"]
        meddle(vendor, target_id, userName="renamed-by-hand")
        [second] = vendor.seed([{"userName": name, "active": True}])

        async with _reporting(world):
            await run_round(world)

        listed = (await unowned(world))[second]
        assert (listed.ownership, listed.source_id) == (Ownership.DUPLICATE, user_id)


@asynccontextmanager
async def _reporting(world: World) -> AsyncIterator[None]:
    drift = world.services.applications[APP].drift
    mode = drift.mode
    object.__setattr__(drift, "mode", "report")
    try:
        yield
    finally:
        object.__setattr__(drift, "mode", mode)


async def test_a_change_on_its_way_is_no_drift(verifying: Open) -> None:
    async with verifying() as world:
        user_id, target_id = await active_person(world)
        world.clock.advance(DAY)
        world.tenant.update(user_id, jobTitle="Astronaut")
        await world.sync()
        meddle(world.vendors[APP], target_id, title="Meddled")

        await world.services.housekeeper.keep_house()
        before = await findings(world)
        await world.settle()

        assert before == {}
        assert held(world, target_id)["title"] == "Astronaut"


async def test_a_row_that_moves_while_the_vendor_is_read_is_left_alone(
    verifying: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was read of the vendor is older than what was sent meanwhile: believing it would hide the next change."""
    async with verifying() as world:
        user_id, target_id = await active_person(world)
        meddle(world.vendors[APP], target_id, title="Meddled")
        client = world.services.client_of(world.services.applications[APP])
        read = type(client).read

        async def read_slowly(self: object, *given: Any, **more: Any) -> Any:
            answer = await read(self, *given, **more)
            world.tenant.update(user_id, jobTitle="Astronaut")
            await world.sync()
            await world.deliver()
            return answer

        monkeypatch.setattr(type(client), "read", read_slowly)
        done = await run_round(world)

        assert done.repaired == 0
        assert await findings(world) == {}
        account = await world.account(APP, user_id)
        assert (account.sent or {})["title"] == held(world, target_id)["title"] == "Astronaut"


async def test_an_account_made_while_the_list_was_read_has_an_owner_in_the_end(verifying: Open) -> None:
    """Its request is through, its row is not saved yet: the page shows an account that no row owns."""
    async with verifying() as world:
        listing = world.services.verifier
        compare = type(listing)._compare_page
        user_id, target_id = await active_person(world)

        async def compared_too_soon(self: object, application: Any, current: Any, page: Any) -> Any:
            owners = type(listing)._owners

            async def without_one(me: object, *given: Any) -> Any:
                return {key: value for key, value in (await owners(me, *given)).items() if key != target_id}

            with pytest.MonkeyPatch.context() as patched:
                patched.setattr(type(listing), "_owners", without_one)
                return await compare(self, application, current, page)

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(type(listing), "_compare_page", compared_too_soon)
            await run_round(world)

        assert await unowned(world) == {}
        assert (await world.account(APP, user_id)).state is AccountState.IN_SYNC


async def test_a_vendor_that_cannot_list_is_read_account_by_account(verifying: Open) -> None:
    async with verifying() as world:
        vendor = world.vendors[APP]
        user_id, target_id = await active_person(world)
        meddle(vendor, target_id, displayName="Meddled")
        vendor.faults.add("error", method="GET", path="/Users", status=501, times=1)

        done = await run_round(world)

        assert done.problem
        assert done.repaired == 1
        assert held(world, target_id)["displayName"] != "Meddled"
        assert (await findings(world))[user_id].status is DriftStatus.REPAIRING


async def test_groups_are_compared_by_name(verifying: Open) -> None:
    async with verifying(more="groups: {enabled: true}") as world:
        team = world.tenant.create_group("Team", members=people(world, 2))
        await calm(world)
        group = await world.services.rows.read(APP, ResourceKind.GROUP, team)
        meddle(world.vendors[APP], group.target_id, "Groups", displayName="Meddled")

        done = await run_round(world)

        assert done.repaired == 1
        assert held(world, group.target_id, "Group")["displayName"] == "Team"
        assert len(held(world, group.target_id, "Group")["members"]) == 2


async def team_of(world: World, members: list[str]) -> tuple[str, str]:
    """A group with these members at the vendor, and the vendor's id of it."""
    team = world.tenant.create_group("Team", members=members)
    await calm(world)
    return team, (await world.services.rows.read(APP, ResourceKind.GROUP, team)).target_id


def members_of(world: World, target_id: str) -> set[str]:
    return {each["value"] for each in held(world, target_id, "Group").get("members") or []}


async def test_members_whom_somebody_took_out_are_given_back_and_those_put_in_by_hand_stay(verifying: Open) -> None:
    async with verifying(more="groups: {enabled: true}") as world:
        vendor = world.vendors[APP]
        [stranger] = vendor.seed([{"userName": "local-admin", "active": True}])
        team, target_id = await team_of(world, people(world, 4))
        before = members_of(world, target_id)
        taken_out = sorted(before)[:2]
        meddle(vendor, target_id, "Groups", members=[{"value": each} for each in (*sorted(before)[2:], stranger)])

        done = await run_round(world)
        found = (await findings(world))[team]

        assert len(before) == 4
        assert members_of(world, target_id) == before | {stranger}
        assert (done.repaired, found.status) == (1, DriftStatus.REPAIRING)
        assert found.paths["members"][1] == f"{len(taken_out)} of 4 are missing"
        assert (await run_round(world)).drifted == 0
        assert await findings(world) == {}


async def test_a_member_who_left_meanwhile_is_not_given_back(verifying: Open) -> None:
    async with verifying(more="groups: {enabled: true}") as world:
        team, target_id = await team_of(world, people(world, 3))
        before = members_of(world, target_id)
        leaver = people(world, 1)[0]
        left = (await world.account(APP, leaver)).target_id
        meddle(world.vendors[APP], target_id, "Groups", members=[{"value": each} for each in before - {left}])
        world.clock.advance(DAY)
        await world.services.housekeeper.keep_house()
        world.tenant.remove_member(team, leaver)
        await world.sync()

        await world.settle()

        assert members_of(world, target_id) == before - {left}


async def test_missing_members_are_reported_where_nothing_is_repaired(verifying: Open) -> None:
    async with verifying("report", more="groups: {enabled: true}") as world:
        team, target_id = await team_of(world, people(world, 3))
        meddle(world.vendors[APP], target_id, "Groups", members=None)

        await run_round(world)

        assert (await findings(world))[team].status is DriftStatus.REPORTED
        assert members_of(world, target_id) == set()


async def test_one_account_that_cannot_be_read_does_not_hold_up_the_round(verifying: Open) -> None:
    async with verifying() as world:
        vendor = world.vendors[APP]
        both = sorted(found["id"] for found in vendor.resources())[:2]
        for target_id in both:
            meddle(vendor, target_id, displayName="Meddled")
        vendor.faults.add("error", method="GET", path=f"/Users/{both[0]}", status=500, times=None)

        await run_round(world)

        assert held(world, both[0])["displayName"] == "Meddled"
        assert held(world, both[1])["displayName"] != "Meddled"


async def test_a_list_that_fails_again_and_again_is_done_without(verifying: Open) -> None:
    async with verifying() as world:
        vendor = world.vendors[APP]
        _, target_id = await active_person(world)
        meddle(vendor, target_id, displayName="Meddled")
        vendor.faults.add("error", method="GET", path="/Users$", status=500, times=None)

        done = await run_round(world)

        assert done.problem
        assert held(world, target_id)["displayName"] != "Meddled"


async def test_revoked_credentials_quarantine_the_application_and_the_round_goes_on_afterwards(
    verifying: Open,
) -> None:
    async with verifying() as world:
        vendor = world.vendors[APP]
        vendor.faults.add("error", method="GET", path="/Users", status=401, times=1)
        world.clock.advance(DAY)

        await world.services.housekeeper.keep_house()
        state = await world.services.states.read_fresh(APP)
        assert state.status is ApplicationStatus.QUARANTINE

        done = await run_round(world)
        assert (await world.services.states.read_fresh(APP)).status is ApplicationStatus.ACTIVE
        assert done.sample.compared > 0


async def test_a_paused_or_switched_off_verification_asks_nothing(verifying: Open) -> None:
    async with verifying("off") as world:
        before = len(world.vendors[APP].journal)
        world.clock.advance(30 * DAY)

        await world.services.housekeeper.keep_house()

        assert len(world.vendors[APP].journal) == before
        assert (await world.services.drift_rounds.read(APP)).started_at is None


async def test_a_person_may_ask_for_a_round_at_once(verifying: Open) -> None:
    async with verifying("off") as world:
        _, target_id = await active_person(world)
        meddle(world.vendors[APP], target_id, displayName="Meddled")

        await world.services.drift_rounds.request(APP)
        await world.services.housekeeper.keep_house()

        done = await world.services.drift_rounds.read(APP)
        assert (done.phase, done.requested, done.drifted) == (DriftPhase.DONE, False, 1)


async def test_a_round_keeps_to_a_fraction_of_the_rate_and_goes_on_where_it_was(verifying: Open) -> None:
    limit = "rate_limit: {requests_per_second: 1}\nprotocol: {page_size: 5}"
    async with verifying(users=60, more=limit) as world:
        world.clock.advance(DAY)
        slices = []
        for _ in range(50):
            began, before = world.clock.elapsed, len(world.vendors[APP].journal)
            await world.services.housekeeper.keep_house()
            slices.append((len(world.vendors[APP].journal) - before, world.clock.elapsed - began))
            if (await world.services.drift_rounds.read(APP)).phase is DriftPhase.DONE:
                break
            world.clock.advance(300)

        done = await world.services.drift_rounds.read(APP)
        assert done.phase is DriftPhase.DONE
        assert len(slices) > 2
        assert all(requests <= 1 for requests, _ in slices)
        assert done.sample.compared == len(world.vendors[APP].resources())


async def test_a_late_write_behind_the_one_that_settled_an_account_is_found(
    azurite: str, name_prefix: str, tmp_path: Path
) -> None:
    """Protocol step 39: the last net under H6 and H7, whatever the mode."""
    async with pulling(azurite, name_prefix, more="scope: all") as world:
        await calm(world)
        vendor = world.vendors[APP]
        user_id, target_id = await active_person(world)
        vendor.faults.add("reset", method="PATCH", applied=False)
        world.tenant.update(user_id, jobTitle="Astronaut")
        await calm(world)
        assert held(world, target_id)["title"] == "Astronaut"

        # What nobody can prevent: a write that was frozen somewhere for longer than grace lands now.
        meddle(vendor, target_id, title="Late")
        for _ in range(3):
            world.clock.advance(timedelta(hours=1).total_seconds())
            await world.services.housekeeper.keep_house()
        await world.settle()

        assert held(world, target_id)["title"] == "Astronaut"
        assert (await world.account(APP, user_id)).doubted_at is None
        assert VANISHED not in {path for found in (await findings(world)).values() for path in found.paths}
