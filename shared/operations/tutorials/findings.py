"""Everything a tutorial says, put together: tables, facts, and what had to be assumed where it says nothing."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from shared.operations.tutorials.addresses import Endpoint, find_endpoint, find_token_endpoint
from shared.operations.tutorials.credentials import Authentication, RoleLimits, find_authentication, find_roles
from shared.operations.tutorials.facts import (
    Rate,
    find_create_only,
    find_lifetime_days,
    find_limitations,
    find_rates,
    find_unfilterable,
    says_default_access_is_excluded,
    says_groups_are_provisioned,
    says_groups_are_unsupported,
    says_groups_keep_their_name,
    says_groups_must_exist,
    says_schema_discovery,
)
from shared.operations.tutorials.reading import Sentence, Tutorial
from shared.operations.tutorials.refusals import refuse_kind, refuse_without_table
from shared.operations.tutorials.rows import Attributes, read_attributes
from shared.operations.tutorials.statements import (
    AddedMapping,
    MatchedBy,
    MostObjects,
    find_added_mappings,
    find_matched_by,
    find_most_objects,
    find_remarks,
    find_required_names,
    says_country_is_a_code,
    says_phones_are_e164,
    says_users_are_not_created,
)
from shared.operations.tutorials.tables import AttributeTable, Column, find_tables

_USER_ATTRIBUTES: Final = re.compile(
    r"^(?:username|name\.|emails\[|active$|phonenumbers\[|addresses\[|title$)", re.IGNORECASE
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What was read out of one tutorial. Lines are 0 where nothing is said."""

    tutorial: Tutorial
    users: Attributes
    groups: Attributes | None
    endpoint: Endpoint
    token_endpoint: tuple[str, int] | None
    """Where OAuth access tokens come from, and the line."""
    authentication: Authentication
    roles: RoleLimits
    rates: tuple[Rate, ...]
    lifetime: tuple[int, int] | None
    """Days a secret is valid, and the line."""
    default_access_line: int
    discovery_line: int
    no_create_line: int
    """The capabilities speak of users and not of creating them."""
    country_code_line: int
    """Countries are wanted as codes of two letters."""
    phone_format_line: int
    """Telephone numbers are wanted as E.164."""
    required_names: tuple[tuple[str, int], ...]
    """Attributes that a list calls required, in the words of the list, each with its line."""
    matched_by: tuple[MatchedBy, ...]
    added_mappings: tuple[AddedMapping, ...]
    most_objects: tuple[MostObjects, ...]
    groups_capability_line: int
    """Groups are listed among what can be provisioned."""
    no_groups_line: int
    fixed_groups_line: int
    """Groups are neither created nor deleted."""
    named_groups_line: int
    """Groups are not renamed."""
    create_only: tuple[tuple[Sentence, str], ...]
    """Sentences about what cannot be changed later, each with the one before it."""
    unfilterable: tuple[tuple[str, int], ...]
    limitations: tuple[Sentence, ...]


def find_all(tutorial: Tutorial) -> Findings:
    """Reads a tutorial. Raises `TutorialRefused` when it is of the wrong kind or has no table of users."""
    refuse_kind(tutorial)
    tables = find_tables(tutorial.lines)
    users, groups = _resources(tables)
    if not users.attributes:
        raise refuse_without_table(tutorial)
    return Findings(
        tutorial=tutorial,
        users=users,
        groups=groups if groups.attributes else None,
        endpoint=find_endpoint(tutorial),
        token_endpoint=find_token_endpoint(tutorial),
        authentication=find_authentication(tutorial),
        roles=find_roles(tutorial),
        rates=find_rates(tutorial),
        lifetime=find_lifetime_days(tutorial),
        default_access_line=says_default_access_is_excluded(tutorial),
        discovery_line=says_schema_discovery(tutorial),
        no_create_line=says_users_are_not_created(tutorial),
        country_code_line=says_country_is_a_code(tutorial),
        phone_format_line=says_phones_are_e164(tutorial),
        required_names=find_required_names(tutorial),
        matched_by=tuple(find_matched_by(tutorial)),
        added_mappings=tuple(find_added_mappings(tutorial)),
        most_objects=tuple(find_most_objects(tutorial)),
        groups_capability_line=says_groups_are_provisioned(tutorial),
        no_groups_line=says_groups_are_unsupported(tutorial),
        fixed_groups_line=says_groups_must_exist(tutorial),
        named_groups_line=says_groups_keep_their_name(tutorial),
        create_only=tuple(find_create_only(tutorial)),
        unfilterable=tuple(find_unfilterable(tutorial)),
        limitations=_limitations(tutorial, tables),
    )


def _resources(tables: Iterable[AttributeTable]) -> tuple[Attributes, Attributes]:
    users: list[AttributeTable] = []
    groups: list[AttributeTable] = []
    for table in tables:
        (groups if _is_of_groups(table) else users).append(table)
    return read_attributes(users), read_attributes(groups)


def _is_of_groups(table: AttributeTable) -> bool:
    """Rows decide before the text around them, which often names the other resource too."""
    place = table.columns.index(Column.ATTRIBUTE)
    names = [row.cells[place].strip(" `*") for row in table.rows if len(row.cells) > place]
    if any(_USER_ATTRIBUTES.match(name) for name in names):
        return False
    if any(name.casefold() == "members" for name in names):
        return True
    groups, users = (table.context.rfind(word) for word in ("group attributes", "user attributes"))
    if groups >= 0 or users >= 0:
        return groups > users
    return bool(re.search(r"synchroni[sz]e .*\bgroups\b|provision .*\bgroups\b|\bgroups\*\*", table.context))


def _limitations(tutorial: Tutorial, tables: Iterable[AttributeTable]) -> tuple[Sentence, ...]:
    """What a person should know, in the order of the text, without headings and without essays."""
    known = {*find_limitations(tutorial), *find_remarks(tutorial, tables)}
    return tuple(sentence for sentence in tutorial.sentences if sentence in known and 25 <= len(sentence.text) <= 400)
