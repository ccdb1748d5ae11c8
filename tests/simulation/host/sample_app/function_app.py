"""A small app with one function of each kind, for the tests of the local host.

Each function notes what it was given as a line of JSON in the file named by SAMPLE_JOURNAL: the tests read that.
"""

import asyncio
import json
import logging
import os
import time
import typing

import azure.functions as func

app = func.FunctionApp()


def note(function: str, **facts: object) -> None:
    """Adds one line to the journal, in one write, so that a kill cannot tear it."""
    line = json.dumps({"function": function, "pid": os.getpid(), **facts}) + "\n"
    descriptor = os.open(os.environ["SAMPLE_JOURNAL"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(descriptor, line.encode())
    finally:
        os.close(descriptor)


@app.timer_trigger(arg_name="timer", schedule="%TICK_SCHEDULE%", run_on_startup=False, use_monitor=True)
async def tick(timer: func.TimerRequest) -> None:
    """Notes each run of a schedule."""
    note("tick", past_due=timer.past_due, has_status=bool(timer.schedule_status))


@app.queue_trigger(arg_name="message", queue_name="%PREFIX%-orders", connection="AzureWebJobsStorage")
@app.queue_output(arg_name="shipments", queue_name="%PREFIX%-shipments", connection="AzureWebJobsStorage")
async def order(message: func.QueueMessage, context: func.Context, shipments: func.Out[typing.List[str]]) -> None:  # noqa: UP006
    """Sends two shipments for an order; an order `slow:N` takes N seconds, `fail` fails after it set its output."""
    text = message.get_body().decode()
    note(
        "order",
        body=text,
        attempt=message.dequeue_count,
        id=message.id,
        inserted=str(message.insertion_time),
        trace=context.trace_context.trace_parent,
    )
    logging.getLogger("sample").info("an order came")
    shipments.set([f"{text}/1", f"{text}/2"])
    if text.startswith("slow:"):
        await asyncio.sleep(float(text.removeprefix("slow:")))
    if text.startswith("fail"):
        raise ValueError("this order always fails")
    note("ordered", body=text)


@app.queue_trigger(arg_name="message", queue_name="%PREFIX%-shipments", connection="AzureWebJobsStorage")
def shipment(message: func.QueueMessage) -> None:
    """Notes a shipment, from a thread."""
    logging.getLogger("sample").warning("a shipment came")
    note("shipment", body=message.get_body().decode())


@app.queue_trigger(arg_name="message", queue_name="%PREFIX%-orders-poison", connection="AzureWebJobsStorage")
async def given_up(message: func.QueueMessage) -> None:
    """Notes an order that was given up."""
    note("given_up", body=message.get_body().decode(), attempt=message.dequeue_count)


@app.queue_trigger(arg_name="message", queue_name="%PREFIX%-threads", connection="AzureWebJobsStorage")
def in_thread(message: func.QueueMessage) -> None:
    """Holds a thread for the seconds in the message."""
    note("in_thread", body=message.get_body().decode(), attempt=message.dequeue_count)
    time.sleep(float(message.get_body()))


@app.route(route="echo/{id:int?}", methods=["GET", "POST"], auth_level=func.AuthLevel.ANONYMOUS)
async def echo(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    """Answers with what came in."""
    content = {
        "method": req.method,
        "id": req.route_params.get("id"),
        "query": dict(req.params),
        "body": req.get_body().decode(),
        "trace": context.trace_context.trace_parent,
    }
    headers = {"Set-Cookie": "seen=yes; Path=/; HttpOnly; SameSite=Lax"}
    return func.HttpResponse(json.dumps(content), status_code=200, mimetype="application/json", headers=headers)


@app.route(route="locked", auth_level=func.AuthLevel.FUNCTION)
def locked(req: func.HttpRequest) -> str:
    """Opens with a function key."""
    return f"open to {req.method}"


@app.route(route="vault", auth_level=func.AuthLevel.ADMIN)
def vault(req: func.HttpRequest) -> str:
    """Opens with the master key only."""
    return f"open to {req.method}"


@app.route(route="send", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS)
@app.queue_output(arg_name="orders", queue_name="%PREFIX%-orders", connection="AzureWebJobsStorage")
def send(req: func.HttpRequest, orders: func.Out[str]) -> func.HttpResponse:
    """Turns a request into orders; fails after it set its output if the body says so."""
    orders.set(req.get_body().decode())
    if req.params.get("fail"):
        raise ValueError("asked to fail")
    return func.HttpResponse(status_code=202)
