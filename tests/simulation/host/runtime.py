"""Runs functions through Microsoft's `azure-functions-runtime`: its indexing, its type rules, its conversions.

That package talks to its host in protobuf messages, whose classes the host hands over. Plain classes with the same
attributes do; nothing here goes through gRPC. Its registry belongs to the process: one app per process.

A time-out ends every run, not only the late one: on the platform the worker process is replaced.
"""

import asyncio
import secrets
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import azure_functions_runtime as worker

from tests.simulation.host.failures import IndexingError
from tests.simulation.host.functions import Function


class Message:
    """Stands for any protobuf message: keyword arguments become attributes."""

    def __init__(self, **fields: Any) -> None:
        self.__dict__.update(fields)


class TypedData(Message):
    """One value and its kind, `TypedData(string="x")`; without arguments, no value."""

    def WhichOneof(self, _group: str) -> str | None:  # noqa: N802  (protobuf's name)
        """Answers with the kind of the value."""
        return next(iter(self.__dict__), None)


class ParameterBinding(Message):
    """A parameter's name and value."""

    def WhichOneof(self, _group: str) -> str:  # noqa: N802  (protobuf's name)
        """Answers that the value is carried along, not in shared memory."""
        return "data"


class StatusResult(Message):
    """Whether a request succeeded."""

    Failure, Success, Cancelled = range(3)


class BindingInfo(Message):
    """A binding's type and direction."""

    undefined, out, inout = range(3)


class RpcHttpCookie(Message):
    """A cookie of a response."""

    SameSite = SimpleNamespace(**{"None": "", "Lax": "Lax", "Strict": "Strict", "ExplicitNone": "None"})


_PLAIN = (
    "WorkerInitResponse FunctionMetadataResponse FunctionLoadResponse InvocationResponse RpcFunctionMetadata "
    "RpcRetryOptions WorkerMetadata RpcException RpcHttp NullableString NullableBool NullableDouble NullableTimestamp "
    "Timestamp"
)
_PROTOS = SimpleNamespace(
    TypedData=TypedData,
    ParameterBinding=ParameterBinding,
    StatusResult=StatusResult,
    BindingInfo=BindingInfo,
    RpcHttpCookie=RpcHttpCookie,
    **{name: type(name, (Message,), {}) for name in _PLAIN.split()},
)

