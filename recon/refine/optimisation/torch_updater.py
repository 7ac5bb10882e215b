"""Renders splats and moves them in torch, on any device, with whatever draws splats with derivatives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recon.refine.optimisation.densification import NOISE_OPACITY, NOISE_SHARPNESS
from recon.refine.optimisation.photo_loss import Target
from recon.refine.optimisation.photos import Look
from recon.refine.optimisation.splat_adam import BETA_1, BETA_2, EPSILON, OPACITY_BOUNDS, bias_corrections
from recon.refine.optimisation.state import AdamSplats
from recon.refine.optimisation.torch_photo_loss import photo_loss
from recon.refine.optimisation.updater import Derivatives, StepRates
from recon.splats.cpu_projection_gradients import HARMONICS, MEAN, OPACITY, ROTATION, SCALE

Draw = Callable[..., tuple[Tensor, Tensor, Tensor]]
"""Takes means (G, 3), scales (G, 3), rotations (G, 4), harmonics (G, 3, K), opacities (G,), world-to-camera (4, 4),
intrinsics (3, 3) and (height, width); gives colour (H, W, 3) before black, summed depth (H, W) and alpha (H, W), with
derivatives by all but the intrinsics."""

_CORRECTIONS = 10_000


class TorchUpdater:
    """See `recon.refine.optimisation.updater`.

    The same steps as on the CPU but for rounding, and for splats that masks hide wholly, which stay where they are.
    Derivatives by focal lengths and principal point come from those by
    world-to-camera: fx and cx change a view as a multiple of its first row, and of the third added to it, would.
    """

    def __init__(self, splats: AdamSplats, draw: Draw, device: str) -> None:
        self._draw, self._device = draw, device
        self._corrections = self._tensor(bias_corrections(_CORRECTIONS))
        self._targets: WeakKeyDictionary[Target, tuple[Tensor, Tensor]] = WeakKeyDictionary()
        self._splats = splats
        self._on_device: dict[str, Tensor] = {}
        self.push(splats)

    def step(
        self,
        look: Look,
        world_to_camera: NDArray[np.float64],
        intrinsics: NDArray[np.float64],
        exposure: NDArray[np.float64],
        rates: StepRates,
    ) -> Derivatives:
        """See `SplatUpdater.step`."""
        names = ("means", "scales", "rotations", "harmonics", "opacities")
        parameters = {name: self._on_device[name].detach().requires_grad_() for name in names}
        camera = self._tensor(world_to_camera).requires_grad_()
        gain, offset = (self._tensor(part).requires_grad_() for part in np.split(exposure, 2))
        color, depth, alpha = self._draw(*parameters.values(), camera, self._tensor(intrinsics), look.size)
        photo, counts = self._target(look.target)
        loss = photo_loss(color.permute(2, 0, 1) * gain[:, None, None] + offset[:, None, None], photo, counts)
        closeness = self._tensor(look.closeness)
        far = ((depth * closeness - alpha).abs() * (closeness > 0)).sum()
        (loss + rates.depth_weight / closeness.numel() * far).backward()
        with torch.no_grad():
            self._move({name: _derivative(tensor) for name, tensor in parameters.items()}, rates)
        of_camera = _numpy(_derivative(camera))
        return Derivatives(
            _numpy(_derivative(gain)),
            _numpy(_derivative(offset)),
            of_camera,
            _of_intrinsics(of_camera, world_to_camera, intrinsics),
        )

    def draw(
        self, world_to_camera: NDArray[np.float64], intrinsics: NDArray[np.float64], size: tuple[int, int]
    ) -> NDArray[np.float32]:
        """See `SplatUpdater.draw`."""
        found = self._on_device
        splats = (found["means"], found["scales"], found["rotations"], found["harmonics"], found["opacities"])
        with torch.no_grad():
            color, _, _ = self._draw(*splats, self._tensor(world_to_camera), self._tensor(intrinsics), size)
            drawn: NDArray[np.float32] = color.permute(2, 0, 1).cpu().numpy()
        return drawn

    def shake(self, amount: float, rng: np.random.Generator) -> None:
        """See `SplatUpdater.shake`."""
        found = self._on_device
        generator = torch.Generator(self._device).manual_seed(int(rng.integers(2**31)))
        noise = torch.randn(found["means"].shape, generator=generator, device=self._device)
        rotation = _rotation_matrices(found["rotations"])  # (G, 3, 3)
        local = torch.einsum("gji,gj->gi", rotation, noise) * found["scales"].square()
        faint = torch.sigmoid(NOISE_SHARPNESS * (NOISE_OPACITY - found["opacities"]))
        found["means"] += amount * faint[:, None] * torch.einsum("gij,gj->gi", rotation, local)

    def pull(self) -> AdamSplats:
        """See `SplatUpdater.pull`."""
        for name, array in self._splats.arrays.items():
            array[...] = self._on_device[name].cpu().numpy()
        return self._splats

    def push(self, splats: AdamSplats) -> None:
        """See `SplatUpdater.push`."""
        self._splats = splats
        self._on_device = {name: torch.tensor(array, device=self._device) for name, array in splats.arrays.items()}

    def reopen(self) -> None:
        """See `SplatUpdater.reopen`."""

    def close(self) -> None:
        """See `SplatUpdater.close`."""
        self._on_device = {}
        self._targets.clear()

    def _move(self, derivatives: dict[str, Tensor], rates: StepRates) -> None:
        """Adam's step of all splats that pixels took colour from, as `splat_adam` has it."""
        found = self._on_device
        of_opacity, of_scale = rates.penalties.tolist()
        count = len(found["means"])
        rows = torch.cat([derivatives[name].reshape(count, -1) for name in _IN_ROWS], dim=1)  # (G, D)
        seen = (rows != 0).any(dim=1).nonzero()[:, 0]
        rows = rows[seen]
        opacities, scales = found["opacities"][seen], found["scales"][seen]
        rows[:, SCALE:ROTATION] = (rows[:, SCALE:ROTATION] + of_scale) * scales
        rows[:, OPACITY] = (rows[:, OPACITY] + of_opacity) * opacities * (1 - opacities)
        steps = found["steps"][seen]
        found["steps"][seen] = steps + 1
        corrections = self._corrections[steps.long().clamp(max=_CORRECTIONS - 1)]  # (S, 2)
        first, second = found["moments"][seen].chunk(2, dim=1)
        first = BETA_1 * first + (1 - BETA_1) * rows
        second = BETA_2 * second + (1 - BETA_2) * rows.square()
        found["moments"][seen] = torch.cat([first, second], dim=1)
        change = first * corrections[:, :1] / ((second * corrections[:, 1:]).sqrt() + EPSILON)
        change = change * self._tensor(rates.parameters)
        found["means"][seen] -= change[:, MEAN:SCALE]
        found["scales"][seen] = scales * (-change[:, SCALE:ROTATION]).exp()
        found["rotations"][seen] -= change[:, ROTATION:OPACITY]
        moved = torch.sigmoid(torch.logit(opacities.double()) - change[:, OPACITY].double()).clamp(*OPACITY_BOUNDS)
        found["opacities"][seen] = moved.float()
        found["harmonics"][seen] -= change[:, HARMONICS:].reshape(len(seen), *found["harmonics"].shape[1:])

    def _target(self, target: Target) -> tuple[Tensor, Tensor]:
        """Photo and mask, on the device as long as they are in memory."""
        if target not in self._targets:
            self._targets[target] = self._tensor(target.photo), torch.tensor(target.counts, device=self._device)
        return self._targets[target]

    def _tensor(self, array: NDArray[Any]) -> Tensor:
        return torch.tensor(np.ascontiguousarray(array, np.float32), device=self._device)


