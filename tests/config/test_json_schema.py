"""The published JSON Schemas."""

import json
import subprocess
import sys

from shared.config.json_schema import FOLDER, published_schemas


def test_published_schemas_are_current():
    written = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.json")}

    assert written == published_schemas(), "run python -m shared.config.json_schema"


def test_defaults_offer_every_key_of_an_application_and_require_none():
    schema = json.loads(published_schemas()["provisioning.schema.json"])

    defaults = schema["properties"]["defaults"]
    assert defaults["properties"] == schema["$defs"]["ApplicationEntry"]["properties"]
    assert "required" not in defaults


def test_every_key_of_an_application_is_explained():
    schema = json.loads(published_schemas()["provisioning.schema.json"])
    silent = {
        key
        for key, value in schema["$defs"]["ApplicationEntry"]["properties"].items()
        if "description" not in value and "$ref" not in value
    }

    assert silent == set()


def test_configuration_and_rules_load_no_network_and_no_grammar():
    program = """
import sys
import shared.config.applications, shared.config.settings
import shared.rules.mapping, shared.rules.roles, shared.rules.scoping
heavy = ("httpx", "azure", "msgraph", "lark", "regex", "asyncio", "aiohttp")
print([name for name in heavy if name in sys.modules])
"""

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"
