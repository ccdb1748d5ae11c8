"""Makes the pictures of the dashboard for the README, on the demo's stage.

Four vendors and a tenant are simulated; the function app, what it decided, and the page are real. Some people have a
role that Clarizen One does not take, PureCloud is paused, and at Fortes the deletion guard holds a mistake.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
from playwright.async_api import Browser

from tests.dashboard.browser import BrowserMissingError, open_browser, open_tab, sign_in
from tests.simulation.demo.beforehand import prepare
from tests.simulation.demo.day import FORTES_GUARD, Day
from tests.simulation.demo.judging import Judge
from tests.simulation.demo.progress import Settling
from tests.simulation.demo.running import run_play
from tests.simulation.demo.screen import Screen
from tests.simulation.demo.stage import Stage, Staging, open_stage, principals_of
from tests.simulation.tenant import Tenant

ROOT = Path(__file__).resolve().parents[2]
USERS = 80
SEED = 1
SETTLE_S = 180.0
KEY = "demo"
LARGEST = 150_000
"""A picture in the repository is fetched with every clone."""

DESK: dict[str, Any] = {"viewport": {"width": 1280, "height": 880}}
PHONE: dict[str, Any] = {
    "viewport": {"width": 390, "height": 844},
    "device_scale_factor": 1.5,
    "is_mobile": True,
    "has_touch": True,
}
MAIN = (
    ("dashboard-light", "applications", {**DESK, "color_scheme": "light"}),
    ("dashboard-dark", "applications", {**DESK, "color_scheme": "dark"}),
    ("dashboard-phone", "applications", {**PHONE, "color_scheme": "light"}),
)
MORE = ("held", "failures", "log", "audit", "applications/clarizen", "applications/fortes")


async def make_pictures(screen: Screen, folder: Path, out: Path, *, every_page: bool) -> int:
    """Plays until there is something to see, and makes the pictures. Answers with the exit code."""
    tenant = Tenant(SEED, USERS)
    principals = principals_of(tenant)
    day = Day(tenant, principals, seed=SEED)
    beforehand = prepare(tenant, principals)
    judge = Judge(tenant, principals, beforehand=beforehand)
    staging = Staging(seed=SEED, guards={"fortes": FORTES_GUARD}, beforehand=beforehand)
    screen.chapter("Starting")
    async with open_stage(tenant, folder, staging, say=screen.say) as stage:
        screen.chapter("The initial cycle, and a day of changes")
        await _settle(stage, screen)
        _assign_refused_role(stage)
        for scene in (day.morning, day.noon, day.afternoon):
            for text in scene():
                screen.say(text)
            await _settle(stage, screen)
        held = {"fortes": frozenset(judge.entitled("fortes"))}
        await _act(stage, "applications/purecloud/pause", {"reason": "Genesys maintenance until 18:00"})
        for text in day.evening():
            screen.say(text)
        await _settle(stage, screen, held=held)
        _change_titles(stage)
        screen.chapter("Pictures")
        pictures = [*MAIN]
        if every_page:
            pictures += [(page.replace("/", "-"), page, {**DESK, "color_scheme": "light"}) for page in MORE]
        async with open_browser() as browser:
            taken = {f"{name}.png": await _take(browser, stage.host.url, *how) for name, *how in pictures}
        for name, picture in taken.items():
            (out / name).write_bytes(picture)
            screen.say(f"{out / name}, {len(picture) / 1000:.0f} KB")
    return 0 if all(len(taken[f"{name}.png"]) <= LARGEST for name, *_ in MAIN) else 1


async def _settle(stage: Stage, screen: Screen, *, held: dict[str, frozenset[str]] | None = None) -> None:
    with screen.following() as show:
        await Settling(stage, show=show, held=held).wait(within_s=SETTLE_S)


def _assign_refused_role(stage: Stage) -> None:
    """Three people get a role that Clarizen One does not take: their accounts fail, and say why."""
    principal = stage.principals["clarizen"]
    roles = stage.tenant.service_principals[principal]["appRoles"]
    admin = next(role["id"] for role in roles if role["displayName"] == "Admin")
    for _ in range(3):
        newcomer = stage.tenant.hire(department="Operations", accountEnabled=True, userType="Member")
        stage.tenant.assign(principal, newcomer, admin)


def _change_titles(stage: Stage) -> None:
    """What is left to do at the application that is paused."""
    for user_id in list(stage.tenant.users)[:12]:
        stage.tenant.update(user_id, jobTitle="Principal of Something", department="Support")


async def _act(stage: Stage, address: str, body: dict[str, Any]) -> None:
    headers = {"x-functions-key": KEY, "X-Actor": "jo@contoso.example"}
    async with httpx.AsyncClient(trust_env=False, headers=headers, timeout=30.0) as client:
        (await client.post(f"{stage.host.url}/api/{address}", json=body)).raise_for_status()


async def _take(browser: Browser, url: str, page: str, options: dict[str, Any]) -> bytes:
    """Makes one picture."""
    async with open_tab(browser, **options) as visit:
        await sign_in(visit.page, f"{url}/api/dashboard/#/{page}", key=KEY)
        await visit.page.locator("#view[aria-busy=false]").wait_for()
        # Nothing is pointed at.
        await visit.page.mouse.move(0, 0)
        return await visit.page.screenshot(animations="disabled")


def main(arguments: Sequence[str]) -> int:
    """Makes the pictures; whatever happens, every process it started has ended when this returns."""
    parser = argparse.ArgumentParser(prog="./dev screenshots", description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / ".readme", help="folder for the PNG files (.readme)")
    parser.add_argument("--every-page", action="store_true", help="one picture of each other page, too")
    options = parser.parse_args(arguments)
    out = options.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    try:
        return run_play(
            lambda screen, folder: make_pictures(screen, folder, out, every_page=options.every_page), name="screenshots"
        )
    except BrowserMissingError as error:
        sys.stderr.write(f"screenshots: {error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
