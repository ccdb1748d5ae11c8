"""What the rules say when one object's own values cannot be provisioned."""

from __future__ import annotations


class InvalidData(Exception):
    """One object's values do not fit the target; only a change at the source or in the mapping helps.

    `target` and `source` are names of attributes, `reason` never holds a value of theirs.
    """

    def __init__(self, *, target: str, source: str, reason: str) -> None:
        came_from = f" (from {source})" if source else ""
        super().__init__(f"{target}: {reason}{came_from}")
        self.target = target
        self.source = source
        self.reason = reason
