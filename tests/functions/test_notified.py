"""The address at which Graph rings, on a real host: it repeats a token, keeps what is authentic, and tells nobody."""

import base64
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import Request, urlopen

import pytest

from shared.storage.change_message import DirectoryChanged
from tests.functions.deployment import CLIENT_STATE, ROOT, Deployment, open_deployment

QUEUE = "directory-changed"
DISABLED = {"AzureWebJobs_sync_directory_now_Disabled": "true"}
CHANGE = {"clientState": CLIENT_STATE, "changeType": "updated", "resource": "Users/1", "subscriptionId": "s"}


@dataclass(frozen=True, slots=True)
class Door:
    """The address, and the queue behind it, which nothing empties."""

    deployment: Deployment
    url: str

    def post(self, body: bytes = b"", *, query: str = "", kind: str = "application/json") -> tuple[int, str, bytes]:
        """Answers with status, content type and body."""
        request = Request(f"{self.url}/api/notified{query}", data=body, headers={"Content-Type": kind}, method="POST")
        try:
            with urlopen(request, timeout=30) as answer:
                return answer.status, answer.headers.get("Content-Type", ""), answer.read()
        except HTTPError as refusal:
            with refusal:
                return refusal.code, refusal.headers.get("Content-Type", ""), refusal.read()

    def messages(self) -> list[DirectoryChanged]:
        """Takes everything out of the queue."""
        with self.deployment.queue(QUEUE) as client:
            texts = [base64.b64decode(each.content).decode() for each in client.receive_messages(messages_per_page=32)]
            client.clear_messages()
        return [DirectoryChanged.decode(text) for text in texts]


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    with open_deployment(tmp_path_factory.mktemp("notified"), users=3) as deployment:
        with deployment.queue(QUEUE):
            host = deployment.start_notified(**DISABLED)
        yield Door(deployment, host.url)


def body(*entries: Any) -> bytes:
    return json.dumps({"value": entries}).encode()


@pytest.mark.parametrize(
    "token",
    [
        pytest.param("Validation: Testing client application reachability", id="Graph's"),
        pytest.param("<script>alert(1)</script>", id="HTML stays text"),
        pytest.param("100% + a & b = c", id="signs of a query"),
        pytest.param("\N{GRINNING FACE} \u00e9", id="emoji"),
        pytest.param("", id="empty"),
    ],
)
def test_a_validation_token_comes_back_as_plain_text(door: Door, token: str):
    status, kind, answer = door.post(query=f"?validationToken={quote(token, safe='')}")

    assert (status, kind, answer.decode()) == (200, "text/plain; charset=utf-8", token)
    assert door.messages() == []


def test_a_token_whose_blanks_are_plus_signs_comes_back_with_blanks(door: Door):
    assert (
        door.post(query="?validationToken=Validation%3a+Testing+client+a%2bb")[2] == b"Validation: Testing client a+b"
    )


def test_no_browser_takes_a_token_for_anything_but_text(door: Door):
    with urlopen(Request(f"{door.url}/api/notified?validationToken=x", data=b"", method="POST"), timeout=30) as answer:
        headers = dict(answer.headers.items())

    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Content-Security-Policy"] == "default-src 'none'"
    assert headers["Cache-Control"] == "no-store"


def test_a_token_without_end_is_refused(door: Door):
    assert door.post(query=f"?validationToken={'x' * 5000}")[0] == 400


def test_many_notifications_in_one_post_are_one_message(door: Door):
    status, _, answer = door.post(body(*[CHANGE] * 50, {**CHANGE, "clientState": "forged"}, 7))

    [message] = door.messages()
    assert (status, answer) == (202, b"")
    assert (message.sync, message.subscriptions, message.attempt) == (True, False, 1)
    assert message.trace.startswith("00-")


