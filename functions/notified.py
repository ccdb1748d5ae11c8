"""HTTP: Microsoft Graph rings when users or groups change. Anonymous: the clientState says who may ring.

It only puts one message on a queue, through an output binding: no SDK is loaded, so that Graph has its answer within
three seconds from a cold start, too. Whatever comes is answered alike, so nobody learns anything by trying.
"""

import azure.functions as func

from shared.composition import Services
from shared.config.queue_names import DIRECTORY_CHANGED
from shared.crashes import texts_withheld
from shared.directory.notification_log import NotificationLog
from shared.directory.notifications import hear_notifications, is_token
from shared.storage.change_message import DirectoryChanged

_PLAIN = {
    "Content-Type": "text/plain; charset=utf-8",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'",
    "Cache-Control": "no-store",
}


def blueprint(services: Services) -> func.Blueprint:
    """`notified` takes POST. Where change notifications are off, there is nothing behind its address."""
    functions = func.Blueprint()
    settings = services.settings.notifications
    log = NotificationLog(clock=services.clock)

    @functions.function_name("notified")
    @functions.route(route="notified", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS)
    @functions.queue_output(arg_name="changed", queue_name=DIRECTORY_CHANGED, connection="AzureWebJobsStorage")
    async def notified(req: func.HttpRequest, changed: func.Out[str], context: func.Context) -> func.HttpResponse:
        if not settings.is_on:
            return func.HttpResponse(status_code=404)
        token = req.params.get("validationToken")
        if token is not None:
            return func.HttpResponse(token, headers=_PLAIN) if is_token(token) else func.HttpResponse(status_code=400)
        with texts_withheld():
            heard = hear_notifications(req.get_body(), client_state=settings.client_state)
        log.tell(heard)
        if heard.wants_sync or heard.wants_subscriptions:
            message = DirectoryChanged(
                received_at=services.clock.now(),
                sync=heard.wants_sync,
                subscriptions=heard.wants_subscriptions,
                trace=context.trace_context.trace_parent or "",
            )
            changed.set(message.encode())
        return func.HttpResponse(status_code=202)

    return functions
