"""A preview of many costs a few requests per thousand, writes nothing, and believes no cursor."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.operations.cursors import CursorRefused, decode_cursor, encode_cursor
from shared.operations.previewing.page import PreviewRequest
from shared.operations.previewing.report import Obstacle, PreviewAction
from shared.operations.previewing.tally import NUMBERS, Place, Tally
from tests.operations.previews import counted, only, preview
from tests.provisioning.pulls import APP, assign, calm, people, pulling, tick
from tests.world import World


async def test_nothing_is_written_and_nobody_is_asked(azurite: str, name_prefix: str) -> None:
    async with pulling(azurite, name_prefix, more="scope: all\ngroups: {enabled: true}") as world:
        assign(world, world.tenant.create_group("Team", members=people(world, 5)))
        await tick(world)
        for user_id in people(world, 3):
            world.tenant.disable(user_id)
        await world.sync()
        calls, journal = world.services.tables.calls, len(world.vendors[APP].journal)
        commits = sum(count for name, count in calls.items() if name.endswith("commit"))
        graph, sends = world.services.graph.requests.total(), world.queues.calls["send"]

        await preview(world)
        await preview(world, configuration=world.services.settings.provisioning_config.read_text("utf-8"))

        assert sum(count for name, count in calls.items() if name.endswith("commit")) == commits
        assert len(world.vendors[APP].journal) == journal
        assert (world.services.graph.requests.total(), world.queues.calls["send"]) == (graph, sends)


async def requests_for(azurite: str, prefix: str, users: int) -> int:
    """Storage requests of a preview of so many people, all of them in a group, all of them managed."""
    async with pulling(
        azurite, prefix, users=users, more="groups: {enabled: true}", page_size=999, in_memory=True
    ) as world:
        everybody = list(world.tenant.user_ids())
        team = world.tenant.create_group("Team", members=everybody)
        assign(world, team)
        await world.sync()
        tables = world.services.tables
        tables.calls.clear()
        report = await preview(world)
        assert report.looked_at == users
        assert only(report).members_added == counted(report)["create"] - 1
        return tables.calls.total()


async def test_storage_requests_grow_per_thousand_and_not_per_account(azurite: str, name_prefix: str) -> None:
    few = await requests_for(azurite, f"{name_prefix}a", 200)
    many = await requests_for(azurite, f"{name_prefix}b", 2200)

    assert many - few <= 2 * 30


async def begun(world: World) -> str:
    """The cursor of a preview that ended in the middle."""
    report = await world.services.previewer.preview(PreviewRequest(budget_s=0.0))
    assert report.next is not None
    return report.next


async def test_a_cursor_of_another_preview_is_refused(azurite: str, name_prefix: str) -> None:
    async with pulling(azurite, name_prefix, more="scope: all") as world:
        await calm(world)
        cursor = await begun(world)
        text = world.services.settings.provisioning_config.read_text("utf-8")
        other = text.replace("scope: all", "scope: all\n    mappings: {users: [{target: title, remove: true}]}")

        with pytest.raises(CursorRefused):
            await world.services.previewer.preview(PreviewRequest(cursor=cursor, configuration=other))
        assert (await world.services.previewer.preview(PreviewRequest(cursor=cursor))).looked_at == 12


def broken(place: dict[str, Any]) -> list[dict[str, Any]]:
    """The same cursor with one thing wrong each."""
    tally = place["t"][0]
    return [
        {},
        {**place, "v": 2},
        {**place, "d": "0" * 16},
        {**place, "more": 1},
        {**place, "n": -1},
        {**place, "n": "12"},
        {**place, "n": True},
        {**place, "n": 10**30},
        {**place, "p": []},
        {**place, "p": [5, *place["p"][1:]]},
        {**place, "p": [-2, *place["p"][1:]]},
        {**place, "p": [-1, "' or 1 eq 1", *place["p"][2:]]},
        {**place, "p": [-1, "a" * 500, *place["p"][2:]]},
        {**place, "p": [-1, 7, *place["p"][2:]]},
        {**place, "t": []},
        {**place, "t": [tally, tally]},
        {**place, "t": [[]]},
        {**place, "t": [{**tally, "a": {"explode": {"new": 1}}}]},
        {**place, "t": [{**tally, "a": {"create": {"<script>": 1}}}]},
        {**place, "t": [{**tally, "a": {"create": {"new": -1}}}]},
        {**place, "t": [{**tally, "a": {"create": {f"r{'x' * at}": 1 for at in range(41)}}}]},
        {**place, "t": [{**tally, "o": {"wall": 1}}]},
        {**place, "t": [{**tally, "n": {"requests": 1}}]},
        {**place, "t": [{**tally, "n": {"creates": 1.5}}]},
        {**place, "t": [{**tally, "f": {"' or 1 eq 1": 1}}]},
        {**place, "t": [{**tally, "f": {f"{at:010x}": 1 for at in range(2_001)}}]},
    ]


async def test_every_field_of_a_cursor_is_looked_at(azurite: str, name_prefix: str) -> None:
    async with pulling(azurite, name_prefix, more="scope: all") as world:
        await calm(world)
        place = decode_cursor(await begun(world))
        for wrong in broken(place):
            with pytest.raises(CursorRefused):
                await world.services.previewer.preview(PreviewRequest(cursor=encode_cursor(wrong)))
        for text in ("", "%%%", "é", "A" * 300_000, encode_cursor([1])):  # type: ignore[arg-type]
            with pytest.raises(CursorRefused):
                await world.services.previewer.preview(PreviewRequest(cursor=text))


COUNTS = st.integers(min_value=0, max_value=10**9)
TALLIES = st.builds(
    lambda actions, obstacles, numbers, fills: {"a": actions, "o": obstacles, "n": numbers, "f": fills},
    st.dictionaries(
        st.sampled_from(list(PreviewAction)), st.dictionaries(st.from_regex(r"[A-Za-z_]{1,40}", fullmatch=True), COUNTS)
    ),
    st.dictionaries(st.sampled_from(list(Obstacle)), COUNTS.filter(bool)),
    st.dictionaries(st.sampled_from(NUMBERS), COUNTS.filter(bool)),
    st.dictionaries(st.from_regex(r"[0-9a-f]{10}", fullmatch=True), COUNTS),
)


@given(TALLIES)
def test_counts_survive_the_cursor(written: dict[str, Any]) -> None:
    assert Tally.decode(json.loads(json.dumps(written))).encode() == written


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(JSON)
def test_whatever_a_stranger_writes_is_refused_or_read(value: Any) -> None:
    for read in (Tally.decode, lambda each: Place.decode(each, applications=3)):
        try:
            read(value)
        except CursorRefused:
            continue


async def test_the_list_is_cut_and_says_so(azurite: str, name_prefix: str) -> None:
    async with pulling(azurite, name_prefix, more="scope: all") as world:
        await world.sync()
        asked = PreviewRequest()
        whole = await world.services.previewer.preview(asked)
        cut = await world.services.previewer.preview(replace(asked, most_listed=3))

        assert cut.applications == whole.applications
        assert len([each for each in cut.accounts if each.action == "create"]) == 3
        assert cut.unlisted == counted(whole)["create"] - 3
