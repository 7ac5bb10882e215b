"""Videos whose frames are known: written with PyAV, each frame with its number in black and white bars."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

BITS = 8
WIDTH, HEIGHT = 128, 80


def numbered(number: int, width: int = WIDTH, height: int = HEIGHT) -> NDArray[np.uint8]:
    """(H, W, 3) with bars from left to right, the lowest bit first, in the upper half; the lower half is grey."""
    bits = [(number >> bit) & 1 for bit in range(BITS)]
    row = np.repeat(np.array(bits, np.uint8) * 200 + 20, width // BITS)
    picture = np.full((height, width, 3), 100, np.uint8)
    picture[: height // 2] = row[None, :, None]
    return picture


def number_of(pixels: NDArray[np.uint8]) -> int:
    """Which frame a picture of `numbered` is."""
    height, width = pixels.shape[:2]
    middle = pixels[height // 4, width // BITS // 2 :: width // BITS, 0]
    return sum(int(value > 120) << bit for bit, value in enumerate(middle[:BITS]))


def write_video(
    path: Path,
    frames: Iterable[NDArray[np.uint8]],
    codec: str = "libx264",
    rate: int = 10,
    stamps: Sequence[int] | None = None,
    pixel_format: str = "yuv420p",
    rotation: int = 0,
    colours: dict[str, int] | None = None,
    options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
    aspect: Fraction | None = None,
) -> Path:
    """Frames of equal size.

    Args:
        path: its suffix decides the container.
        frames: (H, W, 3), RGB of 8 bits, or of 16.
        codec: of FFmpeg.
        rate: frames a second.
        stamps: when each is shown, in units of 1 / `rate` [one after the other].
        pixel_format: of FFmpeg.
        rotation: degrees that players turn it by, counter-clockwise.
        colours: attributes of the codec's context: `colorspace`, `color_range`, `color_trc`, `color_primaries`.
        options: of the codec.
        container_options: of the container.
        aspect: width of a pixel over its height.
    """
    import av

    with av.open(str(path), "w", options=container_options or {}) as container:
        stream: Any = None
        for index, pixels in enumerate(frames):
            if stream is None:
                stream = container.add_stream(codec, rate=rate, options=options or {})
                stream.width, stream.height, stream.pix_fmt = pixels.shape[1], pixels.shape[0], pixel_format
                for name, value in (colours or {}).items():
                    setattr(stream.codec_context, name, value)
                if aspect is not None:
                    stream.codec_context.sample_aspect_ratio = aspect
                if rotation:
                    stream.set_display_rotation(rotation)
                stream.codec_context.time_base = Fraction(1, rate)
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24" if pixels.dtype == np.uint8 else "rgb48le")
            matrix, levels = ((colours or {}).get(name) for name in ("colorspace", "color_range"))
            frame = frame.reformat(format=pixel_format, dst_colorspace=matrix, dst_color_range=levels)
            frame.pts, frame.time_base = (index if stamps is None else stamps[index]), Fraction(1, rate)
            container.mux(stream.encode(frame))
        if stream is not None:
            container.mux(stream.encode())
    return path


def write_sound(path: Path) -> Path:
    """Half a second of silence."""
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.float32), format="fltp", layout="mono")
        frame.sample_rate, frame.pts = 16000, 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path
