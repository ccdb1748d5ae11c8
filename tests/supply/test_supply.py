"""What is in force has no finding; and what is broken is found, one claim at a time."""

import json
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.supply.advisories import KNOWN_TO_BE_VULNERABLE, AdvisoriesUnavailable, check_advisories, judge
from tests.supply.advisory_service import advisory_service
from tests.supply.bill_of_materials import bill_of_materials
from tests.supply.licences import check_licences, check_packages, is_allowed
from tests.supply.locks import (
    LOCKS,
    Pin,
    check_closure,
    check_lines,
    check_locks,
    check_named,
    named_by,
    read_lock,
)

A_HASH = "sha256:" + "a" * 64


def lock(tmp_path: Path, *lines: str) -> list[Pin]:
    path = tmp_path / "requirements.txt"
    path.write_text("\n".join(lines) + "\n")
    return read_lock(path)


def test_the_locks_hold_exactly_what_is_named_and_what_it_needs():
    assert [*map(str, check_locks())] == []


def test_every_package_here_has_a_licence_that_was_accepted():
    assert [*map(str, check_licences())] == []


def test_a_package_is_read_with_its_marker_its_version_and_all_its_hashes(tmp_path):
    other = "sha256:" + "b" * 64

    lines = ["# a comment", "PyYAML==6.0.3 ; python_version < '3.0' \\", f"  --hash={A_HASH} \\", f"  --hash={other}"]

    [pin] = lock(tmp_path, *lines)

    assert (pin.name, pin.version, pin.hashes, pin.line) == ("pyyaml", "6.0.3", {A_HASH, other}, 2)
    assert not pin.applies_here


@pytest.mark.parametrize(
    ("line", "finding"),
    [
        pytest.param("idna==3.20", "idna has no hash", id="no hash"),
        pytest.param("idna==3.20 --hash=sha256:abc", "idna has no hash", id="half a hash"),
        pytest.param("idna==3.20 --hash=md5:0123", "idna has no hash", id="a weak hash"),
        pytest.param(f"idna>=3 --hash={A_HASH}", "idna is not pinned to one version", id="a range"),
        pytest.param(f"idna==3.* --hash={A_HASH}", "idna is not pinned to one version", id="a pattern"),
        pytest.param("# --index-url here", "a lock does not say where packages come from", id="an index"),
    ],
)
def test_a_line_that_pip_would_not_hold_to(tmp_path, line, finding):
    pins = lock(tmp_path, line)

    assert [each.text for each in check_lines(tmp_path / "requirements.txt", pins)] == [finding]


def test_a_package_that_something_needs_is_missed():
    pins = [pin for pin in read_lock(LOCKS["app"]) if pin.name != "msal"]

    findings = [*check_closure(LOCKS["app"], pins, named_by()["app"])]

    assert [each.text.split(",")[0] for each in findings] == ["msal is not in the lock"]


def test_a_package_that_nothing_needs_is_found(tmp_path):
    extra = lock(tmp_path, f"left-pad==1.0 --hash={A_HASH}")

    findings = [*check_closure(LOCKS["app"], [*read_lock(LOCKS["app"]), *extra], named_by()["app"])]

    assert [each.text for each in findings] == ["nothing asks for left-pad: ./dev lock"]


def test_another_version_than_the_installed_one_is_found(tmp_path):
    pins = [pin for pin in read_lock(LOCKS["app"]) if pin.name != "httpx"]

    findings = [*check_closure(LOCKS["app"], [*pins, *lock(tmp_path, "httpx==0.1")], named_by()["app"])]

    assert [each.text.split(":")[0] for each in findings] == ["httpx"]


def test_a_pin_that_was_moved_without_the_lock_is_found():
    findings = [*check_named(LOCKS["app"], read_lock(LOCKS["app"]), [Requirement("httpx==0.29.0")])]

    assert [each.text for each in findings] == ["httpx==0.29.0 is in pyproject.toml and not here: ./dev lock"]


