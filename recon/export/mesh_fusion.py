"""Where depth maps are fused and surfaces get their colours: on the CPU, or on a GPU through torch."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from recon.choices import Device
from recon.cuda import cuda_device
from recon.geometry.mesh_colors import colors_from_photos
from recon.geometry.tsdf import CpuIntegrator, Integrator
from recon.types import FloatArray


class Fusion(Integrator, Protocol):
    """The steps of a mesh that take long. What they give on two devices differs by rounding alone."""

    def colors(
        self,
        points: NDArray[np.float32],
        normals: NDArray[np.float32],
        images: NDArray[np.uint8],
        depth: FloatArray,
        intrinsics: FloatArray,
        world_to_camera: FloatArray,
        tolerance: float,
    ) -> NDArray[np.uint8]:
        """As `recon.geometry.mesh_colors.colors_from_photos`."""
        ...


class CpuFusion(CpuIntegrator):
    """Compiled loops, by all threads."""

    def colors(
        self,
        points: NDArray[np.float32],
        normals: NDArray[np.float32],
        images: NDArray[np.uint8],
        depth: FloatArray,
        intrinsics: FloatArray,
        world_to_camera: FloatArray,
        tolerance: float,
    ) -> NDArray[np.uint8]:
        """As `Fusion`."""
        return colors_from_photos(points, normals, images, depth, intrinsics, world_to_camera, tolerance)


def choose_fusion(device: Device) -> Fusion:
    """What fuses on that device; `auto` is CUDA where torch has it, else the CPU, and so is what torch calls mps.

    Raises InputError for CUDA that is not there.
    """
    cuda = cuda_device(device)
    if cuda is None:
        return CpuFusion()
    from recon.export.mesh_fusion_torch import TorchFusion

    return TorchFusion(cuda)