_REFUSED_CONFIGURATION = frozenset({"ConfigurationError", "SettingsError"})
"""What the product raises at start when what a person wrote cannot be used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Invocation:
    """One run of a function: what it is given."""

    data: TypedData
    metadata: Mapping[str, TypedData] = field(default_factory=dict)
    trace_parent: str = ""
    """W3C trace context of the caller; empty starts a trace."""
    trace_state: str = ""
    id: str = field(default_factory=lambda: str(uuid.uuid4()))


@dataclass(frozen=True, slots=True, kw_only=True)
class InvocationResult:
    """One run of a function: what came of it. `error` is empty if it succeeded."""

    invocation_id: str
    outputs: Mapping[str, TypedData] = field(default_factory=dict)
    """Binding name to value; `$return` for the returned one."""
    error: str = ""
    stack_trace: str = ""
    duration_s: float = 0.0

    @property
    def succeeded(self) -> bool:
        """Answers whether the function returned without an exception, in time, and its outputs were written."""
        return not self.error


class Runtime:
    """The worker: indexes one app and runs its functions."""

    _app_of_this_process: Path | None = None

    def __init__(self, app_directory: Path) -> None:
        self._app_directory = app_directory.resolve()
        self._lost: asyncio.Future[str] | None = None
        self._runs: set[asyncio.Task[Any]] = set()
        self.names: dict[str, str] = {}
        """Invocation id to function name, for the runs going on."""
        self.on_worker_lost: Callable[[], None] | None = None
        """Called once after a time-out ended every run."""

    async def index(self) -> list[Any]:
        """Answers with the functions the runtime found, as it describes them. Raises: IndexingError."""
        taken = Runtime._app_of_this_process
        if taken not in (None, self._app_directory):
            raise IndexingError([f"this process already runs the app in {taken}: one app per process"])
        Runtime._app_of_this_process = self._app_directory
        if not (self._app_directory / "function_app.py").exists():
            raise IndexingError([f"there is no function_app.py in {self._app_directory}"])
        if sys.path[0] != str(self._app_directory):
            sys.path.insert(0, str(self._app_directory))
        worker.start_threadpool_executor()
        request = _request("worker_init_request", capabilities={}, function_app_directory=str(self._app_directory))
        answer = await worker.worker_init_request(request)
        if answer.result.status != StatusResult.Success:
            raise IndexingError([_explain(answer.result.exception, self._app_directory)])
        found = (
            await worker.functions_metadata_request(_request("functions_metadata_request"))
        ).function_metadata_results
        if not found:
            raise IndexingError(["function_app.py has no functions: is every blueprint registered?"])
        return list(found)

    async def invoke(self, function: Function, invocation: Invocation, timeout_s: float | None) -> InvocationResult:
        """Runs a function once. Never raises for what the function does; cancelling this cancels the function."""
        if self._lost is None:
            self._lost = asyncio.get_running_loop().create_future()
        lost = self._lost
        started = time.monotonic()
        self.names[invocation.id] = function.name
        run = asyncio.create_task(self._run(function, invocation))
        self._runs.add(run)
        try:
            await asyncio.wait({run, lost}, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
            if not run.done() and not lost.done():
                self._lose_worker(f"TimeoutError: {function.name} ran longer than functionTimeout ({timeout_s:g} s)")
            if run.done() and not run.cancelled():
                return _result(run.result(), time.monotonic() - started)
            return InvocationResult(
                invocation_id=invocation.id, error=lost.result(), duration_s=time.monotonic() - started
            )
        finally:
            run.cancel()
            self._runs.discard(run)
            self.names.pop(invocation.id, None)

    async def _run(self, function: Function, invocation: Invocation) -> Any:
        # The runtime sets this for `def` functions, in their thread; here it is set for `async def` ones too.
        worker.invocation_id_cv.set(invocation.id)
        nothing = Message(source="", message="", stack_trace="")
        return await worker.invocation_request(
            _request(
                "invocation_request",
                invocation_id=invocation.id,
                function_id=function.id,
                input_data=[ParameterBinding(name=function.trigger_binding["name"], data=invocation.data)],
                trigger_metadata=invocation.metadata,
                trace_context=Message(
                    trace_parent=trace_parent(invocation.trace_parent),
                    trace_state=invocation.trace_state,
                    attributes={"InvocationId": invocation.id},
                ),
                retry_context=Message(retry_count=0, max_retry_count=0, exception=nothing),
            )
        )

    def _lose_worker(self, reason: str) -> None:
        """Ends every run at once, the late one for its own reason."""
        if self._lost is not None:
            self._lost.set_result(reason)
        self._lost = None
        for run in self._runs:
            run.cancel()
        # A thread cannot be ended: its function goes on unseen, in a pool that nothing else waits for.
        worker.start_threadpool_executor()
        if self.on_worker_lost is not None:
            self.on_worker_lost()


def trace_parent(caller: str) -> str:
    """Answers with a W3C traceparent: a new span of the caller's trace, or of a new one."""
    parts = caller.split("-")
    trace = parts[1] if len(parts) == 4 and len(parts[1]) == 32 else secrets.token_hex(16)
    return f"00-{trace}-{secrets.token_hex(8)}-01"


def _request(kind: str, **fields: Any) -> Message:
    return Message(request=Message(**{kind: Message(**fields)}), properties={"protos": _PROTOS, "host": "127.0.0.1"})


def _result(answer: Any, duration_s: float) -> InvocationResult:
    if answer.result.status != StatusResult.Success:
        problem = answer.result.exception
        return InvocationResult(
            invocation_id=answer.invocation_id,
            error=problem.message,
            stack_trace=problem.stack_trace,
            duration_s=duration_s,
        )
    outputs = {each.name: each.data for each in answer.output_data}
    if answer.return_value is not None:
        outputs["$return"] = answer.return_value
    return InvocationResult(invocation_id=answer.invocation_id, outputs=outputs, duration_s=duration_s)


def _explain(problem: Any, app_directory: Path) -> str:
    """Answers with the runtime's message and the app's own lines of the stack; the runtime's own lines help nobody.

    A refused configuration says itself where the mistake is: which code found it would only hide that.
    """
    kind, _, text = problem.message.partition(": ")
    if kind in _REFUSED_CONFIGURATION:
        return str(text)
    return "\n".join([problem.message, *_lines_of(problem.stack_trace, app_directory)])


def _lines_of(stack_trace: str, folder: Path) -> Iterator[str]:
    lines = stack_trace.splitlines()
    for number, line in enumerate(lines):
        if f'File "{folder}' in line and "site-packages" not in line:
            yield line
            if number + 1 < len(lines) and not lines[number + 1].lstrip().startswith("File "):
                yield lines[number + 1]
