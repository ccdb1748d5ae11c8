"""What a vendor does to an answer of the SCIM core: odd ids, hidden attributes, other statuses and error bodies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.simulation.vendors.exchange import ERROR_SCHEMA, Answer, Exchange
from tests.simulation.vendors.options import ErrorShape, ExternalId, PatchAnswer

if TYPE_CHECKING:
    from tests.simulation.vendors.simulator import VendorSimulator


def shaped(sim: VendorSimulator, exchange: Exchange, answer: Answer) -> Answer:
    """Answers with the core's or a rule's answer as this vendor would word it."""
    if answer.status >= 400:
        return _shaped_error(sim, answer)
    if isinstance(answer.body, dict):
        listed = answer.body.get("Resources")
        resources = listed if isinstance(listed, list) else [answer.body]
        for resource in resources:
            _shape_resource(sim, resource)
    if answer.status == 201:
        answer.status = sim.options.created_status
    if exchange.method == "PATCH" and answer.status == 200 and sim.options.patch_answer is PatchAnswer.stale:
        answer.body = {**exchange.before, "meta": answer.body["meta"]} if exchange.before else answer.body
    if "ETag" in answer.headers and sim.strong_versions:
        answer.headers["ETag"] = f'"{answer.headers["ETag"].strip(chr(34))}"'
    if "Content-Type" in answer.headers:
        answer.headers["Content-Type"] = sim.options.answer_content_type
    return answer


def _shape_resource(sim: VendorSimulator, resource: dict[str, Any]) -> None:
    if resource.get("id") in sim.storage.integer_ids:
        resource["id"] = int(resource["id"])
    if sim.options.external_id is ExternalId.not_echoed:
        resource.pop("externalId", None)
    if not sim.options.members_listed:
        resource.pop("members", None)


def _shaped_error(sim: VendorSimulator, answer: Answer) -> Answer:
    body = answer.body
    if not isinstance(body, dict) or ERROR_SCHEMA not in body.get("schemas", ()):
        return answer
    if answer.status == 412 and sim.options.version_mismatch_status != 412:
        answer.status = sim.options.version_mismatch_status
        body |= {"status": str(answer.status), "scimType": "invalidVers"}
    if answer.status == 409:
        answer.status = sim.options.conflict_status
        body["status"] = str(answer.status)
        if not sim.options.conflict_scim_type:
            body.pop("scimType", None)
    match sim.options.error_shape:
        case ErrorShape.wrapped:
            answer.body = {"message": body}
        case ErrorShape.bare:
            answer.body = {"error": body.get("detail", "")}
    if sim.options.error_shape is not ErrorShape.scim:
        answer.headers["Content-Type"] = "application/json"
    return answer
