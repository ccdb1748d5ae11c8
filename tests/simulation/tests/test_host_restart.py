"""The host ends cleanly, survives kill -9, and replaces a worker that runs too long."""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from tests.simulation.host.process import ROOT
from tests.simulation.tests.sample_host import SAMPLE_APP, SampleHost, eventually


@pytest.fixture
def sample(azurite: str, name_prefix: str, tmp_path: Path) -> SampleHost:
    return SampleHost(storage=azurite, prefix=name_prefix, folder=tmp_path, settings={})


def test_a_killed_host_loses_no_message_and_the_next_one_runs_its_timers_at_once(sample: SampleHost) -> None:
    with sample.start(TICK_SCHEDULE="* * * * * *") as first:
        sample.send("orders", "slow:60")
        assert eventually(lambda: sample.notes("order", body="slow:60", attempt=1))
        assert eventually(lambda: sample.notes("tick"))
        first.kill()

    with sample.start(TICK_SCHEDULE="* * * * * *") as second:
        ticked = eventually(lambda: sample.notes("tick", pid=second.pid), within_s=8)
        came_back = eventually(lambda: sample.notes("order", body="slow:60", attempt=2))
        second.kill()

    assert ticked
    assert came_back


def test_a_killed_host_is_started_again_as_it_was(sample: SampleHost) -> None:
    with sample.start(TICK_SCHEDULE="* * * * * *") as host:
        first = host.pid
        host.kill()

        host.start_again()

        assert host.pid != first
        assert eventually(lambda: sample.notes("tick", pid=host.pid))


@pytest.mark.parametrize("queue", ["orders", "threads"])
def test_a_signal_ends_the_host_in_seconds_whatever_runs(sample: SampleHost, queue: str) -> None:
    function, body = {"orders": ("order", "slow:60"), "threads": ("in_thread", "60")}[queue]
    with sample.start() as host:
        sample.send(queue, body)
        assert eventually(lambda: sample.notes(function))
        started = time.monotonic()
        code = host.stop()
        took_s = time.monotonic() - started

    assert code == 0
    assert took_s < 9


def test_a_run_in_time_is_settled_before_the_host_ends(sample: SampleHost) -> None:
    with sample.start() as host:
        sample.send("orders", "slow:1")
        assert eventually(lambda: sample.notes("order"))
        host.stop()

    assert sample.notes("ordered", body="slow:1")
    assert sample.waiting("orders") == 0


def test_a_time_out_ends_every_run_and_the_worker_starts_anew_at_the_same_address(sample: SampleHost) -> None:
    with sample.start(AzureFunctionsJobHost__functionTimeout="00:00:01") as host:
        sample.send("threads", "60")

        given_up = eventually(lambda: sample.waiting("threads-poison"), within_s=30)
        is_back = eventually(lambda: answers(f"{host.url}/api/echo"))
        attempts = [note["attempt"] for note in sample.notes("in_thread")]

    assert given_up
    assert attempts == [1, 2, 3]
    assert is_back
    assert "in_thread ran longer than functionTimeout (1 s)" in sample.log()


def answers(url: str) -> bool:
    """Answers whether a function answers at an address."""
    try:
        return httpx.get(url).status_code == 200
    except httpx.TransportError:
        return False


def test_a_taken_port_is_named(sample: SampleHost) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        command = [sys.executable, "-m", "tests.simulation.host", "--app", str(SAMPLE_APP), "--port", str(port)]
        settings = {"AzureWebJobsStorage": sample.storage, "PREFIX": sample.prefix, "TICK_SCHEDULE": "0 0 * * * *"}
        ended = subprocess.run(
            command, env={**os.environ, **settings}, capture_output=True, text=True, cwd=ROOT, check=False
        )

    assert ended.returncode == 1
    assert f"port {port} is taken" in ended.stderr


def test_the_host_runs_inside_another_program(sample: SampleHost) -> None:
    program = f"""
import asyncio, os
from pathlib import Path
from tests.simulation.host import FunctionHost

async def main():
    host = FunctionHost(Path({str(SAMPLE_APP)!r}), {{
        "AzureWebJobsStorage": {sample.storage!r}, "PREFIX": {sample.prefix!r}, "TICK_SCHEDULE": "0 0 0 1 1 *",
        "SAMPLE_JOURNAL": {str(sample.folder / "journal")!r},
    }})
    await host.start()
    result = await host.invoke_timer("tick")
    tick = next(function for function in host.functions if function.name == "tick")
    print(result.succeeded, tick.trigger_binding["schedule"], "PREFIX" in os.environ)
    await host.stop()
    print("PREFIX" in os.environ)

asyncio.run(main())
"""
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, cwd=ROOT, check=False
    )

    assert ended.stderr == ""
    assert ended.stdout.split("\n")[:2] == ["True 0 0 0 1 1 * True", "False"]
    assert len(sample.notes("tick")) == 1
