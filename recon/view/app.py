"""An application from a list of routes, with what holds for every answer."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from http import HTTPStatus

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from recon.view.answers import refusal
from recon.view.guard import Guard


def make_app(
    routes: Sequence[BaseRoute], hosts: Collection[str] | None, middleware: Sequence[Middleware] = ()
) -> Starlette:
    """The application that answers on `routes`.

    Args:
        routes: the first that fits a request answers it.
        hosts: names of this server with the port; requests under others are refused. None: all are answered.
        middleware: further, inside of what checks the host.
    """
    return Starlette(
        routes=list(routes),
        middleware=[Middleware(Guard, hosts=hosts), *middleware],
        exception_handlers={HTTPException: _refused, Exception: _failed},  # type: ignore[dict-item]  # HTTPException
    )


async def _refused(request: Request, error: HTTPException) -> Response:
    return refusal(error.status_code, error.detail, error.headers)


async def _failed(request: Request, error: Exception) -> Response:
    """What failed is for whoever runs the server, who sees it on stderr; a client is not told of files and code."""
    return refusal(HTTPStatus.INTERNAL_SERVER_ERROR)
