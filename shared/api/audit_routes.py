"""Who did what."""

from __future__ import annotations

import re

from fastapi import APIRouter

from shared.api.access import Prepared
from shared.api.pages import Cursor, Limit
from shared.operations.cursors import CursorRefused, decode_cursor, encode_cursor
from shared.operations.pages import Page
from shared.provisioning.audit_trail import AuditRecord

router = APIRouter(tags=["audit"])


@router.get("/audit")
async def list_audit(services: Prepared, limit: Limit = 100, cursor: Cursor = "") -> Page[AuditRecord]:
    """Who did what, when and from where, newest first."""
    after = _read_place(cursor)
    records = await services.audit.read(limit=limit + 1, after=after)
    more = encode_cursor({"after": records[limit - 1].id}) if len(records) > limit else None
    return Page(items=tuple(records[:limit]), next=more)


def _read_place(cursor: str) -> str:
    after = str(decode_cursor(cursor).get("after", "")) if cursor else ""
    if cursor and not re.fullmatch(r"\d{18}:[0-9a-f]{12}", after):
        raise CursorRefused("the cursor is none of the audit trail's; begin again without one")
    return after
