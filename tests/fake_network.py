"""A network that knows the scene: it returns the depth and cameras it was made with, and notes what it was given.

Its world is a wall at z = 4 seen by cameras that look along z, so that depth is exact and unprojected points are known.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from recon.estimate.network import NetworkEstimator
from recon.geometry.cameras import to_3x4
from recon.geometry.similarity import Similarity
from recon.models.outputs import GaussianTensors, NetworkOutput
from recon.models.presets import load_preset
from recon.models.ready import ReadyModel, WeightsRecord

HEIGHT, WIDTH = 56, 70
WALL = 4.0
PREDICTED_INTRINSICS = np.array([[60.0, 0, WIDTH / 2], [0, 61.0, HEIGHT / 2], [0, 0, 1]])

USER_WORLD = Similarity(2.5, np.array([[0.0, 0, 1], [1, 0, 0], [0, 1, 0]]), np.array([10.0, -3.0, 7.0]))
"""From the network's world to the world that the user's cameras are in."""


def network_cameras(count: int) -> np.ndarray:
    """(N, 4, 4) world-to-camera in the network's world, not on a line, the first at the origin."""
    cameras = np.tile(np.eye(4), (count, 1, 1))
    for index in range(count):
        cameras[index, :3, 3] = -np.array([0.4 * index, 0.1 * index**2, 0.05 * (index % 3)])
    return cameras


def user_cameras(count: int) -> np.ndarray:
    """(N, 4, 4) the same cameras in the user's world."""
    return USER_WORLD.apply_to_extrinsics(network_cameras(count))


class FakeNetwork(nn.Module):
    """Called as the networks of `recon.models.networks`."""

    def __init__(self, *, with_cameras: bool = True, with_sky: bool = False, metric: float | None = None) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.with_cameras, self.with_sky, self.metric = with_cameras, with_sky, metric
        self.calls: list[dict[str, Any]] = []

    def forward(self, images: Tensor, **given: Any) -> NetworkOutput:
        self.calls.append({"images": images, **given})
        _, views, _, height, width = images.shape
        scale = self.metric or 1.0
        cameras = torch.from_numpy(to_3x4(network_cameras(views)).astype(np.float32))[None]
        centres_z = -cameras[..., 2, 3]  # (1, V)
        depth = ((WALL - centres_z) * scale)[..., None, None].expand(1, views, height, width).clone()
        cameras[..., 3] *= scale
        output = NetworkOutput(
            depth=depth,
            ref_view=torch.tensor([1]) if views >= 3 and given["extrinsics"] is None else None,
            features={layer: torch.full((1, views, 4, 5, 8), float(layer)) for layer in given["feature_layers"]},
            scale_factor=torch.tensor([scale]) if self.metric else None,
        )
        if self.with_sky:
            sky = torch.zeros_like(depth)
            sky[..., : height // 2, :] = 0.3
            output = replace(output, sky=sky)
        if self.with_cameras:
            confidence = 1 + torch.rand(depth.shape, generator=torch.Generator().manual_seed(0))
            intrinsics = torch.from_numpy(PREDICTED_INTRINSICS.astype(np.float32)).expand(1, views, 3, 3)
            output = replace(output, depth_conf=confidence, extrinsics=cameras, intrinsics=intrinsics)
        if given["infer_gs"]:
            centres = _camera_centres(cameras)[:, :, None].expand(1, views, height * width, 3)
            output = replace(output, gaussians=_gaussians_at(centres.reshape(1, -1, 3)))
        return output


def _camera_centres(world_to_camera: Tensor) -> Tensor:
    return -world_to_camera[..., 3]  # without rotation


def _gaussians_at(means: Tensor) -> GaussianTensors:
    scenes, count, _ = means.shape
    return GaussianTensors(
        means=means,
        scales=torch.full((scenes, count, 3), 0.1),
        rotations=torch.tensor([1.0, 0, 0, 0]).expand(scenes, count, 4),
        harmonics=torch.full((scenes, count, 3, 1), 0.5),
        opacities=torch.full((scenes, count), 0.9),
    )


def fake_ready(preset: str = "da3-small", **network: Any) -> ReadyModel:
    """`FakeNetwork` in the place of a preset's network."""
    return ReadyModel(FakeNetwork(**network), load_preset(preset), WeightsRecord("random", seed=0))


def fake_model(preset: str = "da3-small", **network: Any) -> NetworkEstimator:
    """The same as an estimator."""
    return NetworkEstimator(fake_ready(preset, **network))


def photos(count: int, seed: int = 0) -> list[np.ndarray]:
    """Arrays of twice the processed size."""
    generator = np.random.default_rng(seed)
    return [generator.integers(0, 256, (2 * HEIGHT, 2 * WIDTH, 3), dtype=np.uint8) for _ in range(count)]


def save_photos(folder: Path, count: int) -> None:
    """Write `photos(count)` into a new folder as 0.png, 1.png, …"""
    folder.mkdir()
    for index, pixels in enumerate(photos(count)):
        Image.fromarray(pixels).save(folder / f"{index}.png")
