"""What runs at GitHub holds no secret and may do no more than it must; a workflow that does is found."""

import shutil
from pathlib import Path

import pytest

from tests.infra.templates import ROOT
from tests.supply.workflows import THE_TWO_COMMANDS, WORKFLOWS, check_workflows


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(WORKFLOWS, tmp_path / "workflows"))


def test_the_workflows_have_no_finding():
    assert [*map(str, check_workflows())] == []


@pytest.mark.parametrize("command", THE_TWO_COMMANDS)
def test_the_workflows_run_what_people_and_the_landing_of_a_change_run(command):
    assert command in (ROOT / "README.md").read_text()
    assert command in (ROOT / ".ci" / "run").read_text()


@pytest.mark.parametrize(
    ("file", "old", "new", "finding"),
    [
        pytest.param(
            "release.yml", "vars.AZURE_CLIENT_ID", "secrets.AZURE_CLIENT_ID", "a stored secret", id="a secret"
        ),
        pytest.param("checks.yml", "contents: read", "contents: write", "may write contents", id="may push"),
        pytest.param("checks.yml", "contents: read", "id-token: write", "may write id-token", id="may sign in"),
        pytest.param(
            "checks.yml", "permissions:\n  contents: read\n", "", "does not say what it may do", id="defaults"
        ),
        pytest.param("release.yml", "permissions: {}", "permissions: write-all", "does not say", id="everything"),
        pytest.param(
            "checks.yml", "  pull_request:", "  pull_request_target:", "somebody else's code", id="their code"
        ),
        pytest.param("checks.yml", "  pull_request:\n", "", "on a push and on a pull request", id="pushes only"),
        pytest.param("checks.yml", "run: ./dev check", "run: ./dev bench", "it begins with", id="another command"),
        pytest.param("release.yml", "      - run: ./dev test\n", "", "it begins with", id="a release without tests"),
        pytest.param("release.yml", "    environment: production\n", "", "who has to agree", id="nobody agrees"),
        pytest.param(
            "release.yml",
            "azure/login@a457da9ea143d694b1b9c7c869ebb04ebe844ef5 # v2.3.0",
            "azure/login@v2",
            "named by its commit",
            id="a tag moves",
        ),
        pytest.param("release.yml", "azure/login@", "azure-helpers/login@", "nobody trusted", id="a stranger's action"),
        pytest.param(
            "checks.yml",
            "run: ./dev test",
            "run: ./dev test ${{ github.event.pull_request.title }}",
            "somebody else wrote",
            id="a title as a script",
        ),
        pytest.param("checks.yml", "    timeout-minutes: 90\n", "", "may run for ever", id="no end"),
        pytest.param(
            "release.yml",
            '"$TAG" app.zip',
            "${{ github.ref_name }} app.zip",
            "somebody else wrote",
            id="a tag's name as a script",
        ),
        pytest.param(
            "checks.yml",
            "persist-credentials: false",
            "persist-credentials: true",
            "leaves GitHub's token",
            id="a token",
        ),
        pytest.param(
            "checks.yml",
            "        with:\n          persist-credentials: false\n",
            "",
            "leaves GitHub's token",
            id="unsaid",
        ),
        pytest.param(
            "checks.yml",
            "      - run: ./dev check\n",
            "      - run: ./dev check\n        continue-on-error: true\n",
            "goes on after a failure",
            id="a check that does not count",
        ),
        pytest.param(
            "checks.yml",
            "- run: ./dev test",
            "- run: GH_TOKEN=${{ github.token }} ./dev test",
            "a token",
            id="its token",
        ),
        pytest.param("release.yml", "[package, attach, preview]", "attach", "does not wait", id="untested"),
        pytest.param(
            "release.yml",
            "    environment: production\n",
            "    environment: production\n    if: always()\n",
            "does not wait",
            id="whatever the tests say",
        ),
        pytest.param("release.yml", "environment: production", "environment: prod", "who has to agree", id="unguarded"),
        pytest.param("release.yml", "environment: preview", "environment: production", "who has to agree", id="shared"),
        pytest.param("release.yml", " --require-advisories", "", "does not do all", id="unknown vulnerabilities"),
        pytest.param(
            "release.yml",
            ".venv/bin/python -m tests.supply.package app.zip",
            "zip -r app.zip .",
            "does not do all",
            id="everything packed",
        ),
        pytest.param(
            "release.yml",
            "tests.supply.package app.zip\n",
            "tests.supply.package app.zip\n          zip -g app.zip infra/main.bicep\n",
            "something else than the app",
            id="something added",
        ),
        pytest.param("release.yml", "[released]", "[created]", "before it is one", id="a draft"),
        pytest.param("release.yml", "[released]", "[published]", "before it is one", id="a pre-release"),
        pytest.param("release.yml", "on:\n", "on:\n  push:\n", "else than a release", id="every push"),
    ],
)
def test_a_workflow_that_may_or_does_too_much(folder, file, old, new, finding):
    path = folder / file
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))

    assert any(finding in each.text for each in check_workflows(folder)), [*map(str, check_workflows(folder))]


def test_a_repository_where_nothing_runs_on_a_push(folder):
    (folder / "checks.yml").unlink()

    assert [each.text for each in check_workflows(folder)] == ["nothing runs on a push"]
