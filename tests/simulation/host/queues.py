"""Pumps one queue into one function, and settles each message as the platform does.

Fetched (hidden for 10 minutes, renewed at half time while its function runs), run, then deleted if it succeeded, shown
again after `visibilityTimeout` if it failed, copied to `<queue>-poison` and deleted if that was its last attempt.
A host that dies in between leaves the message hidden: it comes back by itself when the time is over.
"""

import asyncio
import base64
import binascii
import contextlib
import json
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime

from azure.core.exceptions import AzureError, HttpResponseError, ResourceNotFoundError
from azure.storage.queue import QueueMessage
from azure.storage.queue.aio import QueueClient

from tests.simulation.host.configuration import MessageEncoding, QueueOptions
from tests.simulation.host.functions import Function
from tests.simulation.host.polling import Backoff
from tests.simulation.host.runtime import Invocation, InvocationResult, TypedData

POISON_SUFFIX = "-poison"
LONGEST_QUEUE_NAME = 63

log = logging.getLogger("host.queues")

Invoke = Callable[[Function, Invocation], Awaitable[InvocationResult]]


def poison_queue_of(queue_name: str) -> str | None:
    """Answers with the name of the queue for messages that were given up, None where the platform has none."""
    name = queue_name + POISON_SUFFIX
    return None if queue_name.endswith(POISON_SUFFIX) or len(name) > LONGEST_QUEUE_NAME else name


def decode(text: str, encoding: MessageEncoding) -> bytes | None:
    """Answers with a message's body, None if its text is not in the encoding."""
    if encoding is MessageEncoding.NONE:
        return text.encode()
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        return None


def encode(body: bytes, encoding: MessageEncoding) -> str:
    """Answers with the text of a message for a body. Raises: UnicodeDecodeError for bytes that are no text."""
    return body.decode() if encoding is MessageEncoding.NONE else base64.b64encode(body).decode()


class QueueListener:
    """One function's listener on one queue."""

    def __init__(
        self,
        function: Function,
        queue: QueueClient,
        *,
        poison: QueueClient | None,
        options: QueueOptions,
        backoff: Backoff,
        invoke: Invoke,
    ) -> None:
        self.function = function
        self.queue = queue
        self._poison = poison
        self._options = options
        self._invoke = invoke
        self._backoff = backoff
        self._in_flight: set[asyncio.Task[None]] = set()
        # Set whenever the loop has something to look at: a message was settled, one was sent, the host stops.
        self._changed = asyncio.Event()
        self._woken = False
        self._is_stopping = False

    @property
    def in_flight(self) -> int:
        """Answers with how many messages are fetched and not settled."""
        return len(self._in_flight)

    def wake(self) -> None:
        """Ends the wait: this host itself sent a message to the queue."""
        self._woken = True
        self._changed.set()

    def stop_fetching(self) -> None:
        """Lets `run` end after the fetch that is under way; messages already fetched go on."""
        self._is_stopping = True
        self._changed.set()

    async def settled(self) -> None:
        """Waits until every fetched message is settled."""
        while self._in_flight:
            await asyncio.wait(set(self._in_flight))

    def abandon(self) -> None:
        """Drops the messages still being worked on; they come back when their invisibility ends."""
        for task in self._in_flight:
            task.cancel()

    async def run(self) -> None:
        """Fetches batches until told to stop."""
        while not self._is_stopping:
            self._changed.clear()
            if len(self._in_flight) > self._options.new_batch_threshold:
                await self._changed.wait()
                continue
            self._woken = False
            messages = await self._fetch()
            for message in messages:
                task = asyncio.create_task(self._deliver(message))
                self._in_flight.add(task)
                task.add_done_callback(self._forget)
            if messages:
                self._backoff.after_a_find()
            else:
                await self._idle(self._backoff.after_nothing())

    async def _idle(self, wait_s: float) -> None:
        """Waits for time to pass, or for the reason not to wait; a settled message is none."""
        deadline = asyncio.get_running_loop().time() + wait_s
        while not (self._woken or self._is_stopping):
            left_s = deadline - asyncio.get_running_loop().time()
            try:
                await asyncio.wait_for(self._changed.wait(), left_s)
            except TimeoutError:
                return
            self._changed.clear()

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._in_flight.discard(task)
        self._changed.set()
        if not task.cancelled() and (error := task.exception()):
            log.error("%s: a message was not settled, it comes back: %r", self.function.name, error)

    async def _fetch(self) -> list[QueueMessage]:
        try:
            pages = self.queue.receive_messages(
                messages_per_page=self._options.batch_size, visibility_timeout=int(self._options.invisibility_s)
            ).by_page()
            return [message async for message in await anext(pages)]
        except (StopAsyncIteration, ResourceNotFoundError):
            # A queue that nobody made yet is an empty queue.
            return []
        except AzureError as error:
            log.warning("%s: cannot read the queue %s: %s", self.function.name, self.queue.queue_name, _brief(error))
            return []

    async def _deliver(self, message: QueueMessage) -> None:
        body = decode(message.content or "", self._options.message_encoding)
        count = message.dequeue_count or 1
        if body is None or count > self._options.max_dequeue_count:
            # The platform says the same for text it cannot decode, although it was never tried.
            log.warning("%s: message %s has reached MaxDequeueCount", self.function.name, message.id)
            await self._settle(self._give_up, message)
            return
        renewal = _Renewal(self.queue, message, self._options.invisibility_s)
        async with renewal:
            result = await self._invoke(self.function, _invocation(self.function, message, body))
        if result.succeeded:
            await self._settle(self._delete, message)
        elif self._poison is None:
            # Without a poison queue the platform leaves it hidden, so that it does not loop at full speed.
            log.warning("%s: message %s failed and stays hidden", self.function.name, message.id)
        elif count >= self._options.max_dequeue_count:
            log.warning("%s: message %s has reached MaxDequeueCount", self.function.name, message.id)
            await self._settle(self._give_up, message)
        else:
            await self._settle(self._show_again, message)

    async def _settle(self, action: Callable[[QueueMessage], Awaitable[None]], message: QueueMessage) -> None:
        """Does a last storage call for a message; if it fails, the message comes back when its invisibility ends."""
        try:
            await action(message)
        except HttpResponseError as error:
            # Somebody else has it by now (it was hidden too short), or it is gone: both are theirs to settle.
            if error.error_code not in ("PopReceiptMismatch", "MessageNotFound", "QueueNotFound"):
                log.warning("%s: message %s was not settled: %s", self.function.name, message.id, _brief(error))
        except AzureError as error:
            log.warning("%s: message %s was not settled: %s", self.function.name, message.id, _brief(error))

    async def _delete(self, message: QueueMessage) -> None:
        await self.queue.delete_message(message.id, message.pop_receipt)

    async def _show_again(self, message: QueueMessage) -> None:
        hidden_s = int(self._options.visibility_timeout_s)
        await self.queue.update_message(message.id, message.pop_receipt, visibility_timeout=hidden_s)

    async def _give_up(self, message: QueueMessage) -> None:
        if self._poison is None:
            return
        await send(self._poison, message.content or "")
        await self.queue.delete_message(message.id, message.pop_receipt)


