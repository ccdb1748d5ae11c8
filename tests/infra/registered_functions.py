"""The functions that function_app.py registers, as the platform's own worker indexes them, for two applications."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from tests.infra.deployment import APPLICATIONS
from tests.infra.templates import ROOT

Functions = Mapping[str, Sequence[Mapping[str, Any]]]
"""Name of a function, and its bindings as in function.json."""


@cache
def registered_functions() -> Functions:
    """The functions of an app with the applications that a deployment is evaluated for."""
    lines = ["version: 1", "applications:"]
    for each in APPLICATIONS:
        token = each["secretSettings"][0]
        lines += [
            f"  {each['name']}:",
            "    profile: scim",
            "    service_principal_id: 11111111-1111-1111-1111-111111111111",
            "    base_url: https://vendor.example/scim/v2",
            f"    auth: {{type: bearer, token: {token}}}",
        ]
    with tempfile.TemporaryDirectory() as folder:
        configuration = Path(folder) / "provisioning.yaml"
        configuration.write_text("\n".join(lines))
        # In a process of its own: the worker's registry belongs to the process.
        indexed = subprocess.run(
            [sys.executable, "-m", "tests.functions.indexed"],
            cwd=ROOT,
            env={
                "PATH": os.environ["PATH"],
                "TMPDIR": folder,
                "AzureWebJobsStorage": "UseDevelopmentStorage=true",
                "PROVISIONING_CONFIG": str(configuration),
            },
            capture_output=True,
            text=True,
            check=True,
        )
    functions: Functions = json.loads(indexed.stdout.splitlines()[-1])["functions"]
    return functions


def bound(functions: Functions, kind: str) -> list[Mapping[str, Any]]:
    """The bindings of a type, of all functions."""
    return [binding for bindings in functions.values() for binding in bindings if binding["type"] == kind]
