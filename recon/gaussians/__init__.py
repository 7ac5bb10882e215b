"""Gaussian splats: from depth maps, from and to files, and rendered, on any machine."""

from recon.gaussians.depth_splats import DepthSplatOptions, from_depth, splats_from_depth
from recon.gaussians.ply import read_ply, write_ply
from recon.gaussians.rendering import Rendering, iter_render, render
from recon.gaussians.spz import read_spz, write_spz
from recon.types import Gaussians

__all__ = [
    "DepthSplatOptions",
    "Gaussians",
    "Rendering",
    "from_depth",
    "iter_render",
    "read_ply",
    "read_spz",
    "render",
    "splats_from_depth",
    "write_ply",
    "write_spz",
]
