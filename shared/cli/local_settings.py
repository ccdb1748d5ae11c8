"""Where the command line finds its settings: the environment, and local.settings.json for what is not in it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from shared.config.settings import SettingsError

LOCAL_SETTINGS = Path("local.settings.json")


def read_local_settings(environment: Mapping[str, str], path: Path = LOCAL_SETTINGS) -> dict[str, str]:
    """The settings a command works with: those of the file, with the environment laid over them.

    No file is no mistake. Raises SettingsError for one that cannot be used.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        return dict(environment)
    except (OSError, ValueError) as error:
        raise SettingsError(
            [f"{path}: not readable as JSON ({type(error).__name__}); expected a settings file"]
        ) from error
    values = content.get("Values") if isinstance(content, dict) else None
    if not isinstance(values, dict):
        raise SettingsError([f"{path}: no Values; expected an object of settings, as in local.settings.sample.json"])
    if content.get("IsEncrypted"):
        raise SettingsError([f"{path}: encrypted; decrypt it with `func settings decrypt`"])
    wrong = sorted(name for name, value in values.items() if not isinstance(value, str))
    if wrong:
        raise SettingsError([f"{path}: {name}: not a text; expected the value in double quotes" for name in wrong])
    return {**values, **environment}
