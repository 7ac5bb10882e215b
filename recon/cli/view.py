"""`recon view`: a result in the browser."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from recon.cli.command import Command, CommandOptions
from recon.options import option


@dataclass(frozen=True, kw_only=True)
class ViewSettings(CommandOptions):
    """Look at a result in the browser, from this machine only, until Ctrl-C."""

    result: Path = option(
        help="Folder of a run, or a results.npz that it wrote; a .ply (points, mesh or splats), .spz, .glb or .obj; a "
        "COLMAP model or nerfstudio scene.",
        positional=True,
        metavar="RESULT",
    )
    port: int = option(8080, help="Of the address; where it is taken, the next one that is free.", least=1, most=65535)
    browser: bool = option(True, help="Open the browser; else only print the address.")


def view(settings: ViewSettings) -> None:
    """Print the address, open it, and answer until interrupted."""
    import webbrowser

    from recon.cli.report import ProgressReport, report_warnings, say
    from recon.export.page_stream import streamed_page
    from recon.view.app import make_app
    from recon.view.opened import open_for_view
    from recon.view.page import page_routes
    from recon.view.server import Address, Server

    with report_warnings(), ProgressReport() as progress:
        progress.begin(f"read {settings.result.name}")
        content = open_for_view(settings.result)
        progress.begin("page")
        page = streamed_page(content)
        for message in page.left_out:
            say(f"the page holds {message}")
    with Address(settings.port) as address, Server(make_app(page_routes(page), address.hosts), address) as server:
        if address.moved:
            say(address.moved)
        print(address.url, flush=True)
        say("Ctrl-C ends it")
        if settings.browser:
            webbrowser.open(address.url)
        server.wait()


VIEW = Command("view", ViewSettings, view)
