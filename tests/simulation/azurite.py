"""Starts Microsoft's storage emulator, Azurite, and ends it with whoever started it.

`./dev` installs Azurite; this module only runs it. The emulator is tied to its owner by a pipe: when the owner's end
closes, even by kill -9, Azurite ends too, so no port stays taken by a process that nobody remembers.
"""

import contextlib
import http.client
import json
import os
import signal
import socket
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.simulation.certificate import Certificate

ROOT = Path(__file__).resolve().parents[2]
INSTALLATION = ROOT / ".dev" / "azurite"

# The account and key are public: every copy of the emulator has them, and no real account does.
ACCOUNT = "devstoreaccount1"
ACCOUNT_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="

START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 5.0
SAVE_TIMEOUT_S = 60.0
PORTS_TIMEOUT_S = 2.0
ATTEMPTS = 3

# The owner holds the other end of standard input. SIGTERM lets Azurite save its files, which it does after its servers
# closed: clients that keep connections open must not hold that up. A second SIGTERM would end it unsaved.
# A connection whose next request waits while Azurite is busy with another for seconds is not idle; it is kept a minute.
_TIED_TO_OWNER = """
for (const { Server } of [require('http'), require('https')]) {
  const close = Server.prototype.close;
  Server.prototype.close = function (...given) {
    const closing = close.apply(this, given);
    this.closeAllConnections();
    return closing;
  };
  const listen = Server.prototype.listen;
  Server.prototype.listen = function (...given) {
    this.keepAliveTimeout = 60000;
    return listen.apply(this, given);
  };
}
process.stdin.on('end', () => process.kill(process.pid, 'SIGTERM'));
process.stdin.resume();
require(process.argv[1]);
"""


class AzuriteNotStartedError(RuntimeError):
    """Azurite is not installed, or did not answer; the text says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Where the three services listen, on 127.0.0.1."""

    blob: int
    queue: int
    table: int

    @classmethod
    def free(cls) -> Self:
        """Answers with three ports that were free a moment ago."""
        with contextlib.ExitStack() as stack:
            sockets = [stack.enter_context(socket.socket()) for _ in range(3)]
            for each in sockets:
                each.bind(("127.0.0.1", 0))
            blob, queue, table = (each.getsockname()[1] for each in sockets)
        return cls(blob=blob, queue=queue, table=table)

    def all_answer(self) -> bool:
        """Answers whether something listens on all three."""
        return all(_answers(port) for port in (self.blob, self.queue, self.table))

    def taken_ones(self) -> list[int]:
        """Answers with those of the three that something listens on."""
        return [port for port in (self.blob, self.queue, self.table) if _answers(port)]

    def are_azurite(self) -> bool:
        """Answers whether an Azurite already listens on all three."""
        services = ((self.blob, "Azurite-Blob"), (self.queue, "Azurite-Queue"), (self.table, "Azurite-Table"))
        return all(_server_name(port).startswith(name) for port, name in services)


WELL_KNOWN_PORTS = Ports(blob=10000, queue=10001, table=10002)


def connection_string(ports: Ports) -> str:
    """Answers with the storage connection string of an Azurite on these ports."""
    base = f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={ACCOUNT_KEY}"
    services = {"Blob": ports.blob, "Queue": ports.queue, "Table": ports.table}
    endpoints = "".join(f";{name}Endpoint=http://127.0.0.1:{port}/{ACCOUNT}" for name, port in services.items())
    return f"{base}{endpoints};"


def identity_settings(ports: Ports) -> dict[str, str]:
    """Answers with the identity form of the storage settings for what listens on these ports with TLS."""
    services = {"blob": ports.blob, "queue": ports.queue, "table": ports.table}
    addresses = {name: f"https://127.0.0.1:{port}/{ACCOUNT}" for name, port in services.items()}
    # Empty as well as absent: a connection string would win.
    settings = {f"AzureWebJobsStorage__{name}ServiceUri": address for name, address in addresses.items()}
    return {"AzureWebJobsStorage": "", **settings}


