"""Who is answered, and the headers of every answer.

A page from elsewhere, open in a browser on this machine, must neither read results nor start work. It could ask under a
name of its own that leads here (DNS rebinding), which `Host` tells; or send a form here, which `Origin` tells.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from http import HTTPStatus
from types import MappingProxyType

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from recon.view.answers import refusal

_CHANGING = frozenset({"POST", "PUT", "PATCH", "DELETE"})
HEADERS: Mapping[str, str] = MappingProxyType(
    {
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "SAMEORIGIN",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cache-Control": "no-store",
        "Content-Security-Policy": "default-src 'none'; frame-ancestors 'self'; base-uri 'none'; form-action 'none'",
    }
)
"""Of every answer that does not say otherwise."""


class Guard:
    """Middleware: refuses requests that name another host or come from a page of another origin; adds `HEADERS`."""

    def __init__(self, app: ASGIApp, hosts: Collection[str] | None) -> None:
        """`hosts`: what the header `Host` may say, with the port, in lower case; None for anything."""
        self._app = app
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        said = self._refusal(scope["method"], Headers(scope=scope))
        if said is None:
            await self._app(scope, receive, send_with_headers)
        else:
            answer = refusal(HTTPStatus.FORBIDDEN, said)
            await answer(scope, receive, send_with_headers)

    def _refusal(self, method: str, headers: Headers) -> str | None:
        """Why a request is not answered; None where it is."""
        host = headers.get("host", "").lower()
        if self._hosts is not None and host not in self._hosts:
            return "this address is not known here"
        if method in _CHANGING:
            origin = headers.get("origin")
            if origin is not None and origin.lower() not in (f"http://{host}", f"https://{host}"):
                return "pages from elsewhere may not do this"
            if headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):
                return "pages from elsewhere may not do this"
        return None
