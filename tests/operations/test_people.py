"""Whoever is searched for is found by whatever is known of them, and their story is told across all vendors."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from shared.operations.log_lines import LogFilter, read_log_page
from shared.operations.people import GRAPH, PeopleFound, TermRefused
from tests.provisioning.pulls import calm, people, pulling
from tests.world import World

APPS = ("acme", "fuze")


@pytest.fixture(scope="module")
async def world(azurite: str, anyio_backend: str) -> AsyncIterator[World]:
    """Answers with a world with two vendors that the module's tests only read."""
    async with pulling(
        azurite, "tpeoplestories", users=12, apps=APPS, more="scope: all\ngroups: {enabled: true}"
    ) as world:
        members = people(world, 3)
        world.tenant.update(members[0], displayName='O\'Brien, "Pat" 100%', givenName="Pat")
        world.tenant.update(members[1], displayName="😀 Zoë & Co #1?", userPrincipalName="o'zoe+x@contoso.example")
        world.tenant.create_group("Pat's team / ops", members=members)
        await calm(world)
        yield world


async def found(world: World, term: str) -> PeopleFound:
    return await world.services.people.find(term)


async def ids(world: World, term: str) -> list[tuple[str, tuple[str, ...]]]:
    answer = await found(world, term)
    assert answer.unasked == ()
    return [(each.id, each.found_by) for each in answer.people]


async def test_a_person_is_found_by_object_id_however_it_is_written(world: World) -> None:
    user_id = people(world, 1)[0]

    for term in (user_id, user_id.upper(), f"  {user_id}\t"):
        assert await ids(world, term) == [(user_id, ("directory id",))]


async def test_a_person_is_found_by_user_principal_name_with_all_that_entra_allows_in_one(world: World) -> None:
    user_id = people(world, 3)[1]

    assert await ids(world, "O'ZOE+x@contoso.example") == [(user_id, ("user principal name", "name"))]


@pytest.mark.parametrize("term", ["O'Brien", 'o\'brien, "pat" 100%', "Pat"])
async def test_a_person_is_found_by_the_beginning_of_a_name(world: World, term: str) -> None:
    answer = await found(world, term)

    by_name = {each.id: each for each in answer.people if each.kind == "user"}
    assert by_name[people(world, 1)[0]].found_by == ("name",)
    assert by_name[people(world, 1)[0]].properties["displayName"] == 'O\'Brien, "Pat" 100%'


async def test_emoji_and_url_characters_are_letters_like_others(world: World) -> None:
    for term in ("😀 Zoë & Co #1?", "😀"):
        assert (people(world, 3)[1], ("name",)) in await ids(world, term)


async def test_a_group_is_found_by_name_and_by_id(world: World) -> None:
    group_id = world.tenant.group_id_of("Pat's team / ops")

    by_name = [each for each in (await found(world, "Pat's team /")).people if each.kind == "group"]
    by_id = (await found(world, group_id)).people

    assert [(each.id, each.found_by) for each in by_name] == [(group_id, ("name",))]
    assert [(each.kind, each.id, each.found_by) for each in by_id] == [("group", group_id, ("directory id",))]


@pytest.mark.parametrize("app", APPS)
async def test_a_person_is_found_by_a_vendors_id(world: World, app: str) -> None:
    user_id = people(world, 3)[2]
    target_id = (await world.account(app, user_id)).target_id

    answer = await found(world, target_id)

    [person] = [each for each in answer.people if each.id == user_id]
    assert f"id at {app}" in person.found_by
    assert person.properties["userPrincipalName"] == world.tenant.user(user_id)["userPrincipalName"]
    assert person.presence == "active"


@pytest.mark.parametrize(
    "term",
    [
        "../",
        "../../servicePrincipals",
        "..%2f..%2fgroups",
        "x') or startswith(displayName,'",
        "' or '1' eq '1",
        "/users?$top=1",
        "a&$select=id",
        "#",
        "$count",
        "$x@contoso.example",
        "../x@contoso.example",
        "?@contoso.example",
        "user:x",
        "x\\y/z#?%",
        "'",
        "''",
        "😀" * 60,
    ],
)
async def test_a_hostile_term_finds_nobody_and_asks_for_nothing_else(world: World, term: str) -> None:
    before = world.graph.requests.total

    answer = await found(world, term)

    assert (answer.people, answer.unasked) == ((), ())
    asked = world.graph.requests.after(before)
    assert {entry.path for entry in asked} <= {"users", "groups"}
    assert all(entry.status == 200 for entry in asked)


@pytest.mark.parametrize("term", ["", "   ", "a\x00b", "a\nb", "\ud83d", "x" * 257, "/" * 256 * 2])
async def test_what_can_be_nobodys_id_or_name_is_refused(world: World, term: str) -> None:
    with pytest.raises(TermRefused):
        await found(world, term)


