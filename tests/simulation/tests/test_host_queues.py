"""Messages live and die on the local host as they do on the platform."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.simulation.host.configuration import MessageEncoding, QueueOptions
from tests.simulation.host.functions import Function, Trigger
from tests.simulation.host.outputs import QueueOutputs, messages_of
from tests.simulation.host.polling import Backoff
from tests.simulation.host.queues import QueueListener, decode, poison_queue_of
from tests.simulation.host.runtime import Invocation, InvocationResult, TypedData
from tests.simulation.host.storage import Storage
from tests.simulation.tests.sample_host import SampleHost, eventually


@pytest.fixture(scope="module")
def sample(azurite: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SampleHost]:
    """Answers with a running sample app; the module's tests share it, each with bodies of its own."""
    folder = tmp_path_factory.mktemp("queues")
    sample = SampleHost(storage=azurite, prefix=f"q{folder.name.lower()}", folder=folder, settings={})
    with sample.start():
        yield sample


def test_a_function_gets_the_message_and_its_metadata_once(sample: SampleHost) -> None:
    sample.send("orders", "tea")

    assert eventually(lambda: sample.notes("ordered", body="tea"))
    [note] = sample.notes("order", body="tea")
    assert note["attempt"] == 1
    assert len(note["id"]) == 36
    assert note["inserted"].endswith("+00:00")
    assert note["trace"].startswith("00-")


def test_a_list_output_becomes_one_message_for_each_element(sample: SampleHost) -> None:
    sample.send("orders", "cake")

    assert eventually(lambda: sample.notes("shipment", body="cake/1"))
    assert eventually(lambda: sample.notes("shipment", body="cake/2"))


def test_a_failing_message_is_tried_max_dequeue_count_times_and_then_poisoned(sample: SampleHost) -> None:
    sample.send("orders", "fail-1")

    assert eventually(lambda: sample.notes("given_up", body="fail-1", attempt=1))
    assert [note["attempt"] for note in sample.notes("order", body="fail-1")] == [1, 2, 3]


def test_outputs_of_a_failed_run_are_not_sent(sample: SampleHost) -> None:
    sample.send("orders", "fail-2", "after")

    assert eventually(lambda: sample.notes("given_up", body="fail-2"))
    assert eventually(lambda: sample.notes("shipment", body="after/1"))
    assert not sample.notes("shipment", body="fail-2/1")


def test_text_that_is_not_base64_is_poisoned_without_a_run(sample: SampleHost) -> None:
    before = len(sample.notes("order"))

    sample.send_raw("orders", "not base64!")

    assert eventually(lambda: sample.waiting("orders-poison"))
    assert len(sample.notes("order")) == before


def test_a_run_longer_than_the_invisibility_is_not_doubled(sample: SampleHost) -> None:
    sample.send("orders", "slow:2.5")

    assert eventually(lambda: sample.notes("ordered", body="slow:2.5"))
    sample.send("orders", "after-slow")
    assert eventually(lambda: sample.notes("ordered", body="after-slow"))
    assert len(sample.notes("order", body="slow:2.5")) == 1


def test_a_message_that_vanished_during_its_run_does_no_harm(sample: SampleHost) -> None:
    sample.send("orders", "slow:0.7")
    assert eventually(lambda: sample.notes("order", body="slow:0.7"))
    with sample.queue("orders") as queue:
        queue.clear_messages()

    assert eventually(lambda: sample.notes("ordered", body="slow:0.7"))
    sample.send("orders", "after-vanished")

    assert eventually(lambda: sample.notes("ordered", body="after-vanished"))
    assert "was not settled" not in sample.log()


def test_no_more_run_at_once_than_batch_and_threshold_allow(sample: SampleHost) -> None:
    bodies = [f"slow:0.3{number:02d}" for number in range(12)]

    sample.send("orders", *bodies)

    assert eventually(lambda: all(sample.notes("ordered", body=body) for body in bodies))
    assert 2 <= most_at_once(sample.folder, bodies) <= 4 + 2


