"""What `recon view` opens: one module for each kind of thing, one table.

Each says by content whether something is of its kind, and makes what the page shows of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from recon.errors import InputError
from recon.export.page_content import PageContent
from recon.view.opened import cameras, glb, ply, result, splats
from recon.view.opened.kind import Viewable

KINDS: Mapping[str, Viewable] = {
    kind.what: kind for kind in (result.RUN, result.NPZ, ply.PLY, splats.SPZ, glb.GLB, ply.OBJ, cameras.CAMERAS)
}
"""By what each is, in words. The first that recognises a path opens it. A new one is a module, and a name above."""


def open_for_view(path: Path) -> PageContent:
    """What the page shows of a result, a file or a model of cameras.

    Raises InputError, one line that names the path and what would be right.
    """
    path = path.expanduser()
    if not path.exists():
        raise InputError(f"{path}: no such file or folder; give {_choices()}")
    for kind in KINDS.values():
        if kind.recognises(path):
            content = kind.open(path)
            if content.is_empty:
                raise InputError(f"{path}: there is nothing in it to look at: no points, triangles, splats or cameras")
            return content
    if path.is_dir() and not any(path.iterdir()):
        raise InputError(f"{path}: an empty folder; give {_choices()}")
    if path.is_dir():
        raise InputError(
            f"{path}: neither the folder of a run (it has no run.json or results.npz) nor cameras with photos; give "
            f"{_choices()}. `recon run {path}` makes a result of photos"
        )
    if path.suffix.lower() in (".html", ".htm"):
        raise InputError(f"{path}: a page that holds its data already: open it in a browser")
    raise InputError(f"{path}: nothing that is shown; give {_choices()}")


def _choices() -> str:
    *others, last = KINDS
    return f"{', '.join(others)} or {last}"
