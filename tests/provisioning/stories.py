"""Stories about people and their accounts, told on the real code, and the end state every one of them must have.

A story may be told while the process dies at a durable write, while storage answers wrongly, or while the vendor does.
Whatever happened: once all is quiet, the vendor holds what the directory and the profile say, the rows say so too, and
nothing of the way there is left over.
"""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from collections.abc import Set as AbstractSet
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

from shared.composition import Services
from shared.config.applications import Application
from shared.provisioning.accounts import (
    ACCOUNTS,
    Account,
    AccountState,
    ResourceKind,
    match_key,
    read_account,
    target_key,
)
from shared.provisioning.attempt import Outcome
from shared.provisioning.planning import UNKNOWN_VALUE
from shared.rules.expressions import EvaluationContext
from shared.rules.mapping import MappedAccount, compile_mappings, map_account
from shared.scim.patching import read_attribute
from shared.storage.durable_writes import Observer, unobserved
from shared.storage.queues import Message
from shared.storage.tables import StorageUnavailable
from tests.provisioning.crash_points import Killed
from tests.provisioning.group_findings import GroupFindings
from tests.provisioning.vendor_calls import observe_vendor_calls
from tests.simulation.tenant import Tenant
from tests.simulation.vendors import AcmeSimulator, VendorSimulator
from tests.simulation.vendors.options import ExternalId, VendorOptions
from tests.world import HandClock, Queued, World, minimal_configuration, open_world

APP = "acme"
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
TICK_S = 60.0
TICKS = 40
ROUNDS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenery:
    """What a story needs of the world it is told in."""

    options: VendorOptions = field(default_factory=VendorOptions)
    more: str = ""
    guard: str = "{max_count: 1000, max_percent: 100, min_population: 100000}"
    environment: Mapping[str, str] = field(default_factory=dict)
    page_size: int = 100
    role: str = "User"


