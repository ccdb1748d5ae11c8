"""The soak from curtain to curtain: initial cycle, minutes of load and faults, quiet, and the verdict."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rich.markup import escape

from tests.simulation.demo.beforehand import Beforehand, prepare
from tests.simulation.demo.connected import CONNECTED
from tests.simulation.demo.judging import Judge
from tests.simulation.demo.play import say_findings
from tests.simulation.demo.progress import Progress, Settling, StillPendingError
from tests.simulation.demo.screen import Screen
from tests.simulation.demo.stage import Stage, Staging, open_stage, principals_of
from tests.simulation.demo.tables import accounts_table, groups_table, spending_table
from tests.simulation.demo.verdict import Finding, find_out
from tests.simulation.soak.load import Load
from tests.simulation.soak.plan import Plan, plan_soak
from tests.simulation.soak.staff import Staff
from tests.simulation.soak.tables import counts_table, effort_table, faults_table, toll_table
from tests.simulation.soak.verdict import Effort, Outcome, find_outcome, read_effort
from tests.simulation.tenant import Tenant

INITIAL_S = 180.0
SETTLE_S = 420.0
"""Longer than grace, back-off, a sweep and a puller's lease of a host that was killed, one after the other."""

PULLS_AT_THE_END = 5
"""Graph may show a change only to the third look."""

PLAIN_EVERY_S = 15.0
OPEN_GUARD = {"max_count": 1_000_000, "max_percent": 100, "min_population": 1_000_000}
"""Everybody's leaving is staged and needs its permit, but no number of them is held: a held row would look wrong."""

SETTINGS = {"SWEEP_AFTER_SECONDS": "20", "AzureFunctionsWebHost__hostid": "soak"}
"""A killed host's messages stay invisible for the platform's ten minutes: the sweep has to find those rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the person asked for."""

    users: int
    seed: int
    seconds: float


async def play(options: Options, screen: Screen, folder: Path) -> int:
    """Plays the whole soak; answers with the exit code: 0 only when everything agrees."""
    tenant = Tenant(options.seed, options.users)
    principals = principals_of(tenant)
    staff = Staff(tenant, principals, seed=options.seed)
    beforehand = with_own_accounts(prepare(tenant, principals))
    judge = Judge(tenant, principals, beforehand=beforehand)
    names = [connected.name for connected in CONNECTED]
    staging = Staging(
        seed=options.seed,
        guards=dict.fromkeys(names, OPEN_GUARD),
        beforehand=beforehand,
        settings=SETTINGS,
        survives_restarts=True,
    )
    screen.chapter("Starting")
    async with open_stage(tenant, folder, staging, say=screen.say) as stage:
        screen.chapter("The initial cycle")
        with screen.following() as show:
            await Settling(stage, show=show).wait(within_s=INITIAL_S + options.users)
        judge.note()
        judge.note_passing()
        load = Load(stage, staff, judge, say=screen.say)
        await _soak(load, plan_soak(options.seed, options.seconds, names), screen, options)
        progress, unsettled = await _settle(stage, screen)
        findings = await find_out(stage, judge, progress, held={})
        outcomes = [await find_outcome(stage, judge, finding) for finding in findings]
        effort = read_effort(stage.host.log.read_text(errors="replace").splitlines())
        return _tell(screen, load, outcomes, effort, unsettled=unsettled)


def with_own_accounts(beforehand: Mapping[str, Beforehand]) -> dict[str, Beforehand]:
    """Adds two accounts of its own to every vendor, of which the directory knows nothing."""
    added = {}
    for connected in CONNECTED:
        held = beforehand.get(connected.name, Beforehand())
        own = {f"{desk}@{connected.name}.example": f"{desk} desk" for desk in ("reception", "service")}
        added[connected.name] = replace(held, accounts={**held.accounts, **own})
    return added


async def _soak(load: Load, plan: Plan, screen: Screen, options: Options) -> None:
    screen.chapter(f"{options.seconds:.0f} s of load and faults, seed {options.seed}")
    screen.say(
        f"{len(plan.changes)} changes of the directory, {len(plan.faults)} faults on the way, "
        f"{len(plan.strikes)} strikes at processes are planned"
    )
    with screen.following(plain_every_s=PLAIN_EVERY_S) as show:
        await load.run(plan, show=show)


async def _settle(stage: Stage, screen: Screen) -> tuple[Sequence[Progress], str]:
    """Waits for quiet; answers with where everything stands, and with what did not settle in time."""
    screen.chapter("No more faults and changes: everything has to settle")
    with screen.following() as show:
        settling = Settling(stage, show=show, pulls=PULLS_AT_THE_END)
        try:
            await settling.wait(within_s=SETTLE_S)
        except StillPendingError as error:
            return settling.found, str(error)
    return settling.found, ""


def _tell(screen: Screen, load: Load, outcomes: Sequence[Outcome], effort: Effort, *, unsettled: str) -> int:
    findings = [outcome.finding for outcome in outcomes]
    met = {finding.title: finding.spending.faults for finding in findings}
    screen.chapter("What was done to it")
    screen.console.print(counts_table("Strikes at processes", load.strikes))
    screen.console.print(faults_table(met))
    screen.console.print(counts_table("Faults that requests met at Graph", load.faults_at_graph))
    screen.console.print(counts_table("Changes of the directory", load.changes))
    screen.chapter("What it cost")
    screen.console.print(spending_table(findings))
    screen.console.print(effort_table(outcomes, effort))
    screen.chapter("What each vendor holds against what it should hold")
    screen.console.print(accounts_table(findings))
    screen.console.print(groups_table(findings))
    screen.console.print(toll_table(outcomes))
    bugs = [*_name_bugs(load, effort), *([unsettled] if unsettled else [])]
    for bug in bugs:
        screen.say(f"[red]not as it should be[/red]: {escape(bug)}")
    for text in _name_incidents(findings, effort):
        screen.say(text)
    agrees = all(outcome.agrees for outcome in outcomes) and not bugs
    say_findings(screen, findings, agrees=agrees)
    return 0 if agrees else 1


def _name_bugs(load: Load, effort: Effort) -> list[str]:
    """What nothing excuses."""
    counted = {"times the function host ended by itself": load.deaths, "accounts poisoned": effort.poisoned}
    return [f"{count} {words}" for words, count in counted.items() if count]


def _name_incidents(findings: Sequence[Finding], effort: Effort) -> Iterator[str]:
    """What may happen and is worth knowing."""
    for finding in findings:
        if codes := effort.escrows.get(finding.application):
            listed = ", ".join(f"{code} {count}" for code, count in sorted(codes.items()))
            yield f"[dim]escrowed on the way at {finding.title}: {listed}[/dim]"
        if quarantines := effort.quarantines.get(finding.application, 0):
            yield f"[yellow]quarantined[/yellow] and resumed by itself: {finding.title}, {quarantines} times"
