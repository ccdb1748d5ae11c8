"""A simulated vendor: scim2-server as the SCIM core, the vendor's rules around it, and a record of all that happened.

One request goes: rate meter, journal, faults, token, rate limit, request rules, SCIM core (whose storage calls the
vendor's commit rule), shaping of the answer. Everything from the request rules to the core runs under the storage's
lock, so a vendor decides on one write at a time.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from typing import Any, ClassVar

from scim2_models import Extension

from tests.simulation.vendors.clock import Clock
from tests.simulation.vendors.control import Control
from tests.simulation.vendors.core import ScimCore, VendorEnterpriseUser
from tests.simulation.vendors.exchange import Answer, Delivery, Exchange, Refusal, Request
from tests.simulation.vendors.faulting import carried_out_with_faults
from tests.simulation.vendors.faults import FaultKind, Faults
from tests.simulation.vendors.http_server import HttpServer
from tests.simulation.vendors.journal import Finding, JournalEntry, PrivilegeChange, Record, without_secrets
from tests.simulation.vendors.options import IdShape, PatchAnswer, VendorOptions
from tests.simulation.vendors.rate_meter import RateMeter
from tests.simulation.vendors.rules import Rule, Supported, rewritten
from tests.simulation.vendors.serving import bearer_of, carried_out, committed, opened_at, value_at
from tests.simulation.vendors.storage import Json, VendorStorage
from tests.simulation.vendors.tokens import Tokens
from tests.simulation.vendors.writes import Touch, touches_of

DELAY_S = 0.05
"""A request may be this late on its way on a busy machine. That is not its sender's pace, so the window by which a
violation is judged is that much shorter. What is enforced is counted by the vendor's own clock."""


