"""Reading a whole list from servers that page in every wrong way there is."""

from collections.abc import Callable
from typing import Any

import pytest

from shared.scim.answers import AnswerKind
from shared.scim.client import ResourceType
from shared.scim.listing import ListPosition, Page
from tests.scim.server import Received, Reply, client_of, listed, refused, scim, serving

USER = ResourceType.USER
ROWS = [{"id": index, "userName": f"user{index}@x"} for index in range(1, 24)]
EVERYBODY = [str(row["id"]) for row in ROWS]


def page_of(request: Received, size: int) -> list[dict[str, Any]]:
    start = int(request.query.get("startIndex", "1"))
    return ROWS[start - 1 : start - 1 + min(size, int(request.query["count"]))]


def honest(request: Received) -> Reply:
    return listed(*page_of(request, 100), total=23, startIndex=1)


def silently_capped(request: Received) -> Reply:
    return listed(*page_of(request, 5), total=23)


def without_total(request: Received) -> Reply:
    return scim({"Resources": page_of(request, 5)})


def total_too_small(request: Received) -> Reply:
    return listed(*page_of(request, 5), total=5, itemsPerPage=0)


def total_too_large(request: Received) -> Reply:
    return listed(*page_of(request, 5), total=5000)


def null_at_the_end(request: Received) -> Reply:
    rows = page_of(request, 5)
    return scim({"totalResults": 23, "resources": rows or None})


def start_as_page_number(request: Received) -> Reply:
    start = 5 * (int(request.query["startIndex"]) - 1)
    return listed(*ROWS[start : start + 5], total=23)


def start_ignored(request: Received) -> Reply:
    return listed(*ROWS, total=5000)


def by_cursor(request: Received) -> Reply:
    start = int(request.query.get("cursor", "0"))
    more = {"nextCursor": str(start + 5)} if start + 5 < len(ROWS) else {}
    return listed(*ROWS[start : start + 5], **more)


def by_a_cursor_that_stands_still(request: Received) -> Reply:
    return listed(*ROWS, nextCursor="again")


async def read_all(answering: Callable[[Received], Reply], **protocol: Any) -> list[Page]:
    async with serving(answering) as server, client_of(server.origin, page_size=10, **protocol) as client:
        return [page async for page in client.list_pages(USER)]


@pytest.mark.parametrize(
    "answering",
    [
        honest,
        silently_capped,
        without_total,
        total_too_small,
        total_too_large,
        null_at_the_end,
        start_as_page_number,
        start_ignored,
        by_cursor,
        by_a_cursor_that_stands_still,
    ],
)
async def test_everybody_is_listed_once(answering: Callable[[Received], Reply]) -> None:
    pages = await read_all(answering)

    assert [row["id"] for page in pages for row in page.resources] == EVERYBODY
    assert all(page.answer.ok for page in pages)
    assert pages[-1].next is None
    assert len(pages) < 9


async def test_inactive_accounts_are_listed_too_where_a_list_leaves_them_out() -> None:
    def active_only(request: Received) -> Reply:
        rows = page_of(request, 10)
        inactive = request.query.get("filter") == "active eq false"
        return listed(*(row for row in rows if (row["id"] % 2 == 0) is inactive))

    pages = await read_all(active_only, list_excludes_inactive=True)

    assert sorted(int(row["id"]) for page in pages for row in page.resources) == list(range(1, 24))


async def test_a_list_that_breaks_says_so_and_goes_on_where_it_stopped() -> None:
    broken = [refused(500)]

    def answering(request: Received) -> Reply:
        return broken.pop() if request.query["startIndex"] == "6" and broken else silently_capped(request)

    async with serving(answering) as server, client_of(server.origin, page_size=10) as client:
        first = [page async for page in client.list_pages(USER)]
        position: ListPosition | None = first[-1].next
        rest: list[str] = []
        while position is not None:
            page = await client.list_page(USER, position=position)
            rest += [row["id"] for row in page.resources]
            position = page.next

    assert first[-1].answer.kind is AnswerKind.UNREACHABLE
    assert [row["id"] for page in first for row in page.resources] + rest == EVERYBODY


async def test_a_web_page_is_no_empty_list() -> None:
    pages = await read_all(lambda _request: Reply(body=b"<html>login</html>"))

    assert [page.answer.kind for page in pages] == [AnswerKind.WRONG_ENDPOINT]


async def test_json_that_is_no_list_is_no_empty_list() -> None:
    pages = await read_all(lambda _request: scim({"status": "up"}))

    assert [page.answer.kind for page in pages] == [AnswerKind.REJECTED]


async def test_the_page_size_stays_within_the_vendors_limit() -> None:
    asked: list[str] = []

    def answering(request: Received) -> Reply:
        asked.append(request.query["count"])
        return listed()

    await read_all(answering, max_page_size=7)

    assert asked == ["7"]
