"""How a mistake in a configuration file is reported: where it is, and what belongs there."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

MOST_PROBLEMS = 200
"""Mistakes that are described of one text, which anybody may have written; mended, the others show."""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Problem:
    """One mistake. `line` counts from 1; 0 when the file could not be read. `expected` never holds a secret."""

    file: str
    line: int
    key: str
    expected: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.key}: {self.expected}"


class ConfigurationError(Exception):
    """The configuration cannot be used. The text has one line per mistake: `file:line: key: what was expected`."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))
