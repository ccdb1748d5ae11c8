"""Storage queues against the emulator: base64 on the wire, hidden messages, keys only, and foreign texts."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from azure.storage.queue import QueueClient
from azure.storage.queue.aio import QueueServiceClient
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.storage.change_message import DirectoryChanged
from shared.storage.durable_writes import DurableWrite, Moment
from shared.storage.queues import MAX_HIDDEN_S, Message, MessageRefused, Queues
from shared.storage.tables import StorageUnavailable

NOWHERE = (
    "DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;AccountKey=c2VjcmV0;QueueEndpoint=http://127.0.0.1:1/a;"
)
WRITE = DurableWrite.ENQUEUE
IDS = st.uuids().map(str)
SOMEBODY = "7c0a2a51-0b5c-4f5e-9d6a-3f1c2b7d8e90"


@pytest.fixture
async def queues(azurite: str) -> AsyncIterator[Queues]:
    queues = Queues(QueueServiceClient.from_connection_string(azurite))
    yield queues
    await queues.close()


@pytest.fixture
async def app(queues: Queues, name_prefix: str) -> str:
    """Answers with an application whose queues exist."""
    await queues.create_missing([name_prefix])
    return name_prefix


def client_of(azurite: str, name: str) -> QueueClient:
    """Answers with a queue as another program sees it: no decoding."""
    return QueueClient.from_connection_string(azurite, name)


async def test_every_application_has_two_queues_and_their_poison_queues(azurite: str, queues: Queues, app: str) -> None:
    await queues.create_missing([app])

    names = [f"provision-{app}{first}{poison}" for first in ("", "-first") for poison in ("", "-poison")]
    for name in names:
        with client_of(azurite, name) as client:
            assert client.get_queue_properties().name == name


async def test_a_message_is_base64_of_json_with_keys_only(azurite: str, queues: Queues, app: str) -> None:
    await queues.send(WRITE, Message(app=app, kind="user", id=SOMEBODY, trace="00-ab-cd-01"))

    with client_of(azurite, f"provision-{app}") as client:
        received = client.receive_message()
    body = json.loads(base64.b64decode(received.content, validate=True))
    assert body == {
        "v": 1,
        "app": app,
        "kind": "user",
        "id": SOMEBODY,
        "attempt": 1,
        "trace": "00-ab-cd-01",
    }


async def test_a_message_never_expires(azurite: str, queues: Queues, app: str) -> None:
    await queues.send(WRITE, Message(app=app, kind="user", id=SOMEBODY))

    with client_of(azurite, f"provision-{app}") as client:
        received = client.receive_message()
    assert received.expires_on.year > 9000


async def test_a_hidden_message_is_there_but_not_to_be_had(azurite: str, queues: Queues, app: str) -> None:
    await queues.send(WRITE, Message(app=app, kind="user", id="later"), hidden_s=3600)
    await queues.send(WRITE, Message(app=app, kind="user", id="now"))

    with client_of(azurite, f"provision-{app}") as client:
        visible = [json.loads(base64.b64decode(each.content))["id"] for each in client.receive_messages()]
    assert visible == ["now"]
    assert await queues.count(app, first=False) == 2


async def test_a_wait_longer_than_the_service_allows_is_cut(queues: Queues, app: str) -> None:
    await queues.send(WRITE, Message(app=app, kind="user", id=SOMEBODY), hidden_s=MAX_HIDDEN_S * 10)

    assert await queues.count(app, first=False) == 1


async def test_who_loses_access_has_a_queue_of_their_own(queues: Queues, app: str) -> None:
    await queues.send(WRITE, Message(app=app, kind="user", id=SOMEBODY), first=True)

    assert (await queues.count(app, first=True), await queues.count(app, first=False)) == (1, 0)


async def test_the_directory_has_a_queue_and_its_poison_queue(azurite: str, queues: Queues, app: str) -> None:
    for name in ("directory-changed", "directory-changed-poison"):
        with client_of(azurite, name) as client:
            assert client.get_queue_properties().name == name


async def test_a_ring_that_is_put_back_is_base64_and_hidden(azurite: str, queues: Queues, app: str) -> None:
    message = DirectoryChanged(received_at=datetime(2026, 3, 1, tzinfo=UTC), sync=True, attempt=2)

    await queues.send_change(WRITE, message, hidden_s=3600)
    await queues.send_change(WRITE, message)

    with client_of(azurite, "directory-changed") as client:
        texts = [base64.b64decode(each.content, validate=True).decode() for each in client.receive_messages()]
        assert client.get_queue_properties().approximate_message_count >= 2
        client.clear_messages()
    assert [DirectoryChanged.decode(text) for text in texts] == [message]


async def test_an_unreachable_service_is_unavailable_and_observed_as_begun_only() -> None:
    moments: list[Moment] = []
    queues = Queues(
        QueueServiceClient.from_connection_string(NOWHERE, retry_total=0),
        observer=lambda _, moment: moments.append(moment),
    )

    with pytest.raises(StorageUnavailable, match="sending to the queue provision-acme failed"):
        await queues.send(WRITE, Message(app="acme", kind="user", id=SOMEBODY))
    with pytest.raises(StorageUnavailable, match="counting a queue of acme failed"):
        await queues.count("acme", first=False)
    with pytest.raises(StorageUnavailable, match="creating the queue provision-acme-first failed"):
        await queues.create_missing(["acme"])

    await queues.close()
    assert moments == [Moment.BEFORE]


async def test_a_queue_that_does_not_exist_is_unavailable(queues: Queues) -> None:
    with pytest.raises(StorageUnavailable):
        await queues.send(WRITE, Message(app="never-made", kind="user", id="x"))


@settings(max_examples=200, deadline=None)
@given(IDS, st.sampled_from(["user", "group"]), st.integers(1, 1000))
def test_a_message_comes_back_from_its_text(source_id: str, kind: str, attempt: int) -> None:
    message = Message(app="acme", kind=kind, id=source_id, attempt=attempt)

    assert Message.decode(message.encode()) == message


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.text(), st.recursive(st.none() | st.booleans() | st.text(), st.lists).map(json.dumps)))
def test_a_foreign_text_is_refused_and_nothing_else_happens(text: str) -> None:
    with pytest.raises(MessageRefused) as refused:
        Message.decode(text)

    assert len(text) < 8 or text not in str(refused.value)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"v": 2}, id="another version"),
        pytest.param({"v": "1"}, id="a version that is a text"),
        pytest.param({"app": ""}, id="no application"),
        pytest.param({"app": 7}, id="an application that is a number"),
        pytest.param({"kind": "device"}, id="another kind"),
        pytest.param({"id": ""}, id="an empty id"),
        pytest.param({"id": None}, id="no id"),
        pytest.param({"id": "babs.jensen@contoso.example"}, id="somebody's name for an id"),
        pytest.param({"id": SOMEBODY[:-1]}, id="an id that is too short"),
        pytest.param({"id": f"{SOMEBODY}\n"}, id="an id and a line more"),
    ],
)
def test_a_message_is_refused_with(change: dict[str, object]) -> None:
    body = {**json.loads(Message(app="acme", kind="user", id=SOMEBODY).encode()), **change}

    with pytest.raises(MessageRefused):
        Message.decode(json.dumps(body))


def test_deeply_nested_json_is_refused_like_any_other_text() -> None:
    with pytest.raises(MessageRefused, match="not JSON"):
        Message.decode("[" * 100_000)