def test_a_lifecycle_event_asks_for_the_subscriptions(door: Door):
    door.post(body({"clientState": CLIENT_STATE, "lifecycleEvent": "reauthorizationRequired", "subscriptionId": "s"}))

    [message] = door.messages()
    assert (message.sync, message.subscriptions) == (False, True)


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(body({**CHANGE, "clientState": "forged"}), id="forged"),
        pytest.param(body({**CHANGE, "clientState": "\N{GRINNING FACE}"}), id="emoji"),
        pytest.param(body({**CHANGE, "clientState": "x" * 65_536}), id="64 KB"),
        pytest.param(b'{"value": [{"clientState": "\\ud83d"}]}', id="half an emoji"),
        pytest.param(b"", id="nothing"),
        pytest.param(b"<html>", id="HTML"),
        pytest.param(b"\xff" * 1000, id="no text"),
        pytest.param(b"[" * 200_000, id="deep"),
        pytest.param(b"x" * 2_000_000, id="2 MB"),
        pytest.param(b'{"value": [1, null, [], "x"]}', id="malformed"),
    ],
)
def test_whatever_is_not_authentic_gets_the_same_answer_and_is_gone(door: Door, sent: bytes):
    authentic = door.post(body(CHANGE))
    door.messages()

    answers = {door.post(sent, kind=kind) for kind in ("application/json", "text/html", "multipart/form-data")}

    assert answers == {authentic}
    assert door.messages() == []


def test_an_authentic_notification_of_a_wrong_content_type_rings_all_the_same(door: Door):
    assert door.post(body(CHANGE), kind="text/plain")[0] == 202
    assert len(door.messages()) == 1


def test_the_log_counts_what_was_ignored_and_holds_no_secret(door: Door):
    door.post(body({**CHANGE, "clientState": "a guess of somebody"}, CHANGE, 7))
    door.messages()

    log = door.deployment.log()
    assert '"changes":1,"lifecycle":0,"forged":1,"malformed":1' in log
    assert CLIENT_STATE not in log
    assert "a guess of somebody" not in log


def test_without_a_secret_there_is_nothing_behind_the_address(door: Door):
    host = door.deployment.start_notified(**DISABLED, NOTIFICATION_CLIENT_STATE="")
    closed = Door(door.deployment, host.url)

    assert closed.post(query="?validationToken=x")[0] == 404
    assert closed.post(body({**CHANGE, "clientState": ""}))[0] == 404
    assert door.messages() == []


PROGRAM = """
import asyncio, json, sys
from tests.simulation.host.functions import read_functions
from tests.simulation.host.runtime import Invocation, Message, Runtime, TypedData
from tests.functions.deployment import ROOT
async def main():
    import os
    runtime = Runtime(ROOT)
    functions = {each.name: each for each in read_functions(await runtime.index(), os.environ)}
    before = set(sys.modules)
    http = Message(method="POST", url="http://127.0.0.1/api/notified", headers={}, params={}, query={},
                   body=TypedData(bytes=sys.stdin.buffer.read()))
    result = await runtime.invoke(functions["notified"], Invocation(data=TypedData(http=http)), 10)
    print(json.dumps({"error": result.error, "sends": "changed" in result.outputs,
                      "modules": sorted(set(sys.modules) - before)}))
asyncio.run(main())
"""


def test_the_first_notification_loads_no_sdk(door: Door):
    settings = door.deployment.settings | {
        "NOTIFICATION_URL": "https://app.example",
        "NOTIFICATION_CLIENT_STATE": CLIENT_STATE,
    }
    finished = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=ROOT,
        env=settings,
        input=body(CHANGE),
        capture_output=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr[-3000:]
    found = json.loads(finished.stdout.splitlines()[-1])

    heavy = ("azure.storage", "azure.identity", "azure.data", "azure.core", "msgraph", "httpx", "aiohttp", "fastapi")
    assert (found["error"], found["sends"]) == ("", True)
    assert [name for name in found["modules"] if name.startswith(heavy)] == []