@pytest.mark.parametrize(
    ("licence", "allowed"),
    [
        ("MIT", True),
        ("Apache-2.0 AND MIT", True),
        ("GPL-3.0-only OR MIT", True),
        ("Apache-2.0 AND LGPL-3.0-only", False),
        ("MIT AND (Apache-2.0 OR GPL-3.0-only)", False),
        ("GPL-2.0-only WITH Classpath-exception-2.0", False),
        ("", False),
    ],
)
def test_one_allowed_alternative_is_enough_and_everything_joined_has_to_be_allowed(licence, allowed):
    assert is_allowed(licence, frozenset(["MIT", "Apache-2.0"])) is allowed


def test_a_licence_that_nobody_accepted_is_found():
    certifi = [pin for pin in read_lock(LOCKS["app"]) if pin.name == "certifi"]

    assert [each.text for each in check_packages(certifi, frozenset(["MIT"]), {})] == [
        "certifi: nobody accepted its licence, MPL-2.0"
    ]


def test_an_exception_that_nothing_needs_is_found():
    httpx = [pin for pin in read_lock(LOCKS["app"]) if pin.name == "httpx"]

    findings = [*check_packages(httpx, frozenset(["BSD-3-Clause"]), {"certifi": "a list"})]

    assert [each.text for each in findings] == ["certifi needs no exception any more"]


def test_a_locked_version_with_a_known_vulnerability_is_found():
    [httpx] = [pin for pin in read_lock(LOCKS["app"]) if pin.name == "httpx"]
    known = {KNOWN_TO_BE_VULNERABLE: ["PYSEC-2020-148"], f"httpx=={httpx.version}": ["GHSA-1"]}

    with advisory_service(known) as options:
        findings = [*check_advisories(options)]

    assert [each.text for each in findings] == [f"httpx {httpx.version} has GHSA-1, fixed in no version yet"]
    assert findings[0].path == LOCKS["app"]


def test_nothing_known_is_no_finding():
    with advisory_service({KNOWN_TO_BE_VULNERABLE: ["PYSEC-2020-148"]}) as options:
        assert [*map(str, check_advisories(options))] == []


def test_a_service_that_knows_nothing_at_all_has_checked_nothing():
    with advisory_service({}) as options, pytest.raises(AdvisoriesUnavailable, match="does not know"):
        [*check_advisories(options)]


def test_a_service_that_does_not_answer_has_checked_nothing():
    with advisory_service({}) as options:
        pass

    with pytest.raises(AdvisoriesUnavailable):
        [*check_advisories(options)]


def test_an_accepted_vulnerability_passes_under_any_of_its_names_and_is_missed_when_it_is_gone():
    [httpx] = [pin for pin in read_lock(LOCKS["app"]) if pin.name == "httpx"]
    answer = {"name": "httpx", "version": httpx.version}
    vulnerable = {**answer, "vulns": [{"id": "GHSA-1", "aliases": ["CVE-1"], "fix_versions": []}]}

    assert [*judge([vulnerable], [httpx], {"CVE-1": "not reached"})] == []
    assert [each.text for each in judge([{**answer, "vulns": []}], [httpx], {"CVE-1": "not reached"})] == [
        "CVE-1 is accepted, and not found any more"
    ]


def test_a_package_that_the_service_does_not_know_is_a_finding():
    [httpx] = [pin for pin in read_lock(LOCKS["app"]) if pin.name == "httpx"]

    findings = [*judge([{"name": "httpx", "skip_reason": "not found"}], [httpx], {})]

    assert [each.text for each in findings] == ["httpx was not audited: not found"]


def test_the_bill_of_materials_names_every_package_that_is_deployed_here():
    bill = json.loads(bill_of_materials())

    deployed = {f"pkg:pypi/{pin.name}@{pin.version}" for pin in read_lock(LOCKS["app"]) if pin.applies_here}
    assert {each["purl"] for each in bill["components"]} == deployed
    assert all(each["licenses"] for each in bill["components"])
    assert bill["metadata"]["component"]["licenses"] == [{"license": {"id": "Apache-2.0"}}]
