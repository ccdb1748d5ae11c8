"""A vendor whose process is restarted is the same vendor: accounts, credentials, addresses, records."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.simulation.demo.vendor_process import VendorProcess
from tests.simulation.vendors.calling import USER_URN

ADA = {"schemas": [USER_URN], "userName": "ada@contoso.test", "displayName": "Ada", "active": True}


@pytest.fixture
def vendors(tmp_path: Path) -> Iterator[VendorProcess]:
    process = VendorProcess.start(
        ["fortes", "purecloud", "clarizen"], log=tmp_path / "log", seed=1, kept_in=tmp_path / "kept"
    )
    yield process
    process.stop()


def _create(vendor: dict[str, Any], person: dict[str, Any]) -> httpx.Response:
    headers = {"Authorization": f"Bearer {vendor['token']}"}
    return httpx.post(f"{vendor['base_url']}/Users", json=person, headers=headers)


def _control(vendor: dict[str, Any], what: str) -> Any:
    return httpx.get(f"{vendor['control_url']}/{what}").json()


def test_a_restarted_vendor_is_the_same_vendor(vendors: VendorProcess) -> None:
    before = dict(vendors.vendors)
    answers = [_create(vendor, ADA).status_code for vendor in before.values()]
    accounts = [_control(vendor, "resources") for vendor in before.values()]
    requests = [[(each["method"], each["at"]) for each in _control(one, "journal")] for one in before.values()]

    vendors.end()
    vendors.begin_again()

    assert answers == [201, 201, 201]
    assert vendors.vendors == before
    assert [_control(vendor, "resources") for vendor in before.values()] == accounts
    assert [[(each["method"], each["at"]) for each in _control(one, "journal")] for one in before.values()] == requests
    assert [_create(vendor, ADA).status_code for vendor in before.values()] == [409, 409, 409]


def test_what_is_written_after_a_restart_has_ids_and_versions_of_its_own(vendors: VendorProcess) -> None:
    for vendor in vendors.vendors.values():
        _create(vendor, ADA)

    vendors.end()
    vendors.begin_again()
    for vendor in vendors.vendors.values():
        _create(vendor, ADA | {"userName": "bo@contoso.test"})

    held = [_control(vendor, "resources") for vendor in vendors.vendors.values()]
    assert [len({each["id"] for each in accounts}) for accounts in held] == [2, 2, 2]
    assert [len({each["meta"]["version"] for each in accounts}) for accounts in held] == [2, 2, 2]


def test_the_oauth_client_of_purecloud_gets_tokens_where_it_got_them_before(vendors: VendorProcess) -> None:
    vendors.end()
    vendors.begin_again()

    purecloud = vendors.vendors["purecloud"]
    answer = httpx.post(
        purecloud["login_url"],
        data={"grant_type": "client_credentials"},
        auth=(purecloud["client_id"], purecloud["client_secret"]),
    )

    assert _create(purecloud | {"token": answer.json()["access_token"]}, ADA).status_code == 201
