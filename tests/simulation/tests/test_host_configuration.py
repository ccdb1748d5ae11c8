"""host.json and local settings are read with the platform's defaults and refused with a reason."""

import json
import logging
from pathlib import Path

import pytest

from tests.simulation.host.configuration import HostOptions, MessageEncoding, read_host_options, read_settings
from tests.simulation.host.failures import HostNotStartedError
from tests.simulation.host.logs import level_of
from tests.simulation.host.polling import Backoff

ROOT = Path(__file__).resolve().parents[3]


def options_of(folder: Path, content: dict[str, object], settings: dict[str, str] | None = None) -> HostOptions:
    (folder / "host.json").write_text(json.dumps({"version": "2.0", **content}))
    return read_host_options(folder, settings or {})


def test_an_empty_host_json_has_the_platforms_defaults(tmp_path: Path) -> None:
    options = options_of(tmp_path, {})

    assert options.function_timeout_s == 1800
    assert options.route_prefix == "api"
    assert options.queues.batch_size == 16
    assert options.queues.new_batch_threshold == 8
    assert options.queues.visibility_timeout_s == 0
    assert options.queues.max_dequeue_count == 5
    assert options.queues.message_encoding is MessageEncoding.BASE64
    assert options.queues.invisibility_s == 600


def test_the_products_own_host_json_is_read() -> None:
    options = read_host_options(ROOT, {})

    assert options.function_timeout_s == 600
    assert options.queues.visibility_timeout_s == 30


def test_a_setting_goes_over_host_json(tmp_path: Path) -> None:
    content = {"functionTimeout": "00:10:00", "extensions": {"queues": {"batchSize": 4}}}
    settings = {
        "AzureFunctionsJobHost__functionTimeout": "-1",
        "AzureFunctionsJobHost__extensions__queues__batchSize": "2",
        "HOST_QUEUE_INVISIBILITY_SECONDS": "7",
    }

    options = options_of(tmp_path, content, settings)

    assert options.function_timeout_s is None
    assert options.queues.batch_size == 2
    assert options.queues.invisibility_s == 7


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        pytest.param({"version": "3.0"}, "version", id="another version"),
        pytest.param({"functionTimeout": "10 min"}, "functionTimeout", id="a time-out in words"),
        pytest.param({"extensions": {"queues": {"batchSize": 33}}}, "batchSize", id="a batch that is too large"),
        pytest.param({"extensions": {"queues": {"maxDequeueCount": 0}}}, "maxDequeueCount", id="no attempt at all"),
        pytest.param({"extensions": {"queues": {"messageEncoding": "xml"}}}, "messageEncoding", id="an encoding"),
        pytest.param({"logging": {"logLevel": {"default": "Loud"}}}, "logLevel.default", id="a level nobody knows"),
    ],
)
def test_a_wrong_value_is_named(tmp_path: Path, content: dict[str, object], reason: str) -> None:
    with pytest.raises(HostNotStartedError, match=reason):
        options_of(tmp_path, content)


def test_the_longest_log_category_decides() -> None:
    levels = {"default": logging.INFO, "Function": logging.ERROR, "Function.sync.User": logging.DEBUG}

    assert level_of("Function.sync.User", levels) == logging.DEBUG
    assert level_of("Function.sync", levels) == logging.ERROR
    assert level_of("Functional", levels) == logging.INFO


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        pytest.param('{"IsEncrypted": true, "Values": {}}', "encrypted", id="encrypted"),
        pytest.param('{"Values": {"A": 1}}', "Values.A", id="a number instead of text"),
        pytest.param("{", "not JSON", id="no JSON"),
    ],
)
def test_a_settings_file_is_refused_as(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "local.settings.json"
    path.write_text(text)

    with pytest.raises(HostNotStartedError, match=reason):
        read_settings(path)


def test_an_empty_queue_is_looked_at_less_and_less_often() -> None:
    backoff = Backoff(2.0, lambda: 0.5)

    waits = [round(backoff.after_nothing(), 3) for _ in range(8)]
    backoff.after_a_find()
    next_wait = round(backoff.after_nothing(), 3)

    assert waits == [0.1, 0.2, 0.3, 0.5, 0.9, 1.7, 2.0, 2.0]
    assert next_wait == 0.2
