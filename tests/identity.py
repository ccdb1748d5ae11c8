"""Storage as it is in Azure, on this machine: TLS, no keys, roles, and an app that is known by its managed identity."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp.connector
import pytest

from tests.simulation.azurite import Azurite
from tests.simulation.certificate import Certificate, make_certificate
from tests.simulation.managed_identity import CONSENTED, LIFETIME_S, ManagedIdentity
from tests.simulation.storage_roles import StorageRoles


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityStorage:
    """One account, and the identity that may use it."""

    identity: ManagedIdentity
    roles: StorageRoles
    certificate: Certificate

    @property
    def settings(self) -> dict[str, str]:
        """Answers with the settings an app has in Azure: addresses and a client id, nothing secret."""
        return {**self.roles.settings, **self.identity.environment}

    @property
    def environment(self) -> dict[str, str]:
        """Answers with the whole environment of a process of its own."""
        return {**self.settings, **self.certificate.trust}

    def mend(self) -> None:
        """Everything is granted and in order again, as at the start."""
        self.roles.missing.clear()
        self.identity.trouble = None
        self.identity.roles = [*CONSENTED]
        self.identity.lifetime_s = LIFETIME_S
        self.identity.end_kept_tokens()


@contextmanager
def open_identity_storage(folder: Path) -> Iterator[IdentityStorage]:
    """Starts account and identity; everything is ended at the end."""
    certificate = make_certificate(folder)
    with (
        Azurite.with_identity(certificate) as azurite,
        StorageRoles(azurite, certificate) as roles,
        ManagedIdentity() as identity,
    ):
        yield IdentityStorage(identity=identity, roles=roles, certificate=certificate)


@contextmanager
def open_identity_storage_here(folder: Path) -> Iterator[IdentityStorage]:
    """As `open_identity_storage`, for an app in this process, whose TLS and environment learn of it."""
    with open_identity_storage(folder) as storage, pytest.MonkeyPatch.context() as environment:
        # The SDKs look for the endpoint here, whatever settings the app was given.
        for name in ("IDENTITY_ENDPOINT", "IDENTITY_HEADER"):
            environment.setenv(name, storage.identity.environment[name])
        # aiohttp read the machine's certificates when it was imported; a process of its own reads SSL_CERT_FILE.
        aiohttp.connector._SSL_CONTEXT_VERIFIED.load_verify_locations(storage.certificate.path)
        yield storage
