"""The switches every simulated vendor has: one per behaviour that is assumed rather than documented.

A vendor's own options extend `VendorOptions`. Nothing here is about faults, which come and go while a simulator runs
(`faults.py`); an option is what the vendor is like.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class UnknownAttribute(StrEnum):
    """What becomes of an attribute the vendor does not support. A violation is recorded either way."""

    ignore = "ignore"
    """It is dropped, the rest of the request is carried out."""
    reject = "reject"
    """400 invalidSyntax."""


class TypeCheck(StrEnum):
    """What becomes of a boolean sent as a string. A violation is recorded either way."""

    strict = "strict"
    """400 invalidValue."""
    lenient = "lenient"
    """Read as a boolean, the way servers made for Entra do."""


class FilterMode(StrEnum):
    """What becomes of a filter."""

    honour = "honour"
    """It selects."""
    reject = "reject"
    """400 invalidFilter."""
    ignore = "ignore"
    """200 with the unfiltered first page: everybody."""
    empty = "empty"
    """200 with zero hits."""


class ExternalId(StrEnum):
    """What becomes of externalId."""

    kept = "kept"
    """Stored and returned."""
    dropped = "dropped"
    """Never stored."""
    not_echoed = "not_echoed"
    """Stored and filterable, never returned."""


class IdShape(StrEnum):
    """What ids look like."""

    uuid = "uuid"
    """A GUID with dashes."""
    integer = "integer"
    """A JSON number."""
    slash = "slash"
    """A string with a slash, a blank and a character outside ASCII."""


class PatchAnswer(StrEnum):
    """What a successful PATCH answers (RFC 7644 section 3.5.2 allows the first two)."""

    no_content = "no_content"
    """204 without a body."""
    resource = "resource"
    """200 with the account as it is now."""
    stale = "stale"
    """200 with the account as it was before."""


class RemoveValue(StrEnum):
    """What a PATCH remove of `members` with a value array does."""

    select = "select"
    """Removes the listed values, as Entra expects."""
    wipe = "wipe"
    """Removes everything: a strict server reads the target from the path alone (RFC 7644 section 3.5.2.2)."""
    reject = "reject"
    """400 invalidValue."""


class ErrorShape(StrEnum):
    """What an error body looks like."""

    scim = "scim"
    """RFC 7644 section 3.12."""
    wrapped = "wrapped"
    """The SCIM error inside `{"message": ...}`."""
    bare = "bare"
    """`{"error": text}`, no schemas, no status."""


class PathCase(StrEnum):
    """How endpoint names are compared."""

    insensitive = "insensitive"
    """`/users` is `/Users`."""
    sensitive = "sensitive"
    """Only the RFC's spelling is found."""
    lower_only = "lower_only"
    """Only lower case is found."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VendorOptions:
    """What a vendor is like, apart from its own rules. Defaults are the friendliest plausible server."""

    unknown_attribute: UnknownAttribute = UnknownAttribute.ignore
    type_check: TypeCheck = TypeCheck.strict
    etag: bool = True
    """Whether versions are returned and If-Match is obeyed."""
    version_mismatch_status: int = 412
    """400 answers with scimType invalidVers."""
    user_name_unique: bool = True
    group_name_unique: bool = False
    fold_user_name: bool = False
    """Stores userName in lower case, so that a client comparing spellings loops."""
    external_id: ExternalId = ExternalId.kept
    id_shape: IdShape = IdShape.uuid
    user_filter: FilterMode = FilterMode.honour
    default_page_size: int = 100
    max_page_size: int = 200
    patch_answer: PatchAnswer = PatchAnswer.no_content
    put_supported: bool = True
    patch_supported: bool = True
    delete_supported: bool = True
    strict_schemas: bool = False
    """Whether `schemas` of a POST or PUT must list the URN of every extension in the body; else 400 invalidSyntax."""
    created_status: int = 201
    no_op_patch_status: int = 204
    """400 refuses a PATCH without operations that change anything."""
    upsert_filtered: bool = True
    """Whether `emails[type eq "work"].value` creates the element when none matches; else 400 noTarget."""
    nulls_accepted: bool = True
    """Whether null may stand for no value; else 400 invalidValue."""
    empty_strings_accepted: bool = True
    remove_value: RemoveValue = RemoveValue.select
    conflict_status: int = 409
    conflict_scim_type: bool = True
    error_shape: ErrorShape = ErrorShape.scim
    answer_content_type: str = "application/scim+json"
    accepted_content_types: tuple[str, ...] = ("application/scim+json", "application/json")
    path_case: PathCase = PathCase.insensitive
    discovery: bool = True
    """Whether /Schemas, /ResourceTypes and /ServiceProviderConfig exist."""
    members_per_request: int | None = None
    members_listed: bool = True
    check_members: bool = False
    """Whether a member must be the id of an existing user or group."""
    visible_after_s: float = 0.0
    """How long a new account stays invisible to lookups and membership checks (read-after-write lag)."""
    deleted_user_name: str = "free"
    """Retry-After of a refusal; empty sends none, `window` the seconds until one more request fits."""
    soft_delete: bool = False
    """Whether a deleted account is kept, invisible, in the simulator's `resources`."""
    rate_limit: int | None = None
    """Requests per `rate_window_s`; None enforces nothing and only measures."""
    rate_window_s: float = 1.0
    rate_retry_after: str = "1"
    """Retry-After of a refusal; empty sends none, `window` the seconds until a request fits again."""
