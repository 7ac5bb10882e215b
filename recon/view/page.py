"""What `recon view` shows: the page of one result, and the pieces that it asks for."""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from recon.errors import InputError
from recon.export.page_file import SERVED_POLICY
from recon.export.page_stream import StreamedPage

CONTENT_SECURITY_POLICY = f"{SERVED_POLICY}; frame-ancestors 'self'; base-uri 'none'; form-action 'none'"
"""As the page says itself, and that no other page holds it."""


def page_routes(shown: StreamedPage) -> list[BaseRoute]:
    """GET and HEAD of `/`: the page; of `/data/NAME`: a piece, made then."""

    async def page(request: Request) -> Response:
        return Response(
            shown.page, media_type="text/html", headers={"Content-Security-Policy": CONTENT_SECURITY_POLICY}
        )

    def piece(request: Request) -> Response:  # in a thread: it may take a while
        make = shown.pieces.get(request.path_params["name"])
        if make is None:
            raise HTTPException(404)
        try:
            content = make()
        except InputError as error:  # a photo that is gone
            raise HTTPException(404) from error
        is_picture = content.startswith(b"\xff\xd8")
        return Response(content, media_type="image/jpeg" if is_picture else "application/octet-stream")

    return [Route("/", page), Route("/data/{name}", piece)]