_IN_ROWS = ("means", "scales", "rotations", "opacities", "harmonics")
"""In the order of `cpu_projection_gradients`."""


def _derivative(tensor: Tensor) -> Tensor:
    return torch.zeros_like(tensor) if tensor.grad is None else tensor.grad


def _numpy(tensor: Tensor) -> NDArray[np.float64]:
    return tensor.detach().cpu().double().numpy()


def _of_intrinsics(
    of_camera: NDArray[np.float64], world_to_camera: NDArray[np.float64], intrinsics: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(3, 3) derivatives by focal lengths and principal point, of those (4, 4) by world-to-camera."""
    found = np.zeros((3, 3))
    for axis in (0, 1):
        focal = intrinsics[axis, axis]
        found[axis, axis] = of_camera[axis] @ world_to_camera[axis] / focal
        found[axis, 2] = of_camera[axis] @ world_to_camera[2] / focal
    return found


def _rotation_matrices(quaternions: Tensor) -> Tensor:
    """(G, 3, 3) of quaternions (G, 4) of any length."""
    w, x, y, z = torch.nn.functional.normalize(quaternions, dim=1).unbind(dim=1)
    rows = (
        (1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)),
        (2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)),
        (2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)),
    )
    return torch.stack([torch.stack(row, dim=-1) for row in rows], dim=-2)
