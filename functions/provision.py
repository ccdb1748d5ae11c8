"""Queues: one message, one account. Two queues per application; the one named *first* overtakes."""

from datetime import UTC, datetime

import azure.functions as func

from shared.composition import Services
from shared.crashes import texts_withheld
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
        with texts_withheld():
            services.send_telemetry()
            _tell_age(message, app, services.clock.now())
            outcome = await services.reconciler.provision(wanted, first=first)
            await services.notifier.heed(wanted.app, outcome)


def _tell_age(message: func.QueueMessage, app: str, now: datetime) -> None:
    """How old a message is; a time without a zone is UTC, as the platform's are."""
    inserted = message.insertion_time
    if inserted is not None:
        age = now - (inserted if inserted.tzinfo else inserted.replace(tzinfo=UTC))
        record(Metric.QUEUE_AGE, max(0.0, age.total_seconds()), application=app)
