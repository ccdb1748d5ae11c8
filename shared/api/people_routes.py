"""People, and groups, across all vendors."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query

from shared.api.access import Prepared
from shared.api.problems import not_found
from shared.operations.people import PeopleFound, PersonStory

router = APIRouter(tags=["people"])


@router.get("/people")
async def find_people(
    services: Prepared,
    search: Annotated[str, Query(max_length=256, description="An id, a user principal name, the start of a name.")],
) -> PeopleFound:
    """Whom a text may mean: a directory id, a user principal name, the beginning of a name, or a vendor's id."""
    return await services.people.find(search)


@router.get("/people/{id}")
async def read_person(
    services: Prepared, given: Annotated[str, Path(alias="id", max_length=200, description="Directory object id.")]
) -> PersonStory:
    """One person, or group: their account at every application, and one timeline of what was done."""
    story = await services.people.tell(given)
    if not story.is_known:
        raise not_found("unknown-person", f"nobody, and no group, with the id {given} is known; search for the name")
    return story
