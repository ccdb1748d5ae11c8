"""Pages that cannot become a profile, each with the reason and what to do instead.

The order matters: a translated page also lacks a table that can be read, and the first reason found is the one told.
"""

from __future__ import annotations

import re
from typing import Final

from shared.operations.tutorials.reading import Sentence, Tutorial, plain


class TutorialRefused(ValueError):
    """This text cannot become a profile; `reason` says why, `remedy` what to do."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(f"{reason}. {remedy}")
        self.reason = reason
        self.remedy = remedy


_LARGEST: Final = 400_000
"""Ten times the longest tutorial there is."""
_ENGLISH: Final = frozenset(
    {"the", "to", "and", "of", "in", "is", "for", "you", "users", "select", "with", "that", "are", "your", "this"}
)
_TRANSLATION_KEYS: Final = ("ms.translationtype", "translationtype", "ms.openlocfilehash")
_SOURCES: Final = r"(?:workday|success ?factors|oracle hcm|ultipro|ukg|bamboohr|hr|human resources)"
_DIRECTORY: Final = (
    r"(?:on-premises )?(?:active directory|azure active directory|azure ad|microsoft entra(?: id)?|entra id)"
)
_INBOUND_TITLE: Final = re.compile(
    rf"\binbound\b|write-?back|\b{_SOURCES}\b.*\bto\b.*{_DIRECTORY}.*\bprovisioning\b|api-driven"
    rf"|provisioning from .* to {_DIRECTORY}",
    re.IGNORECASE,
)
_INBOUND: Final = re.compile(
    rf"inbound (?:user )?provisioning|\bfrom {_SOURCES}[\w ]{{0,40}} (?:in)?to {_DIRECTORY}|write-?back", re.IGNORECASE
)
_CREATES: Final = re.compile(r"\bcreate users? (?:in|on|at)\b", re.IGNORECASE)
_NOT_SCIM: Final = re.compile(
    r"(?:does(?:n't| not)|isn't|is not|not) (?:use|support|based on|a) (?:the )?scim\b"
    r"|\bsoap\b|via (?:the )?ldap|odbc|ecma connector",
    re.IGNORECASE,
)
_NOT_SCIM_TITLE: Final = re.compile(
    r"\b(?:ldap|sql database|odbc|powershell|web services connector|ecma)\b", re.IGNORECASE
)
_SCIM: Final = re.compile(r"\bscim\b|tenant url", re.IGNORECASE)
_PASSWORD: Final = re.compile(r"\badmin(?:istrator)?\s*user ?name\b|\buser ?name\b.{0,60}\bpassword\b", re.IGNORECASE)
_POINTER: Final = re.compile(
    r"\b(?:has|have) (?:been )?(?:moved|retired|replaced|deprecated|renamed)|\bis (?:now )?(?:deprecated|retired)"
    r"|\b(?:see|use|refer to|follow|visit) the\b.{0,120}"
    r"\b(?:tutorial|article|guide|connector|documentation|services?)\b"
    r"|\binstead\b|\bno longer\b",
    re.IGNORECASE,
)
_NO_POINTER: Final = re.compile(r"scoping filter|single sign-?on|\bSSO\b|default access", re.IGNORECASE)
_OTHER_TUTORIAL: Final = re.compile(
    r"\[([^\[\]]{1,200})\]\((?:\./)?([\w./~-]{1,200}-provisioning-tutorial)(?:\.md)?[#)]"
)
_PICTURE: Final = re.compile(r"!\[([^\[\]]{0,300})\]\(([^()\s]{0,500})", re.IGNORECASE)
_PICTURED_TABLE: Final = re.compile(r"attribut|mapping", re.IGNORECASE)
_TABLE_REMEDY: Final = (
    "Write the attributes as a Markdown table (|Attribute|Type|) into a copy of the tutorial and import that, or start "
    "from the profile scim and add attributes in provisioning.yaml"
)


def refuse_unreadable(text: str) -> None:
    """Raises `TutorialRefused` for an empty text and for one that is no text."""
    if not text.strip():
        raise TutorialRefused("the file is empty", "Give the Markdown file of a provisioning tutorial")
    if len(text) > _LARGEST:
        raise TutorialRefused(f"the text has more than {_LARGEST} characters", "Give the Markdown file of one tutorial")
    if "\0" in text:
        raise TutorialRefused(
            "the file is no text", "Give the Markdown file of a provisioning tutorial, not a PDF or a picture"
        )


def refuse_kind(tutorial: Tutorial) -> None:
    """Raises `TutorialRefused` for translations, inbound provisioning and applications that do not speak SCIM."""
    if _is_translated(tutorial):
        raise TutorialRefused(
            "the tutorial is not in English, and translations alter attribute names", "Import the English original"
        )
    if _is_inbound(tutorial):
        raise TutorialRefused(
            "the tutorial provisions from an HR system into the directory, which is the other direction",
            "Import a tutorial that provisions from Microsoft Entra ID to an application",
        )
    if _speaks_no_scim(tutorial):
        raise TutorialRefused(
            f"{tutorial.application or 'the application'} is not provisioned over SCIM",
            "Ask the vendor for a SCIM 2.0 endpoint, and write a profile for it or use the profile scim",
        )


def refuse_without_table(tutorial: Tutorial) -> TutorialRefused:
    """Why there is no table of user attributes: another page has it, a picture shows it, or nothing does."""
    if pictures := [
        text or name for text, name in _PICTURE.findall("\n".join(tutorial.lines)) if _shows_table(text, name)
    ]:
        return TutorialRefused(
            f"the attributes are shown as a screenshot ({plain(pictures[0])[:60]}), not as a table", _TABLE_REMEDY
        )
    pointer = _pointer(tutorial)
    if pointer is not None and len(tutorial.text) < 12_000:
        return TutorialRefused(
            f"the tutorial has no attribute table and points elsewhere (line {pointer.line}: {pointer.text[:160]})",
            "Import the page it points to",
        )
    if not re.search(r"provision", tutorial.text, re.IGNORECASE):
        return TutorialRefused(
            "this is no provisioning tutorial", "Give the Markdown file of an Entra gallery provisioning tutorial"
        )
    return TutorialRefused("the tutorial has no table of user attributes", _TABLE_REMEDY)


def _pointer(tutorial: Tutorial) -> Sentence | None:
    """Where a page without a table sends its reader: another tutorial by name, else a sentence that sounds like it."""
    for number, line in enumerate(tutorial.lines, start=1):
        found = _OTHER_TUTORIAL.search(line)
        if found:
            return Sentence(line=number, text=f"{plain(found.group(1))}, {found.group(2).rpartition('/')[2]}.md")
    sentences = (sentence for sentence in tutorial.sentences if not _NO_POINTER.search(sentence.text))
    return next((sentence for sentence in sentences if _POINTER.search(sentence.text)), None)


def _shows_table(text: str, name: str) -> bool:
    return _PICTURED_TABLE.search(f"{text} {name}") is not None


def _is_translated(tutorial: Tutorial) -> bool:
    locale = tutorial.front_matter.get("ms.locale", "en-us")
    if any(key in tutorial.front_matter for key in _TRANSLATION_KEYS) or not locale.lower().startswith("en"):
        return True
    words = re.findall(r"\w+", tutorial.text.casefold())
    return len(words) > 80 and sum(word in _ENGLISH for word in words) < len(words) * 0.08


def _is_inbound(tutorial: Tutorial) -> bool:
    if _INBOUND_TITLE.search(tutorial.title):
        return True
    creates = _CREATES.search(tutorial.text) is not None
    return not creates and len(_INBOUND.findall(tutorial.text)) > 1


def _speaks_no_scim(tutorial: Tutorial) -> bool:
    if re.search(r"\bsoap\b", tutorial.text, re.IGNORECASE) and not re.search(
        r"\bscim\b", tutorial.text, re.IGNORECASE
    ):
        return True
    if _SCIM.search(tutorial.text):
        return _NOT_SCIM.search(tutorial.text) is not None and "tenant url" not in tutorial.text.casefold()
    asks_password = _PASSWORD.search(tutorial.text) is not None and "password" in tutorial.text.casefold()
    return bool(_NOT_SCIM.search(tutorial.text) or _NOT_SCIM_TITLE.search(tutorial.title)) or asks_password
