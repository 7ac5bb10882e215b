"""COLMAP models with their photos: cameras, lenses and points."""

from __future__ import annotations

from pathlib import Path

from recon.choices import MaskOptions, SourceOptions
from recon.options import part_of
from recon.sources.kind import SourceKind
from recon.sources.model_files import has_model, model_folder
from recon.sources.source import Source


def _open(path: Path, options: SourceOptions) -> Source:
    from recon.sources.colmap import read_colmap_cameras
    from recon.sources.masked import with_masks
    from recon.sources.photo_folder import photos_of
    from recon.sources.put_cameras import put_cameras

    folder = model_folder(path)
    file = read_colmap_cameras(folder)
    given = path if path.is_dir() else path.parent
    around = (folder, given, folder.parent, folder.parent.parent)
    places = (*(place / "images" for place in around), given)
    photos = with_masks(photos_of(file, options.images, places), part_of(options, MaskOptions))
    return put_cameras(photos, file, options.strict, resize=True).source


COLMAP = SourceKind("colmap", "a COLMAP model", has_model, _open, frozenset({"images", "masks"}))
"""A folder with `cameras`, `images` and `points3D`, .bin or .txt; or one with such a folder as `sparse/0` in it."""
