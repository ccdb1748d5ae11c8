"""One owner among all hosts of a storage account: the blob lease behind every timer."""

import asyncio
import logging
import os
import socket
from datetime import datetime
from pathlib import Path
from typing import Any

from azure.core.exceptions import AzureError, HttpResponseError, ResourceExistsError
from azure.storage.blob.aio import BlobClient, BlobLeaseClient, ContainerClient

log = logging.getLogger("host.leases")

# What the platform uses on a developer's machine; in Azure it is 60 s, and a take-over can last two minutes.
LEASE_S = 15
_OWNER = "owner"


class SingletonLease:
    """The right to pump one timer, held until `release` or until a renewal fails."""

    def __init__(self, container: ContainerClient, name: str) -> None:
        self._blob: BlobClient = container.get_blob_client(name)
        self._lease: BlobLeaseClient | None = None
        self._renewal: asyncio.Task[None] | None = None
        self.lost = asyncio.Event()
        """Set while the lease is not held."""
        self.lost.set()

    async def acquire(self) -> bool:
        """Takes the lease if nobody holds it; answers whether it is held now."""
        try:
            await self._take()
        except HttpResponseError as error:
            if error.status_code != 409:
                raise
            return False
        self.lost.clear()
        self._renewal = asyncio.create_task(self._renew())
        return True

    async def break_dead_owners(self) -> None:
        """Frees the lease if a process of this machine holds it that does not run any more.

        The platform would wait for the lease to end. A developer who ended the host with kill -9 starts the next one at
        once; another host that still runs gets the timer only in the platform's way.
        """
        try:
            properties = await self._blob.get_blob_properties()
            owner = (properties.metadata or {}).get(_OWNER, "")
            if properties.lease.state == "leased" and _is_gone(owner):
                await BlobLeaseClient(self._blob).break_lease(lease_break_period=0)
        except HttpResponseError as error:
            if error.status_code not in (404, 409):
                raise

    async def release(self) -> None:
        """Gives the lease back, so that another host can have it at once."""
        if self._renewal is not None:
            self._renewal.cancel()
            await asyncio.gather(self._renewal, return_exceptions=True)
        if self._lease is not None and not self.lost.is_set():
            try:
                await self._lease.release()
            except AzureError as error:
                log.warning(
                    "lease %s was not released, it ends by itself: %s", self._blob.blob_name, type(error).__name__
                )
        self.lost.set()

    async def _take(self) -> None:
        """Raises: HttpResponseError with status 409 if another host holds it."""
        try:
            await self._blob.upload_blob(b"", overwrite=False)
        except ResourceExistsError:
            pass
        except HttpResponseError as error:
            # 412: it exists, and somebody holds it.
            if error.status_code != 412:
                raise
        lease = BlobLeaseClient(self._blob)
        await lease.acquire(lease_duration=LEASE_S)
        await self._blob.set_blob_metadata({_OWNER: _this_process()}, lease=lease)
        self._lease = lease

    async def _renew(self) -> None:
        failing_since: datetime | float | None = None
        while self._lease is not None:
            await asyncio.sleep(LEASE_S / 3)
            now = asyncio.get_running_loop().time()
            try:
                await self._lease.renew()
                failing_since = None
            except AzureError as error:
                failing_since = failing_since or now
                log.warning("lease %s was not renewed: %s", self._blob.blob_name, type(error).__name__)
                if isinstance(error, HttpResponseError) or now - float(failing_since) > LEASE_S:  # type: ignore[arg-type]
                    self.lost.set()
                    return


def _this_process() -> str:
    return f"{socket.gethostname()}/{os.getpid()}/{_started(os.getpid())}"


def _is_gone(owner: str) -> bool:
    """Answers whether an owner was a process of this machine and has ended; this process itself counts as a new one."""
    host, _, rest = owner.partition("/")
    pid, _, started = rest.partition("/")
    if host != socket.gethostname() or not pid.isdigit():
        return False
    if int(pid) == os.getpid():
        return True
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass
    # The number may belong to another process by now.
    return _started(int(pid)) != started


def _started(pid: int) -> str:
    """Answers with when a process was started, in clock ticks; empty where the system does not say."""
    try:
        fields: Any = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return str(fields[19])
