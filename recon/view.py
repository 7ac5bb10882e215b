"""A result in the browser: its page served on the loopback address, and nothing else."""

from __future__ import annotations

from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from recon.errors import InputError
from recon.export import export
from recon.export.html import FILE_NAME, HtmlOptions
from recon.types import Prediction

HOST = "127.0.0.1"
FIRST_PORT = 8080
MAX_MB = 100.0
"""Of the page. More than a file to pass on may have: it goes no further than to this machine."""
_PORTS = 100
"""How many are tried, from the one asked for on."""


def page_of(prediction: Prediction, folder: Path) -> bytes:
    """The page of a result, of at most `MAX_MB`; written into `folder` on the way."""
    (path,) = export(prediction, "html", folder, {"html": HtmlOptions(max_mb=MAX_MB)})["html"].files
    assert path.name == FILE_NAME
    return path.read_bytes()


class PageServer(ThreadingHTTPServer):
    """Answers with one page, to browsers on this machine that were given its address."""

    daemon_threads = True
    allow_reuse_address = False
    """Else two servers could have one port."""

    def __init__(self, page: bytes, port: int = FIRST_PORT) -> None:
        """Take `port`, or the next that is free. Raises InputError where none of a hundred is."""
        self.page = page
        for attempt in range(port, min(port + _PORTS, 65536)):
            try:
                super().__init__((HOST, attempt), _Handler)
            except OSError:
                continue
            return
        raise InputError(f"port: none from {port} on can be used: give another with --port")

    @property
    def address(self) -> str:
        """For a browser."""
        return f"http://{HOST}:{self.server_port}/"

    def handle_error(self, request: object, client_address: object) -> None:
        """A browser that leaves before it has everything is no error."""


class _Handler(BaseHTTPRequestHandler):
    """GET and HEAD of `/`."""

    server: PageServer
    timeout = 60
    server_version, sys_version = "recon", ""

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def _answer(self, with_body: bool) -> None:
        # A page from elsewhere could have its name lead to this machine: it would ask under that name.
        port = self.server.server_port
        if self.headers.get("Host") not in (f"{HOST}:{port}", f"localhost:{port}"):
            self.send_error(HTTPStatus.FORBIDDEN)
            return
        if self.path.partition("?")[0] != "/":
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(self.server.page)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        if with_body:
            self.wfile.write(self.server.page)

    def log_message(self, format: str, *args: object) -> None:
        """Requests are nobody's business."""
