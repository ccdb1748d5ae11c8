"""Only the app is deployed, whoever packs it and whatever lies around in the folder."""

import subprocess
import zipfile
from pathlib import Path

import pytest

from tests.infra.templates import ROOT
from tests.supply.package import check_package, files_for_azd, files_for_func, write_package

LEFT_LYING = (
    ".venv/bin/python",
    ".venv/.lock",
    ".dev/azurite/package.json",
    ".git/config",
    ".github/workflows/release.yml",
    ".vscode/settings.json",
    ".idea/workspace.xml",
    ".azure/production/.env",
    ".env",
    ".env.local",
    ".DS_Store",
    "shared/.DS_Store",
    "shared/config/__pycache__/settings.cpython-313.pyc",
    "__pycache__/function_app.cpython-313.pyc",
    "function_app.pyc",
    ".mypy_cache/3.11/cache.json",
    ".readme/dashboard-dark.png",
    "tests/.hidden",
    "tests/simulation/host/__main__.py",
    "infra/main.bicep",
    "local.settings.json",
    "local.settings.production.json",
    "token.txt",
    "app.zip",
    "sbom.json",
    "vendor.pem",
    "NOTES.md",
)
"""What people's folders hold beside what git knows."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Everything that git knows, and what is left lying about."""
    known = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for path in [*known.rstrip("\0").split("\0"), *LEFT_LYING]:
        target = tmp_path / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((ROOT / path).read_bytes() if path not in LEFT_LYING else b"left lying")
    return tmp_path


def test_nothing_but_the_app_is_deployed(folder):
    assert [*map(str, check_package(folder))] == []


def test_func_and_azd_deploy_every_file_of_the_app_and_the_same(folder):
    known = subprocess.run(
        ["git", "ls-files", "functions", "shared", "*.yaml", "function_app.py", "host.json", "requirements.txt"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    expected = sorted({path for path in known if not path.startswith(("tests/", "infra/"))} - {"azure.yaml"})

    assert files_for_func(folder) == files_for_azd(folder) == expected


def test_a_vendor_profile_beside_the_configuration_is_deployed(folder):
    (folder / "initech.yaml").write_text("version: 1\n")

    assert "initech.yaml" in files_for_func(folder)
    assert "initech.yaml" in files_for_azd(folder)


@pytest.mark.parametrize(
    ("old", "new", "finding"),
    [
        pytest.param("\ntests\n", "\n", "is not the app's", id="tests are deployed"),
        pytest.param("\ntests\n", "\ntests/\n", "func would read it otherwise", id="a slash at the end"),
        pytest.param("\n**/.DS_Store\n", "\n", "func, not azd, would deploy", id="any folder, for azd only"),
        pytest.param("\ndev\n", "\ndev\nshared/config/profiles\nhost.json\n", "host.json would not be", id="too much"),
        pytest.param("\ntoken.txt\n", "\n", "token.txt would be deployed", id="a secret in a file"),
    ],
)
def test_a_funcignore_that_lets_something_else_out(folder, old, new, finding):
    funcignore = folder / ".funcignore"
    assert old in funcignore.read_text()
    funcignore.write_text(funcignore.read_text().replace(old, new))

    assert any(finding in each.text for each in check_package(folder))


def test_the_package_holds_these_files_and_the_same_bytes_each_time(folder, tmp_path_factory):
    first, second = (tmp_path_factory.mktemp(name) / "app.zip" for name in ("first", "second"))

    size = write_package(first, folder)
    write_package(second, folder)

    with zipfile.ZipFile(first) as archive:
        assert sorted(archive.namelist()) == files_for_func(folder)
    assert first.read_bytes() == second.read_bytes()
    assert size < 1_000_000
