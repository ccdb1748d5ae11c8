"""Draws one synthetic person from (seed, index), the same one every time.

A hash replaces a random generator: person 70,000 can be drawn without drawing the 69,999 before, and building a
tenant of 100,000 takes seconds.
"""

from __future__ import annotations

import base64
from datetime import date, timedelta
from enum import StrEnum
from hashlib import blake2b
from typing import Any

from tests.simulation.graph.names import DEPARTMENTS, EMOJI, JOB_TITLES, LOCALES, Locale, Name

DOMAIN = "contoso.example"
INITIAL_DOMAIN = "contoso.onmicrosoft.example"
MANAGER_SPAN = 8

JsonObject = dict[str, Any]


class Oddity(StrEnum):
    """What makes a person hard to provision; one person has at most one."""

    EMOJI = "emoji"
    """The display name ends with an emoji, some of them of several code points."""
    GUEST = "guest"
    """Invited from outside: `#EXT#` in the user principal name, no manager, no employee id."""
    PLUS = "plus"
    """The user principal name holds a plus sign, which a careless URL or filter turns into a space."""
    NO_SURNAME = "no surname"
    """One name only: `surname` was never set."""
    DISABLED = "disabled"
    """`accountEnabled` is false from the start."""
    NO_MAIL = "no mail"
    """`mail` was never set."""
    APOSTROPHE = "apostrophe"
    """The user principal name holds an apostrophe, which a filter has to double."""


_ODDITY_OF_INDEX = {
    2: Oddity.APOSTROPHE, 3: Oddity.EMOJI, 4: Oddity.GUEST, 5: Oddity.PLUS, 6: Oddity.NO_SURNAME,
    7: Oddity.DISABLED, 8: Oddity.NO_MAIL, 24: Oddity.GUEST, 33: Oddity.DISABLED, 41: Oddity.NO_MAIL,
}  # fmt: skip


def oddity_of(index: int) -> Oddity | None:
    """Names the oddity of the person at `index`; each of them occurs among the first ten and then in every fifty."""
    return _ODDITY_OF_INDEX.get(index % 50)


def guid(*parts: object) -> str:
    """Derives a version 4 shaped GUID from the parts."""
    text = blake2b("\x1f".join(map(str, parts)).encode(), digest_size=16).hexdigest()
    return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-a{text[17:20]}-{text[20:]}"


def opaque_id(*parts: object) -> str:
    """Derives an opaque base64url id of 43 characters, shaped like an appRoleAssignment id."""
    digest = blake2b("\x1f".join(map(str, parts)).encode(), digest_size=32).digest()
    return base64.urlsafe_b64encode(digest)[:43].decode()


def draw_user(seed: int, index: int) -> JsonObject:
    """Draws the Graph user at `index`; a property nobody ever set is absent."""
    dice = blake2b(f"{seed}\x1fperson\x1f{index}".encode(), digest_size=16).digest()
    oddity = oddity_of(index)
    locale = LOCALES[dice[0] % len(LOCALES)]
    given, surname = _names_of(locale, dice, oddity)
    alias = _alias(given, surname, index=index, oddity=oddity)
    user: JsonObject = {
        "id": guid(seed, "user", index),
        "userPrincipalName": f"{alias}@{DOMAIN}",
        "accountEnabled": oddity is not Oddity.DISABLED,
        "displayName": _display_name(locale, given[0], surname[0], dice=dice, oddity=oddity),
        "givenName": given[0],
        "surname": surname[0],
        "mail": f"{alias}@{DOMAIN}",
        "mailNickname": alias,
        "userType": "Member",
        "createdDateTime": f"20{15 + dice[1] % 10}-0{1 + dice[2] % 9}-{10 + dice[3] % 18}T08:{10 + dice[4] % 50}:00Z",
    }
    user.update(_employment(index, dice))
    user.update(_whereabouts(locale, index, dice))
    if oddity is Oddity.NO_SURNAME:
        del user["surname"]
    if oddity is Oddity.NO_MAIL:
        del user["mail"]
    if oddity is Oddity.GUEST:
        _turn_into_guest(user, alias)
    return user


def _names_of(locale: Locale, dice: bytes, oddity: Oddity | None) -> tuple[Name, Name]:
    given = locale.given_names[dice[5] % len(locale.given_names)]
    surname = locale.surnames[dice[6] % len(locale.surnames)]
    if oddity is Oddity.APOSTROPHE:
        return given, ("O'Neill-Ó Briain", "O'Neill")
    return given, surname


def _alias(given: Name, surname: Name, *, index: int, oddity: Oddity | None) -> str:
    last = surname[1] if oddity is Oddity.APOSTROPHE else surname[1].replace("'", "")
    alias = f"{given[1]}.{last}".lower()
    return f"{alias}+{index}" if oddity is Oddity.PLUS else f"{alias}{index}"


def _display_name(locale: Locale, given: str, surname: str, *, dice: bytes, oddity: Oddity | None) -> str:
    if oddity is Oddity.NO_SURNAME:
        return given
    name = f"{surname}{given}" if locale.surname_first else f"{given} {surname}"
    return f"{name} {EMOJI[dice[7] % len(EMOJI)]}" if oddity is Oddity.EMOJI else name


def _employment(index: int, dice: bytes) -> JsonObject:
    hired = date(2012, 1, 1) + timedelta(days=dice[8] * 18 + dice[9] % 18)
    employment: JsonObject = {
        "employeeId": f"{100000 + index:06d}",
        "employeeType": "Contractor" if dice[9] % 10 == 0 else "Employee",
        "employeeHireDate": f"{hired.isoformat()}T00:00:00Z",
        "companyName": "Contoso Ltd." if dice[10] % 5 else "Fabrikam & Söhne GmbH",
        "department": DEPARTMENTS[dice[11] % len(DEPARTMENTS)],
        "jobTitle": "Chief Executive Officer" if index == 0 else JOB_TITLES[dice[12] % len(JOB_TITLES)],
    }
    if dice[13] % 4 == 0:
        employment["onPremisesExtensionAttributes"] = {"extensionAttribute1": f"CC-{dice[13]:03d}"}
    return employment


def _whereabouts(locale: Locale, index: int, dice: bytes) -> JsonObject:
    whereabouts: JsonObject = {
        "usageLocation": locale.country_code,
        "country": locale.country,
        "city": locale.city,
        "state": locale.state,
        "streetAddress": f"{1 + dice[14]} Main Street",
        "postalCode": locale.postal_code,
        "officeLocation": f"{1 + dice[14] % 9}/{100 + dice[15]}",
        "preferredLanguage": locale.language,
        "businessPhones": [f"{locale.phone_prefix} {5550000 + index % 1000000}"],
    }
    if dice[15] % 3:
        whereabouts["mobilePhone"] = f"{locale.phone_prefix} {7700000 + index % 1000000}"
    if dice[15] % 10 == 0:
        whereabouts["faxNumber"] = f"{locale.phone_prefix} {9900000 + index % 1000000}"
    return whereabouts


def _turn_into_guest(user: JsonObject, alias: str) -> None:
    user["userPrincipalName"] = f"{alias}_partner.example#EXT#@{INITIAL_DOMAIN}"
    user["mailNickname"] = f"{alias}_partner.example#EXT#"
    user["mail"] = f"{alias}@partner.example"
    user["otherMails"] = [f"{alias}@partner.example"]
    user["userType"] = "Guest"
    for employee_only in ("employeeId", "employeeHireDate", "employeeType", "jobTitle"):
        user.pop(employee_only, None)
