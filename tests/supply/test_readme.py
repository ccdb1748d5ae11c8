"""The README names what is there, and a name that is not there is found."""

import re

import pytest

from tests.infra.templates import ROOT
from tests.supply.readme import README, check_readme


def test_everything_the_readme_names_is_there():
    assert [*map(str, check_readme())] == []


@pytest.mark.parametrize(
    ("line", "finding"),
    [
        pytest.param("see [the threats](docs/threats.md)", "the link leads nowhere: docs/threats.md", id="a link"),
        pytest.param('<img src=".readme/gone.png">', "the link leads nowhere: .readme/gone.png", id="a picture"),
        pytest.param("in `shared/provisioning/guards.py`", "there is no shared/provisioning/guards.py", id="a file"),
        pytest.param("beside it `guards.py`", "there is no guards.py", id="a file in a folder named before"),
        pytest.param("in `shared/provisioner/`", "there is no shared/provisioner/", id="a folder"),
        pytest.param("    ./dev tests", "./dev has no verb tests", id="a verb"),
        pytest.param("`./dev provisioner retire APP`", "the command line has no retire", id="a command"),
        pytest.param(
            "`./dev provisioner held accept APP LIST`", "held has no command accept", id="a command's command"
        ),
        pytest.param("`provisioner journal` shows it", "the command line has no journal", id="a command by its name"),
    ],
)
def test_what_is_named_and_is_not_there(tmp_path, line, finding):
    readme = tmp_path / "README.md"
    readme.write_text(f"# A title\n\n{line}\n")

    assert [(each.line, each.text) for each in check_readme(readme)] == [(3, finding)]


@pytest.mark.parametrize(
    "line",
    [
        "see [the style](README.md#decisions) and [elsewhere](https://example.org/x.md)",
        "`./dev provisioner held approve APP LIST`, `shared/config/profiles/*.yaml`, `failing.py`, `/api/dashboard`",
        "`./dev test`, `token.txt`, `auth.token`",
    ],
)
def test_what_is_there_or_is_not_ours_passes(tmp_path, line):
    readme = tmp_path / "README.md"
    readme.write_text(line + "\n")

    assert [*map(str, check_readme(readme))] == []


def test_every_provider_of_the_infrastructure_is_registered() -> None:
    templates = "".join(path.read_text() for path in (ROOT / "infra").rglob("*.bicep"))
    needed = {*re.findall(r"'Microsoft\.(\w+)/", templates)} - {"Authorization", "Graph"}

    registered = re.search(r"for each in (.+); do\n *az provider register", README.read_text())

    assert registered is not None
    assert needed <= {*registered[1].split()}


def test_the_deployer_may_give_the_roles_of_the_app_and_no_other() -> None:
    roles = dict(re.findall(r"'([\w ]+)': '([0-9a-f-]{36})'", (ROOT / "infra/modules/roles.bicep").read_text()))

    written = re.search(r'roles="([^"]+)"', README.read_text())

    assert written is not None
    assert {*re.findall(r"[0-9a-f-]{36}", written[1])} == {*roles.values()} - {roles["Key Vault Secrets Officer"]}
