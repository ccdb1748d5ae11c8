"""What PureCloud adds to the core User, what it supports of it, and which values it takes."""

from __future__ import annotations

import re
from typing import Any

from scim2_models import URN, ComplexAttribute, Extension

from tests.simulation.vendors.core import VendorEnterpriseUser
from tests.simulation.vendors.exchange import Refusal
from tests.simulation.vendors.storage import Json
from tests.simulation.vendors.writes import ENTERPRISE_URN

GENESYS_URN = "urn:ietf:params:scim:schemas:extension:genesys:purecloud:2.0:User"
AUTHORITY = "x-pc:scimv2:v1"
PHONE_TYPES = (
    *("work", "work2", "work3", "work4", "home", "mobile", "other"),
    *("microsoftteams", "zoomphone", "eightbyeight", "ringcentral"),
)
_PHONE = re.compile(r"^(?:\+[1-9]\d{1,14}|tel:\+?[\d().\-]+(?:;ext=\d+)?)$")


class GenesysExternalId(ComplexAttribute):
    """An id of the person at another authority."""

    authority: str | None = None
    value: str | None = None


class GenesysRouting(ComplexAttribute):
    """A routing skill or language and how well the person has it, 0.0 to 5.0."""

    name: str | None = None
    proficiency: float | None = None


class GenesysUser(Extension):
    """PureCloud's own attributes."""

    __schema__ = URN(GENESYS_URN)

    external_ids: list[GenesysExternalId] | None = None
    routing_skills: list[GenesysRouting] | None = None
    routing_languages: list[GenesysRouting] | None = None


class GenesysEnterpriseUser(VendorEnterpriseUser):
    """The enterprise extension with a date of hire."""

    __schema__ = URN(ENTERPRISE_URN)

    date_hire: str | None = None


SUPPORTED_USERS = (
    *("userName", "active", "displayName", "title", "externalId", "password", "roles.value"),
    *("emails.value", "phoneNumbers.value"),  # the type of an element is refused, not ignored: G12, G13
    *(f"{ENTERPRISE_URN}:{name}" for name in ("department", "manager", "employeeNumber", "division", "dateHire")),
    *(f"{GENESYS_URN}:{name}" for name in ("externalIds", "routingSkills", "routingLanguages")),
)


def refuse_bad_phones(after: Json) -> None:
    """Refuses a phone number that is neither E.164 nor a tel: URI, or of a type PureCloud lacks (G13)."""
    for each in after.get("phoneNumbers") or []:
        if each.get("type") not in PHONE_TYPES:
            raise Refusal(400, "invalidValue", "This type of phone number does not exist.")
        if not _PHONE.match(str(each.get("value") or "")):
            raise Refusal(400, "invalidValue", "A phone number must be E.164 or a tel: URI.")


def refuse_bad_routing(after: Json, *, skills: tuple[str, ...], languages: tuple[str, ...]) -> None:
    """Refuses unknown skills or languages, more than 50 of them, or a proficiency outside 0 to 5 (G15)."""
    own = after.get(GENESYS_URN) or {}
    for name, known in (("routingSkills", skills), ("routingLanguages", languages)):
        entries: list[dict[str, Any]] = own.get(name) or []
        if len(entries) > 50:
            raise Refusal(400, "invalidValue", f"At most 50 {name}.")
        for each in entries:
            if each.get("name") not in known:
                raise Refusal(400, "invalidValue", f"{name} names something that does not exist.")
            if not 0.0 <= float(each.get("proficiency") or 0.0) <= 5.0:
                raise Refusal(400, "invalidValue", "proficiency must be between 0 and 5.")


def with_mirrored_email(before: Json | None, after: Json) -> Json:
    """Answers with the account whose e-mail of type `other` is its userName; a client may not change it (G12)."""
    name = after.get("userName")
    old = _other(before)
    emails = after.get("emails") or []
    if any(each.get("type") not in {"work", "other"} for each in emails):
        raise Refusal(400, "invalidValue", "E-mail types are work and other.")
    given = _other(after)
    if given is not None and given not in {old, name}:
        raise Refusal(400, "mutability", "The e-mail of type other is the userName.")
    left = [each for each in emails if each.get("type") != "other"]
    return {**after, "emails": [*left, {"value": name, "type": "other"}]} if name else after


def _other(resource: Json | None) -> str | None:
    emails = (resource or {}).get("emails") or []
    return next((each.get("value") for each in emails if each.get("type") == "other"), None)


def with_authority(after: Json) -> Json:
    """Answers with the account whose externalId is repeated among its externalIds, under PureCloud's own authority."""
    external_id = after.get("externalId")
    own = dict(after.get(GENESYS_URN) or {})
    others = [each for each in own.get("externalIds") or [] if not str(each.get("authority", "")).startswith(AUTHORITY)]
    if external_id:
        others.append({"authority": AUTHORITY, "value": external_id})
    if not others and "externalIds" not in own:
        return after
    own["externalIds"] = others
    return {**after, GENESYS_URN: own}
