"""Who may call what over HTTP: the keys of the host and of its functions."""

import hmac
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

MASTER = "_master"
DEFAULT = "default"


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """The master key opens everything, the default key every function, a function's own key only that one."""

    master: str
    default: str
    functions: Mapping[str, str]

    def is_master(self, key: str) -> bool:
        """Answers whether a key is the master key."""
        return hmac.compare_digest(key.encode(), self.master.encode())

    def opens(self, level: str, function_name: str, key: str | None) -> bool:
        """Answers whether a call with this key may reach a function of an auth level (anonymous, function, admin)."""
        if level == "anonymous":
            return True
        if not key:
            return False
        if self.is_master(key):
            return True
        accepted = [self.default, self.functions.get(function_name, "")]
        return level == "function" and any(
            each and hmac.compare_digest(key.encode(), each.encode()) for each in accepted
        )


def load_keys(path: Path | None, settings: Mapping[str, str]) -> Keys:
    """Answers with the keys of HOST_MASTER_KEY and HOST_FUNCTION_KEY, else those of a file, else new ones, kept there.

    The file is `{"_master": ..., "default": ..., "<function>": ...}`, readable by its owner only. Without a file, new
    keys last as long as the host.
    """
    try:
        stored = json.loads(path.read_text()) if path else {}
    except (OSError, ValueError):
        stored = {}
    missing = {MASTER, DEFAULT} - stored.keys()
    stored |= {name: secrets.token_urlsafe(32) for name in sorted(missing)}
    if path and missing:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_text(json.dumps(stored, indent=2) + "\n")
    functions = {name: key for name, key in stored.items() if name not in (MASTER, DEFAULT)}
    return Keys(
        master=settings.get("HOST_MASTER_KEY") or stored[MASTER],
        default=settings.get("HOST_FUNCTION_KEY") or stored[DEFAULT],
        functions=functions,
    )