@dataclass(slots=True, kw_only=True)
class Stage:
    """A world in which stories are told, one after the other, each about people of its own."""

    world: World
    tenant: Tenant
    acme: VendorSimulator
    service_principal: str
    role: str
    app: str = APP
    observer: Observer | None = None
    """What `begin` switches on."""
    prepare: Callable[[Stage], None] = lambda _: None
    """Called for every new process: puts doubles in place."""
    respawn: Callable[[], Observer] = lambda: unobserved
    """The observer of the process that follows one that died."""
    redelivery_s: float = 0.0
    """When the platform delivers the message of a process that died."""
    deaths: int = 0
    synced: tuple[int, int] = (-1, 0)
    """Directory change and death up to which the sync has come."""
    delivered: int = 0
    people: list[str] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)
    unseen: frozenset[str] = frozenset()
    """Paths that this vendor does not keep."""
    foreign: dict[str, str] = field(default_factory=dict)
    """Accounts at the vendor that are nobody's business: id -> version."""
    outcomes: list[Outcome] = field(default_factory=list)
    dice: Random = field(default_factory=lambda: Random(7))

    # The process

    def start(self, observer: Observer = unobserved) -> None:
        """A new process with nothing in memory."""
        connected = self.world.services.__dict__.get("graph")
        self.world.restart(observer)
        if connected is not None:
            # It remembers nothing, and building one costs more than a story.
            self.world.services.__dict__["graph"] = connected
        tame(self.world.services)
        if observer is not unobserved:
            observe_vendor_calls(self.world.services, observer)
        self.prepare(self)

    def begin(self) -> None:
        """From here on it counts: the observer watches, or kills."""
        self.start(self.observer or unobserved)

    def task(self) -> dict[str, Any]:
        """What another process needs to do this one's work."""
        services = self.world.services
        return {
            "environment": dict(services.settings.environment),
            "prefix": services._table_prefix,
            "elapsed": self.world.clock.elapsed,
        }

    async def attempt(self, action: Callable[[], Awaitable[Any]]) -> Any:
        """What the action answers; None when the process died in it, or storage did not answer."""
        try:
            return await action()
        except Killed:
            self.deaths += 1
            self.start(self.respawn())
        except StorageUnavailable:
            pass
        return None

    # What happens by itself

    async def tick(self) -> str:
        """One run of the sync; what it came to."""
        report = await self.attempt(self.world.sync)
        return report.outcome if report is not None else "died"

    async def sync(self) -> None:
        """The timer runs until the directory is read to its end."""
        for _ in range(TICKS):
            number = self.tenant.number
            outcome = await self.tick()
            if outcome in ("nothing new", "pulled"):
                self.synced = (number, self.deaths)
                return
            self.world.clock.advance(TICK_S)
        raise AssertionError("the sync does not come to rest")

    async def deliver_one(self) -> bool:
        """Deliver one visible message; a message whose function died or raised comes back."""
        queued = self.world.queues.take()
        if queued is None:
            return False
        self.delivered += 1
        await self.handle(queued)
        return True

    async def handle(self, queued: Queued) -> None:
        """Run the consumer on a message."""
        reconciler = self.world.services.reconciler
        outcome = await self.attempt(lambda: reconciler.provision(queued.message, first=queued.first))
        if outcome is None:
            back_at = self.world.clock.elapsed + self.redelivery_s
            self.world.queues.waiting.append(Queued(back_at, queued.first, queued.message))
        else:
            self.outcomes.append(outcome)

    async def deliver(self) -> None:
        """Deliver everything that is visible now."""
        for _ in range(500):
            if not await self.deliver_one():
                return
        raise AssertionError("messages multiply")

    async def keep_house(self) -> bool:
        """One run of housekeeping; whether it came to its end."""
        return await self.attempt(self.world.services.housekeeper.keep_house) is not None

    async def settle(self) -> None:
        """Time passes, timers run, messages come back, until all has been quiet twice."""
        quiet = 0
        for _ in range(ROUNDS):
            if self.synced != (self.tenant.number, self.deaths):
                await self.sync()
            await self.deliver()
            waiting = self.world.queues.waiting
            if waiting:
                ahead = min(queued.due for queued in waiting) - self.world.clock.elapsed
                self.world.clock.advance(max(ahead, 0.01))
                continue
            self.world.clock.advance(1000.0)
            ended = await self.keep_house()
            quiet = quiet + 1 if ended and not self.world.queues.waiting else 0
            if quiet == 2:
                return
        raise AssertionError("no rest: " + ", ".join(str(outcome) for outcome in self.outcomes[-5:]))

    async def pass_time(self, seconds: float) -> None:
        """Only the clock moves."""
        self.world.clock.advance(seconds)

    # What people do

    def hire(self, *, assigned: bool = True, **properties: Any) -> str:
        """Somebody joins, and is assigned to the application."""
        user_id = self.tenant.hire(**{"accountEnabled": True, **properties})
        self.tenant.set_manager(user_id, None)
        self.people.append(user_id)
        if assigned:
            self.assign(user_id)
        return user_id

    def assign(self, user_id: str) -> None:
        """Grant the application."""
        self.tenant.assign(self.service_principal, user_id, self.role)

    def unassign(self, user_id: str) -> None:
        """Revoke the grant."""
        self.tenant.unassign(self.service_principal, user_id, self.role)

    async def provisioned(self, **properties: Any) -> str:
        """Somebody who has an account already."""
        user_id = self.hire(**properties)
        await self.sync()
        await self.settle()
        return user_id

    def form(self, *members: str, name: str = "", assigned: bool = True) -> str:
        """A group is made, and assigned to the application."""
        group_id = self.tenant.create_group(name or f"Group {len(self.groups)}-{self.tenant.number}", members=members)
        self.groups.append(group_id)
        if assigned:
            self.assign(group_id)
        return group_id

    async def provisioned_group(self, *members: str) -> str:
        """A group that exists at the vendor already."""
        group_id = self.form(*members)
        await self.sync()
        await self.settle()
        return group_id

    def rename(self, user_id: str, alias: str) -> None:
        """Somebody gets another user name; their alias, and so the externalId, stays."""
        self.tenant.update(user_id, userPrincipalName=f"{alias}@contoso.example", mail=f"{alias}@contoso.example")

    def name_of(self, user_id: str) -> str:
        """The alias in somebody's user name."""
        return str(self.tenant.user(user_id)["userPrincipalName"]).partition("@")[0]

    def seed_foreign(self, user_name: str, *, external_id: str | None = "somebody-else") -> str:
        """An account that was there before and is nobody's business."""
        resource = {"userName": user_name, "active": True, **({"externalId": external_id} if external_id else {})}
        [target_id] = self.acme.seed([resource])
        self.foreign[target_id] = self._version(target_id)
        return target_id

    def vanish(self, target_id: str, endpoint: str = "Users") -> None:
        """Somebody deletes an account at the vendor, behind our back."""
        answer = self.acme.core.answer(
            "DELETE", f"/{endpoint}/{target_id}", base_url=self.acme.base_url, query={}, headers=[], body=b""
        )
        assert int(answer.status) == 204

    def _version(self, target_id: str) -> str:
        found = self.resource(target_id)
        return str(found["meta"]["version"]) if found else "gone"

    def resource(self, target_id: str) -> dict[str, Any] | None:
        """An account at the vendor, by id."""
        return next((found for found in self.acme.resources() if found["id"] == target_id), None)

    # What is true in the end

    @property
    def application(self) -> Application:
        """The application's configuration."""
        return self.world.services.applications[self.app]

    def mapped(self, user_id: str) -> MappedAccount:
        """What the profile makes of the tenant's own view of somebody."""
        context = EvaluationContext(now=datetime.now(UTC), random=Random(1), new_guid=lambda: "", roles=())
        mappings = compile_mappings(self.application.users, self.application.roles)
        return map_account(mappings, self.tenant.user(user_id), context=context, soft_deleted=False)

    def should_be_active(self, user_id: str) -> bool:
        """The oracle."""
        if user_id not in self.tenant.users or self.tenant.user(user_id).get("accountEnabled") is False:
            return False
        return user_id in self.tenant.effective_users(self.service_principal, exclude_default_access=True)

    def is_purged(self, user_id: str) -> bool:
        """Whether somebody is gone for good."""
        return user_id not in self.tenant.users and user_id not in self.tenant.deleted_users

    async def account(self, user_id: str) -> Account:
        """Somebody's row."""
        return await self.world.account(self.app, user_id)

    async def keys(self, prefix: str) -> dict[str, str]:
        """Index rows of a kind: key -> the account row they point to."""
        rows = await self.world.services.tables.read_range(ACCOUNTS, self.app, first=f"{prefix}:", before=f"{prefix};")
        return {row.key: str(row.values.get("account", "")) for row in rows}

    async def findings(self, *, settled: bool = True, excused: AbstractSet[str] = frozenset()) -> list[str]:
        """Everything that is not as it must be. Empty is good.

        `settled` False judges only what must hold at every moment; of who is `excused` nothing is asked.
        """
        accounts = await self._accounts()
        found = self._index_findings(accounts, await self.keys("target:user"))
        found += [
            f"a foreign account was written: {key}" for key in self.foreign if self._version(key) != self.foreign[key]
        ]
        if not settled:
            return found
        found += [f"left over: {key} of {owner}" for key, owner in (await self.keys("match")).items()]
        found += [f"left over: {key}" for key in await self.keys("staged")]
        for user_id in self.people:
            if user_id in excused:
                continue
            account = accounts.get(user_id)
            found += [f"{user_id[:8]}: {text}" for text in self._person_findings(user_id, account)]
            if self.should_be_active(user_id):
                found += self._manager_findings(user_id, accounts)
        found += await GroupFindings(self).all(accounts)
        linked = {account.target_id for account in accounts.values() if account.target_id}
        strays = {str(each["id"]) for each in self.acme.resources()} - linked - set(self.foreign)
        found += [f"an account at the vendor that no row knows: {self._described(key)}" for key in sorted(strays)]
        return found

    def _described(self, target_id: str) -> str:
        found = self.resource(target_id) or {}
        return f"{found.get('userName')} externalId={found.get('externalId')} active={found.get('active')}"

    async def _accounts(self) -> dict[str, Account]:
        rows = await self.world.services.tables.read_range(ACCOUNTS, self.app, first="user:", before="user;")
        accounts = (
            read_account(row, application=self.app, kind=ResourceKind.USER, source_id=row.key.removeprefix("user:"))
            for row in rows
        )
        return {account.source_id: account for account in accounts}

    def _index_findings(self, accounts: Mapping[str, Account], targets: Mapping[str, str]) -> list[str]:
        wanted = {
            target_key(account.kind, account.target_id): account.key
            for account in accounts.values()
            if account.target_id
        }
        found = [f"index says {key} is of {owner}" for key, owner in targets.items() if wanted.get(key) != owner]
        found += [f"{owner} is linked but {key} is missing" for key, owner in wanted.items() if key not in targets]
        doubled = len([a for a in accounts.values() if a.target_id]) - len(wanted)
        return [*found, *([f"{doubled} accounts are linked twice"] if doubled else [])]

    def _person_findings(self, user_id: str, account: Account | None) -> list[str]:
        active = self.should_be_active(user_id)
        if account is None or not account.wanted:
            return ["no row"] if active else []
        found = row_findings(account)
        resource = self.resource(account.target_id) if account.target_id else None
        if account.target_id and resource is None:
            found.append("linked to an account that is not there")
        if active:
            found += self._active_findings(user_id, account, resource)
        elif self.is_purged(user_id):
            found += [] if account.state in (AccountState.DELETED, AccountState.SKIPPED) else [f"state {account.state}"]
            found += ["the account of a purged person is there"] if resource else []
        else:
            expected = AccountState.DISABLED if account.target_id else AccountState.SKIPPED
            found += [] if account.state is expected else [f"left, and state {account.state}"]
            found += ["LEAVER ACTIVE"] if resource and resource.get("active", True) else []
        if account.sent is not None and resource is not None:
            found += [
                f"sent {path}={value!r}, there is {read_attribute(resource, path)!r}"
                for path, value in account.sent.items()
                if path not in self.unseen and not _same(read_attribute(resource, path), value)
                if value != UNKNOWN_VALUE
            ]
        return found

    def _active_findings(self, user_id: str, account: Account, resource: Mapping[str, Any] | None) -> list[str]:
        found = [] if account.state is AccountState.IN_SYNC else [f"state {account.state} {account.error_code}"]
        if resource is None:
            return [*found, "no account"]
        mapped = self.mapped(user_id)
        targets = {mapping.target for mapping in self.application.users.mappings} - set(mapped.references)
        for path in sorted(targets - self.unseen - mapped.kept - {f"{ENTERPRISE}:manager"}):
            there, wanted = read_attribute(resource, path), mapped.attributes.get(path)
            if not _same(there, wanted):
                found.append(f"{path} should be {wanted!r}, is {there!r}")
        return found

    def _manager_findings(self, user_id: str, accounts: Mapping[str, Account]) -> list[str]:
        """A manager is the manager's account, wherever there is one."""
        manager = accounts.get(self.tenant.manager_of(user_id) or "")
        wanted = manager.target_id if manager is not None else ""
        account = accounts.get(user_id)
        resource = self.resource(account.target_id) if account is not None else None
        there = ((resource or {}).get(ENTERPRISE) or {}).get("manager") or {}
        if there.get("value", "") == wanted:
            return []
        return [f"{user_id[:8]}: the manager should be {wanted!r}, is {there.get('value')!r}"]


