"""PureCloud by Genesys: groups that must exist, soft deletion, versions, a rate limit per token, OAuth on another host.

Requirement ids G1 to G21. Where Genesys documents nothing, `PureCloudOptions` has a switch.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from scim2_models import Extension, Resource

from tests.simulation.vendors.exchange import Answer, Exchange, Refusal
from tests.simulation.vendors.filters import terms_of, with_quoted_values
from tests.simulation.vendors.login import Client, LoginServer
from tests.simulation.vendors.options import VendorOptions
from tests.simulation.vendors.purecloud_schema import (
    GENESYS_URN,
    SUPPORTED_USERS,
    GenesysEnterpriseUser,
    GenesysUser,
    refuse_bad_phones,
    refuse_bad_routing,
    with_authority,
    with_mirrored_email,
)
from tests.simulation.vendors.rules import Rule
from tests.simulation.vendors.simulator import VendorSimulator
from tests.simulation.vendors.storage import Json
from tests.simulation.vendors.tokens import Grant
from tests.simulation.vendors.writes import ENTERPRISE_URN, Touch

HIPAA_IDLE_S = 15 * 60.0
EXPENSIVE = frozenset({"externalid", "roles", "routingskills", "routinglanguages"})
_USER_FILTERS = frozenset(
    {"id", "username", "emails", "emails.value", "externalid", "active"}
    | {f"{ENTERPRISE_URN}:{name}".casefold() for name in ("manager", "manager.value", "division", "employeeNumber")}
    | {f"{GENESYS_URN}:externalIds.{sub}".casefold() for sub in ("authority", "value")}
)
_GROUP_FILTERS = frozenset({"id", "displayname"})
_SHORT_NAMES = re.compile(r"(?<![:\w.])(?P<name>email|manager|division|employeeNumber)(?=\s+eq\b)", re.IGNORECASE)
_WRITE_USER = frozenset(
    {
        *("authorization:grant:add", "authorization:grant:delete", "routing:skill:assign", "routing:language:assign"),
        "telephony:extension:assign",
    }
)
_RIGHTS = {
    ("Users", "POST"): _WRITE_USER | {"directory:user:add"},
    ("Users", "PUT"): _WRITE_USER | {"directory:user:edit", "directory:user:setPassword"},
    ("Users", "PATCH"): _WRITE_USER | {"directory:user:edit", "directory:user:setPassword"},
    ("Users", "DELETE"): frozenset({"directory:user:delete"}),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PureCloudOptions(VendorOptions):
    """What is assumed about PureCloud."""

    group_create_status: int = 405
    """Also plausible: 404, 501."""
    group_list_without_filter: str = "reject"
    """`reject`: 400 invalidValue on the versioned path; `list`: answered."""
    large_page_status: int | None = 429
    """Answer to a page above 25 with expensive attributes; None serves 25."""
    lookups_see_inactive: bool = True
    restore_on_create: bool = False
    """Whether a POST over a deleted account answers 201 with the old id instead of 409."""
    work_email_unique: bool = True
    deleted_readable: bool = False
    """Whether GET of a deleted account answers 200 with active false instead of 404."""
    version_quoted_in_meta: bool = False
    """Whether `meta.version` carries the quotes of the ETag header."""
    token_seconds: int = 86400
    hipaa: bool = False
    routing_skills: tuple[str, ...] = ("Sales", "Support")
    routing_languages: tuple[str, ...] = ("English", "German")
    version_mismatch_status: int = 400
    deleted_user_name: str = "conflict"
    soft_delete: bool = True
    check_members: bool = True
    default_page_size: int = 25
    max_page_size: int = 100
    rate_limit: int | None = 300
    rate_window_s: float = 60.0
    rate_retry_after: str = "window"


def limit_groups(sim: VendorSimulator, exchange: Exchange) -> Answer | None:
    """Refuses to create or delete a group (G1) and to list groups without a filter on the versioned path (G2)."""
    options = sim.options
    assert isinstance(options, PureCloudOptions)
    if exchange.endpoint != "Groups":
        return None
    if exchange.method in {"POST", "DELETE"}:
        sim.record.violate("G1", "group_create_or_delete_attempted", exchange.method, exchange)
        raise Refusal(options.group_create_status, "", "Groups are created and deleted in PureCloud.")
    if exchange.is_list and not exchange.query.get("filter") and not exchange.unversioned:
        sim.record.violate("G2", "groups_listed_without_filter", "", exchange)
        if options.group_list_without_filter == "reject":
            raise Refusal(400, "invalidValue", "filter is required.")
    return None


def limit_filters(sim: VendorSimulator, exchange: Exchange) -> Answer | None:
    """Reads the vendor's short names and bare values, and refuses what cannot be filtered (G3)."""
    if not exchange.is_list or not exchange.query.get("filter"):
        return None
    text = _SHORT_NAMES.sub(_long_name, with_quoted_values(exchange.query["filter"]))
    exchange.query["filter"] = text
    terms = terms_of(text)
    allowed = _GROUP_FILTERS if exchange.endpoint == "Groups" else _USER_FILTERS
    if terms is None or any(term.key not in allowed or term.op != "eq" for term in terms):
        sim.record.violate("G3", "filter_not_supported", text.partition(" ")[0], exchange)
        raise Refusal(400, "invalidFilter", "This filter is not supported.")
    return None


