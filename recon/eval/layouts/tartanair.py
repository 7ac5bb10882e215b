"""TartanAir (Wang et al., IROS 2020) and TartanAir V2: drives and flights through rendered worlds, in metres.

    P000/image_left/000000_left.png                     640 × 480; or image_lcam_front/000000_lcam_front.png of V2
    P000/depth_left/000000_left_depth.npy               float32 z-depth; of V2 a PNG whose four bytes are one float32
    P000/pose_left.txt                                  a line tx ty tz qx qy qz qw for each image, camera to world

The name of the camera is in all of them: `left` and `right`, of V2 `lcam_front` and eleven others; those of a
trajectory are read together. All see 90 degrees across. Camera axes are forward, right, down. Depth is that of the
image plane; what is farther than a kilometre is the sphere that the sky is painted on. After data_type.md of
github.com/castacks/tartanair_tools and tartanair.org/modalities.html.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recon.errors import InputError
from recon.eval.layouts.layout import Layout, image_size
from recon.eval.truth import DepthFile, GroundTruth
from recon.geometry.cameras import invert_rigid
from recon.geometry.quaternions import to_matrix
from recon.sources.names import natural_key

_FARTHEST = 1000.0
"""Metres; the painted sky is at some 10 km."""
_BODY_FROM_CAMERA = np.array([[0.0, 0, 1], [1, 0, 0], [0, 1, 0]])
"""From OpenCV's axes to forward, right, down."""


def find(folder: Path) -> Path | None:
    """`folder` itself."""
    return folder if _cameras(folder) else None


def read(folder: Path) -> GroundTruth:
    """The images of all cameras, one camera after the other."""
    names: list[str] = []
    extrinsics: list[NDArray[np.float64]] = []
    for camera in _cameras(folder):
        images = sorted((folder / f"image_{camera}").glob(f"*_{camera}.png"), key=lambda path: natural_key(path.name))
        poses = _read_poses(folder / f"pose_{camera}.txt")
        if len(poses) != len(images):
            raise InputError(
                f"{folder / f'pose_{camera}.txt'}: holds {len(poses)} poses, and image_{camera}/ {len(images)} images; "
                "there must be one for each"
            )
        names += [image.relative_to(folder).as_posix() for image in images]
        extrinsics.append(poses)
    if not names:
        raise InputError(f"{folder}: no images in {', '.join(f'image_{camera}/' for camera in _cameras(folder))}")
    width, height = image_size(folder / names[0])
    depth = [_depth_file(folder, Path(name)) for name in names]
    intrinsics = np.array([[width / 2, 0, width / 2], [0, width / 2, height / 2], [0, 0, 1]])
    return GroundTruth(
        layout="TartanAir",
        path=folder,
        units="m",
        image_names=tuple(names),
        image_paths=tuple(folder / name for name in names),
        image_sizes=np.tile([width, height], (len(names), 1)),
        extrinsics=np.concatenate(extrinsics),
        intrinsics=np.tile(intrinsics, (len(names), 1, 1)),
        depth_files=tuple(depth) if any(depth) else (),
    )


def _cameras(folder: Path) -> list[str]:
    """Names of those that have poses and images."""
    names = sorted(path.stem.removeprefix("pose_") for path in folder.glob("pose_*.txt"))
    return [name for name in names if (folder / f"image_{name}").is_dir()]


def _read_poses(path: Path) -> NDArray[np.float64]:
    """(N, 4, 4) world to camera, in OpenCV's axes."""
    try:
        rows = np.loadtxt(path, dtype=np.float64, ndmin=2)
        if rows.shape[1] != 7 or not np.isfinite(rows).all():
            raise ValueError(f"lines of {rows.shape[1]} numbers")
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: expected lines of tx ty tz qx qy qz qw ({error})") from error
    camera_to_world = np.tile(np.eye(4), (len(rows), 1, 1))
    camera_to_world[:, :3, :3] = to_matrix(rows[:, [6, 3, 4, 5]]) @ _BODY_FROM_CAMERA
    camera_to_world[:, :3, 3] = rows[:, :3]
    return invert_rigid(camera_to_world)


def _depth_file(folder: Path, image: Path) -> DepthFile | None:
    stem = folder / image.parent.name.replace("image_", "depth_", 1) / f"{image.stem}_depth"
    path = next((one for one in (stem.with_suffix(".npy"), stem.with_suffix(".png")) if one.is_file()), None)
    return None if path is None else DepthFile(path, partial(_read_depth, path), partial(_read_sky, path))


def _read_depth(path: Path) -> NDArray[np.float32]:
    depth = _stored(path)
    return np.where((depth > 0) & (depth <= _FARTHEST), depth, np.float32(0))


def _read_sky(path: Path) -> NDArray[np.bool_]:
    return _stored(path) > _FARTHEST


def _stored(path: Path) -> NDArray[np.float32]:
    """(H, W) metres as the file has them."""
    import cv2

    try:
        if path.suffix == ".npy":
            depth = np.load(path, allow_pickle=False)
        else:
            bytes_of_floats = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
            if bytes_of_floats is None or bytes_of_floats.ndim != 3 or bytes_of_floats.shape[2] != 4:
                raise ValueError("not a PNG with four channels")
            depth = np.ascontiguousarray(bytes_of_floats).view("<f4")[..., 0]
        if depth.ndim != 2 or depth.dtype.kind != "f":
            raise ValueError(f"{depth.dtype} {depth.shape}")
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"{path}: expected a map of depth in floats ({error})") from error
    return np.asarray(depth, np.float32)


LAYOUT = Layout("TartanAir", "pose_left.txt and image_left/, or those of another of its cameras", find, read)