async def send(queue: QueueClient, text: str) -> None:
    """Sends a message's text as it is, and makes the queue first if it is missing."""
    try:
        await queue.send_message(text)
    except ResourceNotFoundError:
        with contextlib.suppress(HttpResponseError):
            await queue.create_queue()
        await queue.send_message(text)


class _Renewal:
    """Keeps a message hidden while its function runs, and its pop receipt current."""

    def __init__(self, queue: QueueClient, message: QueueMessage, invisibility_s: float) -> None:
        self._queue = queue
        self._message = message
        self._invisibility_s = invisibility_s
        self._calling = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> None:
        self._task = asyncio.create_task(self._keep())

    async def __aexit__(self, *_error: object) -> None:
        if self._task is None:
            return
        # Not in the middle of a call: its answer brings the only pop receipt that still works.
        async with self._calling:
            self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(self._invisibility_s / 2)
            async with self._calling:
                try:
                    renewed = await self._queue.update_message(
                        self._message.id, self._message.pop_receipt, visibility_timeout=int(self._invisibility_s)
                    )
                except AzureError as error:
                    log.warning("message %s was not renewed: %s", self._message.id, _brief(error))
                else:
                    self._message.pop_receipt = renewed.pop_receipt


def _invocation(function: Function, message: QueueMessage, body: bytes) -> Invocation:
    """Answers with what the platform hands to a queue function: text if the body is text, and the trigger metadata."""
    wants_bytes = str(function.trigger_binding.get("dataType", "")).lower() == "binary"
    try:
        text = None if wants_bytes else body.decode()
    except UnicodeDecodeError:
        text = None
    data = TypedData(bytes=body) if text is None else TypedData(string=text)
    metadata = {
        "Id": TypedData(string=message.id),
        "DequeueCount": TypedData(json=str(message.dequeue_count)),
        "PopReceipt": TypedData(string=message.pop_receipt),
        "InsertionTime": _time(message.inserted_on),
        "ExpirationTime": _time(message.expires_on),
        "NextVisibleTime": _time(message.next_visible_on),
        "QueueTrigger": data,
    }
    return Invocation(data=data, metadata=metadata)


def _time(moment: datetime | None) -> TypedData:
    return TypedData() if moment is None else TypedData(json=json.dumps(moment.isoformat()))


def _brief(error: AzureError) -> str:
    """Answers with the first line of an error; the rest is request ids."""
    return str(error).splitlines()[0] if str(error) else type(error).__name__
