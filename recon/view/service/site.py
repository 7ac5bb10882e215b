"""The pages that people use the service by: plain files beside this one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import BaseRoute, Route

_FOLDER = Path(__file__).with_name("static")
_FILES = {
    "/": ("index.html", "text/html"),
    "/service.css": ("service.css", "text/css"),
    "/service.js": ("service.js", "text/javascript"),
    "/dropped.js": ("dropped.js", "text/javascript"),
    "/settings.js": ("settings.js", "text/javascript"),
    "/runs.js": ("runs.js", "text/javascript"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}
"""Where each is, and what."""
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
    "frame-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
"""Nothing from elsewhere, and no script in what is shown."""


def site_routes() -> list[BaseRoute]:
    """GET and HEAD of each."""
    return [Route(path, _answering(_FOLDER / name, kind)) for path, (name, kind) in _FILES.items()]


def _answering(path: Path, kind: str) -> Callable[[Request], Response]:
    def answer(request: Request) -> Response:
        return FileResponse(path, media_type=kind, headers={"Content-Security-Policy": CONTENT_SECURITY_POLICY})

    return answer
