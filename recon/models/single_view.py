"""What the numbers of Depth Anything 3's single-view networks mean (arXiv 2511.10647), in torch as in ONNX."""

from __future__ import annotations

SKY_THRESHOLD = 0.3
"""Pixels with at least this sky score are sky."""
CANONICAL_FOCAL = 300.0
"""Focal length, in pixels of the processed image, that the metric network gives metres for."""
