"""One request to a receiver, whatever the receiver does: hostile answers cost nothing and lead nowhere."""

from __future__ import annotations

import gzip
import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from shared.config.provisioning_file import Notify
from shared.config.settings import Settings
from shared.provisioning.notices.notice import NoticeType, make_notice
from shared.provisioning.notices.webhook import LONGEST_BODY, WebhookAnswer, WebhookProblem, Webhooks
from tests.scim.server import Reply, serving
from tests.simulation.receiver import SECRET, Receiver, receiving

NOW = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)
NOTICE = make_notice(NoticeType.PAUSED, "acme", "1", at=NOW, data={"reason": "PausedByPerson"})
ACME: Any = SimpleNamespace(name="acme", notify=Notify(webhook="HOOK_URL", secret="HOOK_SECRET"))


async def send(url: str, secret: str = SECRET, *, timeout_s: float = 5.0, application: Any = ACME) -> WebhookAnswer:
    settings = Settings(environment={"HOOK_URL": url, "HOOK_SECRET": secret})
    webhooks = Webhooks(secret=settings.secret, now=lambda: NOW, timeout_s=timeout_s)
    try:
        return await webhooks.send(application, NOTICE)
    finally:
        await webhooks.aclose()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as running:
        yield running


async def test_a_genuine_notice_is_taken(receiver: Receiver) -> None:
    answer = await send(receiver.url)

    assert answer == WebhookAnswer(status=200)
    assert receiver.taken == [
        {
            "id": NOTICE.id,
            "type": "application.paused",
            "application": "acme",
            "at": "2026-11-21T08:00:00.000000Z",
            "text": "acme was paused by a person. Nothing is written to it until somebody resumes it.",
            "data": {"reason": "PausedByPerson"},
        }
    ]
    [request] = receiver.requests
    assert (request.method, request.target) == ("POST", "/hooks/t0ken?sig=s1gnature")
    assert request.headers["content-type"] == "application/json"
    assert request.headers["webhook-timestamp"] == str(int(NOW.timestamp()))


async def test_another_key_is_not_genuine(receiver: Receiver) -> None:
    answer = await send(receiver.url, "open sesame")

    assert answer == WebhookAnswer(status=401, problem=WebhookProblem.REFUSED)
    assert (receiver.forged, receiver.taken) == (1, [])


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        pytest.param(Reply(status=204), (204, None, None), id="no content"),
        pytest.param(Reply(status=500), (500, WebhookProblem.REFUSED, None), id="its own failure"),
        pytest.param(Reply(status=410), (410, WebhookProblem.REFUSED, None), id="gone"),
        pytest.param(
            Reply(status=429, headers={"Retry-After": "120"}), (429, WebhookProblem.THROTTLED, 120.0), id="throttled"
        ),
        pytest.param(Reply(status=429), (429, WebhookProblem.THROTTLED, None), id="throttled, no time"),
        pytest.param(
            Reply(status=503, headers={"Retry-After": "Sat, 21 Nov 2026 08:01:00 GMT"}),
            (503, WebhookProblem.THROTTLED, 60.0),
            id="away until",
        ),
        pytest.param(Reply(status=503), (503, WebhookProblem.REFUSED, None), id="away"),
        pytest.param(
            Reply(status=429, headers={"Retry-After": "soon" * 99}),
            (429, WebhookProblem.THROTTLED, None),
            id="a time that is none",
        ),
        pytest.param(Reply(then_reset=True, raw=b"HTT"), (None, WebhookProblem.BROKEN, None), id="closes"),
        pytest.param(
            Reply(then_reset=True, raw=b"\x00\xff\r\n\r\n"), (None, WebhookProblem.BROKEN, None), id="no HTTP"
        ),
        pytest.param(
            Reply(raw=b"HTTP/1.1 200 X\r\nContent-Length: 99\r\n\r\nhalf", then_reset=True),
            (200, None, None),
            id="took it, and broke off its answer",
        ),
        pytest.param(Reply(body=b"x" * (LONGEST_BODY * 50)), (200, None, None), id="a huge body"),
        pytest.param(
            Reply(body=gzip.compress(b"x" * 50_000_000), headers={"Content-Encoding": "gzip"}),
            (200, None, None),
            id="a bomb",
        ),
    ],
)
async def test_every_answer_has_one_meaning(
    receiver: Receiver, reply: Reply, expected: tuple[int | None, WebhookProblem | None, float | None]
) -> None:
    receiver.always = reply

    answer = await send(receiver.url)

    assert (answer.status, answer.problem, answer.retry_after_s) == expected
    assert len(receiver.requests) == 1


