"""The base of everything read from a configuration file: frozen, and unknown keys are errors."""

import os
from datetime import date
from typing import Annotated, Final

# pydantic would look through every installed package for plugins of its own, with every cold start. There are none.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")

from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints

SETTING_NAME_PATTERN: Final = r"^[A-Z][A-Z0-9_]*$"
GUID_PATTERN: Final = r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"
GUID_OR_SETTING_PATTERN: Final = rf"{GUID_PATTERN}|^\$\{{[A-Za-z_][A-Za-z0-9_]*\}}$"
DURATION_PATTERN: Final = r"^\d{1,6}[smhd]$"
DAY_PATTERN: Final = r"^\d{4}-\d{2}-\d{2}$"


class ConfigurationModel(BaseModel):
    """A part of a configuration file. An unknown key is a mistake, never a comment.

    A validator is built when something is validated, not for every class at import; a default is `model_construct()`,
    for which none is built at all. Docstrings of attributes become descriptions in `json_schema` only: reading them
    means parsing source code.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True, str_strip_whitespace=True)


def _is_no_secret(name: str) -> str:
    if len(name) >= 20 and "_" not in name:
        raise ValueError("the name of a setting; this looks like the secret itself")
    return name


def _is_a_day(text: str) -> str:
    try:
        date.fromisoformat(text)
    except ValueError:
        raise ValueError("a day that exists, YYYY-MM-DD") from None
    return text


Day = Annotated[str, StringConstraints(pattern=DAY_PATTERN), AfterValidator(_is_a_day)]
"""A day: `2027-01-31`."""

Text = Annotated[str, StringConstraints(min_length=1)]
"""A text that is not empty."""

SettingName = Annotated[
    str, StringConstraints(pattern=SETTING_NAME_PATTERN, max_length=64), AfterValidator(_is_no_secret)
]
"""The name of an app setting that holds a secret: upper case letters, digits and '_'. Never the secret itself."""
