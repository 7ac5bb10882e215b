"""Photos as a pinhole camera would have taken them."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from recon.errors import InputError
from recon.types.cameras import Cameras
from recon.types.lens import is_negligible

_LONGEST_SIDE = 32766
"""Pixels: OpenCV addresses those of a photo by 16 bits when it warps."""
_ROWS_AT_ONCE = 512
"""Photos are warped in bands: a map of all pixels would take several times the memory of the photo."""


def undistort(pixels: NDArray[Any], camera: Cameras, pinhole: Cameras | None = None) -> NDArray[Any]:
    """The photo as a pinhole camera sees it, at the same size.

    Args:
        pixels: (H, W, 3) or (H, W) uint8 or float32, or a mask (H, W) bool: the upright original.
        camera: of this one photo as it was taken.
        pinhole: what `camera.pinhole()` gives, where it is known already.

    Returns:
        `pixels` themselves where the lens bends nothing to speak of.

    Raises:
        InputError: a photo of another size than the camera's, or one that is too long.
    """
    if camera.distortion is None:
        return pixels
    assert camera.sizes is not None
    assert camera.intrinsics is not None
    width, height = camera.sizes[0].tolist()
    if pixels.shape[:2] != (height, width):
        raise InputError(
            f"undistort takes the upright original, {width}×{height} pixels, not {pixels.shape[1]}×{pixels.shape[0]}"
        )
    distortion = camera.distortion[0]
    if is_negligible(camera.intrinsics[0], distortion, (width, height)):
        return pixels
    if max(width, height) > _LONGEST_SIDE:
        raise InputError(f"a photo of {width}×{height} pixels cannot be undistorted: over {_LONGEST_SIDE} a side")
    target_intrinsics = (camera.pinhole() if pinhole is None else pinhole).intrinsics
    assert target_intrinsics is not None
    # OpenCV's first pixel centre is (0, 0).
    source, target = camera.intrinsics[0].copy(), target_intrinsics[0].copy()
    source[:2, 2] -= 0.5
    target[:2, 2] -= 0.5
    is_mask = pixels.dtype == np.bool_
    image: NDArray[Any] = np.where(pixels, np.uint8(255), np.uint8(0)) if is_mask else pixels
    warped = np.empty_like(image)
    # Of a mask, a pixel is True where all four are that it lies between.
    interpolation = cv2.INTER_LINEAR if is_mask else cv2.INTER_CUBIC
    for top in range(0, height, _ROWS_AT_ONCE):
        rows = min(_ROWS_AT_ONCE, height - top)
        band = target.copy()
        band[1, 2] -= top
        x, y = cv2.initUndistortRectifyMap(source, distortion, None, band, (width, rows), cv2.CV_32FC1)
        warped[top : top + rows] = cv2.remap(image, x, y, interpolation, borderMode=cv2.BORDER_REPLICATE)
    return warped == 255 if is_mask else warped
