"""Timer: pull what changed in the directory, then tell people what happened."""

import azure.functions as func

from shared.composition import Services
from shared.crashes import texts_withheld


def blueprint(services: Services) -> func.Blueprint:
    """The sync, on `SYNC_SCHEDULE`: from the settings, not `%SYNC_SCHEDULE%`, because only they know its default."""
    functions = func.Blueprint()

    @functions.function_name("sync_directory")
    @functions.timer_trigger(arg_name="timer", schedule=services.settings.sync_schedule, use_monitor=False)
    async def sync_directory(timer: func.TimerRequest, context: func.Context) -> None:
        with texts_withheld():
            services.send_telemetry()
            await services.ensure_storage()
            await services.directory_sync.sync(trace=context.trace_context.trace_parent or "")

    return functions
