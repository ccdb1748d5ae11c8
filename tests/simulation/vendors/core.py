"""The SCIM core under every simulated vendor: scim2-server, an independent reading of RFC 7643 and 7644.

Only what the RFC leaves to a service provider is set here: which schemas exist, how versions look, what a PATCH
answers, how ids with a slash travel in a path. E-mail values are plain strings, because the core's models refuse
reserved domains such as `.test` that synthetic tenants use; the RFC only says SHOULD.
"""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any
from urllib.parse import quote, unquote

from pydantic import Field
from scim2_models import (
    URN,
    AuthenticationScheme,
    Bulk,
    CaseExact,
    ChangePassword,
    ComplexAttribute,
    Context,
    EnterpriseUser,
    ETag,
    Extension,
    Filter,
    Group,
    Mutability,
    Patch,
    Resource,
    ResourceType,
    ResponseParameters,
    SCIMException,
    ScimPolicy,
    ScimProvider,
    ServiceProviderConfig,
    Sort,
    User,
)
from scim2_server.handler import ScimHandler
from scim2_server.requests import ScimRequest
from scim2_server.responses import ScimResponse
from scim2_server.routing import Target, match
from scim2_server.service import ScimService

from tests.simulation.vendors.options import PatchAnswer, VendorOptions
from tests.simulation.vendors.storage import VendorStorage
from tests.simulation.vendors.writes import CORE_URNS, ENTERPRISE_URN, attribute_key


class VendorEmail(ComplexAttribute):
    """An e-mail element whose value is any string."""

    value: str | None = None
    display: str | None = None
    type: str | None = None
    primary: bool | None = None


class VendorUser(User):  # type: ignore[type-arg] # the extensions come in provider_of
    """The core User with plain string e-mail values."""

    __schema__ = URN("urn:ietf:params:scim:schemas:core:2.0:User")

    emails: list[VendorEmail] | None = None  # type: ignore[assignment] # plain strings on purpose


class VendorManager(ComplexAttribute):
    """A manager known by id alone: clients for Entra never send the `$ref` that RFC 7643 section 4.3 asks for."""

    value: Annotated[str | None, CaseExact.true] = None
    ref: str | None = Field(None, serialization_alias="$ref", validation_alias="$ref")
    display_name: Annotated[str | None, Mutability.read_only] = None


class VendorEnterpriseUser(EnterpriseUser):
    """The enterprise extension with that manager."""

    __schema__ = URN(ENTERPRISE_URN)

    manager: VendorManager | None = None  # type: ignore[assignment] # no $ref on purpose


@cache
def provider_of(
    extensions: tuple[type[Extension], ...], *, etag: bool, upsert_filtered: bool, max_results: int, groups: bool
) -> ScimProvider:
    """Answers with the description of a service. Cached: composing the models costs about 50 ms."""
    user: Any = VendorUser
    if extensions:
        union: Any = extensions[0]
        for extension in extensions[1:]:
            union = union | extension
        user = VendorUser[union]  # type: ignore[misc] # generic at run time
    config = ServiceProviderConfig(
        patch=Patch(supported=True),
        bulk=Bulk(supported=False, max_operations=0, max_payload_size=0),
        filter=Filter(supported=True, max_results=max_results),
        change_password=ChangePassword(supported=False),
        sort=Sort(supported=False),
        etag=ETag(supported=etag),
        authentication_schemes=[
            AuthenticationScheme(
                type=AuthenticationScheme.Type.oauthbearertoken, name="Bearer", description="A bearer token."
            )
        ],
    )
    unmatched = ScimPolicy.UnmatchedPathFilter
    return ScimProvider(
        models=[VendorUser, *extensions, *([Group] if groups else [])],
        resource_types=[
            ResourceType.from_resource(user),
            *([ResourceType.from_resource(Group)] if groups else []),
        ],
        config=config,
        policy=ScimPolicy(
            unknown=ScimPolicy.Unknown.ignore,
            unmatched_path_filter=unmatched.create if upsert_filtered else unmatched.forbid,
            remove_value_as_filter=ScimPolicy.RemoveValue.apply,
        ),
    )


class VendorService(ScimService):
    """The protocol steps, with a vendor's choices where the RFC leaves one."""

    def __init__(self, provider: ScimProvider, options: VendorOptions) -> None:
        super().__init__(provider)
        self.options = options

    @staticmethod
    def match(request: ScimRequest) -> Target:
        """Answers with the target of a request whose path is still percent-encoded, so that an id may hold a slash."""
        target = match(request.method.upper(), request.path)
        if target.resource_id is None:
            return target
        return Target(target.operation, target.endpoint, unquote(target.resource_id), target.me)

    def resource_location(self, base_url: str, resource_type: ResourceType, resource_id: str) -> str:
        """Answers with a resource's URL, its id percent-encoded."""
        return f"{base_url.rstrip('/')}/{str(resource_type.endpoint).strip('/')}/{quote(resource_id, safe='')}"

    def patch_response(
        self, base_url: str, resource: Resource[Any], response_parameters: ResponseParameters[Any]
    ) -> ScimResponse:
        """Answers a PATCH with 204, or with the resource where the vendor does."""
        if self.options.patch_answer is PatchAnswer.no_content:
            return super().patch_response(base_url, resource, response_parameters)
        published = self.publish(base_url, resource)
        return self.resource_response(published, Context.RESOURCE_REPLACEMENT_RESPONSE, response_parameters)


class ScimCore:
    """One tenant's SCIM service: takes a request, answers with status, body and headers."""

    def __init__(
        self, options: VendorOptions, storage: VendorStorage, *, extensions: tuple[type[Extension], ...], groups: bool
    ) -> None:
        self.provider = provider_of(
            extensions,
            etag=options.etag,
            upsert_filtered=options.upsert_filtered,
            max_results=options.max_page_size,
            groups=groups,
        )
        self.storage = storage
        self.service = VendorService(self.provider, options)
        self._handler = ScimHandler(self.service, storage)

    def answer(
        self,
        method: str,
        path: str,
        *,
        base_url: str,
        query: dict[str, str],
        headers: list[tuple[str, str]],
        body: bytes,
    ) -> ScimResponse:
        """Answers a request the way the RFC says."""
        request = ScimRequest(method, base_url, path, query, headers, body)
        try:
            return self._handler.handle(request)
        except SCIMException as refusal:
            return self.service.error_response(refusal)

    def model(self, name: str) -> type[Resource[Any]]:
        """Answers with the model of `User` or `Group`, extensions included."""
        return self.service.get_model(self.service.get_resource_type(name))

    def booleans(self) -> frozenset[str]:
        """Answers with the keys (`writes.attribute_key`) of every boolean attribute of every schema."""
        return frozenset(_keys_of_type(self.provider, "boolean"))

    def attributes(self) -> frozenset[str]:
        """Answers with the keys of every attribute and sub-attribute of every schema."""
        return frozenset(_keys_of_type(self.provider, ""))


def _keys_of_type(provider: ScimProvider, wanted: str) -> list[str]:
    keys = [] if wanted else ["externalid"]
    for schema in provider.schemas:
        urn = "" if str(schema.id) in CORE_URNS else str(schema.id)
        for attribute in schema.attributes or []:
            subs = [(str(sub.name), sub.type) for sub in attribute.sub_attributes or []]
            for sub, kind in [("", attribute.type), *subs]:
                if not wanted or str(getattr(kind, "value", kind)) == wanted:
                    keys.append(attribute_key(urn, str(attribute.name), sub))
    return keys
