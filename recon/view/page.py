"""What `recon view` shows: the page of one result."""

from __future__ import annotations

from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from recon.export import export
from recon.export.html import FILE_NAME, HtmlOptions
from recon.types import Prediction

MAX_MB = 100.0
"""Of the page. More than a file to pass on may have: it goes no further than to this machine."""
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline' data: blob:; style-src 'unsafe-inline'; img-src data: blob:; "
    "worker-src blob:; frame-ancestors 'self'; base-uri 'none'; form-action 'none'"
)
"""As the page says itself: all that it needs is inside."""


def page_of(prediction: Prediction, folder: Path) -> bytes:
    """The page of a result, of at most `MAX_MB`; written into `folder` on the way."""
    (path,) = export(prediction, "html", folder, {"html": HtmlOptions(max_mb=MAX_MB)})["html"].files
    assert path.name == FILE_NAME
    return path.read_bytes()


def page_routes(page: bytes) -> list[BaseRoute]:
    """GET and HEAD of `/`: the page."""

    async def answer(request: Request) -> Response:
        return Response(page, media_type="text/html", headers={"Content-Security-Policy": CONTENT_SECURITY_POLICY})

    return [Route("/", answer)]
