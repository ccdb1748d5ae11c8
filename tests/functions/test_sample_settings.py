"""local.settings.sample.json, copied and left as it is, is enough to start."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import httpx

from tests.simulation.azurite import Azurite
from tests.simulation.host.process import HostProcess

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = ROOT / "local.settings.sample.json"
KEY = "a-key-of-this-host"


def test_the_sample_settings_start_the_app_and_nothing_is_wrong_with_it(tmp_path: Path) -> None:
    copied = tmp_path / "local.settings.json"
    copied.write_text(SAMPLE.read_text())
    names = json.loads(SAMPLE.read_text())["Values"]
    clean = {name: value for name, value in os.environ.items() if name not in names}
    command = [sys.executable, "-m", "tests.simulation.host", "--app", str(ROOT), "--port", "0"]
    # The emulator of the sample is the machine's own; the test brings another one. Its timers rest.
    with Azurite.in_memory() as azurite:
        instead = {
            "AzureWebJobsStorage": azurite.connection_string,
            "SYNC_SCHEDULE": "0 0 0 1 1 *",
            "HOST_FUNCTION_KEY": KEY,
        }
        with HostProcess([*command, "--settings", str(copied)], {**clean, **instead}, tmp_path / "host.log") as host:
            answer = httpx.get(f"{host.url}/api/applications", headers={"x-functions-key": KEY}, timeout=30)
            page = httpx.get(f"{host.url}/api/dashboard", timeout=30, follow_redirects=True)

    reports = answer.json()
    assert names["AzureWebJobsStorage"] == "UseDevelopmentStorage=true"
    assert reports
    assert {report["enabled"] for report in reports} == {False}
    assert [report["problems"] for report in reports] == [[]] * len(reports)
    assert page.status_code == 200
