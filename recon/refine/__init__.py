"""After depth: alignment with known cameras, and Gaussian splats from depth."""

from recon.refine.depth_splats import DepthSplatOptions, from_depth, splats_from_depth

__all__ = ["DepthSplatOptions", "from_depth", "splats_from_depth"]
