"""The shipped templates are clean, and a broken one is found, at the file that is broken."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from shared.metrics import Metric
from shared.tracing import SpanName
from tests.infra import checkov
from tests.infra.__main__ import check_queries, check_templates
from tests.infra.checkov import CheckovFailed, check_with_checkov, scanned_paths, simplified
from tests.infra.emitted_events import recorded_metrics, recorded_spans
from tests.infra.names import check_names
from tests.infra.queries import alert_queries, check_query, workbook_queries
from tests.infra.templates import INFRA, ROOT, check_syntax, parse_template, read_template

BREAKAGES: dict[str, dict[str, dict[str, str]]] = yaml.safe_load(Path(__file__).with_name("breakages.yaml").read_text())
"""Claim, and what to break so that it is put to the test."""


def every(kind: str) -> pytest.MarkDecorator:
    """Answers with the breakages of a kind as parameters."""
    return pytest.mark.parametrize("breakage", BREAKAGES[kind].values(), ids=BREAKAGES[kind])


@pytest.fixture
def break_infra(tmp_path: Path) -> Callable[[dict[str, str]], Path]:
    """Answers with how to get a copy of infra/ that is broken in one place."""

    def break_copy(breakage: dict[str, str]) -> Path:
        folder = tmp_path / "infra"
        shutil.copytree(INFRA, folder)
        shutil.copy(ROOT / "azure.yaml", tmp_path)
        file = folder / breakage["file"]
        assert breakage["old"] in file.read_text(), "the breakage does not fit the template any more"
        file.write_text(file.read_text().replace(breakage["old"], breakage["new"], 1))
        return folder

    return break_copy


def test_the_shipped_templates_have_no_finding():
    assert [*map(str, check_templates())] == []


def test_the_shipped_queries_have_no_finding():
    assert [*map(str, check_queries())] == []


def test_bicep_host_settings_and_code_agree_on_names():
    assert [*map(str, check_names())] == []


@every("templates")
def test_a_broken_template(break_infra, breakage):
    folder = break_infra(breakage)

    findings = [*check_templates(folder)]

    assert any(breakage["finds"] in each.text for each in findings), [*map(str, findings)]


@every("names")
def test_names_that_do_not_agree(break_infra, breakage):
    folder = break_infra(breakage)

    findings = [*check_names(folder)]

    assert any(breakage["finds"] in each.text for each in findings), [*map(str, findings)]


@every("queries")
def test_a_query_that_would_never_fire(break_infra, breakage):
    folder = break_infra(breakage)

    findings = [*check_queries(folder)]

    assert any(breakage["finds"] in each.text for each in findings), [*map(str, findings)]


def test_an_enabled_application_without_queues_is_found(tmp_path: Path):
    configuration = tmp_path / "provisioning.yaml"
    configuration.write_text((ROOT / "provisioning.yaml").read_text().replace("enabled: false", "enabled: true", 2))

    findings = [each.text for each in check_names(configuration=configuration)]

    assert findings == ["fortes is enabled in provisioning.yaml and has no queues here"]


def test_every_metric_and_every_span_is_recorded_somewhere():
    assert set(recorded_metrics()) == set(Metric)
    assert set(recorded_spans()) == set(SpanName)


def test_a_metric_has_no_attributes_but_application_action_and_result():
    assert set().union(*recorded_metrics().values()) == {"application", "action", "result"}


def test_every_query_is_read():
    assert len(alert_queries()) == 15
    assert len(workbook_queries()) == 15
    assert [found for query in workbook_queries() for found in check_query(query)] == []


@pytest.mark.parametrize("breaks", ["the environment", "the interpreter"])
def test_a_checkov_that_cannot_be_run_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, breaks: str):
    environment = tmp_path / "checkov"
    monkeypatch.setattr(checkov, "ENVIRONMENT", environment)
    monkeypatch.setattr(checkov, "PYTHON", environment / "bin" / "python")
    if breaks == "the environment":
        environment.write_text("no folder")
    else:
        monkeypatch.setattr(checkov, "install_checkov", lambda: None)

    with pytest.raises(CheckovFailed, match=f"delete {environment} and check again"):
        list(check_with_checkov())


@pytest.mark.parametrize("path", [*scanned_paths()], ids=lambda path: path.name)
def test_what_checkov_gets_is_bicep_of_the_same_lines(path: Path):
    template = read_template(path)

    copy = simplified(template, is_private=True)

    assert len(copy.splitlines()) == len(path.read_text().splitlines())
    assert [*check_syntax(parse_template(path, copy))] == []
