"""Timer: guard release, probes, sweep, log trim, notices, subscriptions."""

import azure.functions as func

from shared.composition import Services
from shared.crashes import texts_withheld


def blueprint(services: Services) -> func.Blueprint:
    """Housekeeping, on `HOUSEKEEPING_SCHEDULE`: from the settings, which know its default."""
    functions = func.Blueprint()

    @functions.function_name("housekeeping")
    @functions.timer_trigger(arg_name="timer", schedule=services.settings.housekeeping_schedule, use_monitor=False)
    async def housekeeping(timer: func.TimerRequest) -> None:
        with texts_withheld():
            services.send_telemetry()
            await services.ensure_storage()
            await services.housekeeper.keep_house()

    return functions
