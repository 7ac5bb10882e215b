"""Names that users choose between and several parts share; apart, so that the command line starts without the parts."""

from __future__ import annotations

from typing import Literal

ProcessResMethod = Literal["upper_bound_resize", "upper_bound_crop", "lower_bound_resize", "lower_bound_crop"]
"""Which side `process_res` bounds, and how both sides become multiples of the patch; see `recon.sources.fitting`."""
MixedSizes = Literal["crop", "error"]
"""What becomes of photos of different shapes."""
Rasterizer = Literal["auto", "cpu", "gsplat"]
"""What renders splats; see `recon.splats.rendering`."""
OutputKind = Literal["depth", "disparity"]
"""What a network's map holds: `depth` (near is small) or `disparity` (near is large, zero is infinitely far)."""
Provider = Literal["auto", "cpu", "cuda", "coreml", "tensorrt"]
"""Where an ONNX file runs; see `recon.models.onnx.session`."""
DepthFile = Literal["png", "npy"]
"""Files of depth at the resolution of a photo; see `recon.export.photo_depth`."""
