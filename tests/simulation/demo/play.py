"""The demo from curtain to curtain: initial cycle, a day of changes, and the verdict."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.simulation.demo.beforehand import prepare
from tests.simulation.demo.connected import CONNECTED, VENDOR_TIMEOUT_S
from tests.simulation.demo.day import FORTES_GUARD, Day
from tests.simulation.demo.judging import Judge
from tests.simulation.demo.progress import Progress, Settling
from tests.simulation.demo.screen import Screen
from tests.simulation.demo.stage import Stage, Staging, open_stage, principals_of
from tests.simulation.demo.tables import accounts_table, groups_table, log_table, spending_table
from tests.simulation.demo.verdict import Finding, find_out, read_log_tail
from tests.simulation.tenant import Tenant

LONGEST_OUTAGE_S = 20.0
SETTLE_S = 120.0
MOST_DIFFERENCES = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the person asked for."""

    users: int
    seed: int
    serve: bool


async def play(options: Options, screen: Screen, folder: Path) -> int:
    """Plays the whole demo; answers with the exit code: 0 only when everything agrees."""
    tenant = Tenant(options.seed, options.users)
    principals = principals_of(tenant)
    day = Day(tenant, principals, seed=options.seed)
    beforehand = prepare(tenant, principals)
    judge = Judge(tenant, principals, beforehand=beforehand)
    staging = Staging(seed=options.seed, guards={"fortes": FORTES_GUARD}, beforehand=beforehand)
    screen.chapter("Starting")
    async with open_stage(tenant, folder, staging, say=screen.say) as stage:
        await _initial_cycle(stage, screen, options)
        judge.note()
        held, progress = await _day(stage, screen, day, judge=judge, options=options)
        findings = await find_out(stage, judge, progress, held=held)
        await _show(stage, screen, findings)
        if options.serve:
            await _serve(stage, screen)
    return 0 if all(finding.agrees for finding in findings) else 1


async def _initial_cycle(stage: Stage, screen: Screen, options: Options) -> None:
    screen.chapter("The initial cycle")
    screen.say("every account is looked up, then created, at the pace each vendor allows")
    with screen.following() as show:
        await Settling(stage, show=show).wait(within_s=SETTLE_S + options.users)


async def _day(
    stage: Stage, screen: Screen, day: Day, *, judge: Judge, options: Options
) -> tuple[dict[str, frozenset[str]], Sequence[Progress]]:
    """Plays the day; answers with who should be held at its end, and how far the product has come."""
    outage_s = min(LONGEST_OUTAGE_S, max(6.0, options.users / 10))
    screen.chapter("Morning: people join")
    await stage.vendors.add_fault("fuze", "throttle", times=3, retry_after=1)
    screen.say("[yellow]weather:[/yellow] Fuze answers its next three requests with 429")
    await stage.vendors.add_fault(
        "purecloud", "timeout_after_write", method="POST", times=1, seconds=VENDOR_TIMEOUT_S + 1
    )
    screen.say("[yellow]weather:[/yellow] PureCloud carries out its next create, and the answer is lost")
    await _scene(stage, screen, day.morning, watch_s=4.0)

    screen.chapter("Noon: people move and leave, and a vendor is down")
    await stage.vendors.add_fault("clarizen", "outage")
    screen.say(f"[yellow]weather:[/yellow] Clarizen One answers everything with 503 for {outage_s:.0f} s")
    await _scene(stage, screen, day.noon, watch_s=outage_s)
    await stage.vendors.lift_faults("clarizen", "outage")
    screen.say("[yellow]weather:[/yellow] Clarizen One is back")
    await _scene(stage, screen, lambda: iter(()))
    judge.note()

    screen.chapter("Afternoon: some come back, groups change")
    await _scene(stage, screen, day.afternoon)
    judge.note()

    screen.chapter("Evening: a mistake that the deletion guard catches")
    screen.say(f"at Fortes more than {FORTES_GUARD['max_count']} leavers a day need a person's word")
    held = {"fortes": frozenset(judge.entitled("fortes"))}
    return held, await _scene(stage, screen, day.evening, held=held)


async def _scene(
    stage: Stage,
    screen: Screen,
    change: Callable[[], Iterator[str]],
    *,
    watch_s: float = 0.0,
    held: Mapping[str, frozenset[str]] | None = None,
) -> Sequence[Progress]:
    """Changes the tenant, then waits until all is quiet, or just watches for some seconds."""
    for text in change():
        screen.say(text)
    with screen.following() as show:
        settling = Settling(stage, show=show, held=held)
        if watch_s:
            await settling.watch(for_s=watch_s)
        else:
            await settling.wait(within_s=SETTLE_S)
        return settling.found


async def _show(stage: Stage, screen: Screen, findings: Sequence[Finding]) -> None:
    screen.chapter("The end of the provisioning log, skips left out")
    screen.console.print(log_table(await read_log_tail(stage)))
    screen.chapter("What it cost")
    screen.console.print(spending_table(findings))
    for finding in findings:
        if finding.spending.faults:
            met = ", ".join(f"{kind.replace('_', ' ')} {count}" for kind, count in finding.spending.faults.items())
            screen.say(f"[dim]weather that requests to {finding.title} met: {met}[/dim]")
    screen.chapter("What each vendor holds against what it should hold")
    screen.console.print(accounts_table(findings))
    screen.console.print(groups_table(findings))
    say_findings(screen, findings, agrees=all(finding.agrees for finding in findings))


def say_findings(screen: Screen, findings: Sequence[Finding], *, agrees: bool) -> None:
    """Explains the tables' words, names everything that is wrong, and says whether all agrees."""
    if any(finding.refused for finding in findings):
        screen.say("[yellow]refused[/yellow]: assigned only with roles that the vendor does not take; nothing was sent")
    if any(finding.held for finding in findings):
        screen.say("[magenta]held[/magenta]: still active, until a person approves or the assignments come back")
    if any(finding.by_hand for finding in findings):
        screen.say("[yellow]by hand[/yellow]: groups that a person has to make at the vendor; then they are filled")
    differences = [(finding.title, difference) for finding in findings for difference in finding.all_differences]
    for title, difference in differences[:MOST_DIFFERENCES]:
        screen.say(f"[red]{difference.kind}[/red] {title}: {difference.name}: {difference.text}")
    for finding in findings:
        for violation in finding.violations[:10]:
            screen.say(f"[red]violation[/red] {finding.title}: {violation['rule']} {violation['name']}")
        for complaint in finding.complaints:
            screen.say(f"[red]not as it should be[/red] {finding.title}: {complaint}")
    if agrees:
        screen.say("[bold green]Everything agrees, and no rule of any vendor was broken.[/bold green]")
    else:
        screen.say("[bold red]It does not agree.[/bold red]")


async def _serve(stage: Stage, screen: Screen) -> None:
    """Keeps everything running until Ctrl-C, which is then no interruption: the verdict stays the exit code."""
    screen.chapter("Still running: Ctrl-C ends it")
    screen.say(f"function app           {stage.host.url}")
    graph = stage.graph.base_url
    screen.say(f"Graph, simulated       {graph}   control {graph.removesuffix('/v1.0')}/_sim/state")
    for connected in CONNECTED:
        vendor = stage.vendors.described[connected.name]
        screen.say(f"{connected.title:<22} {vendor['base_url']}   control {vendor['control_url']}/state")
    screen.say(f"configuration          {stage.folder / 'provisioning.yaml'}")
    screen.say(f"host log               {stage.host.log}")
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.Event().wait()
