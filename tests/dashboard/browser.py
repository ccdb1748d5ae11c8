"""A real browser: Debian's Chromium, which `./dev` installs, driven by Playwright; and what must never happen in it."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from playwright.async_api import Browser, ConsoleMessage, Dialog, Page, async_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = (
    # Its sandbox needs rights that a container, or root, does not have; it sees nothing but pages of this machine.
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # /dev/shm is small in containers.
    "--disable-dev-shm-usage",
)
WAIT_MS = 20_000

_NOTE_VIOLATIONS = """
addEventListener("securitypolicyviolation", (event) =>
  console.error(`violation of ${event.violatedDirective}: ${event.blockedURI} ${event.sample}`));
"""


class BrowserMissingError(Exception):
    """There is no Chromium on this machine."""


@dataclass
class Visit:
    """One tab, and everything in it that should not have happened. Without slots: Playwright marks its listeners."""

    page: Page
    complaints: list[str] = field(default_factory=list)
    """Errors of scripts, violations of the policy, dialogs of a script."""

    def note_console(self, message: ConsoleMessage) -> None:
        """Notes an error; what the network answered is the page's business."""
        if message.type == "error" and not message.text.startswith("Failed to load resource"):
            self.complaints.append(message.text)

    async def note_dialog(self, dialog: Dialog) -> None:
        """Notes a dialog, which the dashboard never opens this way."""
        self.complaints.append(f"a dialog: {dialog.message}")
        await dialog.dismiss()


@asynccontextmanager
async def open_browser() -> AsyncIterator[Browser]:
    """Starts Chromium and ends it. Raises BrowserMissingError."""
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        raise BrowserMissingError("no chromium on PATH: ./dev test installs it, or apt-get install chromium")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=list(ARGUMENTS))
        try:
            yield browser
        finally:
            await browser.close()


@asynccontextmanager
async def open_tab(browser: Browser, **options: Any) -> AsyncIterator[Visit]:
    """Opens a tab with a session of its own; `options` are those of a browser context."""
    context = await browser.new_context(**{"locale": "en-GB", "timezone_id": "Europe/Berlin", **options})
    context.set_default_timeout(WAIT_MS)
    await context.add_init_script(_NOTE_VIOLATIONS)
    page = await context.new_page()
    visit = Visit(page)
    page.on("console", visit.note_console)
    page.on("pageerror", lambda error: visit.complaints.append(f"{error.message}\n{error.stack}"))
    page.on("dialog", visit.note_dialog)
    try:
        yield visit
    finally:
        await context.close()


async def sign_in(page: Page, url: str, *, key: str, act_key: str = "", actor: str = "jo@contoso.example") -> None:
    """Opens an address of the dashboard and signs in."""
    await page.goto(url)
    await page.get_by_label("Key that reads").fill(key)
    await page.get_by_label("Key that acts").fill(act_key)
    await page.get_by_label("Who you are").fill(actor)
    await page.get_by_role("button", name="Sign in").click()