def row_findings(account: Account) -> list[str]:
    """What a row that is at rest must not say."""
    leftovers = {
        "pending": account.pending,
        "intent": account.intent,
        "lease": account.lease_token,
        "staged": account.staged,
        "permit": account.permit,
        "error": account.error_code,
        "attempts": account.attempts,
        "missed_at": account.missed_at,
        "waking": account.waking,
    }
    found = [f"{name} is {value!r}" for name, value in leftovers.items() if value]
    return (
        found if account.wanted == account.applied else [*found, f"{account.wanted} wanted, {account.applied} applied"]
    )


def _same(there: Any, wanted: Any) -> bool:
    return (there or None) == (wanted or None) if not isinstance(wanted, bool) else there is wanted


def tame(services: Services) -> None:
    """The same waits in every run."""
    reconciler = services.reconciler
    reconciler.jitter = reconciler.failures.jitter = reconciler.saves.jitter = lambda: 0.5


async def raised_while_sending(stage: Stage, change: Callable[[], None]) -> None:
    """A consumer is at the vendor while the directory changes and the puller raises the row."""
    reconciler = stage.world.services.reconciler
    exporter = reconciler.exporter
    send = exporter.send

    async def slow_send(attempt):
        answer = await send(attempt)
        exporter.send = send
        change()
        await stage.world.services.puller.pull()
        return answer

    exporter.send = slow_send
    await stage.deliver_one()


