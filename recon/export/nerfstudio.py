"""nerfstudio's `transforms.json` with its images and seed points; Instant-NGP and most splat trainers read it, too.

https://docs.nerf.studio/quickstart/data_conventions.html: cameras map from OpenGL's axes (x right, y up, z backward) to
the world; pixel centres are at half-integers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recon.errors import InputError
from recon.export.exporter import Exported, Exporter, Needs
from recon.export.original_images import IMAGES, MASKS, LensChoice, WrittenImages, shared_images, write_images
from recon.export.original_images import check_intrinsics as check_skew
from recon.export.ply import POINTS, shared_points, write_points
from recon.export.points import PointOptions, check_cloud
from recon.files import atomic_write
from recon.geometry.cameras import invert_rigid
from recon.geometry.located_depth import with_cameras
from recon.options import option
from recon.types import FloatArray, Prediction
from recon.types.cameras import Cameras
from recon.version import __version__

FILE = "transforms.json"
_OPENGL_TO_OPENCV = np.diag([1.0, -1.0, -1.0, 1.0])
"""Camera axes."""
_COEFFICIENTS = {"k1": 0, "k2": 1, "p1": 2, "p2": 3, "k3": 4}
"""Of OpenCV's eight, those that nerfstudio's OPENCV camera means the same by."""


@dataclass(frozen=True, kw_only=True)
class NerfstudioOptions(PointOptions):
    """Which points training starts from, and whether the photos keep their lens."""

    lens: LensChoice = option(
        "pinhole",
        help="pinhole: photos whose lens bends are undistorted; original: all photos as they were taken, with their "
        "distortion.",
    )


def check(prediction: Prediction, options: NerfstudioOptions) -> None:
    """Raise InputError where no pixel can become a point, or nerfstudio has no such camera."""
    check_cloud(prediction, options)
    if prediction.intrinsics is not None:
        check_intrinsics(prediction.intrinsics, options)
    distortion = None if prediction.lenses is None else prediction.lenses.distortion
    if options.lens == "original" and distortion is not None and distortion[:, 5:].any():
        raise InputError(
            "nerfstudio: its cameras have no k4, k5 and k6, and a lens of this prediction does: leave out "
            "nerfstudio.lens=original"
        )


def check_intrinsics(intrinsics: FloatArray, options: NerfstudioOptions) -> None:
    """Raise InputError where (N, 3, 3) intrinsics have skew."""
    check_skew("nerfstudio", intrinsics)


def write(prediction: Prediction, folder: Path, options: NerfstudioOptions) -> Exported:
    """Write `transforms.json`, `images/` and `points.ply`; beside, `masks/` where photos are masked."""
    prediction = with_cameras(prediction)
    points = write_points(prediction, folder, options)
    images = write_images(prediction, folder, options.lens)
    path = folder / FILE
    content = {
        "generated_by": f"recon {__version__}",
        "units": prediction.units,
        "camera_model": "OPENCV",
        **_lenses_and_frames(images, prediction.cameras),
        "ply_file_path": POINTS,
    }
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2, allow_nan=False, ensure_ascii=False) + "\n", "utf-8")
    return Exported((path, *points.files, *images.files), {**points.details, "lens": options.lens, **images.details})


def _lenses_and_frames(images: WrittenImages, cameras: Cameras) -> dict[str, Any]:
    """Intrinsics once for all frames where all have the same, else with each."""
    assert cameras.world_to_camera is not None
    camera_to_world = invert_rigid(cameras.world_to_camera) @ _OPENGL_TO_OPENCV
    lenses = [_lens(images.cameras, view) for view in range(len(images.names))]
    shared = lenses[0] if all(lens == lenses[0] for lens in lenses) else {}
    frames = []
    for view, name in enumerate(images.names):
        frame: dict[str, Any] = {"file_path": f"{IMAGES}/{name}"}
        mask = images.masks[view]
        if mask is not None:
            frame["mask_path"] = f"{MASKS}/{mask}"
        frame |= {} if shared else lenses[view]
        frames.append({**frame, "transform_matrix": camera_to_world[view].tolist()})
    return {**shared, "frames": frames}


def _lens(cameras: Cameras, view: int) -> Mapping[str, float]:
    assert cameras.intrinsics is not None
    assert cameras.sizes is not None
    intrinsics: NDArray[np.float64] = cameras.intrinsics[view]
    width, height = cameras.sizes[view].tolist()
    bends = np.zeros(8) if cameras.distortion is None else cameras.distortion[view]
    coefficients = {name: float(bends[place]) for name, place in _COEFFICIENTS.items()}
    if not coefficients["k3"]:
        del coefficients["k3"]  # Instant-NGP knows the others only
    return {
        "w": width,
        "h": height,
        "fl_x": float(intrinsics[0, 0]),
        "fl_y": float(intrinsics[1, 1]),
        "cx": float(intrinsics[0, 2]),
        "cy": float(intrinsics[1, 2]),
        **coefficients,
    }


def shared(options: NerfstudioOptions) -> Mapping[str, object]:
    """As `Exporter.shared`."""
    return {**shared_images(options.lens), **shared_points(options)}


NERFSTUDIO = Exporter(
    "nerfstudio",
    NerfstudioOptions,
    write,
    (FILE, IMAGES, MASKS, POINTS),
    Needs(cameras=True),
    check,
    check_intrinsics=check_intrinsics,
    shared=shared,
)
