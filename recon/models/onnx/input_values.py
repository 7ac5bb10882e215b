"""Photos as an ONNX file takes them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from recon.models.onnx.model_info import ModelInfo
from recon.sources.fitting import IMAGENET_MEAN, IMAGENET_STD, normalise


def input_values(images: NDArray[np.uint8], info: ModelInfo) -> NDArray[np.generic]:
    """(B, H, W, 3) photos normalised, laid out and typed as `info` says; as bytes where the file takes bytes."""
    if info.input_dtype == "uint8":
        values: NDArray[np.generic] = images.transpose(0, 3, 1, 2)  # (B, H, W, 3) -> (B, 3, H, W)
    elif info.mean is IMAGENET_MEAN and info.std is IMAGENET_STD:
        values = normalise(images)
    else:
        levels = np.arange(256, dtype=np.float64)[:, None] / 255
        table = ((levels - info.mean) / info.std).astype(np.float32)  # (256, 3)
        values = np.stack([table[images[..., channel], channel] for channel in range(3)], axis=1)
    if info.layout == "NHWC":
        values = values.transpose(0, 2, 3, 1)  # (B, 3, H, W) -> (B, H, W, 3)
    return np.ascontiguousarray(values).astype(info.input_dtype, copy=False)
