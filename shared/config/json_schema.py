"""JSON Schemas of the configuration files, so that an editor completes keys and explains them.

`python -m shared.config.json_schema` writes them anew; a test proves that the published files are current.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel

from shared.config.profile import Profile
from shared.config.provisioning_file import ProvisioningFile

FOLDER: Final = Path(__file__).parent / "schema"
_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def published_schemas() -> dict[str, str]:
    """File name -> text of every schema."""
    provisioning = _schema(ProvisioningFile)
    provisioning["properties"]["defaults"] = _defaults(provisioning)
    return {
        "provisioning.schema.json": _text(provisioning),
        "profile.schema.json": _text(_schema(Profile)),
    }


def _schema(model: type[BaseModel]) -> dict[str, Any]:
    return {"$schema": _DIALECT, **model.model_json_schema(mode="validation")}


def _defaults(provisioning: dict[str, Any]) -> dict[str, Any]:
    """Any key of an application, none of them required."""
    application = provisioning["$defs"]["ApplicationEntry"]
    return {
        "type": "object",
        "description": provisioning["properties"]["defaults"]["description"],
        "properties": application["properties"],
        "additionalProperties": False,
    }


def _text(schema: dict[str, Any]) -> str:
    return json.dumps(schema, indent=2, ensure_ascii=False, sort_keys=True) + "\n"


def write_schemas(folder: Path = FOLDER) -> None:
    """Write every schema into `folder`."""
    folder.mkdir(exist_ok=True)
    for name, text in published_schemas().items():
        (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write_schemas()