def reservation_of(user_name: str) -> str:
    """The row that reserves a user name."""
    return match_key(ResourceKind.USER, user_name)


def message_about(user_id: str, *, app: str = APP) -> Message:
    """A message such as the puller sends."""
    return Message(app=app, kind="user", id=user_id)


@asynccontextmanager
async def open_stage(azurite: str, scenery: Scenery | None = None, *, in_memory: bool = True):
    """A world with one vendor and an application that nobody is assigned to yet."""
    scenery = scenery or Scenery()
    tenant = Tenant(1, 2)
    service_principal = tenant.create_service_principal("Stories")
    clock = HandClock()
    acme = AcmeSimulator(options=scenery.options, clock=lambda: clock.now().timestamp())

    def configure(vendors: Mapping[str, Any], _: Tenant) -> str:
        text = minimal_configuration(APP, vendors[APP], service_principal, more=scenery.more)
        return text.replace("{max_count: 1000, max_percent: 100, min_population: 0}", scenery.guard)

    with tempfile.TemporaryDirectory() as folder:
        async with open_world(
            Path(folder),
            azurite=azurite,
            prefix=f"t{secrets.token_hex(5)}",
            tenant=tenant,
            vendors={APP: acme},
            configure=configure,
            clock=clock,
            environment=scenery.environment,
            page_size=scenery.page_size,
            in_memory=in_memory,
        ) as world:
            stage = Stage(
                world=world,
                tenant=tenant,
                acme=acme,
                service_principal=service_principal,
                role=tenant.role_id_of(service_principal, scenery.role),
                unseen=frozenset({"externalId"} if scenery.options.external_id is not ExternalId.kept else ()),
            )
            stage.start()
            await stage.settle()
            yield stage
