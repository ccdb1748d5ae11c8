"""JSON Schemas of the configuration files, so that an editor completes keys and explains them.

`python -m shared.config.json_schema` writes them anew; a test proves that the published files are current.
"""

from __future__ import annotations

import ast
import inspect
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel

from shared.config.model import ConfigurationModel
from shared.config.profile import Profile
from shared.config.provisioning_file import ProvisioningFile

FOLDER: Final = Path(__file__).parent / "schema"
_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def published_schemas() -> dict[str, str]:
    """File name -> text of every schema."""
    _describe_attributes()
    provisioning = _schema(ProvisioningFile)
    provisioning["properties"]["defaults"] = _defaults(provisioning)
    return {
        "provisioning.schema.json": _text(provisioning),
        "profile.schema.json": _text(_schema(Profile)),
    }


def _schema(model: type[BaseModel]) -> dict[str, Any]:
    return {"$schema": _DIALECT, **model.model_json_schema(mode="validation")}


def _describe_attributes() -> None:
    """Give every key the docstring below it as its description, and build the models anew with it."""
    models = list(_models(ConfigurationModel))
    for model in models:
        for base in reversed(model.__mro__):
            if issubclass(base, ConfigurationModel):
                for name, text in _attribute_docstrings(base).items():
                    model.model_fields[name].description = text
    for model in models:
        # In the order of their definition, so that each finds the parts it is made of described.
        model.model_rebuild(force=True)


def _models(base: type[BaseModel]) -> Iterator[type[BaseModel]]:
    for model in base.__subclasses__():
        yield model
        yield from _models(model)


def _attribute_docstrings(model: type[BaseModel]) -> dict[str, str]:
    tree = ast.parse(inspect.getsource(sys.modules[model.__module__]))
    (definition,) = (node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == model.__name__)
    found: dict[str, str] = {}
    for attribute, following in zip(definition.body, definition.body[1:], strict=False):
        match attribute, following:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                found[name] = inspect.cleandoc(text)
    return found


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
