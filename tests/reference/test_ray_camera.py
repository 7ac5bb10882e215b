"""Cameras from rays against the reference's, where the answer is unique."""

from __future__ import annotations

import pytest
import torch

from recon.models.ray_camera import cameras_from_rays
from tests.models.test_ray_camera import CELLS, HEIGHT, WIDTH, camera, exact_rays
from tests.reference.networks import needs_reference
from tests.seeds import torch_random

pytestmark = needs_reference


@pytest.mark.parametrize("seed", range(3))
def test_exact_rays_of_a_centred_camera(seed: int) -> None:
    """The reference assumes a centred principal point; there both agree."""
    from depth_anything_3.utils.ray_utils import get_extrinsic_from_camray

    rotation, centre, intrinsics = camera(torch_random(seed), 0.5)
    intrinsics[:2, 2] = torch.tensor([WIDTH / 2, HEIGHT / 2])
    rays, conf = exact_rays(rotation, centre, intrinsics)[None, None], torch.ones(1, 1, *CELLS)
    camera_to_world, focal, _ = get_extrinsic_from_camray(rays, conf[..., None], *CELLS)
    extrinsics, predicted = cameras_from_rays(rays, conf, HEIGHT, WIDTH)
    torch.testing.assert_close(extrinsics[0, 0, :, :3], camera_to_world[0, 0, :3, :3].T, rtol=0, atol=1e-3)
    focal_pixels = focal[0, 0] / 2 * torch.tensor([WIDTH, HEIGHT])
    torch.testing.assert_close(predicted[0, 0].diagonal()[:2], focal_pixels, rtol=1e-3, atol=0)
