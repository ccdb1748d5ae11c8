"""The pure part: mapping, planning, patching and expressions, without any I/O.

Measured in this process: source users a second through the mapping of each shipped profile, the same users through
mapping and planning against what was sent last, changes a second into PATCH operations, and evaluations a second of
single expressions. Each loop runs for a fixed time over the same 200 synthetic people; the best of three counts,
because everything else on the machine can only make it slower.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from shared.config.profile_files import find_profile, shipped_profiles
from shared.config.protocol import PatchDialect
from shared.rules.expressions import EvaluationContext, compile_expression
from shared.rules.mapping import CompiledMappings, MappedAccount, compile_mappings, map_account
from shared.scim.patching import diff, patch_operations
from tests.benchmarks.tables import Table, number
from tests.simulation.graph.people import draw_user

PEOPLE = 200
SECONDS = 0.3
RUNS = 3
EXPRESSIONS = (
    "[displayName]",
    "ToLower([userPrincipalName])",
    'Join(" ", [givenName], [surname])',
    'Switch([IsSoftDeleted], , "False", "True", "True", "False")',
    "IIF(IsNullOrEmpty([mail]), [userPrincipalName], [mail])",
    'Replace([userPrincipalName], , "(?<name>.*)@.*", "name", "${name}", , )',
    'NormalizeDiacritics(StripSpaces(Join("", [givenName], ".", [surname])))',
)


def measure(_users: int | None) -> list[Table]:
    """Answers with the tables of this benchmark."""
    people = [draw_user(1, index) for index in range(PEOPLE)]
    context = EvaluationContext(
        now=datetime(2026, 11, 21, tzinfo=UTC), random=random.Random(1), new_guid=lambda: "0", roles=()
    )
    return [_measure_profiles(people, context), _measure_expressions(people, context)]


def _measure_profiles(people: list[dict[str, Any]], context: EvaluationContext) -> Table:
    rows: list[tuple[str, ...]] = []
    for name in shipped_profiles():
        started = time.perf_counter()
        profile = find_profile(name, folder=Path())
        compiled = compile_mappings(profile.users, profile.roles)
        compiled_ms = (time.perf_counter() - started) * 1000
        mapped = [_map(compiled, person, context) for person in people]
        changed = [_map(compiled, {**person, **_CHANGE}, context) for person in people]
        pairs = list(zip(mapped, changed, strict=True))
        dialect = profile.protocol.patch

        def map_one(at: int, compiled: CompiledMappings = compiled) -> None:
            _map(compiled, people[at], context)

        def plan_one(at: int, compiled: CompiledMappings = compiled, sent: list[MappedAccount] = mapped) -> None:
            wanted = _map(compiled, people[at], context)
            diff(sent[at].attributes, wanted.attributes, case_exact=lambda path: path not in wanted.case_ignored)

        def patch_one(
            at: int, pairs: list[tuple[MappedAccount, MappedAccount]] = pairs, dialect: PatchDialect = dialect
        ) -> None:
            before, after = pairs[at]
            patch_operations(
                diff(before.attributes, after.attributes, case_exact=lambda _path: True),
                dialect=dialect,
                present=before.attributes,
            )

        rows.append(
            (
                name,
                str(len(profile.users.mappings)),
                number(compiled_ms),
                number(_per_second(map_one)),
                number(_per_second(plan_one)),
                number(_per_second(patch_one)),
            )
        )
    return Table(
        title="Mapping and planning",
        columns=(
            "profile",
            "mappings",
            "read and compiled in ms",
            "mapped users/s",
            "mapped and compared users/s",
            "patches/s",
        ),
        rows=rows,
        note=f"Best of {RUNS}, but compiled once; a patch is the difference of two mapped states as operations.",
    )


def _measure_expressions(people: list[dict[str, Any]], context: EvaluationContext) -> Table:
    rows: list[tuple[str, ...]] = []
    users = [{**person, "IsSoftDeleted": False} for person in people]
    for text in EXPRESSIONS:
        expression = compile_expression(text)

        def evaluate(at: int, evaluate: Callable[..., object] = expression.evaluate) -> None:
            evaluate(users[at], context=context)

        rows.append((text, number(_per_second(evaluate))))
    return Table(title="Expressions", columns=("expression", "evaluations/s"), rows=rows)


_CHANGE = {"jobTitle": "Changed", "department": "Changed", "displayName": "Changed", "givenName": "Changed"}


def _map(compiled: CompiledMappings, person: dict[str, Any], context: EvaluationContext) -> MappedAccount:
    return map_account(compiled, person, context=context, soft_deleted=False)


def _per_second(act: Callable[[int], None]) -> float:
    best = 0.0
    for _ in range(RUNS):
        done, started = 0, time.perf_counter()
        while (spent := time.perf_counter() - started) < SECONDS:
            for at in range(PEOPLE):
                act(at)
            done += PEOPLE
        best = max(best, done / spent)
    return best