class VendorSimulator:
    """One vendor tenant. Subclasses name its rules; `options` holds what is assumed about it."""

    name: ClassVar[str] = "vendor"
    base_path: ClassVar[str] = "/scim/v2"
    alias_paths: ClassVar[tuple[str, ...]] = ()
    groups: ClassVar[bool] = True
    strong_versions: ClassVar[bool] = False
    supported_users: ClassVar[tuple[str, ...] | None] = None
    """Rows as the vendor documents them; None supports whatever its schemas declare."""
    supported_groups: ClassVar[tuple[str, ...] | None] = None
    privileges: ClassVar[tuple[str, ...]] = ()
    """Attribute keys whose changes are written to `privilege_changes`."""
    member_rule: ClassVar[str] = "C8"
    rules: ClassVar[tuple[Rule, ...]] = ()
    """The vendor's own request rules; they come before the shared ones."""
    schemas_rule: ClassVar[str] = "C5"
    no_groups_rule: ClassVar[str] = "C8"
    rate_per_token: ClassVar[bool] = False
    rate_rule: ClassVar[str] = "C6"
    rate_ceiling: ClassVar[int | None] = None
    """Requests per window a correct client keeps to even where `options.rate_limit` enforces nothing."""
    options_type: ClassVar[type[VendorOptions]] = VendorOptions

    def __init__(
        self, *, options: VendorOptions | None = None, clock: Callable[[], float] | None = None, seed: int = 0
    ) -> None:
        self.options = options if options is not None else self.options_type()
        self.clock = Clock(clock)
        self.faults = Faults()
        self.tokens = Tokens()
        self.token = self.tokens.issue("primary", used_at=self.clock.now())
        self.record = Record(self.clock)
        self._late: list[Callable[[], None]] = []
        self._seed = seed
        self.decoys: dict[str, set[str]] = {}
        self.per_second = RateMeter(1.0)
        self.window = RateMeter(self.options.rate_window_s)
        self.pace = RateMeter(self.options.rate_window_s - DELAY_S)
        self._start_empty()
        self._http = HttpServer(self.respond)
        self._control = Control(self)
        self._origin = ""

    def _start_empty(self) -> None:
        extensions = self.extensions()
        self.storage = VendorStorage(
            self.options,
            now=self.clock.datetime,
            seed=f"{self.name}:{self._seed}",
            strong_versions=self.strong_versions,
        )
        self.storage.commit = lambda name, before, after: committed(self, name, before, after)
        self.storage.id_shape = self._id_shape
        self.core = ScimCore(self.options, self.storage, extensions=extensions, groups=self.groups)
        self.urns = tuple(str(each.__schema__) for each in extensions)
        self.booleans = self.core.booleans()
        declared = self.core.attributes()
        self._supported = {
            "User": Supported.of(self.user_rows(), urns=self.urns) if self.user_rows() else Supported(declared, {}),
            "Group": (
                Supported.of(self.supported_groups, urns=self.urns)
                if self.supported_groups
                else Supported(declared, {})
            ),
        }

    # -- what a vendor overrides

    def extensions(self) -> tuple[type[Extension], ...]:
        """Answers with the extension schemas of User."""
        return (VendorEnterpriseUser,)

    def user_rows(self) -> tuple[str, ...]:
        """Answers with the supported user attributes, empty for all."""
        return self.supported_users or ()

    def unsupported_rule(self, touch: Touch) -> str:
        """Answers with the requirement id under which an unsupported attribute is recorded."""
        return "C5"

    def commit(self, resource_type: str, before: Json | None, after: Json) -> Json:
        """Answers with what is stored when an account changes from `before` to `after`; may raise Refusal."""
        return after

    def authorize(self, exchange: Exchange) -> None:
        """Refuses a request whose token lacks a right."""

    def enforced_rate(self) -> int | None:
        """Answers with the requests per window the vendor serves, None for any number."""
        return self.options.rate_limit

    def ceiling(self) -> int | None:
        """Answers with the requests per window a correct client keeps to, whether or not the vendor enforces it."""
        return self.options.rate_limit if self.options.rate_limit is not None else self.rate_ceiling

    def throttled(self, exchange: Exchange) -> Answer:
        """Answers a request above the rate limit."""
        return Refusal(429, "", "Too many requests.", headers=self.retry_after(exchange)).answer()

    def retry_after(self, exchange: Exchange) -> dict[str, str]:
        """Answers with the Retry-After header of a refused request."""
        wanted = self.options.rate_retry_after
        if wanted == "window":
            limit = self.enforced_rate() or 1
            wanted = str(
                math.ceil(self.window.frees_in(exchange.arrived_at, self.rate_key(exchange), limit=limit)) or 1
            )
        return {"Retry-After": wanted} if wanted else {}

    def rate_key(self, exchange: Exchange) -> str:
        """Answers with what the rate limit is counted by."""
        return bearer_of(exchange) if self.rate_per_token else ""

    @property
    def kept_as(self) -> str:
        """Answers with the name under which this tenant is kept across restarts."""
        return self.name

    def kept_beside(self) -> Json:
        """Answers with what else a restart must not lose, as JSON."""
        return {}

    def take_up_beside(self, kept: Json) -> None:
        """Takes up what `kept_beside` answered in an earlier process."""

    # -- running

    def start(self, port: int = 0) -> str:
        """Starts listening on 127.0.0.1 and answers with the SCIM base URL."""
        self._origin = self._http.start(port)
        return self.base_url

    def stop(self) -> None:
        """Stops listening, ends every held answer and closes every connection. Idempotent; accounts stay readable."""
        self.faults.clear()
        self._http.stop()

    @property
    def origin(self) -> str:
        """Answers with `http://127.0.0.1:port`, empty before `start`."""
        return self._origin

    @property
    def port(self) -> int:
        """Answers with the port it listens on, or listened on last; 0 before `start`."""
        return int(self._origin.rpartition(":")[2] or 0)

    @property
    def base_url(self) -> str:
        """Answers with the SCIM base URL."""
        return self._origin + self.base_path

    def __enter__(self) -> VendorSimulator:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    # -- what tests read

    @property
    def journal(self) -> list[JournalEntry]:
        """Answers with every request so far, oldest first."""
        return self.record.journal.rows()

    @property
    def violations(self) -> list[Finding]:
        """Answers with every rule broken so far: things no correct client does."""
        return self.record.violations.rows()

    @property
    def notices(self) -> list[Finding]:
        """Answers with what is worth knowing but may happen to a correct client."""
        return self.record.notices.rows()

    @property
    def privilege_changes(self) -> list[PrivilegeChange]:
        """Answers with every change of an attribute that gives or takes rights."""
        return self.record.privilege_changes.rows()

    @property
    def peak_rate(self) -> int:
        """Answers with the most requests that ever arrived within one second."""
        return self.per_second.peak

    def resources(self, resource_type: str = "User") -> list[Json]:
        """Answers with all accounts, inactive ones included; `_deleted` is true on the soft-deleted."""
        return self.storage.all(resource_type)

    def seed(self, resources: Iterable[Json], *, resource_type: str = "User") -> list[str]:
        """Stores accounts that were there before any client, past all rules, and answers with their ids."""
        model = self.core.model(resource_type)
        with self.core.provider:
            return [self.storage.put(resource_type, model.model_validate(each)) for each in resources]

    def reset(self) -> None:
        """Forgets accounts, journal, findings, faults and rates; tokens and the clock stay."""
        self.faults.clear()
        self._late.clear()
        self.decoys.clear()
        self.record.clear()
        self.per_second.reset()
        self.window.reset()
        self.pace.reset()
        self._start_empty()

    def release_late_writes(self) -> int:
        """Carries out the writes whose connection was dropped, in order, and answers with how many."""
        late, self._late = self._late, []
        for land in late:
            land()
        return len(late)

    # -- what rules use

    def supports(self, resource_type: str, touch: Touch) -> bool:
        """Answers whether the vendor has an attribute. What every resource has is always there."""
        if touch.path in {"schemas", "id", "meta"} or touch.path.startswith("meta."):
            return True
        return self._supported[resource_type].has(touch)

    def rewrite(self, exchange: Exchange, keep: Callable[[Touch], bool]) -> None:
        """Leaves attributes out of the request body before the core sees it."""
        exchange.payload = rewritten(self, exchange, keep)
        exchange.touches = touches_of(exchange.payload, method=exchange.method, urns=self.urns)

    def loses_external_id(self, exchange: Exchange) -> bool:
        """Answers whether a fault drops this write's externalId."""
        return self.faults.take(FaultKind.drop_external_id, method=exchange.method, path=exchange.path) is not None

    def postpone(self, exchange: Exchange, carry_out: Callable[[], Answer]) -> None:
        """Keeps a write for `release_late_writes`, with a journal line of its own when it lands."""

        def land() -> None:
            answer = carry_out()
            self.record.journal.add(
                JournalEntry(
                    at=self.clock.now(),
                    method=exchange.method,
                    path=exchange.path,
                    body=_journaled(exchange.request.body),
                    status=answer.status,
                    landed_late=True,
                )
            )

        self._late.append(land)

    def record_privilege(self, attribute: str, before: Json | None, after: Json) -> None:
        """Records a change of an attribute that gives or takes rights."""
        old, new = value_at(before, attribute), value_at(after, attribute)
        if (old or None) == (new or None):
            return
        self.record.privilege_changes.add(
            PrivilegeChange(
                at=self.clock.now(),
                resource_id=str(after.get("id") or ""),
                user_name=str(after.get("userName") or ""),
                attribute=attribute,
                before=old,
                after=new,
            )
        )

    def _id_shape(self, endpoint: str) -> IdShape:
        for kind, shape in ((FaultKind.integer_id, IdShape.integer), (FaultKind.id_with_slash, IdShape.slash)):
            if self.faults.take(kind, method="POST", path=endpoint):
                return shape
        return self.options.id_shape

    @property
    def answers_patches(self) -> bool:
        """Answers whether a PATCH is answered with the account."""
        return self.options.patch_answer is not PatchAnswer.no_content

    # -- one request

    def respond(self, request: Request) -> Answer:
        """Answers one HTTP request, whichever it is."""
        if request.raw_path.startswith("/_sim"):
            return self._control.answer(request)
        exchange = opened_at(self, request)
        if exchange is None:
            return self._outside(request)
        entry = self.record.journal.add(
            JournalEntry(
                at=exchange.arrived_at,
                method=exchange.method,
                path=exchange.path,
                query=dict(exchange.query),
                headers=without_secrets(list(request.headers)),
                body=_journaled(request.body),
            )
        )
        self.per_second.arrived(exchange.arrived_at)
        count = self.window.arrived(exchange.arrived_at, self.rate_key(exchange))
        pace = self.pace.arrived(exchange.arrived_at, self.rate_key(exchange))
        answer, entry.fault = carried_out_with_faults(
            self, exchange, lambda: carried_out(self, exchange, count, pace=pace)
        )
        entry.status = answer.status if answer.delivery is Delivery.send else None
        return answer

    def _outside(self, request: Request) -> Answer:
        """Answers a path that is not below the base URL the way a web server does: no SCIM, but a page."""
        self.record.journal.add(
            JournalEntry(at=self.clock.now(), method=request.method, path=request.raw_path, status=404)
        )
        return Answer(status=404, raw=b"<h1>404 Not Found</h1>", headers={"Content-Type": "text/html"})


def _journaled(body: bytes) -> Any:
    """Answers with a body as JSON where it is JSON, as text otherwise."""
    try:
        return json.loads(body) if body else None
    except ValueError:
        return body.decode(errors="replace")
