"""Gaussian splats: from and to files, and rendered, on any machine."""

from recon.splats.ply import read_ply, write_ply
from recon.splats.rendering import Rendering, iter_render, render
from recon.splats.spz import read_spz, write_spz
from recon.types import Gaussians

__all__ = [
    "Gaussians",
    "Rendering",
    "iter_render",
    "read_ply",
    "read_spz",
    "render",
    "write_ply",
    "write_spz",
]
