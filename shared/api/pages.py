"""Paged answers: how a client asks for a page, and how it gets one."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query

Limit = Annotated[int, Query(ge=1, le=1000, description="How many at most.")]
Cursor = Annotated[str, Query(max_length=8_000, description="`next` of the page before; empty: the first page.")]
