"""The function app: build the services once, register the blueprints. No logic, and no SDK is imported here."""

import os

import azure.functions as func

from functions import (
    dashboard,
    housekeeping,
    notified,
    operate,
    provision,
    quarantine,
    sync_directory,
    sync_directory_now,
)
from shared.composition import load_services

services = load_services(os.environ)
app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)
for trigger in (sync_directory, sync_directory_now, notified, provision, quarantine, housekeeping, operate, dashboard):
    app.register_functions(trigger.blueprint(services))
