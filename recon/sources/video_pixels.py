"""Pixels of a video's frame: turned upright, square, in 8-bit sRGB whatever its colours are stored as."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from recon.errors import InputError
from recon.sources.tone_mapping import BT2020, P3, is_beyond_srgb, to_srgb

if TYPE_CHECKING:
    from av import VideoFrame

_MATRICES = frozenset({1, 4, 5, 6, 7, 9})
"""Of luma and chroma (ITU-T H.273, table 4), as swscale knows them: BT.709, FCC, BT.601, SMPTE 240M, BT.2020."""
_BT709, _BT601 = 1, 5
_HD_HEIGHT, _HD_WIDTH = 720, 1280
"""Players take a video that does not say its matrix for BT.709 from this size on, and for BT.601 below."""
_FIXED = 65536
"""1 in a display matrix, 16.16 (ISO/IEC 14496-12, 8.3.2)."""

_WHITE = 255
_SMALL = 480
"""Pixels of the longer side of what sharpness is measured on: noise of sensor and codec is averaged away by then."""


UPRIGHT = (1.0, 0.0, 0.0, 1.0)
"""The display matrix of frames that are shown as they are stored."""


def rgb_pixels(
    frame: VideoFrame,
    aspect: float = 1.0,
    matrix: tuple[float, float, float, float] = UPRIGHT,
    label: str = "the video",
) -> NDArray[np.uint8]:
    """(H, W, 3) RGB of a frame; transparency is blended over white.

    Args:
        frame: as decoded.
        aspect: width of a pixel over its height; the frame is stretched to square ones.
        matrix: turns and mirrors it, as `display_matrix`.
        label: of the video in errors.

    Raises:
        InputError: colours that cannot be converted.
    """
    width, height = _square(frame.width, frame.height, aspect)
    beyond = is_beyond_srgb(frame.color_trc, frame.color_primaries)
    alpha = any(component.is_alpha for component in frame.format.components) and not beyond
    pixel_format = "rgb48le" if beyond else "rgba" if alpha else "rgb24"
    try:
        converted = frame.reformat(width, height, format=pixel_format, src_colorspace=_matrix(frame))
    except (ValueError, OSError) as error:
        raise InputError(f"{label} has colours ({frame.format.name}) that cannot be converted: {error}") from error
    pixels: Any = converted.to_ndarray()
    if beyond:
        pixels = to_srgb(pixels, frame.color_trc, frame.color_primaries)
    elif alpha:
        share = pixels[..., 3:].astype(np.uint16)
        blended = pixels[..., :3] * share + _WHITE * (_WHITE - share)
        pixels = ((blended + _WHITE // 2) // _WHITE).astype(np.uint8)
    return np.ascontiguousarray(turned(pixels, matrix))


def display_matrix(frame: VideoFrame) -> tuple[float, float, float, float]:
    """a, b, c, d of what turns and mirrors the stored frame for display: x' = a x + c y, y' = b x + d y.

    To be asked for one frame of a video, not for each: a frame that was asked is freed only by the garbage collector.
    """
    from av.sidedata.sidedata import Type

    found = frame.side_data.get(Type.DISPLAYMATRIX)  # type: ignore[call-overload]
    if found is None:
        return UPRIGHT
    values = np.frombuffer(bytes(found), np.int32)[[0, 1, 3, 4]] / _FIXED
    a, b, c, d = (float(value) for value in values)
    return a, b, c, d


def turned(pixels: NDArray[np.uint8], matrix: tuple[float, float, float, float]) -> NDArray[np.uint8]:
    """`pixels` (H, W, C) by the right angle, and mirrored, that is nearest to a display matrix."""
    a, b, c, d = matrix
    if abs(b) + abs(c) > abs(a) + abs(d):
        pixels, a, d = pixels.swapaxes(0, 1), c, b
    pixels = pixels[:, ::-1] if a < 0 else pixels
    return pixels[::-1] if d < 0 else pixels


def sharpness(frame: VideoFrame) -> float:
    """Variance of the Laplacian of a small grey version of a frame: larger is sharper, among frames of one scene."""
    grey: Any = _luma(frame)
    factor = _SMALL / max(grey.shape)
    if factor < 1:
        size = (max(round(grey.shape[1] * factor), 1), max(round(grey.shape[0] * factor), 1))
        while (
            grey.shape[1] >= 2 * size[0] and grey.shape[0] >= 2 * size[1] and not any(side % 2 for side in grey.shape)
        ):
            # Halving by means of four is many times as fast as one step to a quarter.
            grey = cv2.resize(grey, (grey.shape[1] // 2, grey.shape[0] // 2), interpolation=cv2.INTER_AREA)
        grey = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
    edges = cv2.Laplacian(grey, cv2.CV_16S)
    mean = cv2.mean(edges)[0]
    return float(cv2.norm(edges, cv2.NORM_L2SQR) / edges.size - mean * mean)


def _luma(frame: VideoFrame) -> NDArray[np.uint8]:
    """(H, W) of the frame: where it is stored by itself, without a copy."""
    layout = frame.format
    first = layout.components[0]
    if layout.is_planar and not layout.is_rgb and first.bits == 8 and first.plane == 0:
        plane = frame.planes[0]
        return np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)[: frame.height, : frame.width]
    return np.asarray(frame.reformat(format="gray").to_ndarray())


def _matrix(frame: VideoFrame) -> int:
    """What turns luma and chroma into RGB: as said, else as players guess."""
    if frame.colorspace in _MATRICES:
        return int(frame.colorspace)
    if frame.color_primaries in (BT2020, P3):
        return 9 if frame.color_primaries == BT2020 else _BT709
    return _BT709 if frame.height >= _HD_HEIGHT or frame.width >= _HD_WIDTH else _BT601


def _square(width: int, height: int, aspect: float) -> tuple[int, int]:
    """The size with square pixels; none is lost."""
    if abs(aspect - 1) < 1e-3:
        return width, height
    return (round(width * aspect), height) if aspect > 1 else (width, round(height / aspect))
