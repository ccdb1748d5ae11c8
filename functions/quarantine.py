"""Poison queues: what nobody foresaw is recorded on the account row. These functions never raise."""

import azure.functions as func

from shared.composition import Services
from shared.crashes import texts_withheld
from shared.storage.queue_names import function_name, queue_name
from shared.telemetry import Event, emit


def blueprint(services: Services) -> func.Blueprint:
    """One function for each poison queue."""
    functions = func.Blueprint()
    for app in services.enabled:
        for first in (False, True):
            _register(functions, services, app, first=first)
    return functions


def _register(functions: func.Blueprint, services: Services, app: str, *, first: bool) -> None:
    queue = f"{queue_name(app, first=first)}-poison"

    @functions.function_name(function_name("quarantine", app, first=first))
    @functions.queue_trigger(arg_name="message", queue_name=queue, connection="AzureWebJobsStorage")
    async def quarantine(message: func.QueueMessage) -> None:
        # Whatever becomes of it: a message that nobody understands has no account to tell of.
        emit(Event.MESSAGE_POISONED, queue=queue)
        with texts_withheld():
            await services.poison.record(message.get_body().decode("utf-8", "replace"))
