"""The base of everything read from a configuration file: frozen, and unknown keys are errors."""

from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints

SETTING_NAME_PATTERN: Final = r"^[A-Z][A-Z0-9_]*$"
GUID_PATTERN: Final = r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"
DURATION_PATTERN: Final = r"^\d{1,6}[smhd]$"
DAY_PATTERN: Final = r"^\d{4}-\d{2}-\d{2}$"


class ConfigurationModel(BaseModel):
    """A part of a configuration file. An unknown key is a mistake, never a comment."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True, use_attribute_docstrings=True)


def _is_no_secret(name: str) -> str:
    if len(name) >= 20 and "_" not in name:
        raise ValueError("the name of a setting; this looks like the secret itself")
    return name


Text = Annotated[str, StringConstraints(min_length=1)]
"""A text that is not empty."""

SettingName = Annotated[
    str, StringConstraints(pattern=SETTING_NAME_PATTERN, max_length=64), AfterValidator(_is_no_secret)
]
"""The name of an app setting that holds a secret: upper case letters, digits and '_'. Never the secret itself."""
