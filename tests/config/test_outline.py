"""The outline of a configuration: quick, and never a way around validation."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from shared.composition import load_services
from shared.config.errors import ConfigurationError
from shared.config.outline import read_outline

VALID = """
version: 1
defaults: {enabled: false}
applications:
  acme:
    enabled: true
    profile: scim
    service_principal_id: 33333333-3333-3333-3333-333333333333
    base_url: http://127.0.0.1:9/scim/v2
    auth: {type: bearer, token: ACME_TOKEN}
  other:
    profile: fuze
    service_principal_id: 44444444-4444-4444-4444-444444444444
    auth: {type: bearer, token: OTHER_TOKEN}
"""


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    path = tmp_path / "provisioning.yaml"
    path.write_text(VALID, "utf-8")
    return {"AzureWebJobsStorage": "UseDevelopmentStorage=true", "PROVISIONING_CONFIG": str(path), "ACME_TOKEN": "x"}


def test_only_enabled_applications_are_in_the_outline_defaults_included(settings: dict[str, str]) -> None:
    outline = read_outline(Path(settings["PROVISIONING_CONFIG"]), settings)

    assert outline is not None
    assert outline.enabled == ("acme",)


def test_the_outline_names_what_validation_names(settings: dict[str, str]) -> None:
    validated = load_services(settings)
    outlined = load_services(settings)

    assert "applications" in validated.__dict__
    assert "applications" not in outlined.__dict__
    assert outlined.enabled == tuple(each.name for each in outlined.applications.enabled)


@pytest.mark.parametrize(
    "mistake", ["profile: scim", "enabled: true", "token: ACME_TOKEN"], ids=["profile", "key", "secret"]
)
def test_a_mistake_is_refused_at_every_start(settings: dict[str, str], mistake: str) -> None:
    load_services(settings)
    path = Path(settings["PROVISIONING_CONFIG"])
    wrong = {"profile: scim": "profile: nosuch", "enabled: true": "enabld: true", "token: ACME_TOKEN": "tokn: ACME"}
    path.write_text(VALID.replace(mistake, wrong[mistake]), "utf-8")

    for _ in range(2):
        with pytest.raises(ConfigurationError, match=r"provisioning\.yaml:\d+: "):
            load_services(settings)


def test_a_changed_profile_of_ones_own_is_validated_again(settings: dict[str, str]) -> None:
    path = Path(settings["PROVISIONING_CONFIG"])
    own = path.parent / "own.yaml"
    shipped = Path(__file__).resolve().parents[2] / "shared" / "config" / "profiles" / "fuze.yaml"
    own.write_text(shipped.read_text("utf-8").replace("name: fuze", "name: own"), "utf-8")
    path.write_text(VALID.replace("profile: scim", "profile: ./own.yaml"), "utf-8")
    load_services(settings)
    own.write_text(own.read_text("utf-8") + "\nnonsense: true\n", "utf-8")

    with pytest.raises(ConfigurationError):
        load_services(settings)


def test_a_mark_made_by_somebody_else_does_not_let_a_mistake_through(settings: dict[str, str]) -> None:
    path = Path(settings["PROVISIONING_CONFIG"])
    path.write_text(VALID.replace("profile: scim", "profile: nosuch"), "utf-8")
    outline = read_outline(path, settings)
    assert outline is not None
    outline.note_validated()

    services = load_services(settings)

    with pytest.raises(ConfigurationError):
        assert services.applications


def test_starting_with_a_validated_configuration_loads_no_pydantic_model(settings: dict[str, str]) -> None:
    load_services(settings)
    program = (
        "import os, sys, tempfile; tempfile.tempdir = os.environ['FOLDER'];"
        "import function_app; print('shared.config.profile' in sys.modules)"
    )
    root = Path(__file__).resolve().parents[2]
    environment = {**os.environ, **settings, "FOLDER": str(tempfile.gettempdir())}

    done = subprocess.run(
        [sys.executable, "-c", program], cwd=root, env=environment, capture_output=True, text=True, check=True
    )

    assert done.stdout.strip() == "False"
