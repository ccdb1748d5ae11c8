"""The pure part: mapping, planning, patching and expressions, without any I/O.

Measured in this process: source users a second through the mapping of each shipped profile, the same users through
mapping and planning against what was sent last, changes a second into PATCH operations, the time of one comparison of
two full resources, and evaluations a second of single expressions. Each loop runs for a fixed time over the same 200
synthetic people; the best of three counts, because everything else on the machine can only make it slower.

Clarizen counts twice: with its default mappings, and with every attribute of its table mapped for people who have a
value for each, which is the most that one user can cost.
"""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import yaml

from shared.config import profile_files
from shared.config.profile import AttributeType, Mutability, TargetAttribute
from shared.config.profile_files import find_profile, shipped_profiles
from shared.config.protocol import PatchDialect
from shared.rules.attribute_paths import JSON
from shared.rules.expressions import AppRole, EvaluationContext, compile_expression
from shared.rules.mapping import CompiledMappings, MappedAccount, compile_mappings, map_account
from shared.scim.patching import Difference, diff, patch_operations
from tests.benchmarks.tables import Table, number
from tests.simulation.graph.people import draw_user

PEOPLE = 200
SECONDS = 0.25
RUNS = 3
FULL: Final = "clarizen-one"
"""The profile that is measured with every attribute mapped as well."""
SOURCES: Final[Mapping[str, Mapping[str, Any]]] = {
    'emails[type eq "home"].value': {"source": "otherMails"},
    'emails[type eq "other"].value': {"expression": "ToLower([userPrincipalName])"},
    "name.honorificPrefix": {"source": "extensionAttribute2"},
    "name.honorificSuffix": {"source": "extensionAttribute3"},
    'addresses[type eq "work"].formatted': {"expression": 'Join(", ", [streetAddress], [postalCode], [city])'},
    'phoneNumbers[type eq "home"].value': {"source": "extensionAttribute4"},
    'phoneNumbers[type eq "other"].value': {"source": "extensionAttribute5"},
    'phoneNumbers[type eq "pager"].value': {"source": "extensionAttribute6"},
    "nickName": {"source": "mailNickname"},
    "locale": {"expression": 'Replace([preferredLanguage], "-", , , "_", , )'},
    'roles[primary eq "True"].type': {"constant": "WindowsAzureActiveDirectoryRole"},
    "timezone": {"expression": 'Switch([usageLocation], "Europe/Berlin", "US", "America/New_York")'},
    "userType": {"source": "employeeType"},
    "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:costCenter": {"source": "employeeOrgData.costCenter"},
    "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:division": {"source": "employeeOrgData.division"},
    "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:organization": {"source": "companyName"},
}
"""Where the attributes come from that Clarizen's profile leaves unmapped. One that is new there takes any string."""
EVERYTHING: Final[Mapping[str, Any]] = {
    "surname": "Nyström",
    "mail": "somebody@contoso.example",
    "mobilePhone": "+46 7700001",
    "faxNumber": "+46 9900001",
    "employeeId": "100001",
    "employeeType": "Employee",
    "jobTitle": "Engineer",
    "otherMails": ["somebody@home.example"],
    "employeeOrgData": {"costCenter": "CC-100", "division": "North"},
    "manager": {"id": "00000000-0000-4000-a000-000000000001"},
}
"""What the people of this benchmark may lack; whoever has a value of their own keeps it."""
COMPARED_ATTRIBUTES: Final = 40
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
    complete = [_completed(person) for person in people]
    context = EvaluationContext(
        now=datetime(2026, 11, 21, tzinfo=UTC),
        random=random.Random(1),
        new_guid=lambda: "0",
        roles=(AppRole(id="1", value="User", displayName="User"),),
    )
    rows = [_measure_profile(name, Path(), people, context) for name in shipped_profiles()]
    started = time.perf_counter()
    compile_expression(EXPRESSIONS[1])
    language_ms = (time.perf_counter() - started) * 1000
    with tempfile.TemporaryDirectory() as folder:
        path = _written_full_profile(Path(folder))
        row = _measure_profile(path.name, path.parent, complete, context)
        compared = _full_account(path, complete, context)
    rows.insert(1, (f"{FULL}, every attribute", *row[1:]))
    return [
        _profile_table(rows, language_ms=language_ms),
        _measure_comparison(compared),
        _measure_expressions(people, context),
    ]


def _measure_profile(
    name: str, folder: Path, people: list[dict[str, Any]], context: EvaluationContext
) -> tuple[str, ...]:
    started = time.perf_counter()
    profile = find_profile(name, folder=folder)
    compiled = compile_mappings(profile.users, profile.roles)
    compiled_ms = (time.perf_counter() - started) * 1000
    mapped = [_map(compiled, person, context) for person in people]
    changed = [_map(compiled, {**person, **_CHANGE}, context) for person in people]

    def map_one(at: int) -> None:
        _map(compiled, people[at], context)

    def plan_one(at: int) -> None:
        wanted = _map(compiled, people[at], context)
        diff(mapped[at].attributes, wanted.attributes, case_exact=lambda path: path not in wanted.case_ignored)

    def patch_one(at: int) -> None:
        before, after = mapped[at].attributes, changed[at].attributes
        patch_operations(
            diff(before, after, case_exact=lambda _path: True), dialect=profile.protocol.patch, present=before
        )

    return (
        name,
        str(len(profile.users.mappings)),
        number(compiled_ms),
        number(_per_second(map_one)),
        number(_per_second(plan_one)),
        number(_per_second(patch_one)),
    )