async def test_the_search_has_its_price(world: World) -> None:
    user_id = people(world, 1)[0]
    requests, calls = world.graph.requests.total, world.services.tables.calls.total()

    await found(world, user_id)

    assert world.graph.requests.total - requests == 3
    assert world.services.tables.calls.total() - calls == 2 * len(APPS) + 2 + 1


@pytest.mark.parametrize("fault", ["throttle", "server_error", "forbidden", "garbage", "refuse"])
async def test_the_rest_answers_when_graph_does_not(world: World, fault: str) -> None:
    user_id = people(world, 3)[2]
    target_id = (await world.account("fuze", user_id)).target_id
    world.graph.faults.add(fault, times=None, **({"status": 503} if fault == "server_error" else {}))
    try:
        by_id, by_target, by_name = [await found(world, term) for term in (user_id, target_id, "Pat")]
    finally:
        world.graph.faults.clear()

    for answer in (by_id, by_target):
        assert [each.id for each in answer.people] == [user_id]
        assert answer.people[0].properties["userPrincipalName"]
    assert by_name.people == ()
    assert [each.source for each in by_name.unasked] == [GRAPH]
    assert "Graph" in by_name.unasked[0].reason


async def test_the_story_holds_every_application_and_one_timeline(world: World) -> None:
    user_id = people(world, 1)[0]

    story = await world.services.people.tell(user_id)
    log = await read_log_page(world.services.tables, APPS, LogFilter(source_id=user_id), limit=50)

    assert (story.kind, story.id, story.presence, story.is_known) == ("user", user_id, "active", True)
    assert set(story.properties) <= {
        "userPrincipalName", "displayName", "mail", "employeeId", "accountEnabled", "jobTitle", "department",
    }  # fmt: skip
    assert story.properties["displayName"] == 'O\'Brien, "Pat" 100%'
    assert [account.application for account in story.accounts] == list(APPS)
    assert all(account.row["state"] == "in_sync" and account.log for account in story.accounts)
    assert story.timeline == log.items
    assert {line.application for line in story.timeline} == set(APPS)
    assert [line.at for line in story.timeline] == sorted((line.at for line in story.timeline), reverse=True)
    assert sum(len(account.log) for account in story.accounts) == len(story.timeline)


async def test_a_long_timeline_goes_on_in_the_log(world: World) -> None:
    user_id = people(world, 1)[0]
    whole = (await world.services.people.tell(user_id)).timeline

    short = await world.services.people.tell(user_id, lines=1)
    assert short.timeline_next is not None
    rest = await read_log_page(
        world.services.tables, APPS, LogFilter(source_id=user_id), limit=50, cursor=short.timeline_next
    )

    assert short.timeline + rest.items == whole


async def test_a_groups_story_is_told_likewise(world: World) -> None:
    group_id = world.tenant.group_id_of("Pat's team / ops")

    story = await world.services.people.tell(group_id)

    assert (story.kind, story.properties["displayName"]) == ("group", "Pat's team / ops")
    assert [account.kind for account in story.accounts] == ["group", "group"]


async def test_a_stranger_has_an_empty_story(world: World) -> None:
    story = await world.services.people.tell("nobody/../' or 1 eq 1")

    assert (story.is_known, story.timeline, story.timeline_next) == (False, (), None)


async def test_the_story_asks_graph_for_nothing_and_has_its_price(world: World) -> None:
    user_id = people(world, 1)[0]
    requests, calls = world.graph.requests.total, world.services.tables.calls.total()

    story = await world.services.people.tell(user_id)

    assert world.graph.requests.total == requests
    assert world.services.tables.calls.total() - calls == 1 + 3 * len(APPS)
    assert story.timeline


async def test_who_was_deleted_is_found_by_id_and_named_by_the_mirror(azurite: str, name_prefix: str) -> None:
    async with pulling(azurite, name_prefix, more="scope: all") as world:
        user_id = people(world, 1)[0]
        name = world.tenant.user(user_id)["userPrincipalName"]
        await calm(world)
        target_id = (await world.account("acme", user_id)).target_id
        world.tenant.soft_delete(user_id)
        await calm(world)

        by_id, by_name, by_target = [await found(world, term) for term in (user_id, name, target_id)]

        assert [(each.id, each.presence) for each in by_id.people] == [(user_id, "soft_deleted")]
        assert by_id.people[0].properties["userPrincipalName"] == name
        assert by_name.people == ()
        assert [each.id for each in by_target.people] == [user_id]
        assert (await world.services.people.tell(user_id)).presence == "soft_deleted"
