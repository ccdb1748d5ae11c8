"""Whether the app could start: settings and provisioning.yaml, every mistake at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from shared.config.applications import Applications, load_applications, missing_settings
from shared.config.errors import ConfigurationError
from shared.config.settings import Settings, SettingsError

CONFIGURATION = "provisioning.yaml"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigurationReport:
    """What a check found."""

    applications: tuple[str, ...]
    """Those that are enabled."""
    disabled: tuple[str, ...]
    problems: tuple[str, ...]
    """The app does not start with one of these."""
    missing: tuple[str, ...]
    """The app starts, and quarantines the application that needs the setting; without those of `notify` nobody is
    told. Settings that have a value which cannot be used are among them."""

    @property
    def is_good(self) -> bool:
        """Whether everything would run."""
        return not self.problems and not self.missing


def check_configuration(environment: Mapping[str, str]) -> ConfigurationReport:
    """Read settings and file as the app does at start, and answer every mistake of both."""
    problems: list[str] = []
    try:
        Settings.load(environment)
    except SettingsError as error:
        problems += error.problems
    applications = Applications({})
    try:
        applications = load_applications(configuration_path(environment), environment)
    except ConfigurationError as error:
        problems += [str(problem) for problem in error.problems]
    return ConfigurationReport(
        applications=tuple(application.name for application in applications.enabled),
        disabled=tuple(name for name, application in applications.items() if not application.enabled),
        problems=tuple(problems),
        missing=tuple(str(missing) for missing in missing_settings(applications, environment)),
    )


def configuration_path(environment: Mapping[str, str]) -> Path:
    """The tenant's file, for commands that need no storage and so no complete settings."""
    return Path(environment.get("PROVISIONING_CONFIG", "").strip() or CONFIGURATION)
