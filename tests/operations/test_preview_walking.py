"""Facts and rows are merged completely and in order, however they are cut into pages."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from hypothesis import given
from hypothesis import strategies as st

from shared.operations.previewing.walking import _merge
from shared.provisioning.accounts import Account, ResourceKind

IDS = st.sets(st.integers(min_value=0, max_value=60).map(lambda number: f"{number:02d}"))
SIZES = st.lists(st.integers(min_value=0, max_value=7), min_size=1, max_size=5)


async def pages(ids: set[str], sizes: Sequence[int], app: str = "") -> AsyncIterator[list[tuple[str, object]]]:
    """The ids in order, in pages of these sizes, empty ones included."""
    left, at = sorted(ids), 0
    while left:
        size = sizes[at % len(sizes)] or (0 if at % 3 else 1)
        yield [
            (
                source_id,
                Account(application=app, kind=ResourceKind.USER, source_id=source_id) if app else source_id,
            )
            for source_id in left[:size]
        ]
        left, at = left[size:], at + 1


@given(st.lists(IDS, min_size=1, max_size=4), st.lists(IDS, min_size=1, max_size=3), SIZES)
async def test_everybody_comes_once_with_all_that_is_known(
    mirrored: list[set[str]], owned: list[set[str]], sizes: list[int]
) -> None:
    # A person is in one partition only.
    partitions = [ids - set().union(*mirrored[:at]) for at, ids in enumerate(mirrored)]
    accounts = {f"app{at}": ids for at, ids in enumerate(owned)}
    merged = _merge(
        [pages(ids, sizes) for ids in partitions],
        {app: pages(ids, sizes, app) for app, ids in accounts.items()},  # type: ignore[misc]
    )
    seen: list[str] = []
    async for known, rows in merged:
        seen += sorted(rows)
        for source_id, found in rows.items():
            assert set(found) == {app for app, ids in accounts.items() if source_id in ids}
            assert (source_id in known) == any(source_id in ids for ids in partitions)

    assert seen == sorted(set().union(*partitions, *owned))
