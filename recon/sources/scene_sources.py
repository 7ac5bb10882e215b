"""Scenes whose cameras are in a JSON file beside the photos: nerfstudio's, and recon's own `cameras.json`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recon.choices import MaskOptions, SourceOptions
from recon.errors import InputError
from recon.options import part_of
from recon.sources.kind import SourceKind
from recon.sources.scene_json import is_nerfstudio, is_own, read_scene_json
from recon.sources.source import Source

if TYPE_CHECKING:
    from recon.sources.nerfstudio import NerfstudioScene

_TRANSFORMS = ("transforms.json", "transforms_train.json")
"""What a file of nerfstudio's layout is called, the first that is in a folder counts; under any other name the file
itself is given. Of Blender's, which are split, the photos for training."""
_CAMERAS = ("cameras.json",)


def scene_file(path: Path, names: tuple[str, ...]) -> Path:
    """The file itself, or the one in the folder."""
    return next((path / name for name in names if (path / name).is_file()), path / names[0]) if path.is_dir() else path


def _recognises(path: Path, names: tuple[str, ...], is_scene: Callable[[Any], bool]) -> bool:
    try:
        file = scene_file(path, names)
        return file.suffix.lower() == ".json" and file.is_file() and is_scene(read_scene_json(file))
    except (InputError, OSError):
        return False


def _open_nerfstudio(path: Path, options: SourceOptions) -> Source:
    from recon.sources.calibrated import CalibratedSource
    from recon.sources.captures import points_of_depth
    from recon.sources.masked import with_masks
    from recon.sources.nerfstudio import read_nerfstudio
    from recon.sources.nerfstudio_photos import depths_of, photos_of_scene, points_of
    from recon.sources.put_cameras import put_cameras

    scene: NerfstudioScene = read_nerfstudio(scene_file(path, _TRANSFORMS))
    photos = with_masks(photos_of_scene(scene, options.images), part_of(options, MaskOptions))
    put = put_cameras(photos, scene.cameras, options.strict, resize=True).source
    assert isinstance(put, CalibratedSource)
    points, depths = points_of(scene, put), depths_of(scene, put)
    if points is None and depths is not None and put.cameras.intrinsics is not None and put.cameras.distortion is None:
        points = points_of_depth(depths, put.cameras)
    return put.with_scene(points, depths)


def _open_own(path: Path, options: SourceOptions) -> Source:
    from recon.sources.cameras_json import read_json_cameras
    from recon.sources.masked import with_masks
    from recon.sources.photo_folder import photos_of
    from recon.sources.put_cameras import put_cameras

    file = scene_file(path, _CAMERAS)
    cameras = read_json_cameras(file)
    photos = photos_of(cameras, options.images, (file.parent / "images", file.parent))
    photos = with_masks(photos, part_of(options, MaskOptions))
    return put_cameras(photos, cameras, options.strict).source


NERFSTUDIO = SourceKind(
    "nerfstudio",
    "a nerfstudio scene",
    partial(_recognises, names=_TRANSFORMS, is_scene=is_nerfstudio),
    _open_nerfstudio,
    frozenset({"images", "masks"}),
)
"""A `transforms.json` of nerfstudio, Instant-NGP or Blender, or the folder it is in."""

CAMERAS = SourceKind(
    "cameras",
    "photos with recon's cameras.json",
    partial(_recognises, names=_CAMERAS, is_scene=is_own),
    _open_own,
    frozenset({"images", "masks"}),
)
"""A `cameras.json`, or the folder it is in, with the photos in `images` beside it or in that folder itself."""
