"""Queue: somebody rang, so the directory is read now, and not with the next tick of the timer."""

import azure.functions as func

from shared.composition import Services
from shared.config.queue_names import DIRECTORY_CHANGED
from shared.crashes import texts_withheld
from shared.storage.change_message import DirectoryChanged
from shared.storage.queues import MessageRefused
from shared.telemetry import Event, emit


def blueprint(services: Services) -> func.Blueprint:
    """The sync on the queue of change notifications, and the end of those it could not be run for."""
    functions = func.Blueprint()

    @functions.function_name("sync_directory_now")
    @functions.queue_trigger(arg_name="message", queue_name=DIRECTORY_CHANGED, connection="AzureWebJobsStorage")
    async def sync_directory_now(message: func.QueueMessage) -> None:
        try:
            changed = DirectoryChanged.decode(message.get_body().decode("utf-8", "replace"))
        except MessageRefused as refused:
            emit(Event.MESSAGE_REFUSED, queue=DIRECTORY_CHANGED, reason=str(refused))
            return
        with texts_withheld():
            services.send_telemetry()
            await services.ensure_storage()
            await services.notified_sync.heed(changed)

    poison = f"{DIRECTORY_CHANGED}-poison"

    @functions.function_name("quarantine-directory-changed")
    @functions.queue_trigger(arg_name="message", queue_name=poison, connection="AzureWebJobsStorage")
    async def quarantine_directory_changed(message: func.QueueMessage) -> None:
        # Nothing is lost with it: the timer reads what was not read.
        emit(Event.MESSAGE_POISONED, queue=poison)

    return functions
