"""Fills an empty tenant: groups with direct, nested, device and application members, applications, assignments."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from random import Random
from typing import Any

from tests.simulation.graph.changes import AppRoleAssignment, Kind
from tests.simulation.graph.names import DEPARTMENTS, LOCALES
from tests.simulation.graph.people import MANAGER_SPAN, JsonObject, draw_user, guid, opaque_id

DEFAULT_ACCESS = "00000000-0000-0000-0000-000000000000"
CREATED_AT = "2024-03-01T09:00:00.0000000Z"
DEMO_APPLICATIONS = ("Fuze", "Fortes Change Cloud", "PureCloud by Genesys", "Clarizen One", "Acme SCIM")


@dataclass(slots=True)
class Population:
    """Everything a tenant starts with. Users are kept as JSON text: a tenth of the memory of dictionaries."""

    users: dict[str, bytes] = field(default_factory=dict)
    managers: dict[str, str] = field(default_factory=dict)
    groups: dict[str, JsonObject] = field(default_factory=dict)
    members: dict[str, dict[str, Kind]] = field(default_factory=dict)
    dynamic_groups: dict[tuple[str, str], str] = field(default_factory=dict)
    devices: dict[str, JsonObject] = field(default_factory=dict)
    service_principals: dict[str, JsonObject] = field(default_factory=dict)
    assignments: dict[str, dict[str, AppRoleAssignment]] = field(default_factory=dict)


def to_json(value: Any) -> bytes:
    """Writes compact UTF-8 JSON, the way Graph does."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def populate(seed: int, users: int) -> Population:
    """Draws the whole starting population; equal arguments give an equal one."""
    population = Population()
    _add_dynamic_groups(population, seed)
    _add_people(population, seed, users)
    _add_devices(population, seed, users)
    for name in (*DEMO_APPLICATIONS, "Contoso Wiki", "Unassigned App"):
        add_service_principal(population, service_principal(seed, name))
    _add_static_groups(population, seed, users)
    _assign_everyone(population, seed)
    return population


def dynamic_keys_of(user: JsonObject) -> set[tuple[str, str]]:
    """Names the dynamic groups a user belongs to by its own properties."""
    if user.get("userType") != "Member":
        return set()
    keys = {("userType", "Member")}
    keys.update((name, user[name]) for name in ("department", "usageLocation") if user.get(name))
    return keys


def new_group(group_id: str, display_name: str, *, unified: bool = False, dynamic: bool = False) -> JsonObject:
    """Builds a security group, or a Microsoft 365 group when `unified`."""
    types = (["Unified"] if unified else []) + (["DynamicMembership"] if dynamic else [])
    nickname = "".join(letter for letter in display_name if letter.isalnum()) or "group"
    return {
        "id": group_id,
        "displayName": display_name,
        "mailNickname": nickname,
        "mailEnabled": unified,
        "securityEnabled": not unified,
        "groupTypes": types,
        "createdDateTime": "2021-05-04T10:00:00Z",
    }


def service_principal(seed: int, display_name: str, *, object_id: str | None = None) -> JsonObject:
    """Builds an enterprise application with the roles User, Admin and msiam_access.

    A gallery application's roles carry values; those Entra adds by itself (here: Contoso Wiki, and msiam_access
    everywhere) have the value null.
    """
    named = {"User": "User", "Admin": "Admin"}
    values = {} if display_name == "Contoso Wiki" else named
    roles = [
        {
            "id": guid(seed, "role", display_name, role),
            "displayName": role,
            "description": role,
            "value": values.get(role),
            "isEnabled": True,
            "allowedMemberTypes": ["User"],
            "origin": "Application",
        }
        for role in ("User", "Admin", "msiam_access")
    ]
    return {
        "id": object_id or guid(seed, "servicePrincipal", display_name),
        "appId": guid(seed, "application", display_name),
        "displayName": display_name,
        "accountEnabled": True,
        "appRoleAssignmentRequired": True,
        "servicePrincipalType": "Application",
        "appRoles": roles,
    }


def add_service_principal(population: Population, principal: JsonObject) -> None:
    """Puts an application into the population, with no assignment."""
    population.service_principals[principal["id"]] = principal
    population.assignments[principal["id"]] = {}


def _add_group(population: Population, group: JsonObject) -> str:
    population.groups[group["id"]] = group
    population.members[group["id"]] = {}
    return str(group["id"])


def _add_dynamic_groups(population: Population, seed: int) -> None:
    named = {("userType", "Member"): "All employees"}
    named.update({("department", name): name for name in DEPARTMENTS})
    named.update({("usageLocation", locale.country_code): f"People in {locale.country}" for locale in LOCALES})
    for key, display_name in named.items():
        group = new_group(guid(seed, "group", display_name), display_name, dynamic=True)
        population.dynamic_groups[key] = _add_group(population, group)


