"""Many consumers get copies of one message about a new account at once: one request makes one account.

Not even where the vendor would make a second one: nothing but the lease stands between two consumers there.
`CONSUMERS=500 pytest ...` tries more orders.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest

from shared.storage.queues import Message
from tests.provisioning.loom import Actor, Loom
from tests.provisioning.stories import Scenery, Stage, open_stage
from tests.simulation.vendors.options import ExternalId, FilterMode, VendorOptions

ROOT = Path(__file__).resolve().parents[2]
RUNS = int(os.environ.get("CONSUMERS", "8"))
COPIES = 5

WORLDS = {
    "plain vendor": Scenery(),
    "vendor without unique names": Scenery(options=VendorOptions(user_name_unique=False, etag=False)),
    "vendor that drops externalId": Scenery(
        options=VendorOptions(user_name_unique=False, etag=False, external_id=ExternalId.dropped)
    ),
    "vendor without a filter": Scenery(
        more="matching: {users: [{target: userName, by: list}]}",
        options=VendorOptions(user_name_unique=False, etag=False, user_filter=FilterMode.reject),
    ),
}


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("seed", range(RUNS))
async def test_copies_of_a_message_in_any_order_make_one_account(seed: int, world: str, azurite: str) -> None:
    async with open_stage(azurite, WORLDS[world]) as stage:
        stage.hire()
        await stage.sync()
        queued = stage.world.queues.take()
        loom = Loom(stage, [f"consumer {n}" for n in range(COPIES)], seed=seed)
        for actor in loom.actors:
            _give(actor, queued.message)
        await loom.rest()

        await _go_on(loom)
        await stage.settle()

        assert _creates(stage) == 1, "\n".join([f"seed {seed}, {world}", *loom.trace])
        assert await stage.findings() == []


def _give(actor: Actor, message: Message) -> None:
    actor.begin("the message", lambda services: services.reconciler.provision(message, first=False))


async def _go_on(loom: Loom) -> None:
    """Everybody comes to an end; now and then time passes, and a lease runs out under its holder."""
    while await loom.step():
        if loom.dice.random() < 0.03:
            loom.stage.world.clock.advance(loom.dice.choice([20, 61]))


def _creates(stage: Stage) -> int:
    return sum(entry.method == "POST" for entry in stage.acme.journal)


@pytest.mark.parametrize("world", ["plain vendor", "vendor without unique names"])
async def test_processes_with_copies_of_a_message_make_one_account(world: str, azurite: str, tmp_path: Path) -> None:
    async with open_stage(azurite, WORLDS[world], in_memory=False) as stage:
        stage.hire()
        await stage.sync()
        queued = stage.world.queues.take()
        task = stage.task() | {"write": "", "moment": "", "message": queued.message.encode(), "waits": True}
        processes = [await _start(task | {"sent": str(tmp_path / f"sent by {n}")}) for n in range(COPIES - 1)]

        for process in processes:
            assert await process.stdout.readline() == b"ready\n"
        ended = await asyncio.gather(*(process.communicate(b"go\n") for process in processes))
        stage.world.queues.waiting.append(queued)
        await stage.settle()

        assert [process.returncode for process in processes] == [0] * len(processes), ended
        assert _creates(stage) == 1
        assert await stage.findings() == []


async def _start(task: dict[str, object]) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.provisioning.dying_process",
        json.dumps(task),
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
