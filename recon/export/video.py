"""H.264 videos that every player and browser knows, written frame by frame, whole or not at all."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from recon.errors import InputError
from recon.files import atomic_write

if TYPE_CHECKING:
    from av.container import OutputContainer
    from av.video.stream import VideoStream

LARGEST_SIDE = 16384
"""Pixels; the encoder's limit."""
_BT709 = 1
"""The number of BT.709's primaries and transfer curve in H.264 (ITU-T H.264, tables E-3 and E-4)."""


Quality = Literal["high", "medium", "low"]


class Encoding(NamedTuple):
    """How much room a video takes, and how long x264 looks for ways to save it."""

    crf: int
    """Constant rate factor: lower is better and larger; 18 looks like the original."""
    preset: str


QUALITIES: dict[Quality, Encoding] = {
    "high": Encoding(18, "slow"),
    "medium": Encoding(23, "medium"),
    "low": Encoding(28, "veryfast"),
}


def check_size(height: int, width: int) -> None:
    """Raise InputError for frames that are too large for the encoder."""
    if max(height, width) > LARGEST_SIDE:
        raise InputError(f"a video can be {LARGEST_SIDE} pixels wide and high at most, this is {width}×{height}")


@contextlib.contextmanager
def write_video(path: Path, fps: int, quality: Quality = "high") -> Iterator[VideoWriter]:
    """Give a writer to add frames to; the video appears at `path` when the block ends without an exception.

    The encoder holds back some dozens of frames at most, so memory does not grow with their number. The same frames
    make the same bytes on machines with any number of cores. Raises InputError where `path` cannot be written.
    """
    import av

    with (
        atomic_write(path) as temporary,
        av.open(str(temporary), "w", options={"fflags": "+bitexact", "movflags": "+faststart"}) as container,
    ):
        writer = VideoWriter(container, fps, QUALITIES[quality])
        yield writer
        writer.finish()


class VideoWriter:
    """Encodes frames as they come, as yuv420p.

    That format needs even sides: an odd one is extended by repeating its last row or column. One encoder thread, since
    the bytes depend on how many there are.
    """

    def __init__(self, container: OutputContainer, fps: int, encoding: Encoding) -> None:
        self._container = container
        self._fps = fps
        self._encoding = encoding
        self._stream: VideoStream | None = None
        self._size = (0, 0)

    def add(self, pixels: NDArray[np.uint8]) -> None:
        """Append an (H, W, 3) RGB frame; all must have the size of the first."""
        from av import VideoFrame
        from av.video.reformatter import ColorRange, Colorspace

        height, width = pixels.shape[:2]
        if self._stream is None:
            self._stream = self._open_stream(height, width)
            self._size = (height, width)
        if (height, width) != self._size:
            raise ValueError(f"frames of one video must have one size, got {(height, width)} after {self._size}")
        padded = np.pad(pixels, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        frame = VideoFrame.from_ndarray(padded, format="rgb24").reformat(
            format="yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG
        )
        self._container.mux(self._stream.encode(frame))

    def finish(self) -> None:
        """Encode what the encoder still holds back."""
        if self._stream is None:
            raise ValueError("a video needs at least one frame")
        self._container.mux(self._stream.encode())

    def _open_stream(self, height: int, width: int) -> VideoStream:
        from av.video.reformatter import ColorRange, Colorspace

        check_size(height, width)
        # With its macroblock tree, x264 gives other bytes for the same small frames now and then.
        options = {"crf": str(self._encoding.crf), "preset": self._encoding.preset, "x264-params": "no-mbtree=1"}
        stream = self._container.add_stream("libx264", rate=self._fps, options=options)
        stream.width, stream.height = width + width % 2, height + height % 2
        stream.pix_fmt = "yuv420p"
        codec = stream.codec_context
        codec.thread_count = 1
        # Said in the stream, because players guess differently what colours it holds if it does not say.
        codec.colorspace, codec.color_range = Colorspace.ITU709, ColorRange.MPEG
        codec.color_primaries = codec.color_trc = _BT709
        return stream
