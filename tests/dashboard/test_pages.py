"""The dashboard's files as they are answered, and what a reader of the source can promise about them."""

from __future__ import annotations

import re
from http import HTTPStatus
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.dashboard.pages import FILES, FOLDER, HEADERS, answer_file

ROOT = Path(__file__).resolve().parents[2]
ADDRESS = "https://provisioner.example/api/dashboard"
SCRIPTS = [name for name in FILES if name.endswith(".js")]
TEXTS = {name: (FOLDER / name).read_text() for name in FILES}


def answer(name: str, **options: str):
    return answer_file(name, url=f"{ADDRESS}/{name}", **options)


def test_every_file_of_the_folder_is_served_and_no_other():
    assert sorted(FILES) == sorted(path.relative_to(FOLDER).as_posix() for path in FOLDER.rglob("*") if path.is_file())


def test_everything_together_is_small():
    assert sum(len(answer(name).body) for name in FILES) < 150_000


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_answered_as_it_is_with_every_header(name):
    found = answer(name)

    assert found.status is HTTPStatus.OK
    assert found.body == (FOLDER / name).read_bytes()
    assert HEADERS.items() <= found.headers.items()


def test_scripts_and_styles_have_the_media_types_that_browsers_insist_on():
    kinds = {Path(name).suffix: answer(name).headers["Content-Type"].partition(";")[0] for name in FILES}

    assert kinds == {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


def test_the_address_with_a_slash_is_the_page():
    assert answer("").body == answer("index.html").body


def test_the_address_without_a_slash_leads_to_the_one_with_it():
    found = answer_file("", url=f"{ADDRESS}?x=1")

    assert (found.status, found.headers["Location"]) == (HTTPStatus.TEMPORARY_REDIRECT, "dashboard/")
    assert HEADERS.items() <= found.headers.items()


@pytest.mark.parametrize("sent", ["{etag}", "W/{etag}", '"other", {etag}', "*"])
def test_a_file_that_the_browser_has_is_not_sent_again(sent):
    etag = answer("dashboard.js").headers["ETag"]

    found = answer("dashboard.js", if_none_match=sent.format(etag=etag))

    assert (found.status, found.body, found.headers["ETag"]) == (HTTPStatus.NOT_MODIFIED, b"", etag)


def test_another_version_is_sent():
    assert answer("dashboard.js", if_none_match='"0123"').status is HTTPStatus.OK


@pytest.mark.parametrize(
    "name", ["../pages.py", "..", "/etc/passwd", "static/index.html", "INDEX.HTML", "index.html/", "a\0b", "%2e%2e"]
)
def test_what_is_not_listed_is_not_there(name):
    found = answer(name)

    assert (found.status, found.body) == (HTTPStatus.NOT_FOUND, b"There is no such page.\n")
    assert HEADERS.items() <= found.headers.items()


@given(st.text(min_size=1))
def test_no_name_opens_anything_but_a_listed_file(name):
    found = answer_file(name, url=f"{ADDRESS}/x")

    assert (found.status is HTTPStatus.OK) == (name in FILES)


def test_the_policy_lets_the_page_do_only_what_it_needs():
    policy = dict(rule.partition(" ")[::2] for rule in HEADERS["Content-Security-Policy"].split("; "))

    assert policy == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "connect-src": "'self'",
        "img-src": "'self' data:",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
        "require-trusted-types-for": "'script'",
        "trusted-types": "'none'",
    }


@pytest.mark.parametrize(
    "forbidden",
    [
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "DOMParser",
        "createContextualFragment",
        "setHTML",
        "eval(",
        "new Function",
        "javascript:",
        "localStorage",
        "document.cookie",
        "srcdoc",
    ],
)
def test_no_script_reads_text_as_code_or_keeps_a_key_longer_than_the_tab(forbidden):
    assert [name for name in SCRIPTS if forbidden in TEXTS[name]] == []


def test_nothing_is_loaded_from_elsewhere():
    addresses = {name: re.findall(r"https?://[^\"'\s)]+", text) for name, text in TEXTS.items()}

    assert {address for found in addresses.values() for address in found} == {"http://www.w3.org/2000/svg"}
    assert {each for name in SCRIPTS for each in re.findall(r'from "([^"]+)"', TEXTS[name])} <= {
        f"./{name}" for name in SCRIPTS
    }


def test_the_page_has_no_script_or_style_inside():
    page = TEXTS["index.html"]

    assert re.findall(r"<script(?![^>]*\bsrc=)", page) == []
    assert re.findall(r"<style|\sstyle=|\son\w+=", page) == []
    # `style` is also an option of the browser's number formats.
    styled = re.compile(r'\bstyle:(?! "(percent|unit)")|setAttribute\("style|\.style\b')
    assert [name for name in SCRIPTS if styled.search(TEXTS[name])] == []


# -- colours: contrast as WCAG 2.2 computes it


def themes() -> dict[str, dict[str, str]]:
    """Answers with the colours of both themes by name."""
    light, dark = TEXTS["dashboard.css"].split("@media (prefers-color-scheme: dark)", 1)
    colours = [dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", part)) for part in (light, dark)]
    return {"light": colours[0], "dark": {**colours[0], **colours[1]}}


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


WRITTEN = [
    *product(("text", "muted", "accent", "good", "warn", "bad"), ("ground", "surface")),
    *product(("text", "muted"), ("plain-tint",)),
    ("good", "good-tint"),
    ("warn", "warn-tint"),
    ("bad", "bad-tint"),
    ("on-accent", "accent"),
    ("on-bad", "bad"),
]
DRAWN = [*product(("edge", "accent", "bar-good", "bar-bad"), ("ground", "surface")), ("bar-good", "plain-tint")]


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(("text", "behind"), WRITTEN)
def test_what_is_written_can_be_read(theme, text, behind):
    colours = themes()[theme]

    assert contrast(colours[text], colours[behind]) >= 4.5


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(("drawn", "behind"), DRAWN)
def test_what_is_drawn_can_be_seen(theme, drawn, behind):
    colours = themes()[theme]

    assert contrast(colours[drawn], colours[behind]) >= 3


def test_contrast_is_computed_as_the_standard_says():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


def test_the_pictures_of_the_readme_are_there_and_small():
    shown = set(re.findall(r"\.readme/[a-z-]+\.png", (ROOT / "README.md").read_text()))

    assert {name: (ROOT / name).stat().st_size <= 150_000 for name in shown} == dict.fromkeys(shown, True)
    assert {path.relative_to(ROOT).as_posix() for path in (ROOT / ".readme").iterdir()} == shown