def _long_name(match: re.Match[str]) -> str:
    name = match["name"]
    if name.casefold() == "email":
        return "emails.value"
    return f"{ENTERPRISE_URN}:{name}{'.value' if name.casefold() == 'manager' else ''}"


def limit_pages(sim: VendorSimulator, exchange: Exchange) -> Answer | None:
    """Refuses a page above 25 that carries expensive attributes (G5)."""
    options = sim.options
    assert isinstance(options, PureCloudOptions)
    count = exchange.query.get("count", "")
    if not exchange.is_list or not count.isdigit() or int(count) <= 25:
        return None
    excluded = {_short(each) for each in exchange.query.get("excludedAttributes", "").split(",")}
    chosen = {_short(each) for each in exchange.query.get("attributes", "").split(",") if each}
    if excluded >= EXPENSIVE or (chosen and not chosen & EXPENSIVE):
        return None
    sim.record.violate("G5", "large_page_with_expensive_attributes", count, exchange)
    if options.large_page_status is not None:
        raise Refusal(options.large_page_status, "", "The page is too large.", headers={"Retry-After": "1"})
    exchange.query["count"] = "25"
    return None


def _short(attribute: str) -> str:
    return attribute.strip().rpartition(":")[2].casefold()


def refuse_read_only(sim: VendorSimulator, exchange: Exchange) -> Answer | None:
    """Refuses a write of groups, meta or id (G14)."""
    for touch in exchange.touches if exchange.endpoint == "Users" else ():
        if not touch.urn and touch.name.casefold() in {"groups", "meta", "id"}:
            sim.record.violate("G14", "read_only_attribute_written", touch.label, exchange)
            raise Refusal(400, "mutability", f"{touch.name} is read-only.")
    return None


def require_names(sim: VendorSimulator, exchange: Exchange) -> Answer | None:
    """Refuses a new account without userName or displayName (G9)."""
    if exchange.endpoint != "Users" or exchange.method != "POST":
        return None
    given = {touch.path for touch in exchange.touches if touch.value}
    for name in ("userName", "displayName"):
        if name.casefold() not in given:
            sim.record.violate("G9", "required_attribute_missing", name, exchange)
            raise Refusal(400, "invalidValue", f"{name} is required.")
    return None


def restore_on_create(sim: VendorSimulator, exchange: Exchange) -> Answer | None:
    """Creates over a deleted account under its old id, where the option says so (G10)."""
    options = sim.options
    assert isinstance(options, PureCloudOptions)
    if exchange.endpoint != "Users" or exchange.method != "POST" or not options.restore_on_create:
        return None
    names = {str(touch.value).casefold() for touch in exchange.touches if touch.path == "username"}
    for resource_id, deleted in list(sim.storage.deleted.items()):
        if str(getattr(deleted, "user_name", "")).casefold() in names:
            del sim.storage.deleted[resource_id]
            sim.storage.next_id = resource_id
            sim.record.notice("G10", "deleted_account_restored", resource_id, exchange)
    return None


def revive_deleted(sim: VendorSimulator, exchange: Exchange) -> Answer | None:
    """Brings a deleted account back without its roles when a write sets active to true (G11)."""
    options = sim.options
    assert isinstance(options, PureCloudOptions)
    if exchange.endpoint != "Users" or exchange.resource_id not in sim.storage.deleted:
        return None
    if exchange.method == "GET" and options.deleted_readable:
        body = {**sim.storage.deleted[exchange.resource_id].model_dump(), "active": False}
        return Answer(status=200, body=body, headers={"Content-Type": "application/scim+json"})
    activates = any(touch.path == "active" and touch.value is True for touch in exchange.touches)
    if exchange.method in {"PUT", "PATCH"} and activates:
        sim.storage.restore(exchange.resource_id, _without_roles)
        sim.record.notice("G11", "deleted_account_revived_without_roles", exchange.resource_id, exchange)
    return None


def _without_roles(resource: Resource[Any]) -> None:
    resource.roles = None  # type: ignore[attr-defined]


