"""A step of Gaussian splatting in eager torch, to measure against: what one writes without kernels.

The loss and the learning rates are those of `recon.refine`; derivatives come from autograd, steps from torch's Adam.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import conv2d

from recon.refine.optimisation.photo_loss import SSIM_WEIGHT
from recon.types import Gaussians
from tests.benchmarks.torch_tiles import TorchSplats, render_tensors

_RATES = {"means": 1e-4, "scales": 5e-3, "rotations": 1e-3, "harmonics": 2.5e-3, "opacities": 0.05}


class TorchTraining:
    """Splats in float32 that are fitted to photos, a photo a step."""

    def __init__(self, gaussians: Gaussians) -> None:
        start = {name: torch.from_numpy(getattr(gaussians, name).copy()) for name in TorchSplats._fields}
        start["scales"] = start["scales"].log()
        start["opacities"] = start["opacities"].logit()
        self._parameters = {name: values.requires_grad_() for name, values in start.items()}
        self._adam = torch.optim.Adam(
            [{"params": [self._parameters[name]], "lr": rate} for name, rate in _RATES.items()], eps=1e-15
        )
        window = torch.exp(-(torch.arange(-5.0, 6.0) ** 2) / (2 * 1.5**2))
        self._window = (window / window.sum()).repeat(3, 1)  # (3, 11)

    def step(
        self, photo: NDArray[np.uint8], world_to_camera: NDArray[np.float64], intrinsics: NDArray[np.float64]
    ) -> float:
        """The loss of one (H, W, 3) photo before the step it makes."""
        splats = TorchSplats(**self._parameters)
        splats = splats._replace(scales=splats.scales.exp(), opacities=splats.opacities.sigmoid())
        view = torch.from_numpy(world_to_camera).float()
        image = render_tensors(splats, view, intrinsics, (photo.shape[0], photo.shape[1])).permute(2, 0, 1)
        truth = torch.from_numpy(photo).permute(2, 0, 1) / 255
        loss = (1 - SSIM_WEIGHT) * (image - truth).abs().mean() + SSIM_WEIGHT * (1 - self._ssim(image, truth))
        self._adam.zero_grad()
        loss.backward()
        self._adam.step()
        return loss.item()

    def _ssim(self, image: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        products = torch.stack([image, truth, image * image, truth * truth, image * truth])  # (5, 3, H, W)
        means = conv2d(products, self._window[:, None, None], padding=(0, 5), groups=3)
        a, b, aa, bb, ab = conv2d(means, self._window[:, None, :, None], padding=(5, 0), groups=3)
        numerator = (2 * a * b + 0.01**2) * (2 * (ab - a * b) + 0.03**2)
        return (numerator / ((a * a + b * b + 0.01**2) * (aa + bb - a * a - b * b + 0.03**2))).mean()
