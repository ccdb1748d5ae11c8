"""How a vendor is spoken to: where it is, how it is authenticated, how fast it may be called, what its dialect is."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Literal

from pydantic import Field

from shared.config.model import ConfigurationModel, Text


class AuthType(StrEnum):
    """How requests to the vendor are authenticated."""

    BEARER = "bearer"
    """A long-lived token in `Authorization: Bearer`."""
    API_KEY = "api_key"
    """A key in a header of the vendor's choice."""
    BASIC = "basic"
    """User name and password."""
    OAUTH2_CLIENT_CREDENTIALS = "oauth2_client_credentials"
    """RFC 6749 4.4: client id and secret are exchanged for short-lived tokens."""


class BaseUrl(ConfigurationModel):
    """Where the vendor's SCIM endpoint is: a fixed URL, a template to fill, or a few to choose from."""

    default: str | None = None
    template: str | None = None
    """With placeholders in braces: `{region}` is filled by `region`, others by `placeholders` of the application."""
    choices: Mapping[str, str] = {}
    """Region name -> base URL."""
    regions: Mapping[str, str] = {}
    """Values allowed for `{region}`, each with a word about it. Empty: any."""


class RateLimit(ConfigurationModel):
    """What the vendor accepts from all workers together. None: no limit known, none is applied."""

    requests_per_second: float | None = Field(default=None, ge=0.001, le=10_000, allow_inf_nan=False)
    requests_per_minute: float | None = Field(default=None, ge=0.06, le=600_000, allow_inf_nan=False)
    scope: Literal["token", "organisation", "application"] = "application"
    """What the vendor counts by. Applications that share it should share the limit."""

    @property
    def steady_rate(self) -> float | None:
        """Requests per second that keep every limit, None when there is none."""
        limits = [self.requests_per_second, self.requests_per_minute and self.requests_per_minute / 60]
        return min((limit for limit in limits if limit), default=None)


class PatchDialect(ConfigurationModel):
    """How this vendor wants changes written (RFC 7644 3.5.2 leaves room)."""

    verb: Literal["patch", "put"] = "patch"
    op_case: Literal["lower", "capitalized"] = "lower"
    booleans: Literal["json", "string"] = "json"
    style: Literal["path", "pathless"] = "path"
    """`path`: one operation per attribute. `pathless`: one operation whose value holds all simple attributes."""
    extension: Literal["urn_path", "nested"] = "urn_path"
    """`urn_path`: `urn:...:User:department`. `nested`: an object under the URN, without a path."""
    remove_members: Literal["filter", "value"] = "filter"
    """`filter`: `members[value eq "id"]`. `value`: path `members` with a value list (strict servers remove all)."""
    manager: Literal["complex", "value_path", "plain"] = "complex"
    """`complex`: `...:manager` with {"value": id}. `value_path`: `...:manager.value`. `plain`: the id."""
    roles: Literal["array", "json_text"] = "array"
    """`json_text`: Entra's legacy form, JSON text inside `value`."""


class Protocol(ConfigurationModel):
    """Everything else on the wire. The defaults are what RFC 7644 says a server must accept."""

    content_type: Text = "application/scim+json"
    accept: Text = "application/scim+json, application/json"
    patch: PatchDialect = PatchDialect.model_construct()
    etag: bool = False
    """True: the vendor returns versions and If-Match is sent with writes."""
    version_mismatch_status: int = 412
    version_mismatch_code: str = ""
    """scimType of a version mismatch, where the status alone does not say it."""
    page_size: int = Field(default=100, ge=1)
    max_page_size: int | None = Field(default=None, ge=1)
    path_case: Literal["as_written", "lower"] = "as_written"
    """`lower`: /users instead of /Users."""
    filter_operators: tuple[str, ...] = ("eq", "and")
    quoted_filter_values: bool = True
    list_excludes_inactive: bool = False
    """True: a list without a filter leaves out inactive accounts; `inactive_filter` lists them."""
    inactive_filter: str = "active eq false"
    created_without_id: Literal["location", "lookup"] = "location"
    """Where the id comes from when the answer to a create carries none; `location` falls back to a look-up."""
    create_lists_schemas: bool = True
    """True: `schemas` of a create names every extension URN whose attributes are sent."""
    conflict_statuses: tuple[int, ...] = (409,)
    conflict_codes: tuple[str, ...] = ("uniqueness",)
    """scimTypes that mean "taken", whatever the status."""
    throttled_statuses: tuple[int, ...] = (429, 503)
    error_body: Literal["scim", "any"] = "scim"
    """`any`: refusals may come in another shape than the RFC's Error."""
    schema_discovery: bool = False
    """True: GET /Schemas describes the attributes."""
    bulk: bool = False


class Credentials(ConfigurationModel):
    """What is known about the vendor's secrets."""

    token_url: str | None = None
    """OAuth token endpoint; may be a template like the base URL."""
    client_authentication: Literal["basic", "body"] = "basic"
    """How client id and secret are sent to the token endpoint (RFC 6749 2.3.1)."""
    scopes: tuple[str, ...] = ()
    lifetime_days: int | None = None
    """After this the vendor refuses the secret; a warning comes 30 days ahead where `expires_on` is set."""
    secondary: bool = False
    """True: the vendor keeps two secrets valid, for rotation without a gap."""
    header: str = "Authorization"
    """For api_key: the header that carries the key."""
