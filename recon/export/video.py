"""Videos and moving pictures, written frame by frame, whole or not at all: MP4 (H.264), GIF and animated WebP.

WebP goes through imageio's PyAV plugin. The other two need what that plugin gives no access to, and so PyAV itself:
H.264 its rate factor, one thread and the colours it says it holds; GIF a filter for palettes that knows the size.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from recon.errors import InputError
from recon.files import atomic_write

if TYPE_CHECKING:
    from av import VideoFrame
    from av.container import OutputContainer
    from av.filter import Graph
    from av.video.stream import VideoStream
    from imageio.plugins.pyav import PyAVPlugin

VideoFormat = Literal["mp4", "gif", "webp"]
"""Also the suffix of the file."""
Quality = Literal["high", "medium", "low"]
"""Of MP4; the other two know one."""
LARGEST_SIDE: dict[str, int] = {"mp4": 16384, "gif": 65535, "webp": 16383}
"""Pixels; the encoders' limits."""
MOST_GIF_FRAMES = 50
"""A second: browsers show faster GIFs at 10."""
_BT709 = 1
"""The number of BT.709's primaries and transfer curve in H.264 (ITU-T H.264, tables E-3 and E-4)."""
_REPRODUCIBLE = {"fflags": "+bitexact"}
"""No date and no version in the file."""


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


class VideoWriter(Protocol):
    """Encodes frames as they come."""

    def add(self, pixels: NDArray[np.uint8]) -> None:
        """Append an (H, W, 3) RGB frame; all must have the size of the first."""


def check_video(video_format: VideoFormat, height: int, width: int, fps: int) -> None:
    """Raise InputError for frames that are too large for the format, or too many in a second."""
    check_rate(video_format, fps)
    largest = LARGEST_SIDE[video_format]
    if max(height, width) > largest:
        raise InputError(f"{video_format} can be {largest} pixels wide and high at most, this is {width}×{height}")


def check_rate(video_format: VideoFormat, fps: int) -> None:
    """Raise InputError for more frames in a second than the format can have."""
    if video_format == "gif" and fps > MOST_GIF_FRAMES:
        raise InputError(f"a GIF can have {MOST_GIF_FRAMES} frames a second at most, not fps {fps}")


@contextlib.contextmanager
def write_video(path: Path, fps: int, quality: Quality = "high") -> Iterator[VideoWriter]:
    """Give a writer to add frames to; the video appears at `path` when the block ends without an exception.

    The format is that of the suffix, one of `VideoFormat`; moving pictures repeat for ever. The encoders hold back some
    dozens of frames at most, so memory does not grow with their number. The same frames make the same bytes on machines
    with any number of cores. Raises InputError where `path` cannot be written.
    """
    with atomic_write(path) as temporary, _OPENERS[path.suffix](temporary, fps, quality) as writer:
        checked = _Checked(writer, path.suffix.removeprefix("."), fps)  # type: ignore[arg-type]  # else no opener
        yield checked
        if checked.size is None:
            raise ValueError("a video needs at least one frame")


class _Checked:
    """Holds every frame against the first, and that against what the format can hold."""

    def __init__(self, writer: VideoWriter, video_format: VideoFormat, fps: int) -> None:
        self._writer, self._format, self._fps = writer, video_format, fps
        self.size: tuple[int, int] | None = None

    def add(self, pixels: NDArray[np.uint8]) -> None:
        size = (pixels.shape[0], pixels.shape[1])
        if self.size is None:
            check_video(self._format, *size, self._fps)
            self.size = size
        if size != self.size:
            raise ValueError(f"frames of one video must have one size, got {size} after {self.size}")
        self._writer.add(pixels)


@contextlib.contextmanager
def _mp4(path: Path, fps: int, quality: Quality) -> Iterator[VideoWriter]:
    import av

    with av.open(str(path), "w", options={**_REPRODUCIBLE, "movflags": "+faststart"}) as container:
        writer = _H264Writer(container, fps, QUALITIES[quality])
        yield writer
        writer.finish()


