"""A service that knows vulnerabilities, in the language of OSV, on loopback: as much of one as pip-audit asks for."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread


@contextmanager
def advisory_service(vulnerable: Mapping[str, Sequence[str]]) -> Iterator[list[str]]:
    """Serves what is wrong with packages, by `name==version`; answers with pip-audit's options for it."""

    class Answering(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            name = asked["package"]["name"]
            known = vulnerable.get(f"{name}=={asked['version']}", [])
            affected = [{"package": {"name": name, "ecosystem": "PyPI"}}]
            vulnerabilities = [
                {"id": each, "affected": affected, "published": "2020-01-01T00:00:00Z"} for each in known
            ]
            body = json.dumps({"vulns": vulnerabilities} if known else {}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nothing: the test says what happened."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Answering) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield ["--vulnerability-service=osv", f"--osv-url=http://127.0.0.1:{server.server_port}/v1/query"]
        finally:
            server.shutdown()
            thread.join()