class PureCloudSimulator(VendorSimulator):
    """One PureCloud region: an API server and, on a port of its own, the login server."""

    name: ClassVar[str] = "purecloud"
    base_path: ClassVar[str] = "/api/v2/scim/v2"
    alias_paths: ClassVar[tuple[str, ...]] = ("/api/v2/scim",)
    strong_versions: ClassVar[bool] = True
    rate_per_token: ClassVar[bool] = True
    rate_rule: ClassVar[str] = "G6"
    rate_ceiling: ClassVar[int | None] = 300
    member_rule: ClassVar[str] = "G16"
    supported_users: ClassVar[tuple[str, ...] | None] = SUPPORTED_USERS
    supported_groups: ClassVar[tuple[str, ...] | None] = ("displayName", "externalId", "members")
    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(id="G1", check=limit_groups),
        Rule(id="G3", check=limit_filters),
        Rule(id="G5", check=limit_pages),
        Rule(id="G14", check=refuse_read_only),
        Rule(id="G9", check=require_names),
        Rule(id="G10", check=restore_on_create),
        Rule(id="G11", check=revive_deleted),
    )
    options_type: ClassVar[type[VendorOptions]] = PureCloudOptions
    options: PureCloudOptions

    def __init__(
        self, *, options: PureCloudOptions | None = None, clock: Callable[[], float] | None = None, seed: int = 0
    ) -> None:
        super().__init__(options=options, clock=clock, seed=seed)
        self.login = LoginServer(clock=self.clock, issue=self._issued)
        self._login_port = 0
        self.client_id = f"purecloud-client-{seed}"
        self.client_secret = self.add_client(self.client_id)

    def _start_empty(self) -> None:
        super()._start_empty()
        self.storage.selects = self._listed
        self.storage.quoted_versions = self.options.version_quoted_in_meta

    def add_client(self, client_id: str, *, rights: frozenset[str] | None = None) -> str:
        """Registers an OAuth client whose roles carry these rights (None: all) and answers with its secret."""
        secret = f"secret-of-{client_id}"
        self.login.clients[client_id] = Client(client_id=client_id, client_secret=secret, rights=rights)
        return secret

    def _issued(self, client: Client) -> tuple[str, int]:
        now = self.clock.now()
        token = self.tokens.issue(
            client.client_id,
            expires_at=now + self.options.token_seconds,
            rights=client.rights,
            idle_limit_s=HIPAA_IDLE_S if self.options.hipaa else None,
            used_at=now,
        )
        return token, self.options.token_seconds

    def kept_beside(self) -> Json:
        """Answers with the port of the login server; clients are made from the seed."""
        return {"login_port": self.login.port}

    def take_up_beside(self, kept: Json) -> None:
        """Starts the login server where it was."""
        self._login_port = kept["login_port"]

    def start(self, port: int = 0, login_port: int = 0) -> str:
        """Starts the API server and the login server, and answers with the SCIM base URL."""
        self.login.start(login_port or self._login_port)
        return super().start(port)

    def stop(self) -> None:
        """Stops both servers."""
        self.login.stop()
        super().stop()

    @property
    def login_url(self) -> str:
        """Answers with the URL that hands out tokens."""
        return self.login.token_url

    def extensions(self) -> tuple[type[Extension], ...]:
        """Answers with the enterprise extension and PureCloud's own."""
        return (GenesysEnterpriseUser, GenesysUser)

    def unsupported_rule(self, touch: Touch) -> str:
        """Answers G18 for the attributes people expect and PureCloud does not have."""
        expected = {"name", "costcenter", "organization"}
        return "G18" if touch.name.casefold() in expected else "C5"

    def authorize(self, exchange: Exchange) -> None:
        """Refuses what the client's roles do not allow (G21)."""
        grant: Grant | None = exchange.grant
        rights = grant.rights if grant else None
        needed = _RIGHTS.get((exchange.endpoint, exchange.method), frozenset())
        if exchange.endpoint == "Groups":
            needed = frozenset({"directory:group:edit"})
        if rights is not None and needed and not rights & needed:
            self.record.notice("G21", "right_missing", f"{exchange.method} {exchange.endpoint}", exchange)
            raise Refusal(403, "", "The client's roles lack a permission.")

    def _listed(self, resource: Resource[Any], filter_text: str) -> bool:
        """Answers whether a list shows an account: without a filter only active ones (G4)."""
        if getattr(resource, "active", True) is not False or "active" in filter_text.casefold():
            return True
        return bool(filter_text) and self.options.lookups_see_inactive

    def commit(self, resource_type: str, before: Json | None, after: Json) -> Json:
        """Keeps e-mails, phones, routing and externalIds the way PureCloud does (G10, G12, G13, G15)."""
        if resource_type != "User":
            return after
        try:
            refuse_bad_phones(after)
            refuse_bad_routing(after, skills=self.options.routing_skills, languages=self.options.routing_languages)
            final = with_mirrored_email(before, after)
        except Refusal as refusal:
            self.record.violate("G12-G15", "value_refused", refusal.detail)
            raise
        if self.options.work_email_unique:
            self._refuse_taken_email(before, final)
        return with_authority(final)

    def _refuse_taken_email(self, before: Json | None, after: Json) -> None:
        held = {str(each.get("value", "")).lower() for each in (before or {}).get("emails") or []}
        for each in after.get("emails") or []:
            email = str(each.get("value", ""))
            if email.lower() not in held and self.storage.holders(email) - {str(after.get("id"))}:
                raise Refusal(409, "uniqueness", "The e-mail address is in use.")
