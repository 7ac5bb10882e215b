"""A small synthetic scene: cameras on an arc around a wavy wall, with every optional field on request."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
import pytest

from recon.types import Gaussians, Prediction
from tests.seeds import numpy_random

MakePrediction = Callable[..., Prediction]


def world_to_camera(views: int) -> np.ndarray:
    """(N, 3, 4) cameras that turn about the y axis and move along x and z."""
    angles = 0.15 * np.arange(views) + 0.1
    rotations = np.zeros((views, 3, 3))
    rotations[:, 0, 0] = rotations[:, 2, 2] = np.cos(angles)
    rotations[:, 0, 2], rotations[:, 2, 0] = np.sin(angles), -np.sin(angles)
    rotations[:, 1, 1] = 1
    centres = np.stack([0.4 * np.arange(views), np.full(views, 0.2), -0.1 * np.arange(views)], axis=1)
    return np.concatenate([rotations, -rotations @ centres[:, :, None]], axis=2).astype(np.float32)


@pytest.fixture(scope="session")
def make_prediction() -> MakePrediction:
    """Factory of predictions; the same arguments give the same arrays."""

    def make(
        views: int = 3,
        height: int = 28,
        width: int = 42,
        with_conf: bool = True,
        sky: str | None = None,
        cameras: bool = True,
        layers: tuple[int, ...] = (),
        gaussians: bool = False,
        **changes: Any,
    ) -> Prediction:
        rng = numpy_random(5)
        rows, columns = np.mgrid[:height, :width]
        depth = 3 + np.sin(columns / 9) + 0.02 * rows + rng.normal(0, 0.01, (views, height, width))
        shape = (views, height, width)
        values: dict[str, Any] = {
            "depth": depth.astype(np.float32),
            "processed_images": rng.integers(20, 230, (*shape, 3), dtype=np.uint8),
            "units": "aligned",
            "image_names": tuple(f"wand_{i}_äöü.jpg" for i in range(views)),
            "original_sizes": np.tile(np.array([[10 * width, 10 * height]]), (views, 1)),
            "processed_to_original": np.tile(np.diag([10.0, 10.0, 1.0]), (views, 1, 1)),
            "scale_factor": 1.2345678901234567,
            "ref_view": 1,
            "features": {k: rng.normal(size=(views, 4, 6, 16)).astype(np.float32) for k in layers},
        }
        if with_conf:
            values["conf"] = (1 + rng.gamma(2, 1, shape)).astype(np.float32)
        if sky is not None:
            mask = np.zeros(shape, bool)
            mask[:, : height if sky == "all" else height // 3] = True
            values["sky"] = mask
        if cameras:
            values["extrinsics"] = world_to_camera(views)
            k = np.array([[1.1 * width, 0, width / 2], [0, 1.1 * width, height / 2], [0, 0, 1]], np.float32)
            values["intrinsics"] = np.tile(k, (views, 1, 1))
        if gaussians:
            count = views * height * width
            values["gaussians"] = Gaussians(
                means=rng.normal(size=(count, 3)).astype(np.float32),
                scales=rng.random((count, 3)).astype(np.float32),
                rotations=np.tile(np.array([[1, 0, 0, 0]], np.float32), (count, 1)),
                harmonics=rng.normal(size=(count, 3, 9)).astype(np.float32),
                opacities=rng.random(count).astype(np.float32),
            )
            values["gaussian_source"] = "head"
        return Prediction(**{**values, **changes})

    return make


def digest(value: Any) -> str:
    """A hash of every array and scalar in a prediction, a mapping or a tuple, with types and shapes."""
    if isinstance(value, np.ndarray):
        return hashlib.sha256(repr((value.dtype.str, value.shape)).encode() + value.tobytes()).hexdigest()
    if is_dataclass(value):
        value = {f.name: getattr(value, f.name) for f in fields(value)}
    if isinstance(value, dict):
        value = tuple((name, digest(item)) for name, item in sorted(value.items()))
    return repr(value)


@pytest.fixture(scope="session")
def digest_of() -> Callable[[Any], str]:
    """Function from a value to a hash of all it holds."""
    return digest
