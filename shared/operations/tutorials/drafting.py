"""A profile on its way: each key is set together with what is told about it and where it comes from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from shared.operations.tutorials.facts import Fact, FactKind
from shared.operations.tutorials.findings import Findings


@dataclass(slots=True)
class Draft:
    """What the sections of a profile have in common while it is put together."""

    findings: Findings
    facts: list[Fact] = field(default_factory=list)
    evidence: dict[str, dict[str, str]] = field(default_factory=dict)

    @property
    def source(self) -> str:
        """How this tutorial is named as a source."""
        tutorial = self.findings.tutorial
        dated = f" of {tutorial.dated}" if tutorial.dated else ""
        return f"{tutorial.application or 'the'} provisioning tutorial{dated}"

    def say(self, kind: FactKind, value: str, line: int = 0) -> None:
        """Tells a fact; without a line it is an assumption."""
        self.facts.append(Fact(kind=kind, value=value, line=line, assumed=line == 0))

    def prove(self, key: str, line: int, *, note: str = "") -> None:
        """Says where a key of the profile comes from; without a line it is assumed."""
        source = f"{self.source}, line {line}" if line else "the tutorial does not say"
        proof = {"confidence": "seed" if line else "assumed", "source": source}
        self.evidence[key] = {**proof, "note": note} if note else proof

    def table_source(self, line: int) -> dict[str, Any]:
        """The evidence of an attribute table."""
        return {"confidence": "seed", "source": f"{self.source}, table on line {line}"}