class _H264Writer:
    """H.264 in yuv420p, which every player and browser knows.

    That format needs even sides: an odd one is extended by repeating its last row or column. One encoder thread, since
    the bytes depend on how many there are.
    """

    def __init__(self, container: OutputContainer, fps: int, encoding: Encoding) -> None:
        self._container, self._fps, self._encoding = container, fps, encoding
        self._stream: VideoStream | None = None

    def add(self, pixels: NDArray[np.uint8]) -> None:
        from av import VideoFrame
        from av.video.reformatter import ColorRange, Colorspace

        height, width = pixels.shape[:2]
        if self._stream is None:
            self._stream = self._open_stream(height, width)
        padded = np.pad(pixels, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        frame = VideoFrame.from_ndarray(padded, format="rgb24").reformat(
            format="yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG
        )
        self._container.mux(self._stream.encode(frame))

    def finish(self) -> None:
        """Encode what the encoder still holds back."""
        if self._stream is not None:
            self._container.mux(self._stream.encode())

    def _open_stream(self, height: int, width: int) -> VideoStream:
        from av.video.reformatter import ColorRange, Colorspace

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


@contextlib.contextmanager
def _gif(path: Path, fps: int, quality: Quality) -> Iterator[VideoWriter]:
    import av

    with av.open(str(path), "w", options={**_REPRODUCIBLE, "loop": "0"}) as container:
        writer = _GifWriter(container, fps)
        yield writer
        writer.finish()


class _GifWriter:
    """A palette of its own for each frame, with dithering."""

    def __init__(self, container: OutputContainer, fps: int) -> None:
        self._container, self._fps = container, fps
        self._stream: VideoStream | None = None
        self._graph: Graph | None = None
        self._count = 0

    def add(self, pixels: NDArray[np.uint8]) -> None:
        from av import VideoFrame

        height, width = pixels.shape[:2]
        if self._stream is None or self._graph is None:
            self._stream = self._container.add_stream("gif", rate=self._fps)
            self._stream.width, self._stream.height, self._stream.pix_fmt = width, height, "pal8"
            self._graph = _palette_graph(height, width, self._fps)
        frame = VideoFrame.from_ndarray(pixels, format="rgb24")
        frame.pts, frame.time_base = self._count, Fraction(1, self._fps)
        self._count += 1
        self._graph.push(frame)
        self._encode()

    def finish(self) -> None:
        """Encode what filter and encoder still hold back."""
        if self._stream is None or self._graph is None:
            return
        self._graph.push(None)
        self._encode()
        self._container.mux(self._stream.encode())

    def _encode(self) -> None:
        assert self._stream is not None
        for frame in self._filtered():
            self._container.mux(self._stream.encode(frame))

    def _filtered(self) -> Iterator[VideoFrame]:
        from av import error

        assert self._graph is not None
        while True:
            try:
                yield self._graph.vpull()
            except (error.BlockingIOError, error.EOFError):  # until another frame is pushed, or for good
                return


def _palette_graph(height: int, width: int, fps: int) -> Graph:
    """FFmpeg's filters: from each frame a palette, and the frame in it."""
    from av import VideoFormat
    from av.filter import Graph

    graph = Graph()
    pixels = VideoFormat("rgb24", width, height)
    source = graph.add_buffer(width=width, height=height, format=pixels, time_base=Fraction(1, fps))
    split = graph.add("split")
    palette = graph.add("palettegen", stats_mode="single")
    use = graph.add("paletteuse", new="1")
    sink = graph.add("buffersink")
    source.link_to(split)
    split.link_to(palette, 0, 0)
    split.link_to(use, 1, 0)
    palette.link_to(use, 0, 1)
    use.link_to(sink)
    graph.configure()
    return graph


@contextlib.contextmanager
def _webp(path: Path, fps: int, quality: Quality) -> Iterator[VideoWriter]:
    writer = _ImageioWriter(path, fps)
    try:
        yield writer
    finally:
        writer.close()


class _ImageioWriter:
    """An animated WebP, opened with the first frame: without one it could not be closed."""

    def __init__(self, path: Path, fps: int) -> None:
        self._path, self._fps = path, fps
        self._file: PyAVPlugin | None = None

    def add(self, pixels: NDArray[np.uint8]) -> None:
        if self._file is None:
            import imageio.v3 as iio
            from imageio.plugins.pyav import PyAVPlugin

            class Plugin(PyAVPlugin):
                def __del__(self) -> None:
                    """Nothing: after a failure to close, on a full disk, closing again would fail again."""

            self._file = iio.imopen(self._path, "w", plugin=Plugin, options={**_REPRODUCIBLE, "loop": "0"})
            self._file.init_video_stream("libwebp_anim", fps=self._fps)
        self._file.write_frame(pixels)

    def close(self) -> None:
        """Encode what the encoder still holds back."""
        if self._file is not None:
            self._file.close()


_Opener: TypeAlias = Callable[[Path, int, Quality], contextlib.AbstractContextManager[VideoWriter]]
_OPENERS: dict[str, _Opener] = {".mp4": _mp4, ".gif": _gif, ".webp": _webp}
