"""Photos with measured cameras in recon's own file, and nothing else.

cameras.json, images/*.jpg      or the photos beside it
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from recon.errors import InputError
from recon.eval.layouts.layout import Layout, image_size
from recon.eval.truth import GroundTruth
from recon.sources.cameras_file import read_cameras
from recon.sources.images import list_images


def find(folder: Path) -> Path | None:
    """`folder` itself."""
    return folder if (folder / "cameras.json").is_file() else None


def read(folder: Path) -> GroundTruth:
    """The photos that have a camera there."""
    images = next((one for one in (folder / "images", folder) if one.is_dir()), folder)
    photos = list_images(images, sub_folders=False)
    names = tuple(path.relative_to(images).as_posix() for path in photos)
    cameras = read_cameras(folder / "cameras.json", names).pinhole()
    if cameras.world_to_camera is None or cameras.intrinsics is None:
        raise InputError(f"'{folder / 'cameras.json'}' must hold world_to_camera and intrinsics")
    return GroundTruth(
        layout="cameras.json",
        path=folder,
        units="units",
        image_names=names,
        image_paths=tuple(photos),
        image_sizes=np.array([image_size(path) for path in photos]),
        extrinsics=cameras.world_to_camera,
        intrinsics=cameras.intrinsics,
    )


LAYOUT = Layout("cameras.json", "cameras.json and images/", find, read)
