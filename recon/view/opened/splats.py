"""Files of splats."""

from __future__ import annotations

from pathlib import Path

from recon.export.page_content import PageContent
from recon.splats.spz import read_spz
from recon.types import Gaussians
from recon.view.opened.kind import Viewable, file_facts


def content_of_splats(
    splats: Gaussians, path: Path, unit: str = "units", up: tuple[float, float, float] | None = None
) -> PageContent:
    """The page of nothing but splats."""
    facts, words = file_facts(path, splats=len(splats), degree=splats.sh_degree)
    return PageContent(f"recon: {path.name}", unit, facts, words, splats=splats, up=up)


def _open_spz(path: Path) -> PageContent:
    return content_of_splats(read_spz(path), path)


SPZ = Viewable("an .spz file", lambda path: path.is_file() and path.suffix.lower() == ".spz", _open_spz)
