"""Counting what the product spent at a vendor."""

from __future__ import annotations

from typing import Any

import pytest

from tests.simulation.demo.spending import Spending, count_spending


def _entry(method: str, status: int | None, body: Any = None, fault: str = "") -> dict[str, Any]:
    return {"method": method, "status": status, "body": body, "fault": fault}


def _patch(*operations: dict[str, Any]) -> dict[str, Any]:
    return _entry("PATCH", 204, {"Operations": list(operations)})


@pytest.mark.parametrize(
    ("entry", "counted"),
    [
        pytest.param(_entry("POST", 201), Spending(creates=1), id="a create"),
        pytest.param(_entry("GET", 200), Spending(lookups=1), id="a look-up"),
        pytest.param(_entry("GET", 404), Spending(lookups=1), id="a look-up of nobody"),
        pytest.param(_entry("DELETE", 204), Spending(deletes=1), id="a delete"),
        pytest.param(_patch({"path": "title", "value": "x"}), Spending(updates=1), id="an update"),
        pytest.param(_patch({"path": "active", "value": True}), Spending(updates=1), id="switching on"),
        pytest.param(_patch({"path": "active", "value": False}), Spending(disables=1), id="switching off"),
        pytest.param(_patch({"value": {"active": "False"}}), Spending(disables=1), id="switching off without a path"),
        pytest.param(_entry("PUT", 200, {"active": False}), Spending(disables=1), id="switching off with a PUT"),
        pytest.param({**_entry("POST", 201), "path": "/Groups"}, Spending(groups=1), id="a group"),
        pytest.param({**_entry("PATCH", 400), "path": "/Groups/1"}, Spending(refused=1), id="a group refused"),
        pytest.param(_entry("POST", 409), Spending(refused=1), id="a create refused"),
        pytest.param(_entry("GET", 503, fault="outage"), Spending(refused=1, faults={"outage": 1}), id="met an outage"),
        pytest.param(_entry("POST", None), Spending(unanswered=1), id="never answered"),
    ],
)
def test_a_request_is_counted_once_by_what_became_of_it(entry: dict[str, Any], counted: Spending) -> None:
    assert count_spending([entry]) == counted
    assert count_spending([entry]).total == 1
