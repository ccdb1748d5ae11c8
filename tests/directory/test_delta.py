"""Delta pages to changes: what a page says, however odd it is."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.config.object_ids import OBJECT_ID
from shared.directory.delta import (
    DeltaLinks,
    GroupChange,
    PageError,
    Removal,
    UserChange,
    count_unusable,
    read_group_changes,
    read_links,
    read_member_ids,
    read_user_changes,
)

ANN, BOB, CARL = (
    "a0000000-0000-4000-8000-000000000001",
    "b0000000-0000-4000-8000-000000000002",
    "c0000000-0000-4000-8000-000000000003",
)
TEAM, CREW = "d0000000-0000-4000-8000-000000000001", "e0000000-0000-4000-8000-000000000002"
NEXT = "https://graph.example/next"
DELTA = "https://graph.example/delta"


def page_of(*objects: Any) -> dict[str, Any]:
    return {"value": list(objects), "@odata.deltaLink": DELTA}


def member(object_id: str, kind: str = "user", *, left: bool = False) -> dict[str, Any]:
    reference = {"@odata.type": f"#microsoft.graph.{kind}", "id": object_id}
    return reference | {"@removed": {"reason": "deleted"}} if left else reference


def team(*members: dict[str, Any], group_id: str = TEAM, **properties: Any) -> dict[str, Any]:
    return {"id": group_id, **properties, "members@delta": list(members)}


USER_PAGES: dict[str, tuple[dict[str, Any], list[UserChange]]] = {
    "a user with properties": (
        page_of({"id": ANN, "displayName": "Ann"}),
        [UserChange(id=ANN, properties={"displayName": "Ann"})],
    ),
    "an empty page": (page_of(), []),
    "a cleared property is None and an absent one is not there": (
        page_of({"id": ANN, "department": None}),
        [UserChange(id=ANN, properties={"department": None})],
    ),
    "an empty list stays an empty list": (
        page_of({"id": ANN, "businessPhones": []}),
        [UserChange(id=ANN, properties={"businessPhones": []})],
    ),
    "annotations are no properties": (
        page_of({"id": ANN, "@odata.type": "#microsoft.graph.user", "city@odata.type": "x", "city": "Ulm"}),
        [UserChange(id=ANN, properties={"city": "Ulm"})],
    ),
    "reason changed is a soft delete": (
        page_of({"id": ANN, "@removed": {"reason": "changed"}}),
        [UserChange(id=ANN, removal=Removal.SOFT)],
    ),
    "reason deleted is a hard delete": (
        page_of({"id": ANN, "@removed": {"reason": "deleted"}}),
        [UserChange(id=ANN, removal=Removal.HARD)],
    ),
    "an unknown reason is the restorable one": (
        page_of({"id": ANN, "@removed": {"reason": "moved"}}),
        [UserChange(id=ANN, removal=Removal.SOFT)],
    ),
    "a removal without a reason is the restorable one": (
        page_of({"id": ANN, "@removed": {}}, {"id": BOB, "@removed": "gone"}),
        [UserChange(id=ANN, removal=Removal.SOFT), UserChange(id=BOB, removal=Removal.SOFT)],
    ),
    "a removal forgets the properties it carries": (
        page_of({"id": ANN, "displayName": "Ann", "@removed": {"reason": "changed"}}),
        [UserChange(id=ANN, removal=Removal.SOFT)],
    ),
    "duplicates become one, the last value of each property wins": (
        page_of({"id": ANN, "city": "Ulm", "title": "A"}, {"id": BOB}, {"id": ANN, "city": "Bonn"}),
        [UserChange(id=ANN, properties={"city": "Bonn", "title": "A"}), UserChange(id=BOB)],
    ),
    "a user removed after a change is removed": (
        page_of({"id": ANN, "city": "Ulm"}, {"id": ANN, "@removed": {"reason": "changed"}}),
        [UserChange(id=ANN, removal=Removal.SOFT)],
    ),
    "a user shown after its removal is back, without what came before": (
        page_of({"id": ANN, "city": "Ulm"}, {"id": ANN, "@removed": {"reason": "changed"}}, {"id": ANN, "title": "B"}),
        [UserChange(id=ANN, properties={"title": "B"})],
    ),
    "soft then hard is hard": (
        page_of({"id": ANN, "@removed": {"reason": "changed"}}, {"id": ANN, "@removed": {"reason": "deleted"}}),
        [UserChange(id=ANN, removal=Removal.HARD)],
    ),
    "a new manager is an id": (
        page_of({"id": ANN, "manager@delta": [member(BOB)]}),
        [UserChange(id=ANN, properties={"manager": BOB})],
    ),
    "a manager taken away is None": (
        page_of({"id": ANN, "manager@delta": [member(BOB, left=True)]}),
        [UserChange(id=ANN, properties={"manager": None})],
    ),
    "a replaced manager is the new one": (
        page_of({"id": ANN, "manager@delta": [member(BOB, left=True), member(CARL)]}),
        [UserChange(id=ANN, properties={"manager": CARL})],
    ),
    "a replaced manager is the new one in either order": (
        page_of({"id": ANN, "manager@delta": [member(CARL), member(BOB, left=True)]}),
        [UserChange(id=ANN, properties={"manager": CARL})],
    ),
    "an expanded manager is its id": (
        page_of({"id": ANN, "manager": {"id": BOB, "displayName": "Bob"}}),
        [UserChange(id=ANN, properties={"manager": BOB})],
    ),
    "objects without a usable id are left out": (
        page_of({"id": ""}, {"id": 7}, {}, "text", None, {"id": "../x"}, {"id": "a" * 129}, {"id": ANN}),
        [UserChange(id=ANN)],
    ),
}


@pytest.mark.parametrize(("page", "changes"), USER_PAGES.values(), ids=USER_PAGES)
def test_a_page_of_users_says(page: dict[str, Any], changes: list[UserChange]) -> None:
    assert read_user_changes(page) == changes


GROUP_PAGES: dict[str, tuple[dict[str, Any], list[GroupChange]]] = {
    "a group with members": (
        page_of(team(member(ANN), member(BOB, left=True), displayName="Team")),
        [GroupChange(id=TEAM, properties={"displayName": "Team"}, members={ANN: True, BOB: False})],
    ),
    "a group that says nothing about its members": (
        page_of({"id": TEAM, "displayName": "Team"}),
        [GroupChange(id=TEAM, properties={"displayName": "Team"})],
    ),
    "a group that is gone": (
        page_of({"id": TEAM, "@removed": {"reason": "deleted"}}),
        [GroupChange(id=TEAM, removal=Removal.HARD)],
    ),
    "a Microsoft 365 group in the deleted items": (
        page_of({"id": TEAM, "@removed": {"reason": "changed"}}),
        [GroupChange(id=TEAM, removal=Removal.SOFT)],
    ),
    "slices of one group are one membership": (
        page_of(team(member(ANN), displayName="Team"), team(member(BOB), member(CARL, left=True))),
        [GroupChange(id=TEAM, properties={"displayName": "Team"}, members={ANN: True, BOB: True, CARL: False})],
    ),
    "slices of two groups stay apart": (
        page_of(team(member(ANN)), team(member(ANN, left=True), group_id=CREW), team(member(BOB))),
        [GroupChange(id=TEAM, members={ANN: True, BOB: True}), GroupChange(id=CREW, members={ANN: False})],
    ),
    "added and removed in two slices is contradictory": (
        page_of(team(member(ANN)), team(member(ANN, left=True))),
        [GroupChange(id=TEAM, members={ANN: False}, contradictory=True)],
    ),
    "removed and added in one slice is contradictory": (
        page_of(team(member(ANN, left=True), member(ANN))),
        [GroupChange(id=TEAM, members={ANN: True}, contradictory=True)],
    ),
    "a contradiction stays one when more slices follow": (
        page_of(team(member(ANN), member(ANN, left=True)), team(member(BOB))),
        [GroupChange(id=TEAM, members={ANN: False, BOB: True}, contradictory=True)],
    ),
    "the same member twice is no contradiction": (
        page_of(team(member(ANN)), team(member(ANN))),
        [GroupChange(id=TEAM, members={ANN: True})],
    ),
    "nested groups, devices and applications are no members": (
        page_of(team(member(CREW, "group"), member("pc-1", "device"), member("sp-1", "servicePrincipal"), member(ANN))),
        [GroupChange(id=TEAM, members={ANN: True})],
    ),
    "members without a usable id are left out": (
        page_of(team({"id": "a/b"}, {"@odata.type": "#microsoft.graph.user"}, member(ANN))),
        [GroupChange(id=TEAM, members={ANN: True})],
    ),
    "a group that is gone after it was shown has no members left to look at": (
        page_of(team(member(ANN)), {"id": TEAM, "@removed": {"reason": "deleted"}}),
        [GroupChange(id=TEAM, removal=Removal.HARD)],
    ),
}


@pytest.mark.parametrize(("page", "changes"), GROUP_PAGES.values(), ids=GROUP_PAGES)
def test_a_page_of_groups_says(page: dict[str, Any], changes: list[GroupChange]) -> None:
    assert read_group_changes(page) == changes


REFUSED_LINKS = {
    "no link": {},
    "both links": {"@odata.nextLink": NEXT, "@odata.deltaLink": DELTA},
    "an empty next link": {"@odata.nextLink": ""},
    "an empty delta link": {"@odata.deltaLink": ""},
    "a number": {"@odata.nextLink": 7},
    "a list": {"@odata.deltaLink": [DELTA]},
    "a good link beside an odd one": {"@odata.nextLink": NEXT, "@odata.deltaLink": 7},
}


@pytest.mark.parametrize("links", REFUSED_LINKS.values(), ids=REFUSED_LINKS)
def test_a_page_with_any_other_than_one_link_is_refused(links: dict[str, Any]) -> None:
    with pytest.raises(PageError, match="exactly one of nextLink and deltaLink"):
        read_links({"value": [], **links})


def test_a_page_goes_on_or_ends_the_round() -> None:
    assert read_links({"@odata.nextLink": NEXT}) == DeltaLinks(next=NEXT)
    assert read_links({"@odata.deltaLink": DELTA}) == DeltaLinks(delta=DELTA)


@pytest.mark.parametrize("page", [{}, {"value": None}, {"value": {"id": ANN}}, {"value": "x"}])
def test_a_page_without_a_list_is_refused_and_not_taken_for_an_empty_one(page: dict[str, Any]) -> None:
    with pytest.raises(PageError):
        read_user_changes(page)
    with pytest.raises(PageError):
        read_group_changes(page)


def test_membership_changes_that_are_no_list_are_refused() -> None:
    with pytest.raises(PageError):
        read_group_changes(page_of({"id": TEAM, "members@delta": {"id": ANN}}))


def test_a_complete_membership_holds_users_only() -> None:
    objects = [member(ANN), member(CREW, "group"), member("pc-1", "device"), {"id": BOB}, {"id": "a b"}, {}]

    assert read_member_ids(objects) == [ANN, BOB]


def test_unusable_objects_are_counted() -> None:
    assert count_unusable(page_of({"id": ANN}, {"id": 7}, "text", {})) == 3
    assert count_unusable({}) == 0


IDS = st.sampled_from([ANN, BOB, CARL])
NAMES = st.sampled_from(["city", "title", "department"])
VALUES = st.one_of(st.none(), st.text(max_size=3), st.booleans(), st.lists(st.text(max_size=2), max_size=2))
SHOWN = st.builds(lambda user_id, properties: {"id": user_id, **properties}, IDS, st.dictionaries(NAMES, VALUES))
GONE = st.builds(
    lambda user_id, reason: {"id": user_id, "@removed": {"reason": reason}},
    IDS,
    st.sampled_from(["changed", "deleted", "odd"]),
)
USERS = st.lists(st.one_of(SHOWN, GONE), max_size=12)
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=8)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.sampled_from(["id", "@removed", "members@delta", "manager@delta", "x", "@x"]), inner),
    ),
    max_leaves=12,
)


@given(USERS)
@settings(max_examples=100, deadline=None)
def test_every_user_of_a_page_comes_once_and_as_the_page_says_last(objects: list[dict[str, Any]]) -> None:
    last = {found["id"]: found for found in objects}

    changes = read_user_changes(page_of(*objects))

    assert [change.id for change in changes] == list(last)
    for change in changes:
        said = last[change.id]
        assert (change.removal is not None) == ("@removed" in said)
        assert {name: change.properties[name] for name in said if name not in ("id", "@removed")} == {
            name: value for name, value in said.items() if name not in ("id", "@removed")
        }


@given(USERS)
@settings(max_examples=100, deadline=None)
def test_a_page_shown_twice_says_the_same(objects: list[dict[str, Any]]) -> None:
    once = {change.id: change for change in read_user_changes(page_of(*objects))}

    twice = {change.id: change for change in read_user_changes(page_of(*objects, *objects))}

    assert {user_id: change.removal for user_id, change in twice.items()} == {
        user_id: change.removal for user_id, change in once.items()
    }
    for user_id, change in once.items():
        assert change.properties.items() <= twice[user_id].properties.items() or change.properties == {}


MEMBERSHIPS = st.lists(st.tuples(st.sampled_from([TEAM, CREW]), IDS, st.booleans()), max_size=14)


@given(MEMBERSHIPS, st.randoms(use_true_random=False))
@settings(max_examples=100, deadline=None)
def test_a_membership_without_contradiction_reads_the_same_in_every_order(
    moves: list[tuple[str, str, bool]], dice: Any
) -> None:
    shuffled = list(moves)
    dice.shuffle(shuffled)

    read = [
        {
            change.id: ("contradictory" if change.contradictory else change.members)
            for change in read_group_changes(
                page_of(*(team(member(user, left=not added), group_id=group) for group, user, added in order))
            )
        }
        for order in (moves, shuffled)
    ]

    assert read[0] == read[1]


@given(st.lists(JSON, max_size=6))
@settings(max_examples=150, deadline=None)
def test_whatever_a_page_holds_it_is_read_or_refused(objects: list[Any]) -> None:
    for read in (read_user_changes, read_group_changes):
        try:
            changes = read(page_of(*objects))
        except PageError:
            continue
        assert all(OBJECT_ID.fullmatch(change.id) for change in changes)
