"""Writes what a function put into its queue outputs, once it succeeded, and wakes the listeners of those queues."""

import json
from collections.abc import Iterable, Iterator

from tests.simulation.host.configuration import MessageEncoding
from tests.simulation.host.functions import Function, Output
from tests.simulation.host.queues import QueueListener, encode, send
from tests.simulation.host.runtime import InvocationResult, TypedData
from tests.simulation.host.storage import Storage


class QueueOutputs:
    """Sends the messages of successful runs."""

    def __init__(self, storage: Storage, encoding: MessageEncoding, listeners: Iterable[QueueListener]) -> None:
        self._storage = storage
        self._encoding = encoding
        self._listeners = tuple(listeners)

    async def write(self, function: Function, result: InvocationResult) -> None:
        """Sends every message of a successful run. Raises: AzureError, with some messages sent and some not."""
        for binding in function.outputs(Output.QUEUE):
            value = result.outputs.get(binding["name"])
            if value is None:
                continue
            queue = await self._storage.queue(binding.get("connection", ""), binding["queueName"])
            for body in messages_of(value):
                await send(queue, encode(body, self._encoding))
            for listener in self._listeners:
                if listener.queue.url == queue.url:
                    listener.wake()


def messages_of(value: TypedData) -> Iterator[bytes]:
    """Answers with the bodies that an output value stands for: a JSON array is one message for each of its elements."""
    kind = value.WhichOneof("data")
    if kind is None:
        return
    content = getattr(value, kind)
    if kind == "bytes":
        yield content
        return
    text = str(content)
    try:
        parsed = json.loads(text) if kind == "json" or text.lstrip().startswith("[") else text
    except ValueError:
        parsed = text
    for each in parsed if isinstance(parsed, list) else [parsed]:
        yield _body(each)


def _body(element: object) -> bytes:
    """Answers with one message's body. A `func.QueueMessage` arrives as an object with its id and body."""
    if isinstance(element, dict) and set(element) == {"id", "body"}:
        element = element["body"]
    return (element if isinstance(element, str) else json.dumps(element)).encode()
