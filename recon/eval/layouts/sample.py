"""A sample scene of `scenes/`, in metres.

images/*.jpg, cameras.json      the photos to reconstruct from
depth/NAME.png                  16 bit, in steps of `depth_scale` of scene.json; 0 is sky
held_out/*.jpg, cameras.json    photos for novel views; depth in held_out/depth/, where it is there
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recon.errors import InputError
from recon.eval.layouts.layout import Layout, image_size, read_png
from recon.eval.truth import DepthFile, GroundTruth
from recon.files import read_json
from recon.sources.cameras_file import read_cameras
from recon.sources.images import list_images


def find(folder: Path) -> Path | None:
    """`folder` itself."""
    return folder if (folder / "scene.json").is_file() and (folder / "cameras.json").is_file() else None


def read(folder: Path) -> GroundTruth:
    """The photos, and those held out."""
    scale = _depth_scale(folder / "scene.json")
    held_out = folder / "held_out"
    parts = [(folder, folder / "images")]
    if (held_out / "cameras.json").is_file():
        parts.append((held_out, held_out))
    photos, extrinsics, intrinsics, depth_files = [], [], [], []
    for part, images in parts:
        found = list_images(images, sub_folders=False)
        names = [path.relative_to(images).as_posix() for path in found]
        cameras = read_cameras(part / "cameras.json", names).pinhole()
        world_to_camera, matrices = cameras.world_to_camera, cameras.intrinsics
        if world_to_camera is None or matrices is None:
            raise InputError(f"'{part / 'cameras.json'}' must hold world_to_camera and intrinsics")
        photos += found
        extrinsics.append(world_to_camera)
        intrinsics.append(matrices)
        depth_files += [_depth_file(part / "depth" / f"{path.stem}.png", scale) for path in found]
    return GroundTruth(
        layout="sample scene",
        path=folder,
        units="m",
        image_names=tuple(path.relative_to(folder).as_posix() for path in photos),
        image_paths=tuple(photos),
        image_sizes=np.array([image_size(path) for path in photos]),
        extrinsics=np.concatenate(extrinsics),
        intrinsics=np.concatenate(intrinsics),
        depth_files=tuple(depth_files),
    )


def _depth_scale(path: Path) -> float:
    try:
        scale = float(read_json(path)["depth_scale"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"'{path}' does not say depth_scale: {error!r}") from error
    if not scale > 0:
        raise InputError(f"'{path}': depth_scale must be above 0, got {scale}")
    return scale


def _depth_file(path: Path, scale: float) -> DepthFile | None:
    if not path.is_file():
        return None
    return DepthFile(path, partial(_read_depth, path, scale), read_sky=partial(_read_sky, path))


def _read_depth(path: Path, scale: float) -> NDArray[np.float32]:
    return (read_png(path) * scale).astype(np.float32)


def _read_sky(path: Path) -> NDArray[np.bool_]:
    return read_png(path) == 0


LAYOUT = Layout("sample scene", "scene.json, cameras.json, images/ and depth/", find, read)
