"""`recon serve`: runs asked for in a browser or over HTTP."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from recon.choices import NetworkOptions
from recon.cli.command import Command, CommandOptions
from recon.cli.view import ViewSettings
from recon.errors import InputError
from recon.options import like, option

TOKEN_VARIABLE = "RECON_TOKEN"


@dataclass(frozen=True, kw_only=True)
class ServeSettings(NetworkOptions, CommandOptions):
    """Reconstruct what is sent in a browser or by programs, one run after the other, until Ctrl-C."""

    runs: Path = option(
        Path("outputs/served"),
        help="Folder for runs, with what was sent for each. A server that is started again goes on with those that "
        "are not done.",
        metavar="FOLDER",
    )
    host: str = option(
        "127.0.0.1",
        help="Address to answer at; any but this machine's own needs a token. 0.0.0.0: all that this machine has.",
        metavar="ADDRESS",
    )
    port: int = like(ViewSettings, "port")
    token: str | None = option(
        None,
        help=f"What clients have to know [{TOKEN_VARIABLE} of the environment, where other users do not see it].",
        metavar="TEXT",
    )
    keep: int = option(1, help="Models that stay loaded from one run to the next.", least=0)
    max_upload_mb: float = option(2000.0, help="Megabytes that may be sent for one run.", above=0)
    max_files: int = option(2000, help="Files that may be sent for one run.", least=1)
    browser: bool = like(ViewSettings, "browser")


def serve(settings: ServeSettings) -> None:
    """Print the address, open it, and answer until interrupted."""
    import logging
    import webbrowser

    from recon.cli.report import report_warnings, say
    from recon.files import only_writer
    from recon.options import asked_for, part_of
    from recon.view.server import Address, Server
    from recon.view.service.endpoints import service_app
    from recon.view.service.handlers import Handlers
    from recon.view.service.job_queue import JobQueue
    from recon.view.service.job_store import JobStore
    from recon.view.service.receiving import Limits
    from recon.view.service.token import SHORTEST
    from recon.view.service.uploads import Uploads
    from recon.view.service.worker_process import service_process

    logging.getLogger("python_multipart").setLevel(logging.ERROR)  # forms that cannot be read are said to who sent them
    token = settings.token or os.environ.get(TOKEN_VARIABLE) or None
    if token is not None and len(token) < SHORTEST:
        raise InputError(f"token: {SHORTEST} characters at least")
    of_server = {one.name: getattr(settings, one.name) for one in asked_for(part_of(settings, NetworkOptions))}
    if Path(settings.weights).exists():
        of_server["weights"] = str(Path(settings.weights).absolute())  # whatever folder jobs work in
    limits = Limits(int(settings.max_upload_mb * 1e6), settings.max_files)
    with report_warnings(), Address(settings.port, settings.host) as address:
        if token is None and not address.is_loopback:
            raise InputError(f"host {settings.host} is seen by other machines: give --token or set {TOKEN_VARIABLE}")
        with only_writer(settings.runs):
            store = JobStore(settings.runs)
            with JobQueue(store, service_process(store.root, settings.keep, of_server), say) as queue:
                app = service_app(
                    Handlers(queue, limits, Uploads(store)), address.hosts if address.is_loopback else None, token
                )
                with Server(app, address) as server:
                    if address.moved:
                        say(address.moved)
                    print(address.url, flush=True)
                    say("Ctrl-C ends it")
                    if settings.browser:
                        webbrowser.open(address.url if token is None else f"{address.url}?token={token}")
                    server.wait()


SERVE = Command("serve", ServeSettings, serve)
