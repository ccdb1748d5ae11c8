"""From the text of a tutorial to a profile that loads, and a report of how it came about. No file is touched here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from shared.config.errors import ConfigurationError
from shared.config.located_yaml import parse_yaml
from shared.config.profile import Profile
from shared.config.queue_names import refuse_name
from shared.config.rule_checks import check_resource
from shared.config.validation import validated
from shared.operations.tutorials.drafting import Draft
from shared.operations.tutorials.facts import Fact
from shared.operations.tutorials.findings import find_all
from shared.operations.tutorials.profile_text import write_profile
from shared.operations.tutorials.reading import read_tutorial, slug
from shared.operations.tutorials.refusals import TutorialRefused, refuse_unreadable
from shared.operations.tutorials.resource_sections import groups_section, users_section
from shared.operations.tutorials.rows import Refusal, Repair
from shared.operations.tutorials.vendor_sections import (
    authentication_section,
    base_url_section,
    documentation_section,
    protocol_section,
    rate_limit_section,
    roles_section,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportReport:
    """How a profile came about: what was taken otherwise than printed, what was left out, what is said or assumed."""

    title: str
    repaired: tuple[Repair, ...]
    refused: tuple[Refusal, ...]
    facts: tuple[Fact, ...]
    unmapped_required: tuple[str, ...]
    """Attributes the vendor requires and for which a person must say where they come from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedProfile:
    """A profile that loads, as text and as a model, with the report of its import."""

    name: str
    text: str
    profile: Profile
    report: ImportReport


def import_tutorial(text: str, *, name: str | None = None, read_on: str = "") -> ImportedProfile:
    """The profile in a tutorial's Markdown. `read_on` is today, YYYY-MM-DD.

    Raises `TutorialRefused`, with what to do instead, for every text that is no such tutorial.
    """
    refuse_unreadable(text)
    tutorial = read_tutorial(text)
    draft = Draft(find_all(tutorial))
    chosen = slug(name if name is not None else tutorial.application)
    if not chosen:
        raise TutorialRefused("the tutorial does not name its application", "Give a name with --name")
    unfit = refuse_name(chosen)
    if unfit:
        raise TutorialRefused(f"{chosen} cannot name an application", f"Give another with --name: {unfit}")
    profile: dict[str, Any] = {"version": 1, "name": chosen, "title": tutorial.application or chosen}
    if read_on:
        profile["read_on"] = read_on
    for section in (base_url_section, authentication_section, roles_section, rate_limit_section, protocol_section):
        profile |= section(draft)
    profile["users"], unmapped = users_section(draft)
    profile |= groups_section(draft)
    profile["evidence"] = draft.evidence
    profile |= documentation_section(draft)
    resources = [draft.findings.users, *([draft.findings.groups] if draft.findings.groups else [])]
    report = ImportReport(
        title=str(profile["title"]),
        repaired=tuple(repair for resource in resources for repair in resource.repairs),
        refused=tuple(refusal for resource in resources for refusal in resource.refusals),
        facts=tuple(draft.facts),
        unmapped_required=unmapped,
    )
    written = write_profile(profile, source=draft.source)
    return ImportedProfile(name=chosen, text=written, profile=_loaded(written, file=f"{chosen}.yaml"), report=report)


def _loaded(text: str, *, file: str) -> Profile:
    """The profile as the product will read it. Raises `TutorialRefused` for what would not load."""
    try:
        tree = parse_yaml(text, file=file)
        profile = validated(Profile, tree)
    except ConfigurationError as error:
        raise _unusable(str(error)) from error
    for resource, group in ((profile.users, False), (profile.groups, True)):
        findings = check_resource(resource, profile=profile.name, group=group) if resource is not None else ()
        for location, expected in findings:
            raise _unusable(f"{'.'.join(str(step) for step in location)}: {expected}")
    return profile


def _unusable(problem: str) -> TutorialRefused:
    return TutorialRefused(
        f"what the tutorial says makes no profile that loads ({problem.splitlines()[0]})",
        "Correct that row in a copy of the tutorial and import the copy",
    )
