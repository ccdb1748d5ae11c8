"""What people do in the directory."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from tests.proof.company import Company
from tests.provisioning.stories import Stage
from tests.simulation.tenant import DEFAULT_ACCESS

MOST_PEOPLE = 9
MOST_GROUPS = 3
Change = Callable[[Company, Random], None]


def join(company: Company, dice: Random) -> None:
    """Somebody is hired; a few under a name that an account of before us has."""
    if len(company.main.people) >= MOST_PEOPLE:
        return retitle(company, dice)
    taken = _taken(company)
    found = [each.user_name for each in company.strangers if each.user_name not in taken]
    name = dice.choice(found) if found and dice.random() < 0.25 else _fresh(company)
    manager = dice.choice([None, *company.living()])
    enabled = dice.random() < 0.9
    person = company.main.hire(userPrincipalName=name, mail=name, accountEnabled=enabled, assigned=False)
    company.tenant.set_manager(person, manager)
    for app, stage in company.stages.items():
        if dice.random() < 0.8:
            stage.assign(person)
            company.tell(f"{name} ({person[:8]}) joins and is assigned to {app}")
    return None


def _fresh(company: Company) -> str:
    name = f"person{len(company.names)}@contoso.example"
    company.names.append(name)
    return name


def _taken(company: Company) -> set[str]:
    return {str(company.tenant.user(person)["userPrincipalName"]) for person in company.living()}


def _somebody(company: Company, dice: Random) -> str | None:
    living = company.living()
    return dice.choice(living) if living else None


def retitle(company: Company, dice: Random) -> None:
    """Somebody gets another job, or loses it."""
    if person := _somebody(company, dice):
        title = dice.choice([None, "Pilot", "Astronaut", "Cosmonaut"])
        company.tell(f"{person[:8]} is now {title}")
        company.tenant.update(person, jobTitle=title, displayName=f"Name {dice.randrange(100)}")


def rename(company: Company, dice: Random) -> None:
    """Somebody gets a new name; rarely one that somebody else had."""
    person = _somebody(company, dice)
    if person is None:
        return
    taken = _taken(company)
    free = [name for name in company.names if name not in taken]
    name = dice.choice(free) if free and dice.random() < 0.3 else _fresh(company)
    company.tell(f"{person[:8]} is now called {name}")
    company.tenant.update(person, userPrincipalName=name, mail=name)


def swap(company: Company, dice: Random) -> None:
    """Two people swap names, or three of them pass theirs on."""
    living = company.living()
    if len(living) < 2:
        return
    circle = dice.sample(living, min(len(living), dice.choice([2, 2, 3])))
    names = [str(company.tenant.user(person)["userPrincipalName"]) for person in circle]
    for person, name in zip(circle, names[1:] + names[:1], strict=True):
        company.tell(f"{person[:8]} takes the name {name}")
        company.tenant.update(person, userPrincipalName=name, mail=name)


def new_manager(company: Company, dice: Random) -> None:
    """Somebody gets another manager, or none."""
    if person := _somebody(company, dice):
        manager = dice.choice([None, *company.living()])
        company.tell(f"{person[:8]} reports to {manager and manager[:8]}")
        company.tenant.set_manager(person, manager)


def disable(company: Company, dice: Random) -> None:
    """Somebody may not sign in any more."""
    if person := _somebody(company, dice):
        company.tell(f"{person[:8]} is disabled")
        company.tenant.disable(person)


def enable(company: Company, dice: Random) -> None:
    """Somebody may sign in again."""
    off = [person for person in company.living() if not company.tenant.user(person).get("accountEnabled")]
    if off:
        person = dice.choice(off)
        company.tell(f"{person[:8]} is enabled")
        company.tenant.enable(person)


def soft_delete(company: Company, dice: Random) -> None:
    """Somebody is deleted, and can be restored."""
    if person := _somebody(company, dice):
        company.tell(f"{person[:8]} is deleted")
        company.tenant.soft_delete(person)


def restore(company: Company, dice: Random) -> None:
    """Somebody comes back from the deleted items, unless their name has a new owner."""
    taken = _taken(company)
    deleted = company.tenant.deleted_users
    back = [each for each in company.main.people if each in deleted and deleted[each]["userPrincipalName"] not in taken]
    if back:
        person = dice.choice(back)
        company.tell(f"{person[:8]} is restored")
        company.tenant.restore(person)


def purge(company: Company, dice: Random) -> None:
    """Somebody is deleted for good."""
    there = [each for each in company.main.people if not company.main.is_purged(each)]
    if there:
        person = dice.choice(there)
        company.tell(f"{person[:8]} is deleted for good")
        company.tenant.purge(person)


def toggle_assignment(company: Company, dice: Random) -> None:
    """Somebody is assigned to an application, or no more."""
    person = _somebody(company, dice)
    if person is None:
        return
    app, stage = dice.choice(list(company.stages.items()))
    if _is_assigned(stage, person):
        company.tell(f"{person[:8]} is no longer assigned to {app}")
        stage.unassign(person)
    else:
        company.tell(f"{person[:8]} is assigned to {app}")
        stage.assign(person)


def _is_assigned(stage: Stage, principal: str, role: str | None = None) -> bool:
    grants = stage.tenant.grants(stage.service_principal)
    return any((grant.principal_id, grant.app_role_id) == (principal, role or stage.role) for grant in grants)


def form_group(company: Company, dice: Random) -> None:
    """A group is made and assigned: as one that gives access, or as one that is only shown."""
    living = company.living()
    if len(company.living_groups()) >= MOST_GROUPS:
        return move_member(company, dice)
    members = dice.sample(living, min(len(living), dice.randrange(4)))
    group = company.main.form(*members, assigned=False)
    company.tell(f"group {group[:8]} is formed of {[each[:8] for each in members]}")
    for app, stage in company.stages.items():
        role = dice.choice([None, stage.role, DEFAULT_ACCESS])
        if role is not None:
            company.tell(f"group {group[:8]} is assigned to {app} as {role[:8]}")
            stage.tenant.assign(stage.service_principal, group, role)
    return None


def move_member(company: Company, dice: Random) -> None:
    """Somebody joins a group, or leaves it."""
    groups, person = company.living_groups(), _somebody(company, dice)
    if not groups or person is None:
        return
    group = dice.choice(groups)
    if person in company.tenant.members[group]:
        company.tell(f"{person[:8]} leaves group {group[:8]}")
        company.tenant.remove_member(group, person)
    else:
        company.tell(f"{person[:8]} joins group {group[:8]}")
        company.tenant.add_member(group, person)


def rename_group(company: Company, dice: Random) -> None:
    """A group gets another name."""
    if groups := company.living_groups():
        group = dice.choice(groups)
        company.tell(f"group {group[:8]} is renamed")
        company.tenant.update_group(group, displayName=f"Team {dice.randrange(1000)} of {group[:8]}")


def delete_group(company: Company, dice: Random) -> None:
    """A group is deleted, and with it the access it gave."""
    if groups := company.living_groups():
        group = dice.choice(groups)
        company.tell(f"group {group[:8]} is deleted")
        company.tenant.delete_group(group)


def toggle_group(company: Company, dice: Random) -> None:
    """A group is assigned to an application, or no more."""
    groups = company.living_groups()
    if not groups:
        return
    group, (app, stage) = dice.choice(groups), dice.choice(list(company.stages.items()))
    role = dice.choice([stage.role, DEFAULT_ACCESS])
    if _is_assigned(stage, group, role):
        company.tell(f"group {group[:8]} is no longer assigned to {app} as {role[:8]}")
        stage.tenant.unassign(stage.service_principal, group, role)
    else:
        company.tell(f"group {group[:8]} is assigned to {app} as {role[:8]}")
        stage.tenant.assign(stage.service_principal, group, role)


CHANGES: dict[str, tuple[float, Change]] = {
    "join": (4, join),
    "retitle": (6, retitle),
    "rename": (2.5, rename),
    "swap": (2, swap),
    "new manager": (1.5, new_manager),
    "disable": (2.5, disable),
    "enable": (4, enable),
    "soft delete": (1, soft_delete),
    "restore": (2, restore),
    "purge": (0.6, purge),
    "toggle assignment": (2.5, toggle_assignment),
    "form group": (2, form_group),
    "move member": (4, move_member),
    "rename group": (1, rename_group),
    "delete group": (0.4, delete_group),
    "toggle group": (1.5, toggle_group),
}
"""Every change, and how often it happens."""
