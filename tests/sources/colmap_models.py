"""COLMAP models with photos of a pattern on the sky, written by pycolmap."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tests.geometry.random_cameras import random_extrinsics
from tests.seeds import numpy_random

WIDTH, HEIGHT = 240, 160
FOCAL = 110.0
_BENT = (-0.05, 0.01, 0.002, -0.001, 0.003, 0.001, 0.0005, 0.0002, 0.0001, 0.0001, 0.0001, 0.0001)
_OWN: Mapping[str, tuple[float, ...]] = {"EUCM": (0.6, 1.1), "FOV": (0.9,)}
"""Of models whose distortion is none of coefficients."""


def models() -> list[str]:
    """Every camera model that pycolmap knows and a pinhole photo can be made of."""
    import pycolmap

    return [name for name in pycolmap.CameraModelId.__members__ if name not in ("INVALID", "EQUIRECTANGULAR")]


def bent_camera(model: str, size: tuple[int, int] = (WIDTH, HEIGHT)) -> Any:
    """A camera of the model whose lens bends, with an off-centre principal point and, where it has two, unlike focal
    lengths."""
    import pycolmap

    camera = pycolmap.Camera.create_from_model_name(1, model, FOCAL, *size)
    parameters = np.array(camera.params)
    extra = list(camera.extra_params_idxs())
    parameters[extra] = _OWN.get(model, _BENT)[: len(extra)]
    parameters[list(camera.principal_point_idxs())] += (7, -4)
    focals = list(camera.focal_length_idxs())
    parameters[focals] *= (1.0, 1.02)[: len(focals)]
    camera.params = list(parameters)
    return camera


def pattern(directions: NDArray[np.float64]) -> NDArray[np.uint8]:
    """(..., 3) colours of directions (..., 3): waves that no resampling blurs."""
    unit = directions / np.linalg.norm(directions, axis=-1, keepdims=True)
    waves = np.stack(
        [np.sin(9 * unit[..., 0]), np.sin(7 * unit[..., 1] + 1), np.cos(5 * unit[..., 0] - 6 * unit[..., 1])]
    )
    return np.moveaxis(np.round(127.5 + 100 * waves), 0, -1).astype(np.uint8)


def pixel_centres(size: tuple[int, int]) -> NDArray[np.float64]:
    """(H, W, 2) of an image of width and height."""
    return np.stack(np.meshgrid(np.arange(size[0]) + 0.5, np.arange(size[1]) + 0.5), axis=2)


def photo_of(camera: Any) -> NDArray[np.uint8]:
    """The pattern as the camera sees it."""
    centres = pixel_centres((camera.width, camera.height))
    rays = np.array(camera.cam_from_img(centres.reshape(-1, 2)))
    directions = np.concatenate([rays, np.ones((len(rays), 1))], axis=1).reshape(*centres.shape[:2], 3)
    return pattern(np.nan_to_num(directions))


def write_scene(
    folder: Path,
    cameras: Sequence[Any],
    names: Sequence[str],
    *,
    text: bool = False,
    points: int = 12,
    model: str = "sparse/0",
    images: str = "images",
) -> NDArray[np.float64]:
    """A scene of photos, one for each name and camera, all of which see the same points.

    Returns (N, 4, 4) world-to-camera.
    """
    import pycolmap

    scene = pycolmap.Reconstruction()
    poses = random_extrinsics(numpy_random(0), len(names))
    for index, (camera, name) in enumerate(zip(cameras, names, strict=True), 1):
        camera.camera_id = index
        scene.add_camera_with_trivial_rig(camera)
        photo = pycolmap.Image(name=name, keypoints=np.full((points, 2), 9.0), camera_id=index, image_id=index)
        scene.add_image_with_trivial_frame(photo, pycolmap.Rigid3d(poses[index - 1][:3]))
        path = folder / images / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(photo_of(camera)).save(path)
    for index in range(points):
        track = pycolmap.Track()
        for image_id in range(1, len(names) + 1):
            track.add_element(image_id, index)
        scene.add_point3D(numpy_random(index).normal(size=3), track)
    (folder / model).mkdir(parents=True, exist_ok=True)
    (scene.write_text if text else scene.write_binary)(folder / model)
    return poses
