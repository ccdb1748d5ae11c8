"""The base of everything read from a configuration file: frozen, and unknown keys are errors."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints


class ConfigurationModel(BaseModel):
    """A part of a configuration file. An unknown key is a mistake, never a comment."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True, use_attribute_docstrings=True)


Text = Annotated[str, StringConstraints(min_length=1)]
"""A text that is not empty."""

SettingName = Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Z0-9_]*$", max_length=64)]
"""The name of an app setting that holds a secret: upper case letters, digits and '_'. Never the secret itself."""
