"""The bearer tokens a simulated vendor accepts: issue, expire, revoke, and why one is refused."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from threading import Lock
from typing import Any


@dataclass(slots=True, kw_only=True)
class Grant:
    """One token and what it may do. Instants are epoch seconds of the simulator's clock."""

    name: str
    token: str = field(repr=False)
    expires_at: float | None = None
    revoked: bool = False
    rights: frozenset[str] | None = None
    """Rights the vendor's roles carry; None means all."""
    last_used_at: float | None = None
    idle_limit_s: float | None = None

    def refusal(self, now: float) -> str:
        """Answers why the token is refused now, empty when it is good."""
        if self.revoked:
            return "revoked"
        if self.expires_at is not None and now >= self.expires_at:
            return "expired"
        if (
            self.idle_limit_s is not None
            and self.last_used_at is not None
            and now - self.last_used_at > self.idle_limit_s
        ):
            return "idle"
        return ""


class Tokens:
    """The token table of one vendor tenant, settable while it runs."""

    def __init__(self) -> None:
        self._grants: dict[str, Grant] = {}
        self._lock = Lock()

    def issue(
        self,
        name: str,
        *,
        token: str = "",
        expires_at: float | None = None,
        rights: frozenset[str] | None = None,
        idle_limit_s: float | None = None,
        used_at: float | None = None,
    ) -> str:
        """Answers with a new token under a name; an earlier token of that name stays valid until it is revoked."""
        value = token or secrets.token_urlsafe(24)
        with self._lock:
            self._grants[value] = Grant(
                name=name,
                token=value,
                expires_at=expires_at,
                rights=rights,
                idle_limit_s=idle_limit_s,
                last_used_at=used_at,
            )
        return value

    def find(self, token: str) -> Grant | None:
        """Answers with the grant of a token, good or not."""
        return self._grants.get(token)

    def named(self, name: str) -> list[Grant]:
        """Answers with every grant issued under a name, oldest first."""
        return [grant for grant in list(self._grants.values()) if grant.name == name]

    def all(self) -> list[Grant]:
        """Answers with every grant, oldest first."""
        return list(self._grants.values())

    def as_kept(self) -> list[dict[str, Any]]:
        """Answers with every grant as JSON."""
        return [asdict(each) | {"rights": None if each.rights is None else sorted(each.rights)} for each in self.all()]

    def take_up(self, kept: Iterable[Mapping[str, Any]]) -> None:
        """Accepts the tokens that `as_kept` answered in an earlier process, and no others."""
        with self._lock:
            self._grants = {each["token"]: Grant(**{**each, "rights": _rights(each["rights"])}) for each in kept}

    def revoke(self, name: str) -> None:
        """Refuses every token of a name from now on."""
        for grant in self.named(name):
            grant.revoked = True

    def expire(self, name: str, *, at: float) -> None:
        """Lets every token of a name end at an instant."""
        for grant in self.named(name):
            grant.expires_at = at


def _rights(kept: list[str] | None) -> frozenset[str] | None:
    return None if kept is None else frozenset(kept)
