"""Every kind of source.

A new one is a file of its own beside this one, which makes a `SourceKind`, and a line in `KINDS`. The help of the
command line names the kinds, so these files import what opens a source (pixels, COLMAP, video) only where they do so.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from recon.choices import SourceOptions
from recon.sources.capture_kinds import POLYCAM, RECORD3D, STRAY_SCANNER
from recon.sources.colmap_source import COLMAP
from recon.sources.kind import SourceKind
from recon.sources.panorama_kind import PANORAMA
from recon.sources.scene_sources import CAMERAS, NERFSTUDIO
from recon.sources.source import Source
from recon.sources.video_kind import VIDEO


def _open_photos(path: Path, options: SourceOptions) -> Source:
    from recon.sources.images import ImageSource

    return ImageSource.of([path])


PHOTOS = SourceKind("photos", "photos", lambda path: True, _open_photos)
"""An image, or a folder of images whatever else is in it: what is of no other kind."""

_KINDS = (POLYCAM, RECORD3D, STRAY_SCANNER, PANORAMA, VIDEO, NERFSTUDIO, COLMAP, CAMERAS, PHOTOS)
KINDS: Mapping[str, SourceKind] = {kind.name: kind for kind in _KINDS}
"""By name. The first that recognises a path opens it."""


def kind_of(path: Path) -> SourceKind:
    """The kind of source that is at a path, by its content; photos where it is of no other, or does not exist."""
    return next((kind for kind in KINDS.values() if path.exists() and kind.recognises(path)), PHOTOS)
