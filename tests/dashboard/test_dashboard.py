"""The dashboard in a real browser, in front of the deployed app: what people do with it, and what it never does."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from zipfile import ZipFile

import httpx
import pytest
from playwright.async_api import Browser, Locator, Page, expect

from shared.dashboard.pages import HEADERS
from tests.dashboard.browser import Visit, open_browser, open_tab, sign_in
from tests.dashboard.company import HOSTILE, KEY, ODD_NAMES, Company, open_company
from tests.functions.deployment import eventually

PAGES = ("applications", "applications/acme", "held", "failures", "people", "log", "audit")
PHONE = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True, "device_scale_factor": 2}

_UNNAMED = """() => {
  const seen = (node) => node.checkVisibility();
  const name = (node) => (node.getAttribute("aria-label") || node.textContent || "").trim();
  const labelled = (input) => [...input.labels].some((label) => label.textContent.trim()) || input.ariaLabel;
  const levels = [...document.querySelectorAll("h1, h2, h3, h4")].filter(seen).map((node) => Number(node.localName[1]));
  const ids = [...document.querySelectorAll("[id]")].map((node) => node.id);
  return [
    ...[...document.querySelectorAll("button, a[href], summary")].filter(seen).filter((node) => !name(node)),
    ...[...document.querySelectorAll("input, select")].filter(seen).filter((node) => !labelled(node)),
    ...[...document.querySelectorAll("svg")].filter(seen).filter((node) => node.role !== "img" || !node.ariaLabel),
    ...[...document.querySelectorAll("table")].filter(seen).filter((node) => !node.caption?.textContent.trim()),
    ...[...document.querySelectorAll("th")].filter((node) => !node.scope),
    ...[...document.querySelectorAll("[style]")],
  ].map((node) => node.outerHTML.slice(0, 200)).concat(
    levels[0] === 1 && levels.filter((level) => level === 1).length === 1 ? [] : [`headings: ${levels}`],
    levels.some((level, at) => at && level > levels[at - 1] + 1) ? [`headings leave one out: ${levels}`] : [],
    ids.filter((id, at) => ids.indexOf(id) !== at).map((id) => `twice on the page: #${id}`),
    ["aria-labelledby", "aria-describedby"]
      .flatMap((name) => [...document.querySelectorAll(`[${name}]`)].map((node) => node.getAttribute(name)))
      .flatMap((named) => named.split(" "))
      .filter((id) => !ids.includes(id)).map((id) => `named, but not there: #${id}`),
  );
}"""
_FOLLOW = """(hash) => new Promise((followed) => {
  if (location.hash === hash) return followed();
  addEventListener("hashchange", () => followed(), {once: true});
  location.hash = hash;
})"""
_TOO_WIDE = """() => [...document.querySelectorAll("body *")]
  .filter((node) => node.checkVisibility() && node.getBoundingClientRect().right > innerWidth + 1)
  .map((node) => node.outerHTML.slice(0, 120))
  .concat(document.documentElement.scrollWidth > innerWidth ? ["the page scrolls sideways"] : [])"""


@pytest.fixture(scope="module")
async def company(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Company]:
    async with open_company(tmp_path_factory.mktemp("company")) as running:
        yield running


@pytest.fixture(scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with open_browser() as running:
        yield running


@pytest.fixture
async def visit(browser: Browser) -> AsyncIterator[Visit]:
    """Answers with a tab in which nothing may go wrong."""
    async with open_tab(browser) as opened:
        yield opened
        assert opened.complaints == []


@pytest.fixture(scope="module")
async def signed_in(browser: Browser, company: Company) -> AsyncIterator[Visit]:
    """Answers with a tab that stays signed in: a sign-in for each test would be most of the time."""
    async with open_tab(browser) as opened:
        await sign_in(opened.page, company.url, key=KEY)
        await expect(opened.page.get_by_role("heading", name="All applications")).to_be_visible()
        yield opened


@pytest.fixture
async def page(signed_in: Visit, company: Company) -> AsyncIterator[Page]:
    """Answers with the first page, signed in, on which nothing may go wrong."""
    await signed_in.page.mouse.move(0, 0)
    await open_page(signed_in.page, company, "audit")
    await open_page(signed_in.page, company, "applications")
    yield signed_in.page
    complaints, signed_in.complaints[:] = list(signed_in.complaints), []
    await signed_in.page.unroute_all()
    assert complaints == []


async def open_page(page: Page, company: Company, address: str) -> None:
    """Follows a link, and waits until its page is drawn."""
    await page.evaluate(_FOLLOW, f"#/{address}")
    await expect(page.locator("#view")).to_have_attribute("aria-busy", "false")


async def press_until_focused(page: Page, wanted: Locator, *, within: int = 60) -> None:
    """Presses Tab until this has the focus."""
    await wanted.wait_for()
    for _ in range(within):
        if await wanted.evaluate("node => node === document.activeElement"):
            return
        await page.keyboard.press("Tab")
    raise AssertionError(f"{wanted} was not reached with {within} presses of Tab")


async def test_a_wrong_key_leads_back_to_the_form_with_a_sentence(visit: Visit, company: Company) -> None:
    asked: list[str] = []
    visit.page.on("request", lambda request: asked.append(request.url))

    await sign_in(visit.page, company.url, key="a-wrong-key")

    await expect(visit.page.get_by_role("alert").first).to_contain_text("did not accept this key")
    await expect(visit.page.get_by_role("heading", name="Sign in")).to_be_visible()
    assert await visit.page.evaluate("Object.keys(sessionStorage).length + Object.keys(localStorage).length") == 0
    assert [url for url in asked if "wrong" in url] == []


async def test_keys_live_in_the_tab_and_in_headers_and_end_with_sign_out(visit: Visit, company: Company) -> None:
    page = visit.page
    await sign_in(page, company.url, key=KEY)
    await expect(page.get_by_role("heading", name="All applications")).to_be_visible()
    kept = await page.evaluate("JSON.stringify(sessionStorage)")
    elsewhere = await page.evaluate("document.cookie + JSON.stringify(localStorage) + location.href")

    await page.get_by_role("button", name="Sign out").click()

    assert (KEY in kept, KEY in elsewhere) == (True, False)
    await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    await expect(page.get_by_text("You are signed out")).to_be_visible()
    assert await page.evaluate("sessionStorage.length") == 0
    assert KEY not in await page.content()


async def test_the_address_works_with_and_without_the_slash(visit: Visit, company: Company) -> None:
    for address in (company.url, company.url.rstrip("/"), f"{company.url}index.html"):
        await visit.page.goto(f"{address}#/log")
        await expect(visit.page.get_by_role("button", name="Sign in")).to_be_visible()

        assert visit.page.url.endswith("#/log")


async def test_the_host_answers_with_the_headers_and_sends_nothing_twice(company: Company) -> None:
    async with httpx.AsyncClient(trust_env=False) as client:
        first = await client.get(company.url)
        again = await client.get(company.url, headers={"If-None-Match": first.headers["ETag"]})
        missing = await client.get(f"{company.url}..%2fpages.py")

    assert [first.status_code, again.status_code, missing.status_code] == [200, 304, 404]
    for answer in (first, again, missing):
        assert {name: answer.headers.get(name) for name in HEADERS} == dict(HEADERS)


async def test_the_skip_link_leads_past_the_menu(page: Page) -> None:
    skip = page.get_by_role("link", name="Skip to the content")
    await skip.focus()
    address = page.url
    await page.keyboard.press("Enter")

    await expect(page.locator("main")).to_be_focused()
    assert page.url == address


async def test_applications_are_seen_at_a_glance_and_what_needs_a_person_first(page: Page) -> None:
    waiting = page.get_by_role("region", name="Waits for a person")
    acme = page.get_by_role("article", name="acme")

    await expect(waiting.get_by_role("link")).to_have_text(
        [
            "acme holds 3 accounts back until you approve or reject",
            "acme could not provision 1 account",
            "fuze holds 3 accounts back until you approve or reject",
        ]
    )
    await expect(acme.get_by_role("progressbar", name="Progress of acme")).to_be_visible()
    await expect(acme).to_contain_text("11 of 11 accounts had their turn (100%)")
    await expect(acme).to_contain_text("4 accounts wait for a person, or for a later try.")
    await expect(acme.get_by_role("img", name="Changes in 24 hours")).to_be_visible()
    await expect(acme.get_by_role("img", name="Failures in 24 hours")).to_be_visible()
    await expect(page.get_by_text("Counted at")).to_be_visible()


async def test_what_is_wrong_around_an_application_is_said_with_what_to_do(page: Page, company: Company) -> None:
    reports = await company.read("applications")
    for report in reports:
        report["problems"] = [{"code": "DirectoryRefused", "text": "Graph answered 403", "remedy": "Grant it."}]
    reports[0]["problems"].append({"code": "SettingMissing", "text": HOSTILE, "remedy": "Add the setting."})
    await page.route("**/api/applications", lambda route: route.fulfill(json=reports))
    await open_page(page, company, "audit")
    await open_page(page, company, "applications")

    waiting = page.get_by_role("region", name="Waits for a person")
    problems = page.get_by_role("list", name="Problems of acme").get_by_role("listitem")
    await expect(waiting.get_by_role("link", name="The directory cannot be read")).to_have_count(1)
    await expect(waiting.get_by_role("link", name="acme lacks a setting")).to_have_count(1)
    await expect(problems).to_have_count(2)
    await expect(problems.first).to_contain_text("Graph answered 403")
    await expect(problems.last).to_contain_text(HOSTILE)
    await expect(problems.last).to_contain_text("Add the setting.")


async def test_links_can_be_shared_and_the_way_back_works(page: Page, company: Company) -> None:
    await page.get_by_role("link", name="acme could not provision 1 account").click()
    await expect(page.get_by_role("heading", level=1, name="Failures")).to_be_focused()
    await page.get_by_role("link", name="Log", exact=True).click()
    await expect(page.get_by_role("link", name="Log", exact=True)).to_have_attribute("aria-current", "page")

    await page.go_back()

    assert page.url == f"{company.url}#/failures?application=acme"
    await expect(page.get_by_role("heading", level=1, name="Failures")).to_be_visible()


async def test_nobody_is_there_at_an_address_that_is_mistyped(page: Page, company: Company) -> None:
    for address, sentence in (
        ("nowhere", "There is no such page"),
        ("applications/nobody", "no application is called nobody"),
        ("applications/%E0%A4%A", "There is no such page"),
        ("people/..", "There is no such address"),
    ):
        await open_page(page, company, address)
        await expect(page.locator("main")).to_contain_text(sentence)


async def test_what_vendors_and_the_directory_write_stays_text(page: Page, company: Company) -> None:
    for address in (*PAGES, f"people/{company.odd['html']}", f"people/{company.refused}"):
        await open_page(page, company, address)
    await open_page(page, company, "failures")
    await expect(page.get_by_text(HOSTILE)).to_be_visible()
    await open_page(page, company, "log?action=create&application=acme")
    for details in await page.get_by_text("Details").all():
        await details.click()

    for name in ODD_NAMES.values():
        await expect(page.get_by_role("cell", name=name, exact=True).first).to_be_visible()
    assert await page.locator("img, iframe, object, main script").count() == 0
    assert await page.evaluate(_TOO_WIDE) == []


async def test_a_person_is_searched_and_their_accounts_are_told(page: Page, company: Company) -> None:
    await page.get_by_role("link", name="People").click()
    await page.get_by_label("Name, user name or id").fill("refused.person@contoso.onmicrosoft.example")
    await page.keyboard.press("Enter")
    await page.get_by_role("link", name="Refused Person").click()

    await expect(page.get_by_role("heading", level=1, name="Refused Person")).to_be_visible()
    await expect(page.get_by_role("article", name="acme")).to_contain_text("Failed")
    await expect(page.get_by_role("article", name="fuze")).to_contain_text("No account")
    await expect(page.get_by_role("region", name="Timeline")).to_contain_text(HOSTILE)
    assert company.refused in page.url


async def test_the_names_of_who_is_held_are_shown_on_request(page: Page, company: Company) -> None:
    names = [company.deployment.tenant.user(user_id)["displayName"] for user_id in company.leavers]
    await open_page(page, company, "applications/fuze")
    held = page.get_by_role("region", name="Held deletions")
    before = await held.inner_text()

    await held.get_by_role("button", name="Show names").click()

    for name in names:
        await expect(held.get_by_role("link", name=name)).to_be_visible()
    assert [name for name in names if name in before] == []
    await expect(held.get_by_role("button", name="Show names")).to_have_count(0)


async def test_who_only_reads_is_told_which_key_acts(visit: Visit, company: Company) -> None:
    page = visit.page
    await sign_in(page, f"{company.url}#/applications/acme", key=KEY, act_key="no-key-that-acts")

    await page.get_by_role("button", name="Pause …").click()
    await page.get_by_role("dialog").get_by_role("button", name="Pause").click()

    await expect(page.get_by_role("alert").first).to_contain_text("Sign in with the key of the function operate")
    await expect(page.get_by_label("Who you are")).to_have_value("jo@contoso.example")
    assert (await company.read("applications/acme"))["status"] == "Active"


async def test_a_question_can_be_left_and_the_focus_comes_back(page: Page, company: Company) -> None:
    await open_page(page, company, "applications/acme")
    pause = page.get_by_role("button", name="Pause …")

    for leave in ("Escape", "Cancel"):
        await pause.click()
        await expect(page.get_by_role("dialog", name="Pause acme?")).to_be_visible()
        if leave == "Escape":
            await page.keyboard.press("Escape")
        else:
            await page.get_by_role("button", name=leave).click()
        await expect(page.get_by_role("dialog")).to_be_hidden()
        await expect(pause).to_be_focused()

    assert (await company.read("applications/acme"))["status"] == "Active"


async def test_an_application_is_paused_with_a_reason_and_resumed(page: Page, company: Company) -> None:
    await open_page(page, company, "applications/fuze")

    await page.get_by_role("button", name="Pause …").click()
    await page.get_by_label("Reason (optional)").fill("a maintenance window <b>")
    await page.get_by_role("button", name="Pause", exact=True).click()
    await expect(page.get_by_text("fuze is paused.")).to_be_visible()
    await expect(page.get_by_text("a maintenance window <b>").first).to_be_visible()
    paused = await company.read("applications/fuze")
    await page.get_by_role("button", name="Resume …").click()
    await page.get_by_role("button", name="Resume", exact=True).click()
    await expect(page.get_by_text("fuze is resumed.")).to_be_visible()

    assert paused["status"] == "Paused"
    assert (await company.read("applications/fuze"))["status"] == "Active"
    actions = [record for record in (await company.read("audit"))["items"] if record["application"] == "fuze"]
    actions = [record for record in actions if record["actor"] != "deployment"]
    assert [record["via"] for record in actions] == ["dashboard", "dashboard"]
    assert {record["actor"] for record in actions} == {"jo@contoso.example"}


async def test_a_connection_is_tested_and_the_answer_read(page: Page, company: Company) -> None:
    await open_page(page, company, "applications/acme")

    await page.get_by_role("button", name="Test connection …").click()
    await page.get_by_role("button", name="Test", exact=True).click()

    dialog = page.get_by_role("dialog")
    await expect(dialog).to_contain_text("It works")
    await expect(dialog.get_by_role("button", name="Close")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("status")).to_have_text("The connection to acme works.")


async def test_one_account_is_provisioned_on_demand_and_its_steps_are_read(page: Page, company: Company) -> None:
    await open_page(page, company, f"people/{company.odd['emoji']}")

    await page.get_by_role("button", name="What would happen at acme?").click()
    await page.get_by_role("button", name="Work it out").click()
    await expect(page.get_by_role("dialog")).to_contain_text("No attribute would change.")
    await page.get_by_role("button", name="Close").click()
    await page.get_by_role("button", name="Provision at acme now …").click()
    await page.get_by_role("button", name="Provision", exact=True).click()

    steps = page.get_by_role("dialog").get_by_role("table", name="Steps")
    await expect(steps.get_by_role("rowheader")).to_have_text(
        ["Import", "Scoping", "Matching", "Processing", "Reference resolution", "Export"]
    )
    await expect(page.get_by_role("status")).to_contain_text("Unchanged: Nothing differs")


async def test_a_restart_needs_a_choice(page: Page, company: Company) -> None:
    await open_page(page, company, "applications/fuze")
    await page.get_by_role("button", name="Restart …").click()
    for choice in ("Escrows", "Quarantine"):
        await page.get_by_label(choice).uncheck()
    await page.get_by_role("button", name="Restart", exact=True).click()
    await expect(page.get_by_role("dialog").get_by_role("alert")).to_contain_text("Choose what is to begin anew")

    await page.get_by_label("Quarantine").check()
    await page.get_by_role("button", name="Restart", exact=True).click()

    await expect(page.get_by_role("status")).to_have_text("fuze is restarted.")


async def test_the_log_is_saved_as_a_file(page: Page, company: Company) -> None:
    await open_page(page, company, "log?application=acme")

    async with page.expect_download() as saving:
        await page.get_by_role("button", name="Save as CSV").click()

    saved = await saving.value
    assert saved.suggested_filename == "provisioning-log.zip"
    with ZipFile(await saved.path()) as archive:
        assert "ProvisioningLogs.csv" in archive.namelist()


async def test_a_held_list_is_approved_with_the_keyboard_alone_and_the_vendor_disables(
    page: Page, company: Company
) -> None:
    deployment = company.deployment
    active = len(deployment.held("acme"))
    dialog = page.get_by_role("dialog")
    await press_until_focused(page, page.get_by_role("link", name="Held deletions", exact=True))
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", level=1, name="Held deletions")).to_be_focused()

    await press_until_focused(page, page.get_by_role("button", name="Approve the held list of acme"))
    await page.keyboard.press("Enter")
    await expect(dialog).to_contain_text("3 people lose access at acme")
    await press_until_focused(page, dialog.get_by_role("button", name="Approve"), within=4)
    await page.keyboard.press("Enter")

    await expect(page.get_by_role("status")).to_have_text("Approved: 3 accounts at acme will be deprovisioned.")
    assert await eventually(lambda: len(deployment.held("acme", active=False)) == 3)
    assert len(deployment.held("acme")) == active - 3
    assert await page.evaluate("document.activeElement !== document.body")


async def test_a_held_list_is_rejected_and_everybody_stays(page: Page, company: Company) -> None:
    await open_page(page, company, "applications/fuze")

    await page.get_by_role("button", name="Reject the held list of fuze").click()
    await page.get_by_role("button", name="Reject", exact=True).click()

    await expect(page.get_by_role("status")).to_have_text("Rejected: 3 accounts at fuze stay as they are.")
    await expect(page.get_by_text("Nothing is held: nobody waits to lose access.")).to_be_visible()
    assert len(company.deployment.held("fuze")) == 10


async def test_a_refusal_is_shown_where_the_question_was(page: Page, company: Company) -> None:
    await open_page(page, company, "applications/acme")

    async def answer_late(route: Any) -> None:
        problem = {"detail": f"the list is gone {HOSTILE}", "errors": [{"pointer": "/list", "detail": "no more held"}]}
        await route.fulfill(status=404, json=problem, content_type="application/problem+json")

    await page.route("**/pause", answer_late)
    await page.get_by_role("button", name="Pause …").click()
    await page.get_by_role("button", name="Pause", exact=True).click()

    await expect(page.get_by_role("dialog").get_by_role("alert")).to_contain_text(f"the list is gone {HOSTILE}")
    await expect(page.get_by_role("dialog").get_by_role("alert")).to_contain_text("/list: no more held")
    await page.get_by_role("button", name="Cancel").click()


async def test_many_are_approved_only_after_their_number_was_typed(page: Page, company: Company) -> None:
    accounts = [
        {"kind": "user", "source_id": f"{at:08d}", "target_id": "", "state": "in_sync", "members": None}
        for at in range(1234)
    ]
    report = {"list_number": "1.1.1", "since": "2026-11-21T08:00:00Z", "accounts": accounts}
    sent: list[str] = []

    async def approve(route: Any) -> None:
        sent.append(route.request.url)
        await route.fulfill(json={"accounts": 1234})

    await page.route("**/acme/held", lambda route: route.fulfill(json=report))
    await page.route("**/approve", approve)
    await open_page(page, company, "applications/acme")
    await expect(page.get_by_text("100 of 1,234 are shown.")).to_be_visible()
    await page.get_by_role("button", name="Approve the held list").click()
    await page.get_by_role("button", name="Approve", exact=True).click()
    await expect(page.get_by_role("dialog")).to_contain_text("Type 1234 to confirm; nothing was done.")
    nothing = list(sent)
    await page.get_by_label("Type 1234").fill("1234")
    await page.keyboard.press("Enter")

    await expect(page.get_by_role("status")).to_have_text("Approved: 1,234 accounts at acme will be deprovisioned.")
    assert nothing == []
    assert [url.split("/applications/")[1] for url in sent] == ["acme/held/1.1.1/approve"]


async def test_an_escrow_is_retried_and_is_in_sync(page: Page, company: Company) -> None:
    company.vendor.is_choosy = False
    await page.get_by_role("link", name="Failures").click()

    await page.get_by_role("button", name=f"Retry {company.refused}").click()

    await expect(page.get_by_role("status")).to_contain_text("is queued for another try at acme")

    async def is_in_sync() -> bool:
        return (await company.states())["escrowed"] == 0

    assert await eventually(is_in_sync)
    assert "refused.person@contoso.onmicrosoft.example" in company.deployment.held("acme")


async def test_a_service_that_is_gone_is_told_and_what_was_read_stays(page: Page, company: Company) -> None:
    await open_page(page, company, "applications")
    await page.context.set_offline(True)
    await page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    await expect(page.locator("#trouble")).to_contain_text("Not up to date: The service does not answer.")
    await expect(page.get_by_role("article", name="acme")).to_be_visible()

    await page.context.set_offline(False)
    await page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")

    await expect(page.locator("#trouble")).to_have_text("")


async def test_another_site_can_do_nothing_with_the_readers_browser(page: Page, company: Company) -> None:
    other = await page.context.new_page()
    await other.goto(company.vendor.base_url)

    answers = await other.evaluate(
        """async (url) => {
          const tries = [{mode: "no-cors"}, {mode: "cors"}, {headers: {"x-functions-key": "guess"}}];
          const settle = (options) => fetch(url, {method: "POST", body: "{}", credentials: "include", ...options});
          return (await Promise.allSettled(tries.map(settle))).map(({value}) => value?.status ?? "refused");
        }""",
        f"{company.url}../applications/acme/pause",
    )

    await other.close()
    assert answers == [0, "refused", "refused"]
    assert (await company.read("applications/acme"))["status"] == "Active"


async def test_everything_has_a_name_and_headings_are_in_order(page: Page, company: Company) -> None:
    findings = {}
    for address in (*PAGES, "applications/acme/accounts", f"people/{company.refused}"):
        await open_page(page, company, address)
        findings[address] = await page.evaluate(_UNNAMED)
    await open_page(page, company, "applications/acme")
    await page.get_by_role("button", name="Restart …").click()
    findings["a question"] = await page.evaluate(_UNNAMED)
    await page.keyboard.press("Escape")

    assert {address: found for address, found in findings.items() if found} == {}


async def test_a_phone_shows_every_page_without_scrolling_sideways(browser: Browser, company: Company) -> None:
    async with open_tab(browser, **PHONE) as visit:
        findings = {"sign in": await visit.page.goto(company.url) and await visit.page.evaluate(_TOO_WIDE)}
        await sign_in(visit.page, company.url, key=KEY)
        await expect(visit.page.get_by_role("heading", name="All applications")).to_be_visible()
        for address in (*PAGES, f"people/{company.odd['long']}"):
            await open_page(visit.page, company, address)
            findings[address] = await visit.page.evaluate(_TOO_WIDE)

        assert {address: found for address, found in findings.items() if found} == {}
        assert visit.complaints == []


async def test_the_dark_is_dark(browser: Browser, company: Company) -> None:
    grounds = {}
    for scheme in ("light", "dark"):
        async with open_tab(browser, color_scheme=scheme) as visit:
            await visit.page.goto(company.url)
            grounds[scheme] = await visit.page.evaluate("getComputedStyle(document.body).backgroundColor")

    assert grounds == {"light": "rgb(244, 246, 248)", "dark": "rgb(14, 19, 24)"}
