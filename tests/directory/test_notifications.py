"""What a POST of Microsoft Graph says, whoever it is from."""

import hmac
import json
import logging
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.directory.notification_log import NotificationLog
from shared.directory.notifications import LARGEST_BODY, Heard, hear_notifications, is_token
from tests.world import HandClock

SECRET = "the secret of this test"
CHANGE = {"clientState": SECRET, "changeType": "updated", "resource": "Users/1", "subscriptionId": "s"}
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


def heard(*entries: Any) -> Heard:
    """Answers with what a POST of these notifications says."""
    return hear_notifications(json.dumps({"value": entries}).encode(), client_state=SECRET)


def lifecycle(event: Any) -> dict[str, Any]:
    return {"clientState": SECRET, "lifecycleEvent": event, "subscriptionId": "s"}


def counts(found: Heard) -> tuple[int, int, int, int]:
    return found.changes, found.lifecycle, found.forged, found.malformed


@pytest.mark.parametrize(
    ("entry", "sync", "subscriptions"),
    [
        pytest.param(CHANGE, True, False, id="a change: the directory is read"),
        pytest.param(lifecycle("missed"), True, False, id="missed: the directory is read"),
        pytest.param(lifecycle("reauthorizationRequired"), False, True, id="reauthorize: subscriptions are renewed"),
        pytest.param(lifecycle("subscriptionRemoved"), True, True, id="removed: both"),
        pytest.param(lifecycle("invented"), False, False, id="an event that nobody knows"),
        pytest.param(lifecycle(["missed"]), False, False, id="an event that is no text"),
        pytest.param({**CHANGE, "changeType": 7}, False, False, id="a change that is no text"),
        pytest.param({**CHANGE, "clientState": "another secret than ours"}, False, False, id="another clientState"),
        pytest.param({**CHANGE, "clientState": SECRET[:-1]}, False, False, id="a shorter clientState"),
        pytest.param({**CHANGE, "clientState": ""}, False, False, id="an empty clientState"),
        pytest.param({**CHANGE, "clientState": None}, False, False, id="no clientState"),
        pytest.param({**CHANGE, "clientState": [SECRET]}, False, False, id="a clientState that is no text"),
        pytest.param({**CHANGE, "clientState": "\N{GRINNING FACE}" * 8}, False, False, id="emoji"),
        pytest.param({**CHANGE, "clientState": "\ud83d"}, False, False, id="half an emoji"),
        pytest.param({**CHANGE, "clientState": "x" * 65_536}, False, False, id="64 KB of clientState"),
        pytest.param("text", False, False, id="an entry that is no object"),
    ],
)
def test_a_notification(entry: Any, sync: bool, subscriptions: bool):
    found = heard(entry)

    assert (found.wants_sync, found.wants_subscriptions) == (sync, subscriptions)
    assert sum(counts(found)) == 1


def test_a_forged_notification_beside_an_authentic_one_takes_nothing_away():
    found = heard({**CHANGE, "clientState": "forged"}, CHANGE, 7, lifecycle("reauthorizationRequired"))

    assert counts(found) == (1, 1, 1, 1)
    assert found.wants_sync
    assert found.wants_subscriptions


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"{", id="no JSON"),
        pytest.param(b"\xff\xfe\x00", id="no text"),
        pytest.param(b"[]", id="a list"),
        pytest.param(b"{}", id="no value"),
        pytest.param(b'{"value": {}}', id="a value that is no list"),
        pytest.param(b'{"value": null}', id="a value that is null"),
        pytest.param(b"[" * 100_000, id="deep"),
        pytest.param(b'{"value": ' + b"9" * 5000 + b"}", id="a number nobody can read"),
        pytest.param(b'{"value": []}' + b" " * LARGEST_BODY, id="larger than the bound"),
    ],
)
def test_a_body_that_says_nothing_is_counted_and_wants_nothing(body: bytes):
    found = hear_notifications(body, client_state=SECRET)

    assert counts(found) == (0, 0, 0, 1)
    assert not (found.wants_sync or found.wants_subscriptions)


def test_without_a_secret_nothing_is_authentic():
    body = json.dumps({"value": [{**CHANGE, "clientState": ""}]}).encode()

    assert counts(hear_notifications(body, client_state="")) == (0, 0, 1, 0)


def test_of_more_entries_than_graph_sends_the_first_are_judged():
    found = heard(*[{}] * 1500)

    assert counts(found) == (0, 0, 1000, 0)


def test_the_secret_is_compared_in_a_time_that_says_nothing(monkeypatch: pytest.MonkeyPatch):
    compared = []
    compare = hmac.compare_digest

    def noted(given: bytes, expected: bytes) -> bool:
        compared.append((given, expected))
        return compare(given, expected)

    monkeypatch.setattr(hmac, "compare_digest", noted)

    found = heard(CHANGE, {**CHANGE, "clientState": "a guess"}, lifecycle("missed"))

    assert compared == [(given.encode(), SECRET.encode()) for given in (SECRET, "a guess", SECRET)]
    assert counts(found) == (1, 1, 1, 0)


def test_noise_is_told_once_a_minute_with_how_much_there_was(caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.INFO, "provisioner")
    clock = HandClock()
    log = NotificationLog(clock=clock)
    noise, ring = heard({**CHANGE, "clientState": "forged"}, 7), heard(CHANGE, 7)

    for each in (noise, noise, ring, noise):
        log.tell(each)
    clock.advance(60.0)
    log.tell(noise)

    told = [json.loads(each.partition(" ")[2]) for each in caplog.messages]
    assert [(each["posts"], each["changes"], each["forged"], each["malformed"]) for each in told] == [
        (1, 0, 1, 1),
        (1, 1, 0, 1),
        (3, 0, 3, 3),
    ]


@given(st.lists(ANYTHING), st.binary())
def test_whatever_comes_is_judged_and_wants_nothing_without_the_secret(entries: list[Any], junk: bytes):
    found = [heard(*entries), hear_notifications(junk, client_state=SECRET)]

    assert sum(counts(found[0])) == len(entries)
    assert not any(each.wants_sync or each.wants_subscriptions for each in found)


def test_a_token_is_repeated_up_to_a_bound():
    assert is_token("")
    assert is_token("x" * 4096)
    assert not is_token("x" * 4097)
