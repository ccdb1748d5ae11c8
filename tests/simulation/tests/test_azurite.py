"""The storage emulator starts, keeps what it should, and never outlives its owner."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from azure.data.tables import TableServiceClient
from azure.storage.queue import QueueClient

from tests.simulation.azurite import Azurite, AzuriteNotStartedError, Ports, connection_string
from tests.simulation.tests.sample_host import eventually


def test_queues_and_tables_work_through_the_connection_string(azurite: str, name_prefix: str) -> None:
    with QueueClient.from_connection_string(azurite, f"{name_prefix}-q") as queue:
        queue.create_queue()
        queue.send_message("one")
        received = [message.content for message in queue.receive_messages()]
    with TableServiceClient.from_connection_string(azurite) as tables:
        created = tables.create_table(f"{name_prefix}table").table_name

    assert received == ["one"]
    assert created == f"{name_prefix}table"


def test_what_is_kept_in_a_folder_is_there_after_a_restart(tmp_path: Path) -> None:
    ports = Ports.free()

    queue = QueueClient.from_connection_string(connection_string(ports), "kept")
    with queue:
        with Azurite.in_folder(tmp_path, ports):
            queue.create_queue()
            queue.send_message("still here")
        with Azurite.in_folder(tmp_path, ports):
            received = [message.content for message in queue.receive_messages()]

    assert received == ["still here"]


def test_a_restart_keeps_ports_and_what_is_held(tmp_path: Path) -> None:
    with Azurite.in_folder(tmp_path, Ports.free()) as storage:
        first = storage.pid
        with QueueClient.from_connection_string(storage.connection_string, "kept") as queue:
            queue.create_queue()
            queue.send_message("still here")
            storage.restart()
            received = [message.content for message in queue.receive_messages()]
        second = storage.pid

    assert received == ["still here"]
    assert [Path(f"/proc/{pid}").exists() for pid in {first, second}] == [False, False]


def test_one_in_memory_is_not_restarted() -> None:
    with Azurite.in_memory() as storage, pytest.raises(AzuriteNotStartedError, match="in a folder"):
        storage.restart()


def test_a_taken_port_is_named(tmp_path: Path) -> None:
    ports = Ports.free()
    with (
        socket.create_server(("127.0.0.1", ports.queue)),
        pytest.raises(AzuriteNotStartedError, match=str(ports.queue)),
    ):
        Azurite.in_folder(tmp_path, ports)


def test_azurite_ends_when_its_owner_is_killed() -> None:
    program = (
        "from tests.simulation.azurite import Azurite\n"
        "running = Azurite.in_memory()\n"
        "print(running.ports.blob, running.ports.queue, running.ports.table, flush=True)\n"
        "input()\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as owner:
        blob, queue, table = (int(each) for each in owner.stdout.readline().split())
        ports = Ports(blob=blob, queue=queue, table=table)
        answered = ports.all_answer()

        os.kill(owner.pid, signal.SIGKILL)
        owner.wait()
        closed = eventually(lambda: not ports.taken_ones(), within_s=10)

    assert answered
    assert closed
