"""What must be true once all is quiet, and what at every moment.

The stages' own findings compare rows, index rows and resources with the directory and the profile. What is here looks
at the vendor alone, and knows of the product only who owns which account.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from shared.provisioning.attempt import OwnCode
from tests.proof.company import Company, text_of
from tests.provisioning.stories import Stage


async def findings(company: Company) -> list[str]:
    """Everything that is not as it must be in the end. Empty is good."""
    found = [*momentary_findings(company)]
    for app, stage in company.stages.items():
        waiting = await rightly_waiting(stage) | company.rejected
        texts = await stage.findings(excused=waiting | await _never_seen(stage))
        found += [f"{app}: {text}" for text in texts if not _is_expected(company, app, text, waiting)]
        found += [f"{app}: {text}" for text in await _vendor_findings(company, app, waiting)]
        found += [f"{app}: {text}" for text in await _stranger_findings(company, app)]
        status = (await stage.world.services.states.read_fresh(app)).status
        found += [] if status == "Active" else [f"{app}: the application is in {status}"]
    return found


def momentary_findings(company: Company) -> Iterator[str]:
    """What must hold at every moment: the guard, and the accounts that are nobody's business."""
    for app, ledger in company.ledgers.items():
        ledger.look()
        yield from (f"{app}: {text}" for text in ledger.findings())
    for stranger in company.strangers:
        there = text_of(company.stages[stranger.app], stranger.target_id)
        if not stranger.is_adoptable and there != stranger.text:
            yield f"{stranger.app}: the stranger {stranger.user_name} was {stranger.text} and is {there or 'gone'}"


async def rightly_waiting(stage: Stage) -> set[str]:
    """Who waits for a person's decision: the name belongs to somebody who left, or to a stranger; and who waits for
    them in turn."""
    accounts = await stage._accounts()
    owners = {account.target_id: account.source_id for account in accounts.values() if account.target_id}
    waiting: set[str] = set()
    for _ in stage.people:
        for user_id in filter(stage.should_be_active, stage.people):
            for found in stage.acme.resources():
                owner = owners.get(found["id"], "")
                if owner == user_id or str(found["userName"]).casefold() != _name(stage, user_id):
                    continue
                if not owner or not found["active"] or owner in waiting:
                    waiting.add(user_id)
    return waiting


def _name(stage: Stage, user_id: str) -> str:
    return str(stage.tenant.user(user_id)["userPrincipalName"]).casefold()


def _is_expected(company: Company, app: str, text: str, waiting: set[str]) -> bool:
    """Whether a finding of the stage is none: strangers that no row knows, and what waits with those who wait.

    A group is not finished before every member's account is.
    """
    names = [each.user_name for each in company.strangers if each.app == app]
    is_stranger = text.startswith("an account at the vendor") and any(name in text for name in names)
    members = company.tenant.members
    kept = [
        each for each in company.main.groups if each in company.rejected or waiting.intersection(members.get(each, ()))
    ]
    is_kept = text.startswith(tuple(f"group {each[:8]}" for each in kept))
    return is_stranger or is_kept or (bool(waiting) and "left over: " in text)


async def _never_seen(stage: Stage) -> set[str]:
    """Who came and went between two looks at the directory, and was only heard of as the member of a group.

    Their rows wait for a source that never comes, on the ladder; there is no account, and nothing is ever done.
    """
    accounts = await stage._accounts()
    return {
        user_id
        for user_id, account in accounts.items()
        if account.error_code == OwnCode.SOURCE_UNKNOWN and not account.target_id and user_id not in stage.tenant.users
    }


async def _vendor_findings(company: Company, app: str, waiting: set[str]) -> list[str]:
    """The vendor's own view: exactly the people who should be are active, once each, with the directory's values.

    Who waits for a person's decision keeps the account, and the name, that they had.
    """
    stage = company.stages[app]
    left_alone = {each.target_id for each in company.strangers if each.app == app}
    left_alone -= await _owned(stage)
    left_alone |= {account.target_id for user_id, account in (await stage._accounts()).items() if user_id in waiting}
    active: dict[str, list[dict[str, Any]]] = {}
    for each in stage.acme.resources():
        if each.get("active") and each["id"] not in left_alone:
            active.setdefault(str(each["userName"]).casefold(), []).append(each)
    expected = {_name(stage, person): person for person in stage.people if stage.should_be_active(person)}
    found = [f"active, and should not be: {name}" for name in sorted(set(active) - set(expected))]
    for name, person in expected.items():
        accounts = active.get(name, [])
        if person not in waiting and len(accounts) != 1:
            found.append(f"{len(accounts)} active accounts of {name}")
        for account in accounts:
            found += _differences(stage, person, account)
    return found


def _differences(stage: Stage, person: str, account: dict[str, Any]) -> Iterator[str]:
    """Worked out by hand from the tenant, not by the product's mappings."""
    user = stage.tenant.user(person)
    wanted = {
        "displayName": user.get("displayName"),
        "title": user.get("jobTitle"),
        "externalId": user.get("mailNickname") if "externalId" not in stage.unseen else None,
    }
    for attribute, value in wanted.items():
        if (account.get(attribute) or None) != (value or None):
            yield f"{attribute} of {person[:8]} should be {value!r}, is {account.get(attribute)!r}"


async def _stranger_findings(company: Company, app: str) -> list[str]:
    """Strangers that were never adopted are as they were, adoptable or not."""
    stage = company.stages[app]
    adopted = {str(entry.get("target_id")) for entry in await stage.world.log(app)} | await _owned(stage)
    return [
        f"the stranger {each.user_name} belongs to nobody and was written"
        for each in company.strangers
        if each.app == app and each.target_id not in adopted and text_of(stage, each.target_id) != each.text
    ]


async def _owned(stage: Stage) -> set[str]:
    return {account.target_id for account in (await stage._accounts()).values() if account.target_id}
