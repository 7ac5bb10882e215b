"""`recon view`: a result in the browser."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from recon.cli.command import Command, CommandOptions
from recon.options import option


@dataclass(frozen=True, kw_only=True)
class ViewSettings(CommandOptions):
    """Look at a result in the browser, from this machine only, until Ctrl-C."""

    result: Path = option(help="Folder of a run, or a results.npz that it wrote.", positional=True, metavar="RESULT")
    port: int = option(8080, help="Of the address; where it is taken, the next one that is free.", least=1, most=65535)
    browser: bool = option(True, help="Open the browser; else only print the address.")


def view(settings: ViewSettings) -> None:
    """Print the address, open it, and answer until interrupted."""
    import tempfile
    import webbrowser

    from recon.cli.report import ProgressReport, report_warnings, say
    from recon.run.load import load
    from recon.view.app import make_app
    from recon.view.page import page_of, page_routes
    from recon.view.server import Address, Server

    with report_warnings(), ProgressReport() as progress:
        progress.begin(f"read {settings.result.name}")
        prediction = load(settings.result)
        progress.begin("page")
        with tempfile.TemporaryDirectory() as folder:
            page = page_of(prediction, Path(folder))
    with Address(settings.port) as address, Server(make_app(page_routes(page), address.hosts), address) as server:
        print(address.url, flush=True)
        say("Ctrl-C ends it")
        if settings.browser:
            webbrowser.open(address.url)
        server.wait()


VIEW = Command("view", ViewSettings, view)