async def test_an_output_of_this_host_wakes_its_listener(azurite: str, name_prefix: str) -> None:
    binding = {"type": "queue", "name": "out", "queueName": f"{name_prefix}-in", "connection": "AzureWebJobsStorage"}
    trigger = {"type": "queueTrigger", "name": "msg", "queueName": f"{name_prefix}-in"}
    function = Function(name="f", id="f", trigger=Trigger.QUEUE, bindings=(trigger, binding))
    arrived = asyncio.Event()
    backoff = NeverAgain()

    async def invoke(_function: Function, invocation: Invocation) -> InvocationResult:
        arrived.set()
        return InvocationResult(invocation_id=invocation.id)

    async with Storage({"AzureWebJobsStorage": azurite}) as storage, asyncio.TaskGroup() as tasks:
        queue = await storage.queue("", binding["queueName"])
        listener = QueueListener(function, queue, poison=None, options=QueueOptions(), backoff=backoff, invoke=invoke)
        tasks.create_task(listener.run())
        await asyncio.wait_for(backoff.asked.wait(), 10)
        outputs = QueueOutputs(storage, MessageEncoding.BASE64, [listener])
        result = InvocationResult(invocation_id="i", outputs={"out": TypedData(string="woken")})
        await outputs.write(function, result)

        await asyncio.wait_for(arrived.wait(), 10)
        listener.stop_fetching()
        await listener.settled()


def test_user_log_lines_carry_their_functions_name(sample: SampleHost) -> None:
    sample.send("orders", "logged")

    assert eventually(lambda: sample.notes("shipment", body="logged/2"))
    assert "INFO    order: an order came" in sample.log()
    assert "WARNING shipment: a shipment came" in sample.log()


class NeverAgain(Backoff):
    """Waits an hour after the first look."""

    def __init__(self) -> None:
        super().__init__(3600, lambda: 0.5)
        self.asked = asyncio.Event()

    def after_nothing(self) -> float:
        self.asked.set()
        return 3600


def most_at_once(folder: Path, bodies: list[str]) -> int:
    """Answers with how many of these orders ran at the same time, from the order of the journal's lines."""
    running = most = 0
    for line in (folder / "journal").read_text().splitlines():
        note = json.loads(line)
        if note.get("body") in bodies:
            running += {"order": 1, "ordered": -1}.get(note["function"], 0)
            most = max(most, running)
    return most


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param(TypedData(string="one"), [b"one"], id="text is one message"),
        pytest.param(TypedData(string='["a", "b"]'), [b"a", b"b"], id="a JSON array is one for each element"),
        pytest.param(TypedData(json='[{"k": 1}, "b"]'), [b'{"k": 1}', b"b"], id="an object is a message of JSON"),
        pytest.param(TypedData(json='[{"id": null, "body": "x"}]'), [b"x"], id="a queue message is its body"),
        pytest.param(TypedData(string="[not json"), [b"[not json"], id="text that only starts like JSON is text"),
        pytest.param(TypedData(bytes=b"\xff"), [b"\xff"], id="bytes are one message"),
        pytest.param(TypedData(), [], id="nothing is no message"),
    ],
)
def test_what_an_output_stands_for(value: TypedData, expected: list[bytes]) -> None:
    assert list(messages_of(value)) == expected


@pytest.mark.parametrize(
    ("queue", "expected"),
    [
        pytest.param("orders", "orders-poison", id="a queue has one"),
        pytest.param("orders-poison", None, id="a poison queue has none"),
        pytest.param("q" * 56, "q" * 56 + "-poison", id="the longest name that has one"),
        pytest.param("q" * 57, None, id="a name that would get too long has none"),
    ],
)
def test_the_poison_queue_of(queue: str, expected: str | None) -> None:
    assert poison_queue_of(queue) == expected


def test_padding_is_needed_and_white_space_is_not_seen() -> None:
    assert decode("dGVhIA==", MessageEncoding.BASE64) == b"tea "
    assert decode("dGVh\nIA==", MessageEncoding.BASE64) == b"tea "
    assert decode("dGVhIA", MessageEncoding.BASE64) is None
    assert decode("{}", MessageEncoding.NONE) == b"{}"