async def test_a_redirect_leads_nowhere(receiver: Receiver) -> None:
    async with serving(lambda _request: Reply()) as trap:
        for location in (f"{trap.origin}/", "http://169.254.169.254/metadata/identity", "//127.0.0.1", "file:///etc"):
            for status in (301, 302, 303, 307, 308):
                receiver.always = Reply(status=status, headers={"Location": location})

                answer = await send(receiver.url)

                assert (answer.status, answer.problem) == (status, WebhookProblem.REDIRECTED)
        assert trap.requests == []
        assert trap.connections == 0


async def test_who_hangs_or_drips_costs_the_time_out_and_no_more(receiver: Receiver) -> None:
    receiver.hangs = True
    hanging = await send(receiver.url, timeout_s=0.2)
    receiver.always = Reply(raw=b"HTTP/1.1 2", then_drip=b"0")
    dripping = await send(receiver.url, timeout_s=0.2)
    receiver.always = Reply(raw=b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n", then_drip=b"1\r\nx\r\n")
    taken = await send(receiver.url, timeout_s=0.2)

    assert [hanging.problem, dripping.problem] == [WebhookProblem.TIMED_OUT] * 2
    assert taken == WebhookAnswer(status=200)


async def test_nobody_there(receiver: Receiver) -> None:
    async with serving(lambda _request: Reply()) as gone:
        address = gone.origin

    assert (await send(f"{address}/hooks/t0ken")).problem is WebhookProblem.UNREACHABLE


async def test_a_server_without_a_certificate_that_we_trust_is_nobody(receiver: Receiver) -> None:
    answer = await send(receiver.url.replace("http://", "https://"))

    assert answer.problem is WebhookProblem.UNREACHABLE
    assert receiver.requests == []


@pytest.mark.parametrize(
    ("url", "secret", "problem"),
    [
        pytest.param("", SECRET, WebhookProblem.SETTING_MISSING, id="no address"),
        pytest.param("https://hooks.example/t0ken", "", WebhookProblem.SETTING_MISSING, id="no key"),
        pytest.param(
            "@Microsoft.KeyVault(SecretUri=t0ken)", SECRET, WebhookProblem.SETTING_MISSING, id="a dead reference"
        ),
        pytest.param("http://hooks.example/t0ken", SECRET, WebhookProblem.ADDRESS_UNUSABLE, id="not encrypted"),
        pytest.param("https://u:t0ken@hooks.example", SECRET, WebhookProblem.ADDRESS_UNUSABLE, id="a password"),
        pytest.param("t0ken", SECRET, WebhookProblem.ADDRESS_UNUSABLE, id="no URL"),
        pytest.param("https://hooks.example/t0ken", "whsec_s3cret!", WebhookProblem.KEY_UNUSABLE, id="no base64"),
    ],
)
async def test_a_setting_that_cannot_be_used_is_named_and_never_shown(
    url: str, secret: str, problem: WebhookProblem
) -> None:
    answer = await send(url, secret)

    assert answer.problem is problem
    assert "HOOK_" in answer.detail
    assert "t0ken" not in repr(answer)
    assert "s3cret" not in repr(answer)


async def test_neither_address_nor_answer_is_logged(receiver: Receiver, caplog: pytest.LogCaptureFixture) -> None:
    from shared.telemetry import quiet_libraries

    quiet_libraries()
    receiver.always = Reply(status=500, body=b"s3cret words")
    with caplog.at_level(logging.INFO):
        await send(receiver.url)

    assert "t0ken" not in caplog.text
    assert "s3cret" not in caplog.text


async def test_an_application_without_a_webhook_sends_nothing() -> None:
    nobody: Any = SimpleNamespace(name="acme", notify=Notify())

    assert (await send("", application=nobody)).problem is WebhookProblem.NOT_CONFIGURED
