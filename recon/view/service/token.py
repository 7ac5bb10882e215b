"""Who may use a service that other machines reach: whoever has its token."""

from __future__ import annotations

import hashlib
import hmac
from http import HTTPStatus

from starlette.datastructures import QueryParams
from starlette.requests import HTTPConnection
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from recon.view.answers import refusal

SHORTEST = 8
_COOKIE = "recon_token"
_SECONDS_KEPT = 30 * 24 * 3600


class TokenGuard:
    """Middleware: asks for the token, as `Authorization: Bearer TOKEN`, or once as `/?token=TOKEN` by a browser.

    A browser then has a cookie, of the token's hash, that no script reads and no page from elsewhere has sent along.
    """

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._token = token.encode()
        self._of_cookie = hashlib.sha256(b"recon cookie" + self._token).hexdigest()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        connection = HTTPConnection(scope)
        if self._is_known(connection):
            await self._app(scope, receive, send)
            return
        given = QueryParams(scope["query_string"]).get("token")
        if scope["path"] == "/" and given is not None and self._is_token(given):
            answer = RedirectResponse("/", HTTPStatus.SEE_OTHER)
            answer.set_cookie(_COOKIE, self._of_cookie, _SECONDS_KEPT, httponly=True, samesite="strict")
            await answer(scope, receive, send)
            return
        said = "open the address with /?token=TOKEN, or send the header Authorization: Bearer TOKEN"
        await refusal(HTTPStatus.UNAUTHORIZED, said, {"WWW-Authenticate": "Bearer"})(scope, receive, send)

    def _is_known(self, connection: HTTPConnection) -> bool:
        kind, _, given = connection.headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer" and self._is_token(given.strip()):
            return True
        return hmac.compare_digest(connection.cookies.get(_COOKIE, "").encode(), self._of_cookie.encode())

    def _is_token(self, given: str) -> bool:
        return hmac.compare_digest(given.encode(), self._token)
