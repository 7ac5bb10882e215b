"""Renders splats by gsplat and moves them in torch, on CUDA; not the same to the bit from one time to the next."""

from __future__ import annotations

from torch import Tensor

from recon.refine.optimisation.state import AdamSplats
from recon.refine.optimisation.torch_updater import TorchUpdater


def open_gsplat_updater(splats: AdamSplats, device: str = "cuda") -> TorchUpdater:
    """With the splats on `device`."""
    return TorchUpdater(splats, draw, device)


def draw(
    means: Tensor,
    scales: Tensor,
    rotations: Tensor,
    harmonics: Tensor,
    opacities: Tensor,
    world_to_camera: Tensor,
    intrinsics: Tensor,
    size: tuple[int, int],
) -> tuple[Tensor, Tensor, Tensor]:
    """See `recon.refine.optimisation.torch_updater.Draw`."""
    import gsplat

    height, width = size
    channels, alpha, _ = gsplat.rasterization(
        means=means,
        quats=rotations,
        scales=scales,
        opacities=opacities,
        colors=harmonics.transpose(1, 2),  # (G, K, 3)
        viewmats=world_to_camera[None],  # (1, 4, 4)
        Ks=intrinsics[None],  # (1, 3, 3)
        width=width,
        height=height,
        near_plane=0.01,
        far_plane=1e10,
        sh_degree=round(harmonics.shape[2] ** 0.5) - 1,
        render_mode="RGB+D",
        rasterize_mode="classic",
        packed=False,
    )
    return channels[0, ..., :3], channels[0, ..., 3], alpha[0, ..., 0]
