"""A server of modules on loopback.

At :func:`url_of` it serves what a file tells; below that, every file by its name.
"""

from __future__ import annotations

import http.server
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from stress.reliability.children import Child

_SERVED, _PORT, _REQUESTS = "served", "port", "requests"


@contextmanager
def server(folder: str) -> Iterator[None]:
    """Serves files of a folder, in a process of its own."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            with open(f"{folder}/{_REQUESTS}", "a") as requests:
                requests.write(f"{self.path}\n")
            named = self.path.partition("?")[0].removeprefix("/module").removeprefix("/")
            name = named or Path(folder, _SERVED).read_text()
            body = Path(folder, name).read_bytes() if name else b""
            self.send_response(200 if name else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

        def handle(self) -> None:
            with suppress(ConnectionError):  # The client was killed.
                super().handle()

    listening = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    serve(folder, None)
    Path(folder, _PORT).write_text(str(listening.server_port))
    child = Child(lambda _: listening.serve_forever())
    listening.server_close()
    try:
        yield
    finally:
        child.kill()
        child.wait()


def url_of(folder: str) -> str:
    """The URL of what a folder's server serves."""
    return f"http://127.0.0.1:{Path(folder, _PORT).read_text()}/module"


def requests(folder: str) -> list[str]:
    """The paths asked for so far."""
    return Path(folder, _REQUESTS).read_text().splitlines()


def serve(folder: str, name: str | None) -> None:
    """Serves another file of the folder from now on, or none."""
    told = Path(folder, f"{_SERVED}.new")
    told.write_text(name or "")
    os.replace(told, Path(folder, _SERVED))
