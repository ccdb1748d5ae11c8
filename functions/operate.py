"""HTTP: what people see and do. Two functions, so that two keys can be given away: one reads, one also acts."""

from functools import cache

import azure.functions as func

from shared.composition import Services
from shared.crashes import texts_withheld


def blueprint(services: Services) -> func.Blueprint:
    """`observe` takes GET, `operate` takes POST; both hand over to the one API, which is built on the first request."""
    functions = func.Blueprint()

    @cache
    def api() -> func.AsgiMiddleware:
        from shared.api.application import build_api

        services.send_telemetry()
        return func.AsgiMiddleware(build_api(services))

    async def answer(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
        with texts_withheld():
            answered: func.HttpResponse = await api().handle_async(req, context)
            return answered

    @functions.function_name("observe")
    @functions.route(route="{*path}", methods=["GET"], auth_level=func.AuthLevel.FUNCTION)
    async def observe(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
        return await answer(req, context)

    @functions.function_name("operate")
    @functions.route(route="{*path}", methods=["POST"], auth_level=func.AuthLevel.FUNCTION)
    async def operate(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
        return await answer(req, context)

    return functions
