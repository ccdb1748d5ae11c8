"""The shipped templates are clean, and a broken one is found, at the file that is broken."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from shared.metrics import Metric
from shared.storage.tables import Tables
from shared.tracing import SpanName
from tests.infra import checkov
from tests.infra.__main__ import check_queries, check_templates
from tests.infra.checkov import CheckovFailed, check_with_checkov, scanned_paths, simplified
from tests.infra.deployment import check_deployment
from tests.infra.emitted_events import known_words, recorded_metrics, recorded_spans
from tests.infra.names import check_names
from tests.infra.queries import workbook_queries
from tests.infra.registered_functions import Functions, registered_functions
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
        shutil.copy(ROOT / "host.json", tmp_path)
        file = folder / breakage["file"]
        assert breakage["old"] in file.read_text(), "the breakage does not fit the template any more"
        file.write_text(file.read_text().replace(breakage["old"], breakage["new"], 1))
        return folder

    return break_copy


def test_the_shipped_templates_have_no_finding():
    assert [*map(str, check_templates())] == []


def test_the_shipped_deployment_is_the_one_written_down():
    assert [*map(str, check_deployment())] == []


def test_the_shipped_queries_have_no_finding():
    assert [*map(str, check_queries())] == []


def test_bicep_host_settings_and_code_agree_on_names():
    assert [*map(str, check_names())] == []


@every("templates")
def test_a_broken_template(break_infra, breakage):
    folder = break_infra(breakage)

    findings = [*check_templates(folder)]

    assert any(breakage["finds"] in each.text for each in findings), [*map(str, findings)]


@every("deployment")
def test_a_deployment_that_comes_to_something_else(break_infra, breakage):
    folder = break_infra(breakage)

    findings = [*check_deployment(folder)]

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


def test_every_query_of_the_workbook_is_read():
    assert len(workbook_queries()) == 15


@pytest.mark.parametrize(
    ("more", "finds"),
    [
        pytest.param(
            {"extra": [{"type": "queueTrigger", "queueName": "extra"}]},
            "queues differ from the code's: extra, extra-poison",
            id="a queue",
        ),
        pytest.param(
            {"extra": [{"type": "queue", "queueName": "extra"}]}, "queues differ from the code's: extra", id="an output"
        ),
        pytest.param({"extra": [{"type": "timerTrigger"}]}, "timerCount: the app has 3 timers", id="a timer"),
    ],
)
def test_a_new_function_that_infra_does_not_know_is_found(more: Functions, finds: str):
    findings = [each.text for each in check_names(functions={**registered_functions(), **more})]

    assert finds in findings


def test_a_new_table_that_infra_does_not_know_is_found():
    findings = [each.text for each in check_names(tables=[*Tables.NAMES, "extra"])]

    assert any("tables differ from the code's" in each for each in findings)


def test_an_outcome_is_known_by_the_words_beside_its_event():
    assert "pulled" in known_words("directory.pulled", "outcome")
    assert "waiting" not in known_words("directory.pulled", "outcome")


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
