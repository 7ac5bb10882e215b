"""An address, and an application that answers there until it is stopped."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from types import TracebackType

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from recon.errors import InputError, why

LOOPBACK = "127.0.0.1"
FIRST_PORT = 8080
_PORTS = 100
"""How many are tried, from the one asked for on."""
_MOST_CONNECTIONS = 200
"""At once; beyond, requests are told to come again."""
SECONDS_TO_ASK = 20.0
"""For a request to be there, up to its body; at most twice as long."""
_SECONDS_TO_FINISH = 3
"""For answers that are under way when the server is stopped."""


class _Protocol(H11Protocol):
    """Closes connections that ask for nothing, or not to the end, for `SECONDS_TO_ASK`: each takes a place."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._watch(None)

    def _watch(self, before: object) -> None:
        """`before`: what was idle when this was last called; none is idle that answers something."""
        if self.transport.is_closing():
            return
        idle = self.cycle or self if self.cycle is None or self.cycle.response_complete else None
        if idle is not None and idle is before:
            self.transport.close()
            return
        self.loop.call_later(SECONDS_TO_ASK, self._watch, idle)


class Address:
    """A port of this machine that is taken: a context that gives it back."""

    def __init__(self, port: int = FIRST_PORT, host: str = LOOPBACK) -> None:
        """Take `port`, or the next that is free.

        Raises InputError where none of a hundred is, or `host` is no address of this machine.
        """
        try:
            family = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
        except OSError as error:
            raise InputError(f"host: {host} is no address of this machine ({why(error)})") from error
        self.host = host
        self.socket, refused = _taken(host, port, family)
        self.port: int = self.socket.getsockname()[1]
        self.moved = "" if refused is None else f"port {port} cannot be used ({refused}): {self.port} is used instead"
        """What is to be said where it is not the port that was asked for; else empty."""

    def __enter__(self) -> Address:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.socket.close()

    @property
    def is_loopback(self) -> bool:
        """Whether it can be reached from this machine alone."""
        name = self.socket.getsockname()[0]
        return name == "::1" or name.startswith("127.")

    @property
    def url(self) -> str:
        """For a browser on this machine."""
        name = {"0.0.0.0": LOOPBACK, "": LOOPBACK, "::": "[::1]"}.get(self.host, self.host)
        return f"http://{f'[{name}]' if ':' in name and not name.startswith('[') else name}:{self.port}/"

    @property
    def hosts(self) -> tuple[str, ...]:
        """What the header `Host` of a request to this address says, where only this machine reaches it."""
        return tuple(f"{name}:{self.port}" for name in (LOOPBACK, "localhost", "[::1]"))


class Server:
    """A context in which an application answers at an address, in a thread of its own."""

    def __init__(self, app: ASGIApp, address: Address) -> None:
        self._socket = address.socket
        self._server = uvicorn.Server(
            uvicorn.Config(
                app,
                loop="asyncio",
                http=_Protocol,
                ws="none",
                lifespan="off",
                log_config=None,
                log_level="error",
                access_log=False,
                proxy_headers=False,
                server_header=False,
                limit_concurrency=_MOST_CONNECTIONS,
                timeout_keep_alive=15,
                timeout_graceful_shutdown=_SECONDS_TO_FINISH,
            )
        )
        # Beside the main thread uvicorn leaves signals alone: those of the command line stay in place.
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._socket]}, name="recon-server", daemon=True
        )

    def __enter__(self) -> Server:
        self._thread.start()
        while not self._server.started and self._thread.is_alive():
            time.sleep(0.01)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.should_exit = True
        self._thread.join(2 * _SECONDS_TO_FINISH)

    def wait(self) -> None:
        """Until the server ends, or somebody ends it by Ctrl-C or SIGTERM, which is no failure."""
        with contextlib.suppress(KeyboardInterrupt):
            self._thread.join()


def _taken(host: str, port: int, family: int) -> tuple[socket.socket, str | None]:
    """The socket at `port` or the next that is free, and why it is not at `port`."""
    refused: list[str] = []
    for attempt in range(port, min(port + _PORTS, 65536)):
        try:
            taken = socket.create_server((host, attempt), family=family, backlog=128)
            return taken, refused[0] if refused else None
        except OSError as error:
            refused.append(why(error))
    raise InputError(f"port: none from {port} on can be used ({refused[-1]}): give another with --port")
