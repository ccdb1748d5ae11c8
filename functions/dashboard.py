"""HTTP: the dashboard's files. Anonymous, because they hold no data: the page asks the API, with its reader's key."""

import azure.functions as func

from shared.composition import Services
from shared.dashboard.pages import answer_file


def blueprint(services: Services) -> func.Blueprint:
    """`dashboard` takes GET; the address may end with a slash or not."""
    functions = func.Blueprint()

    @functions.function_name("dashboard")
    @functions.route(route="dashboard/{*file}", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
    async def dashboard(req: func.HttpRequest) -> func.HttpResponse:
        answer = answer_file(
            req.route_params.get("file") or "", url=req.url, if_none_match=req.headers.get("If-None-Match") or ""
        )
        return func.HttpResponse(answer.body, status_code=int(answer.status), headers=dict(answer.headers))

    return functions
