"""Reading alone: pages of users/delta through the product's Graph transport to changes, nothing written.

Measured: users a second from the first request to the last change, in a process of its own. The pages are rendered
before the clock starts (999 users each, the product's own selection) and served as bytes by another process, so that
the transport, the JSON and the pure step from page to changes are what is left. Beside it, in the same run, a bare
httpx client that only parses the same pages.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import tempfile
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from shared.directory.delta import read_links, read_user_changes
from shared.rules.source_user import select_properties
from tests.benchmarks.machine import Usage
from tests.benchmarks.separate import run_apart, serve_apart, wait_for_end
from tests.benchmarks.tables import Table, number
from tests.benchmarks.tenants import NO_PRINCIPAL, new_services
from tests.simulation.graph.people import draw_user

USERS = 100_000
PAGE_SIZE = 999
RUNS = 3


def measure(users: int | None) -> list[Table]:
    """Answers with the table of this benchmark."""
    count = users or USERS
    with serve_apart(serve_pages, count) as url:
        runs = [run_apart(run_reading, url) for _ in range(RUNS)]
    if any(run["users"] != count for run in runs):
        raise RuntimeError("not every user was read")
    rows = [
        (
            label,
            number(count / statistics.median(run[kind]["wall_s"] for run in runs)),
            number(statistics.median(run[kind]["cpu_s"] for run in runs) / count * 1e6),
            number(max(run[kind]["growth_mb"] for run in runs)),
        )
        for label, kind in (("the product's transport, JSON and changes", "product"), ("httpx and JSON alone", "bare"))
    ]
    return [
        Table(
            title=f"Reading {count:,} users from Graph",
            columns=("path", "users/s", "CPU µs/user", "memory +MB"),
            rows=rows,
            note=f"Median of {RUNS} processes; pages of {PAGE_SIZE} users, rendered before.",
        )
    ]


def run_reading(url: str) -> dict[str, Any]:
    """Reads everything twice; runs in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(_run_reading(Path(folder), url))


async def _run_reading(folder: Path, url: str) -> dict[str, Any]:
    import httpx

    services = new_services(folder, storage="UseDevelopmentStorage=true", graph=f"{url} {NO_PRINCIPAL}")
    properties = select_properties(services.applications.values())
    await services.graph.read("/warm")
    usage = Usage()
    users = 0
    page = await services.graph.read_users_delta(properties)
    while True:
        users += len(read_user_changes(page))
        links = read_links(page)
        if links.delta:
            break
        page = await services.graph.read(links.next)
    product = usage.stop()
    await services.graph.close()
    async with httpx.AsyncClient() as http:
        await http.get(f"{url}/warm")
        usage = Usage()
        following = f"{url}/users/delta"
        while following:
            document = json.loads((await http.get(following)).content)
            following = document.get("@odata.nextLink", "")
        bare = usage.stop()
    return {"users": users, "product": product.figures(), "bare": bare.figures()}


def serve_pages(announce: Connection, users: int) -> None:
    """Serves rendered pages until the other end of `announce` is closed; announces the base URL."""
    asyncio.run(_serve_pages(announce, users))


async def _serve_pages(announce: Connection, users: int) -> None:
    answers: list[bytes] = []
    server = await asyncio.get_running_loop().create_server(lambda: _Pages(answers), "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1.0"
    answers += render_pages(url, users)
    announce.send(url)
    await asyncio.to_thread(wait_for_end, announce)
    server.close()


def render_pages(url: str, users: int) -> list[bytes]:
    """The whole answers: a warm-up document, then every page, each linking to the next by its number."""
    with tempfile.TemporaryDirectory() as folder:
        services = new_services(Path(folder), storage="UseDevelopmentStorage=true", graph=f"{url} {NO_PRINCIPAL}")
        selected = {"id", *select_properties(services.applications.values())}
    answers = [_answer({})]
    for start in range(0, users, PAGE_SIZE):
        drawn = [draw_user(1, index) for index in range(start, min(start + PAGE_SIZE, users))]
        value = [{name: held for name, held in user.items() if name in selected} for user in drawn]
        more = start + PAGE_SIZE < users
        link = f"{url}/users/delta?$skiptoken={len(answers) + 1}" if more else f"{url}/users/delta?$deltatoken=end"
        name = "@odata.nextLink" if more else "@odata.deltaLink"
        answers.append(_answer({"@odata.context": f"{url}/$metadata#users", name: link, "value": value}))
    return answers


def _answer(document: Any) -> bytes:
    content = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    return head.encode() + content


class _Pages(asyncio.Protocol):
    """One connection; requests are small enough to arrive whole."""

    def __init__(self, answers: list[bytes]) -> None:
        self._answers = answers
        self._transport: Any = None

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        target = data.split(b" ", 2)[1]
        if b"/warm" in target:
            self._transport.write(self._answers[0])
            return
        _, _, token = target.replace(b"%24", b"$").partition(b"$skiptoken=")
        self._transport.write(self._answers[int(token or 1)])
