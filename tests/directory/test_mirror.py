"""The mirror: what a change makes of a user, and how the facts about one user are read back."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.config.settings import Settings
from shared.directory.delta import Removal
from shared.directory.mirror import (
    DIRECTORY,
    Mirror,
    MirrorUser,
    Presence,
    UserFacts,
    assigned_partition,
    encode_roles,
    members_partition,
    merge_user,
    user_partition,
    user_row,
)
from shared.rules.expressions import AppRole
from shared.storage.connections import connect_tables
from shared.storage.durable_writes import DurableWrite
from shared.storage.tables import Operation, Tables

ANN = "ann-0001"
ROLE = AppRole(id="role-a", value="User", displayName="User")
KNOWN = {"displayName": "Ann", "city": "Ulm", "businessPhones": ["1"]}


def known(presence: Presence = Presence.ACTIVE, **attributes: Any) -> MirrorUser:
    return MirrorUser(
        id=ANN, presence=presence, attributes=attributes or KNOWN, content="c", number="1", round="", etag="e"
    )


MERGES: dict[str, tuple[MirrorUser | None, Removal | None, dict[str, Any], bool, Any]] = {
    "a newcomer": (None, None, {"city": "Bonn"}, False, ({"city": "Bonn"}, None)),
    "what is not named stays": (known(), None, {"city": "Bonn"}, False, ({**KNOWN, "city": "Bonn"}, None)),
    "null clears": (known(), None, {"city": None}, False, ({"displayName": "Ann", "businessPhones": ["1"]}, None)),
    "an empty list clears": (
        known(),
        None,
        {"businessPhones": []},
        False,
        ({"displayName": "Ann", "city": "Ulm"}, None),
    ),
    "false and zero are values": (
        known(),
        None,
        {"accountEnabled": False, "level": 0},
        False,
        ({**KNOWN, "accountEnabled": False, "level": 0}, None),
    ),
    "in a full round what is not named is not there": (known(), None, {"city": "Bonn"}, True, ({"city": "Bonn"}, None)),
    "a soft-deleted user keeps the attributes": (known(), Removal.SOFT, {}, False, (KNOWN, Removal.SOFT)),
    "a hard-deleted user keeps the attributes": (known(), Removal.HARD, {}, False, (KNOWN, Removal.HARD)),
    "a tombstone keeps the attributes in a full round too": (
        known(),
        Removal.SOFT,
        {},
        True,
        (KNOWN, Removal.SOFT),
    ),
    "hard after soft is hard": (known(Presence.SOFT_DELETED), Removal.HARD, {}, False, (KNOWN, Removal.HARD)),
    "soft after hard, a replay, stays hard": (
        known(Presence.HARD_DELETED),
        Removal.SOFT,
        {},
        False,
        (KNOWN, Removal.HARD),
    ),
    "restored": (
        known(Presence.SOFT_DELETED),
        None,
        {"city": "Bonn"},
        False,
        ({**KNOWN, "city": "Bonn"}, None),
    ),
}


@pytest.mark.parametrize(("earlier", "removal", "properties", "whole", "expected"), MERGES.values(), ids=MERGES)
def test_after_a_change_a_user_is(
    earlier: MirrorUser | None, removal: Removal | None, properties: dict[str, Any], whole: bool, expected: Any
) -> None:
    assert merge_user(earlier, removal=removal, properties=properties, whole=whole) == expected


NAMES = st.sampled_from(["city", "displayName", "businessPhones", "manager"])
VALUES = st.one_of(st.none(), st.text(max_size=3), st.booleans(), st.lists(st.text(max_size=2), max_size=2))
PROPERTIES = st.dictionaries(NAMES, VALUES)


@given(PROPERTIES, PROPERTIES, st.booleans())
@settings(max_examples=150, deadline=None)
def test_a_change_applied_twice_is_the_change_applied_once(
    before: dict[str, Any], change: dict[str, Any], whole: bool
) -> None:
    start = {name: value for name, value in before.items() if value not in (None, [])}
    once, removal = merge_user(known(**start), removal=None, properties=change, whole=whole)

    twice, _ = merge_user(known(**once), removal=removal, properties=change, whole=whole) if once else ({}, None)

    assert not once or twice == once
    assert None not in once.values()


@given(PROPERTIES)
@settings(max_examples=100, deadline=None)
def test_the_content_hash_tells_attributes_and_tombstones_apart_and_ignores_order(attributes: dict[str, Any]) -> None:
    def content(values: dict[str, Any], removal: Removal | None, number: str) -> str:
        return user_row(values, removal=removal, number=number, round_id="r")[0]

    contents = {content(attributes, removal, "1") for removal in (None, Removal.SOFT, Removal.HARD)}

    assert len(contents) == 3
    assert content(dict(reversed(attributes.items())), None, "2") == content(attributes, None, "1")
    assert content({**attributes, "more": "x"}, None, "1") not in contents


def test_attributes_that_fit_no_row_are_refused() -> None:
    with pytest.raises(ValueError, match="longer than"):
        user_row({"aboutMe": "x" * 500_000}, removal=None, number="1", round_id="")


def test_a_user_without_a_row_is_unknown_and_not_gone() -> None:
    assert UserFacts(user=None).presence is Presence.UNKNOWN


@pytest.fixture
async def tables(azurite: str, name_prefix: str) -> AsyncIterator[Tables]:
    tables = Tables(connect_tables(Settings.load({"AzureWebJobsStorage": azurite})), prefix=name_prefix)
    await tables.create_missing()
    yield tables
    await tables.close()


async def store(tables: Tables, partition: str, *rows: tuple[str, dict[str, Any]]) -> None:
    await tables.commit(DurableWrite.MIRROR, DIRECTORY, partition, [Operation.insert(key, row) for key, row in rows])


def columns(attributes: dict[str, Any], removal: Removal | None = None) -> dict[str, Any]:
    return user_row(attributes, removal=removal, number="7", round_id="r1")[1]


async def test_all_facts_of_a_user_come_with_one_request_and_nobody_elses(tables: Tables) -> None:
    await store(
        tables,
        user_partition(ANN),
        (f"{ANN}:user", columns({"displayName": "Ann"})),
        (f"{ANN}:app:fuze", {"roles": encode_roles((ROLE,)), "gone": False, "number": "7"}),
        (f"{ANN}:app:acme", {"roles": "", "gone": True, "number": "7"}),
        (f"{ANN}:group:team", {"gone": False, "number": "7"}),
        (f"{ANN}:group:crew", {"gone": True, "number": "7"}),
        (f"{ANN}2:user", columns({"displayName": "Ann the second"})),
        (f"{ANN}.x:group:team", {"gone": False, "number": "7"}),
    )
    before = tables.calls.total()

    facts = await Mirror(tables).read_user_facts(ANN)

    assert tables.calls.total() == before + 1
    assert facts.user is not None
    assert facts.user.attributes == {"displayName": "Ann"}
    assert (facts.user.number, facts.user.round, facts.presence) == ("7", "r1", Presence.ACTIVE)
    assert {app: (found.roles, found.gone) for app, found in facts.assignments.items()} == {
        "fuze": ((ROLE,), False),
        "acme": ((), True),
    }
    assert facts.groups == {"team": True, "crew": False}


PRESENCES = {
    "enabled": ({"accountEnabled": True}, None, Presence.ACTIVE),
    "never said to be disabled": ({}, None, Presence.ACTIVE),
    "disabled": ({"accountEnabled": False}, None, Presence.DISABLED),
    "soft-deleted": ({"accountEnabled": True}, Removal.SOFT, Presence.SOFT_DELETED),
    "hard-deleted and disabled": ({"accountEnabled": False}, Removal.HARD, Presence.HARD_DELETED),
}


@pytest.mark.parametrize(("attributes", "removal", "presence"), PRESENCES.values(), ids=PRESENCES)
async def test_presence_is_read_back(
    tables: Tables, attributes: dict[str, Any], removal: Removal | None, presence: Presence
) -> None:
    await store(tables, user_partition(ANN), (f"{ANN}:user", columns(attributes, removal)))

    facts = await Mirror(tables).read_user_facts(ANN)

    assert facts.presence is presence


async def test_a_membership_of_an_unknown_user_is_kept_and_the_user_stays_unknown(tables: Tables) -> None:
    await store(tables, user_partition(ANN), (f"{ANN}:group:team", {"gone": False, "number": "7"}))

    facts = await Mirror(tables).read_user_facts(ANN)

    assert facts.presence is Presence.UNKNOWN
    assert facts.groups == {"team": True}


async def test_long_attributes_with_every_kind_of_text_are_read_back(tables: Tables) -> None:
    attributes = {"aboutMe": '日本🎉"\\\n' * 9000, "city": "'s-Hertogenbosch"}
    await store(tables, user_partition(ANN), (f"{ANN}:user", columns(attributes)))

    facts = await Mirror(tables).read_user_facts(ANN)

    assert facts.user is not None
    assert facts.user.attributes == attributes


async def test_principals_of_an_application_are_read_by_range(tables: Tables) -> None:
    principal = {"roles": encode_roles((ROLE,)), "gone": False, "number": "7", "content": "c"}
    for key in ("group:team", "user:aa1", "user:ab1", "user:ab2", "user:ac1", "user:ba1"):
        await store(tables, assigned_partition("acme", key), (key, principal))
    mirror = Mirror(tables)

    assert set(await mirror.read_assigned("acme", first="user:ab", before="user:ac")) == {"user:ab1", "user:ab2"}
    assert set(await mirror.read_assigned_groups("acme")) == {"team"}
    assert await mirror.read_assigned_groups("other") == {}


async def test_users_are_listed_without_their_assignments_and_memberships(tables: Tables) -> None:
    digit = user_partition(ANN).removeprefix("user-")
    await store(
        tables,
        user_partition(ANN),
        (f"{ANN}:user", columns({"displayName": "Ann"}, Removal.SOFT)),
        (f"{ANN}:app:acme", {"roles": "", "gone": False, "number": "7"}),
        (f"{ANN}:group:team", {"gone": False, "number": "7"}),
    )

    listed = [user async for users in Mirror(tables).list_users(digit) for user in users]

    assert [(user.id, user.presence, user.round) for user in listed] == [(ANN, Presence.SOFT_DELETED, "r1")]


async def test_members_of_a_group_are_listed_with_those_who_left(tables: Tables) -> None:
    await store(
        tables,
        members_partition("team"),
        (ANN, {"gone": False, "number": "7"}),
        ("bob-0002", {"gone": True, "number": "8"}),
    )

    listed = [entry async for members in Mirror(tables).list_members("team") for entry in members]

    assert {user_id: row.values["gone"] for user_id, row in listed} == {ANN: False, "bob-0002": True}
