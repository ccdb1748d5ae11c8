"""The sample app on a host process, and the journal its functions write."""

import base64
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from azure.core.exceptions import ResourceNotFoundError
from azure.storage.queue import QueueClient

from tests.simulation.host.process import HostProcess

SAMPLE_APP = Path(__file__).resolve().parents[1] / "host" / "sample_app"
NEVER = "0 0 0 1 1 *"


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleHost:
    """What the sample app needs to run, and where it writes."""

    storage: str
    prefix: str
    folder: Path
    settings: Mapping[str, str]

    def start(self, **more: str) -> HostProcess:
        """Starts a host; settings given here go over the others."""
        fixed = {
            "AzureWebJobsStorage": self.storage,
            "AzureFunctionsWebHost__hostid": self.prefix,
            "PREFIX": self.prefix,
            "TICK_SCHEDULE": NEVER,
            "SAMPLE_JOURNAL": str(self.folder / "journal"),
            "HOST_MASTER_KEY": "master",
            "HOST_FUNCTION_KEY": "function",
            "HOST_QUEUE_INVISIBILITY_SECONDS": "1",
        }
        return HostProcess.start(SAMPLE_APP, {**fixed, **self.settings, **more}, log=self.folder / "host.log")

    def notes(self, function: str, **facts: object) -> list[dict[str, Any]]:
        """Answers with the journal's lines of a function that hold these facts."""
        try:
            lines = (self.folder / "journal").read_text().splitlines()
        except FileNotFoundError:
            return []
        notes = [json.loads(line) for line in lines]
        wanted = {"function": function, **facts}
        return [note for note in notes if wanted.items() <= note.items()]

    def log(self) -> str:
        """Answers with what the host wrote to standard error."""
        return (self.folder / "host.log").read_text()

    def queue(self, name: str) -> QueueClient:
        """Answers with one of the sample app's queues."""
        return QueueClient.from_connection_string(self.storage, f"{self.prefix}-{name}")

    def waiting(self, name: str) -> int:
        """Answers with how many messages a queue holds, hidden ones too; none if it was never made."""
        with self.queue(name) as queue:
            return (queue.get_queue_properties().approximate_message_count or 0) if _exists(queue) else 0

    def send(self, name: str, *bodies: str) -> None:
        """Sends messages, in base64, to one of the sample app's queues; makes it if needed."""
        self.send_raw(name, *(base64.b64encode(body.encode()).decode() for body in bodies))

    def send_raw(self, name: str, *texts: str) -> None:
        """Sends messages as they are."""
        with self.queue(name) as queue:
            if not _exists(queue):
                queue.create_queue()
            for text in texts:
                queue.send_message(text)


def eventually(claim: Callable[[], object], *, within_s: float = 20.0) -> bool:
    """Answers whether a claim about another process becomes true in time."""
    deadline = time.monotonic() + within_s
    while not claim():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def _exists(queue: QueueClient) -> bool:
    try:
        queue.get_queue_properties()
    except ResourceNotFoundError:
        return False
    return True