def _profile_table(rows: list[tuple[str, ...]], *, language_ms: float) -> Table:
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
        note=f"Best of {RUNS}, but compiled once; a patch is the difference of two mapped states as operations. The "
        f"first expression of a process loads the language, once: {number(language_ms)} ms, which no row holds.",
    )


def _measure_comparison(account: MappedAccount) -> Table:
    """The time of one comparison: nothing differs, the few attributes of a usual change, everything."""
    wanted: dict[str, JSON] = dict(account.attributes)
    for spare in range(COMPARED_ATTRIBUTES - len(wanted)):
        wanted[f"urn:ietf:params:scim:schemas:extension:benchmark:2.0:User:attribute{spare}"] = f"value {spare}"
    if len(wanted) != COMPARED_ATTRIBUTES:
        raise RuntimeError(f"{len(wanted)} attributes are compared, not {COMPARED_ATTRIBUTES}")

    def is_case_exact(path: str) -> bool:
        return path not in account.case_ignored

    rows: list[tuple[str, ...]] = []
    for differing in (0, 4, COMPARED_ATTRIBUTES):
        sent = dict(wanted)
        for path in list(wanted)[:: COMPARED_ATTRIBUTES // differing] if differing else ():
            value = wanted[path]
            sent[path] = not value if isinstance(value, bool) else f"{value} before"
        found = diff(sent, wanted, case_exact=lambda _path: True)
        if len(found.set) != differing:
            raise RuntimeError(f"{len(found.set)} attributes differ, not {differing}")

        def compare(_at: int, sent: dict[str, JSON] = sent) -> Difference:
            return diff(sent, wanted, case_exact=is_case_exact)

        def patch(_at: int, sent: dict[str, JSON] = sent) -> None:
            patch_operations(diff(sent, wanted, case_exact=is_case_exact), dialect=_DIALECT, present=sent)

        rows.append((str(differing), *(number(1_000_000 / _per_second(act)) for act in (compare, patch))))
    return Table(
        title=f"Comparing two resources of {COMPARED_ATTRIBUTES} attributes",
        columns=("attributes that differ", "diff in \u00b5s", "diff and PATCH operations in \u00b5s"),
        rows=rows,
        note=f"{FULL} with every attribute, and attributes of an extension up to {COMPARED_ATTRIBUTES}.",
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
_DIALECT: Final = PatchDialect()


def _map(compiled: CompiledMappings, person: dict[str, Any], context: EvaluationContext) -> MappedAccount:
    return map_account(compiled, person, context=context, soft_deleted=False)


def _completed(person: dict[str, Any]) -> dict[str, Any]:
    extensions = {f"extensionAttribute{n}": f"value {n}" for n in range(1, 16)}
    own = person.get("onPremisesExtensionAttributes", {})
    return {**EVERYTHING, **person, "onPremisesExtensionAttributes": {**extensions, **own}}


def _written_full_profile(folder: Path) -> Path:
    """A copy of the shipped profile in which every attribute that may be written has a mapping."""
    shipped = Path(profile_files.__file__).parent / "profiles" / f"{FULL}.yaml"
    tree = yaml.safe_load(shipped.read_text(encoding="utf-8"))
    users = find_profile(FULL, folder=Path()).users
    mapped = {mapping.target for mapping in users.mappings}
    tree["users"]["mappings"] += [
        {"target": attribute.path, **_source_of(attribute)}
        for attribute in users.attributes
        if attribute.path not in mapped
    ]
    path = folder / f"{FULL}.yaml"
    path.write_text(yaml.safe_dump(tree, sort_keys=False, allow_unicode=True), encoding="utf-8")
    return path


def _source_of(attribute: TargetAttribute) -> Mapping[str, Any]:
    if attribute.type is AttributeType.BOOLEAN:
        return {"constant": True}
    return SOURCES.get(attribute.path, {"source": "extensionAttribute15"})


def _full_account(path: Path, people: list[dict[str, Any]], context: EvaluationContext) -> MappedAccount:
    """One account with every attribute. Raises `RuntimeError` when any person lacks one: the row would flatter."""
    profile = find_profile(path.name, folder=path.parent)
    compiled = compile_mappings(profile.users, profile.roles)
    table = {each.path for each in profile.users.attributes if each.mutability is not Mutability.READ_ONLY}
    accounts = [_map(compiled, person, context) for person in people]
    for account in accounts:
        missing = table - {*account.attributes, *account.on_create, *account.references}
        if missing or len(profile.users.mappings) != len(table):
            raise RuntimeError(f"not every attribute of {FULL} has a value: {', '.join(sorted(missing))}")
    return accounts[0]


def _per_second(act: Callable[[int], object]) -> float:
    best = 0.0
    for _ in range(RUNS):
        done, started = 0, time.perf_counter()
        while (spent := time.perf_counter() - started) < SECONDS:
            for at in range(PEOPLE):
                act(at)
            done += PEOPLE
        best = max(best, done / spent)
    return best
