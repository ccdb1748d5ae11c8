"""Puts the parts together: index the app, pump its triggers, stop cleanly."""

import asyncio
import hashlib
import logging
import os
import random
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from azure.core.exceptions import AzureError

from tests.simulation.host.configuration import HostOptions, read_host_options
from tests.simulation.host.failures import HostNotStartedError
from tests.simulation.host.functions import Function, Output, Trigger, read_functions
from tests.simulation.host.keys import load_keys
from tests.simulation.host.outputs import QueueOutputs
from tests.simulation.host.polling import Backoff
from tests.simulation.host.queues import QueueListener, poison_queue_of
from tests.simulation.host.runtime import Invocation, InvocationResult, Runtime
from tests.simulation.host.storage import Storage
from tests.simulation.host.timers import TimerListener
from tests.simulation.host.web import WebFront, manual_invocation

log = logging.getLogger("host.invocations")

GRACE_S = 5.0


class FunctionHost:
    """Runs the app in a folder. One app per process, because Microsoft's registry is the process's."""

    def __init__(
        self,
        app_directory: Path,
        settings: Mapping[str, str],
        *,
        port: int = 0,
        keys_file: Path | None = None,
    ) -> None:
        """Takes the app's settings: all the host reads, and in the environment for the app from `start` to `stop`.

        `port` 0 is any free one. Without a `keys_file`, keys that no setting gives are made up for this run.
        """
        self._app_directory = app_directory.resolve()
        self._settings = dict(settings)
        self._port = port
        self._keys_file = keys_file
        self._environment_before: dict[str, str | None] = {}
        self._options: HostOptions | None = None
        self._storage = Storage(self._settings)
        self._outputs: QueueOutputs | None = None
        self._queues: list[QueueListener] = []
        self._timers: list[TimerListener] = []
        self._pumps: list[asyncio.Task[None]] = []
        self._web: WebFront | None = None
        self.runtime = Runtime(self._app_directory)
        self.functions: tuple[Function, ...] = ()

    @property
    def url(self) -> str:
        """Answers with where the host listens."""
        return self._web.url if self._web else ""

    @property
    def in_flight(self) -> int:
        """Answers with how many queue messages are fetched and not settled."""
        return sum(listener.in_flight for listener in self._queues)

    @property
    def options(self) -> HostOptions:
        """Answers with what host.json says. Raises: HostNotStartedError."""
        if self._options is None:
            self._options = read_host_options(self._app_directory, self._settings)
        return self._options

    async def start(self) -> None:
        """Indexes the app and starts every trigger. Raises: HostNotStartedError, with nothing left running."""
        try:
            await self._start()
        except BaseException:
            await self.stop(grace_s=0)
            raise

    async def stop(self, *, grace_s: float = GRACE_S) -> None:
        """Stops fetching, gives what runs a moment to end, abandons the rest as a crash would. Safe to call twice."""
        for timer in self._timers:
            timer.stop()
        for listener in self._queues:
            listener.stop_fetching()
        ends = [asyncio.ensure_future(listener.settled()) for listener in self._queues]
        if self._pumps or ends:
            _, late = await asyncio.wait([*self._pumps, *ends], timeout=grace_s or 0.5)
            for listener in self._queues:
                listener.abandon()
            for task in late:
                task.cancel()
            await asyncio.gather(*self._pumps, *ends, return_exceptions=True)
        if self._web is not None:
            await self._web.stop()
        await self._storage.close()
        self._queues, self._timers, self._pumps, self._web = [], [], [], None
        self._restore_environment()

    async def invoke_timer(self, name: str) -> InvocationResult:
        """Runs a timer function now, beside its schedule. Raises: KeyError if there is no such timer."""
        function = next((each for each in self.functions if each.name == name and each.trigger is Trigger.TIMER), None)
        if function is None:
            raise KeyError(f"{name} is no timer function of this app")
        return await self._invoke(function, manual_invocation(function, ""))

    async def _start(self) -> None:
        self._fill_environment()
        options = self.options
        self.functions = read_functions(await self.runtime.index(), self._settings)
        host_id = self._host_id()
        try:
            await self._open_queues(options)
            await self._open_timers(host_id)
        except AzureError as error:
            reason = str(error).splitlines()[0]
            raise HostNotStartedError(
                f"the storage account of AzureWebJobsStorage does not answer: {reason}"
            ) from error
        self._outputs = QueueOutputs(self._storage, options.queues.message_encoding, self._queues)
        self._web = WebFront(
            self.functions,
            load_keys(self._keys_file, self._settings),
            route_prefix=options.route_prefix,
            invoke=self._invoke,
            host_id=host_id,
        )
        await self._web.start(self._port)
        self._pumps = [asyncio.create_task(listener.run()) for listener in (*self._queues, *self._timers)]

    async def _open_queues(self, options: HostOptions) -> None:
        for function in self.functions:
            for binding in function.outputs(Output.QUEUE):
                await self._storage.queue(binding.get("connection", ""), binding["queueName"])
            if function.trigger is not Trigger.QUEUE:
                continue
            binding = function.trigger_binding
            connection, name = binding.get("connection", ""), binding["queueName"]
            poison = poison_queue_of(name)
            self._queues.append(
                QueueListener(
                    function,
                    await self._storage.queue(connection, name),
                    poison=await self._storage.queue(connection, poison) if poison else None,
                    options=options.queues,
                    backoff=Backoff(options.queues.max_polling_interval_s, random.random),
                    invoke=self._invoke,
                )
            )

    async def _open_timers(self, host_id: str) -> None:
        timers = [function for function in self.functions if function.trigger is Trigger.TIMER]
        if not timers:
            return
        container = await self._storage.host_container()
        self._timers = [TimerListener(function, container, host_id, invoke=self._invoke) for function in timers]
        for timer in self._timers:
            await timer.try_to_lead()

    async def _invoke(self, function: Function, invocation: Invocation) -> InvocationResult:
        """Runs a function and, if it succeeded, writes its outputs: a run whose outputs are lost has failed."""
        extra = {"function": function.name}
        log.debug("Executing 'Functions.%s' (Id=%s)", function.name, invocation.id, extra=extra)
        result = await self.runtime.invoke(function, invocation, self.options.function_timeout_s)
        if result.succeeded and self._outputs is not None:
            try:
                await self._outputs.write(function, result)
            except (AzureError, UnicodeDecodeError) as error:
                reason = f"{type(error).__name__}: an output was not written: {str(error).splitlines()[0]}"
                result = replace(result, error=reason)
        duration_ms = round(result.duration_s * 1000)
        if result.succeeded:
            log.info("Executed (Succeeded, Id=%s, Duration=%dms)", invocation.id, duration_ms, extra=extra)
        else:
            text = result.stack_trace or result.error
            log.error("Executed (Failed, Id=%s, Duration=%dms)\n%s", invocation.id, duration_ms, text, extra=extra)
        return result

    def _host_id(self) -> str:
        """Answers with the name that leases and timer status of this app go under; the same at every start."""
        if named := self._settings.get("AzureFunctionsWebHost__hostid"):
            return named
        folder = re.sub("[^a-z0-9]", "", self._app_directory.name.lower())[:20]
        return f"{folder}-{hashlib.sha256(str(self._app_directory).encode()).hexdigest()[:8]}"

    def _fill_environment(self) -> None:
        for name, value in self._settings.items():
            if os.environ.get(name) != value:
                self._environment_before[name] = os.environ.get(name)
                os.environ[name] = value

    def _restore_environment(self) -> None:
        for name, value in self._environment_before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        self._environment_before.clear()
