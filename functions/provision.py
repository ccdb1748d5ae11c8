"""Queues: one message, one account. Two queues per application; the one named *first* overtakes."""

import azure.functions as func

from shared.composition import Services
from shared.metrics import Metric, record
from shared.storage.queue_names import function_name, queue_name
from shared.storage.queues import Message, MessageRefused
from shared.telemetry import Event, emit


def blueprint(services: Services) -> func.Blueprint:
    """Two queue functions for every enabled application of provisioning.yaml."""
    functions = func.Blueprint()
    for app in services.enabled:
        for first in (False, True):
            _register(functions, services, app, first=first)
    return functions


def _register(functions: func.Blueprint, services: Services, app: str, *, first: bool) -> None:
    @functions.function_name(function_name("provision", app, first=first))
    @functions.queue_trigger(
        arg_name="message", queue_name=queue_name(app, first=first), connection="AzureWebJobsStorage"
    )
    async def provision(message: func.QueueMessage) -> None:
        try:
            wanted = Message.decode(message.get_body().decode("utf-8", "replace"))
        except MessageRefused as refused:
            # Sending it again changes nothing, and it names nobody whose row could say so.
            emit(Event.MESSAGE_REFUSED, queue=queue_name(app, first=first), reason=str(refused))
            return
        services.send_telemetry()
        if message.insertion_time is not None:
            age_s = (services.clock.now() - message.insertion_time).total_seconds()
            record(Metric.QUEUE_AGE, max(0.0, age_s), application=app)
        outcome = await services.reconciler.provision(wanted, first=first)
        await services.notifier.heed(wanted.app, outcome)
