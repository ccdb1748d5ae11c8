"""What the app declares, as the host sees it: functions and their bindings, with `%SETTING%` filled in and checked."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from tests.simulation.host.failures import HostNotStartedError, IndexingError
from tests.simulation.host.routes import Route
from tests.simulation.host.schedules import Schedule

_FUNCTION_NAME = re.compile(r"[A-Za-z][\w-]{0,126}")
_QUEUE_NAME = re.compile(r"(?!.*--)[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")
_SETTING = re.compile(r"%([^%\s]+)%")


class Trigger(StrEnum):
    """What can start a function here."""

    TIMER = "timerTrigger"
    """A schedule."""
    QUEUE = "queueTrigger"
    """A message in a storage queue."""
    HTTP = "httpTrigger"
    """A request."""


class Output(StrEnum):
    """Where a function's output can go here."""

    QUEUE = "queue"
    """Messages to a storage queue."""
    HTTP = "http"
    """The answer to the request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """One function of the app. Binding keys and values are those of function.json, settings filled in."""

    name: str
    id: str
    trigger: Trigger
    bindings: tuple[Mapping[str, Any], ...]

    @property
    def trigger_binding(self) -> Mapping[str, Any]:
        """Answers with the binding that starts the function."""
        return next(binding for binding in self.bindings if binding["type"] == self.trigger)

    def outputs(self, kind: Output) -> tuple[Mapping[str, Any], ...]:
        """Answers with the output bindings of a kind."""
        return tuple(binding for binding in self.bindings if binding["type"] == kind)


def read_functions(indexed: Iterable[Any], settings: Mapping[str, str]) -> tuple[Function, ...]:
    """Answers with the functions that the runtime found, without those a setting disables.

    Raises: IndexingError with every problem of every function.
    """
    functions: list[Function] = []
    problems: list[str] = []
    for each in indexed:
        try:
            function = _read_function(each, settings)
        except HostNotStartedError as error:
            problems.append(f"function {each.name}: {error}")
            continue
        if not _is_disabled(function.name, settings):
            functions.append(function)
    if problems:
        raise IndexingError(problems)
    return tuple(functions)


def expand(text: str, settings: Mapping[str, str]) -> str:
    """Fills in every `%NAME%`. Raises: HostNotStartedError naming the setting that is missing."""

    def value(match: re.Match[str]) -> str:
        name = match.group(1)
        if not settings.get(name):
            raise HostNotStartedError(
                f"the setting {name} is missing (needed for {text!r}): set it in local.settings.json or the environment"
            )
        return settings[name]

    return _SETTING.sub(value, text)


def _read_function(indexed: Any, settings: Mapping[str, str]) -> Function:
    if not _FUNCTION_NAME.fullmatch(indexed.name):
        raise HostNotStartedError("a name starts with a letter and has only letters, digits, _ and -, 127 at most")
    bindings = tuple(_read_binding(json.loads(raw), settings) for raw in indexed.raw_bindings)
    triggers = [binding["type"] for binding in bindings if str(binding["type"]).lower().endswith("trigger")]
    if len(triggers) != 1:
        raise HostNotStartedError(f"exactly one trigger is needed, found {len(triggers)}")
    function = Function(name=indexed.name, id=indexed.function_id, trigger=Trigger(triggers[0]), bindings=bindings)
    _check_trigger(function)
    return function


def _read_binding(raw: Mapping[str, Any], settings: Mapping[str, str]) -> dict[str, Any]:
    kind = raw["type"]
    if kind not in {*Trigger, *Output}:
        known = ", ".join([*Trigger, *Output])
        raise HostNotStartedError(f"binding {raw['name']}: type {kind} is not known to the local host, only {known}")
    fixed = {"name", "type", "direction"}
    binding = {
        name: expand(value, settings) if isinstance(value, str) and name not in fixed else value
        for name, value in raw.items()
    }
    if kind in (Trigger.QUEUE, Output.QUEUE) and not _QUEUE_NAME.fullmatch(binding["queueName"]):
        raise HostNotStartedError(
            f"binding {raw['name']}: {binding['queueName']!r} is no queue name: 3 to 63 of a-z, 0-9 and single hyphens"
        )
    return binding


def _check_trigger(function: Function) -> None:
    """Refuses a schedule or route now, that would otherwise only fail when it is due."""
    binding = function.trigger_binding
    try:
        if function.trigger is Trigger.TIMER:
            Schedule.parse(binding["schedule"])
        elif function.trigger is Trigger.HTTP:
            Route.parse(binding.get("route") or function.name)
    except ValueError as error:
        raise HostNotStartedError(str(error)) from error


def _is_disabled(name: str, settings: Mapping[str, str]) -> bool:
    # Shells cannot set a name with dots, so the platform knows both spellings.
    values = (settings.get(f"AzureWebJobs.{name}.Disabled"), settings.get(f"AzureWebJobs_{name}_Disabled"))
    return any(value is not None and value.lower() in ("true", "1") for value in values)