def _add_people(population: Population, seed: int, count: int) -> None:
    ids: list[str] = []
    for index in range(count):
        user = draw_user(seed, index)
        user_id = user["id"]
        ids.append(user_id)
        population.users[user_id] = to_json(user)
        if index and user["userType"] == "Member":
            population.managers[user_id] = ids[(index - 1) // MANAGER_SPAN]
        for key in dynamic_keys_of(user):
            population.members[population.dynamic_groups[key]][user_id] = Kind.USER


def _add_devices(population: Population, seed: int, users: int) -> None:
    for index in range(min(max(users // 50, 3), 2000)):
        device_id = guid(seed, "device", index)
        population.devices[device_id] = {"id": device_id, "displayName": f"LAPTOP-{index:05d}", "accountEnabled": True}


def _add_static_groups(population: Population, seed: int, users: int) -> None:
    dice = Random(f"{seed} groups")
    everyone = list(population.users)
    for number in range(min(max(users // 100, 3), 300)):
        name = f"Project {number:03d}"
        group = new_group(guid(seed, "group", name), name, unified=number % 3 == 2)
        members = population.members[_add_group(population, group)]
        members.update(dict.fromkeys(dice.sample(everyone, min(len(everyone), dice.randint(2, 40))), Kind.USER))
    admins = _add_group(population, new_group(guid(seed, "group", "Admins"), "Admins"))
    population.members[admins].update(dict.fromkeys(everyone[: max(1, min(25, users // 10))], Kind.USER))
    nested = _add_group(population, new_group(guid(seed, "group", "Technology"), "Technology"))
    by_name = {group["displayName"]: group_id for group_id, group in population.groups.items()}
    population.members[nested].update({by_name["Engineering"]: Kind.GROUP, by_name["IT"]: Kind.GROUP})
    population.members[nested][everyone[-1]] = Kind.USER
    mixed = _add_group(population, new_group(guid(seed, "group", "Kiosks"), "Kiosks & 'Robots' (日本)"))
    population.members[mixed].update(dict.fromkeys(population.devices, Kind.DEVICE))
    population.members[mixed].update(dict.fromkeys(list(population.service_principals)[:1], Kind.SERVICE_PRINCIPAL))
    population.members[mixed][everyone[len(everyone) // 2]] = Kind.USER
    _add_group(population, new_group(guid(seed, "group", "Empty"), "Empty"))


# Who gets what: application -> (group, role) pairs; "" is default access, which is no role of the application.
_GROUP_GRANTS = {
    "Fuze": (("All employees", "User"), ("Admins", "Admin")),
    "Fortes Change Cloud": (("Engineering", "User"), ("IT", "User"), ("IT", "Admin"), ("Project 000", "")),
    "PureCloud by Genesys": (("Support", "User"), ("Sales", "User"), ("Kiosks & 'Robots' (日本)", "User")),
    "Clarizen One": (("Project 000", "User"), ("Project 001", "User"), ("Project 002", "User"), ("Technology", "")),
    "Acme SCIM": (("Technology", "User"), ("Finance", "User"), ("Project 001", "msiam_access"), ("Empty", "Admin")),
    "Contoso Wiki": (("Legal", "User"), ("Marketing", "msiam_access")),
}


def _assign_everyone(population: Population, seed: int) -> None:
    group_ids = {group["displayName"]: group_id for group_id, group in population.groups.items()}
    for principal in population.service_principals.values():
        roles = {role["displayName"]: role["id"] for role in principal["appRoles"]} | {"": DEFAULT_ACCESS}
        for group_name, role in _GROUP_GRANTS.get(principal["displayName"], ()):
            _assign(population, principal["id"], group_ids[group_name], kind=Kind.GROUP, role_id=roles[role])
        if principal["displayName"] == "Unassigned App":
            continue
        dice = Random(f"{seed} assignments {principal['displayName']}")
        for user_id in dice.sample(list(population.users), max(2, min(500, len(population.users) // 20))):
            role = dice.choice(("User", "User", "Admin", "msiam_access", ""))
            _assign(population, principal["id"], user_id, kind=Kind.USER, role_id=roles[role])
    first, second = list(population.service_principals)[:2]
    _assign(population, first, second, kind=Kind.SERVICE_PRINCIPAL, role_id=DEFAULT_ACCESS)


def _assign(population: Population, resource_id: str, principal_id: str, *, kind: Kind, role_id: str) -> None:
    assignment_id = opaque_id(resource_id, principal_id, role_id)
    population.assignments[resource_id][assignment_id] = AppRoleAssignment(
        id=assignment_id,
        resource_id=resource_id,
        principal_id=principal_id,
        principal_kind=kind,
        app_role_id=role_id,
        created_at=CREATED_AT,
        granted=0,
    )