class Azurite:
    """One running Azurite. A context manager; leaving it ends the process."""

    def __init__(self, ports: Ports, pid: int, pipe: int, *, folder: Path | None = None) -> None:
        """Takes the process and our end of the pipe that keeps it running; `folder` is where it keeps what it holds."""
        self.ports = ports
        self.pid = pid
        self.connection_string = connection_string(ports)
        self._pipe = pipe
        self._folder = folder
        self._is_running = True

    @classmethod
    def in_memory(cls) -> Self:
        """Starts one on free ports that forgets everything when it ends.

        Raises: AzuriteNotStartedError.
        """
        for _ in range(ATTEMPTS - 1):
            # Another program may take a port between asking for it and using it.
            with contextlib.suppress(AzuriteNotStartedError):
                ports = Ports.free()
                return cls(ports, *cls._started(ports, ["--inMemoryPersistence"]))
        ports = Ports.free()
        return cls(ports, *cls._started(ports, ["--inMemoryPersistence"]))

    @classmethod
    def with_identity(cls, certificate: Certificate) -> Self:
        """Starts one in memory that speaks TLS and takes tokens: for `identity_settings`, as in Azure.

        It checks what a token says (audience, issuer, times), not who signed it, and every identity may do everything:
        `StorageRoles` stands in front where that matters. Raises: AzuriteNotStartedError.
        """
        ports = Ports.free()
        tls = ["--cert", str(certificate.path), "--key", str(certificate.key_path), "--oauth", "basic"]
        return cls(ports, *cls._started(ports, ["--inMemoryPersistence", *tls]))

    @classmethod
    def in_folder(cls, folder: Path, ports: Ports = WELL_KNOWN_PORTS) -> Self:
        """Starts one that keeps what it holds in a folder, so that it is there at the next start.

        Raises: AzuriteNotStartedError, also when a port is taken.
        """
        pid, pipe = cls._spawn_in(folder, ports)
        return cls(ports, pid, pipe, folder=folder)

    @classmethod
    def _spawn_in(cls, folder: Path, ports: Ports) -> tuple[int, int]:
        # The Azurite of a host that was just killed may still be saving its files.
        deadline = time.monotonic() + PORTS_TIMEOUT_S
        while (taken := ports.taken_ones()) and time.monotonic() < deadline:
            time.sleep(0.05)
        if taken:
            numbers = ", ".join(str(port) for port in taken)
            raise AzuriteNotStartedError(
                f"Azurite cannot start: something else listens on port {numbers}. "
                "End it, or set AzureWebJobsStorage to another connection string"
            )
        folder.mkdir(parents=True, exist_ok=True)
        return cls._started(ports, ["--location", str(folder)])

    def restart(self) -> None:
        """Ends the one that keeps a folder with SIGTERM, as a service is restarted, and starts it where it was.

        It is never killed: that would lose writes it has acknowledged. Raises: AzuriteNotStartedError.
        """
        if self._folder is None:
            raise AzuriteNotStartedError("an Azurite in memory would forget everything: start it in a folder")
        os.close(self._pipe)
        self._is_running = False
        if not _has_ended(self.pid, within_s=SAVE_TIMEOUT_S):
            _end(self.pid)
            raise AzuriteNotStartedError(f"Azurite did not save its files within {SAVE_TIMEOUT_S:.0f} s of SIGTERM")
        self.pid, self._pipe = self._spawn_in(self._folder, self.ports)
        self._is_running = True

    @classmethod
    def taken_over(cls, ports: Ports, pid: int, pipe: int) -> Self:
        """Answers with the one that `hand_over` let go of, for a program that took this process's place."""
        os.set_inheritable(pipe, False)
        return cls(ports, pid, pipe)

    def hand_over(self) -> int:
        """Lets go of the emulator, and answers with the pipe that keeps it running across `os.exec`."""
        os.set_inheritable(self._pipe, True)
        self._is_running = False
        return self._pipe

    def stop(self) -> None:
        """Ends the emulator within a few seconds. Safe to call twice."""
        if not self._is_running:
            return
        self._is_running = False
        os.close(self._pipe)
        _end(self.pid)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    @classmethod
    def _started(cls, ports: Ports, options: list[str]) -> tuple[int, int]:
        with tempfile.TemporaryFile() as output:
            pid, pipe = _spawn(ports, options, output.fileno())
            deadline = time.monotonic() + START_TIMEOUT_S
            while not ports.all_answer():
                has_ended = os.waitpid(pid, os.WNOHANG)[0] != 0
                if has_ended or time.monotonic() > deadline:
                    os.close(pipe)
                    if not has_ended:
                        _end(pid)
                    output.seek(0)
                    reason = output.read().decode(errors="replace").strip()[-500:] or "it gave no reason"
                    raise AzuriteNotStartedError(f"Azurite did not start: {reason}")
                time.sleep(0.02)
        return pid, pipe


def _spawn(ports: Ports, options: list[str], output: int) -> tuple[int, int]:
    """Starts the emulator's process; answers with its id and our end of its standard input."""
    program = INSTALLATION / "node_modules" / "azurite" / "dist" / "src" / "azurite.js"
    try:
        node = json.loads((INSTALLATION / "installed.json").read_text())["node"]
    except (OSError, ValueError, KeyError) as error:
        raise AzuriteNotStartedError("Azurite is not installed: start this through ./dev, which installs it") from error
    addresses: list[str] = []
    for service, port in (("blob", ports.blob), ("queue", ports.queue), ("table", ports.table)):
        addresses += [f"--{service}Host", "127.0.0.1", f"--{service}Port", str(port)]
    # Today's SDKs send API versions that this release does not know.
    fixed = ["--silent", "--skipApiVersionCheck", "--disableTelemetry"]
    command = [node, "-e", _TIED_TO_OWNER, str(program), *fixed, *addresses, *options]
    their_end, our_end = os.pipe()
    try:
        pid = os.posix_spawn(
            node,
            command,
            os.environ,
            file_actions=[
                (os.POSIX_SPAWN_DUP2, source, target) for source, target in ((their_end, 0), (output, 1), (output, 2))
            ],
            # A Ctrl-C in the terminal goes to the owner, which ends Azurite after its own last storage call.
            setpgroup=0,
        )
    finally:
        os.close(their_end)
    return pid, our_end


def _end(pid: int) -> None:
    """Waits for a process of ours whose pipe was closed, and insists if it does not end."""
    if not _has_ended(pid, within_s=STOP_TIMEOUT_S):
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _has_ended(pid: int, *, within_s: float) -> bool:
    """Waits for a process of ours; answers whether it has ended by then."""
    deadline = time.monotonic() + within_s
    while os.waitpid(pid, os.WNOHANG)[0] == 0:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def _answers(port: int) -> bool:
    """Answers whether something listens on a port of this machine."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _server_name(port: int) -> str:
    """Answers with what an HTTP server on a port calls itself; empty if it is none."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", f"/{ACCOUNT}")
        return connection.getresponse().getheader("Server") or ""
    except (OSError, http.client.HTTPException):
        return ""
    finally:
        connection.close()
