"""A video file: when its frames are shown, and the frames themselves one after the other, never all in memory."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from recon.errors import InputError
from recon.messages import warn

if TYPE_CHECKING:
    from av import VideoFrame
    from av.container import InputContainer
    from av.video.stream import VideoStream

_USUAL_RATE = 25.0
"""Frames a second where the file does not say."""
_ENDS_EARLY = 0.98
"""Share of what a file says it holds, below which it counts as cut off."""
_SECOND = 1_000_000
"""In units of a container's duration."""


@dataclass(frozen=True)
class VideoFile:
    """What a video says of its frames; `probe` reads it. F frames in the order in which they are shown."""

    path: Path
    times: NDArray[np.float64] = field(repr=False)
    """(F,) seconds from the first frame on, as players show them."""
    stamps: NDArray[np.int64] | None = field(repr=False)
    """(F,) the same in the file's own unit; None where it does not say, and frames are merely counted."""
    aspect: float
    """Width of a pixel over its height."""
    stored_size: tuple[int, int]
    """Width and height of the frames as they are stored, before they are turned or stretched."""
    intact: bool
    """Whether the file says when each of its frames is shown and holds as much as it says."""

    @staticmethod
    def probe(path: Path) -> VideoFile:
        """Read the whole file, and decode nothing.

        Warns of a file that ends before it should. Raises InputError where there is no video in it that can be read.
        """
        with _opened(path) as (container, stream):
            stamps, complete = _stamps(container, stream)
            count = len(stamps)
            if count == 0:
                raise InputError(f"'{path}' holds no frames; copy it again or give another video")
            rate = float(stream.average_rate or _USUAL_RATE)
            unit = stream.time_base
            known = np.array(sorted(stamp for stamp in stamps if stamp is not None), np.int64)
            exact = len(known) == count and len(np.unique(known)) == count and unit is not None
            times = (known - known[0]) * float(unit) if exact and unit is not None else np.arange(count) / rate
            early = _ends_early(path, stream.frames, count, _stated_seconds(container, stream), times, complete)
            if early is not None:
                warn(early)
            aspect = float(stream.sample_aspect_ratio or 1)
            size = (stream.codec_context.width, stream.codec_context.height)
        return VideoFile(
            path, times, known if exact else None, aspect if aspect > 0 else 1.0, size, exact and early is None
        )

    def frames(self, first: int = 0) -> Iterator[tuple[int, VideoFrame]]:
        """Frames that can be decoded, with their numbers, from number `first` on or a little before it."""
        if first > 0 and self.stamps is not None:
            found = self._frames(int(self.stamps[first]))
            earliest = next(found, None)
            if earliest is not None and earliest[0] <= first:
                yield earliest
                yield from found
                return
        yield from self._frames(None)  # also where a file cannot be entered in the middle, as some streams

    def _frames(self, stamp: int | None) -> Iterator[tuple[int, VideoFrame]]:
        """From the last key frame before `stamp` on, as far as the file lets find it; None: from the beginning."""
        import av

        with _opened(self.path) as (container, stream):
            stream.thread_type = "AUTO"
            if stamp is not None:
                try:
                    container.seek(stamp, stream=stream, backward=True)
                except (av.error.FFmpegError, OSError):
                    return
            for counted, frame in enumerate(_decoded(container, stream)):
                number = self._number(frame, counted)
                if number is not None:
                    yield number, frame

    def _number(self, frame: VideoFrame, counted: int) -> int | None:
        if self.stamps is None:
            return counted if counted < len(self.times) else None
        if frame.pts is None:
            return None
        number = int(np.searchsorted(self.stamps, frame.pts))
        return number if number < len(self.stamps) and self.stamps[number] == frame.pts else None


def stored_size(path: Path) -> tuple[int, int]:
    """Width and height of the frames of a video as they are stored. Raises InputError as `VideoFile.probe`."""
    with _opened(path) as (_, stream):
        return stream.codec_context.width, stream.codec_context.height


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[tuple[InputContainer, VideoStream]]:
    """The file and its video. Raises InputError where it has none."""
    import av

    try:
        container = av.open(str(path), mode="r", metadata_errors="replace")
    except av.error.FileNotFoundError as error:
        raise InputError(f"'{path}' does not exist; give a video file") from error
    except (av.error.FFmpegError, OSError) as error:
        raise InputError(
            f"'{path}' cannot be read as a video, it may be truncated or damaged ({error.strerror or error}): copy it "
            "again, or repair it with a video program"
        ) from error
    with container:
        # A cover picture of a sound file is a video stream, too.
        streams = [one for one in container.streams.video if not _is_attached(one)]
        if not streams:
            sound = "only sound" if container.streams.audio else "no video"
            raise InputError(f"'{path}' holds {sound}: give a video or photos")
        decoders = [(one, one.codec_context) for one in streams]  # None where there is none for its codec
        sizes = [0 if decoder is None else decoder.width * decoder.height for _, decoder in decoders]
        if not any(sizes):
            raise InputError(
                f"'{path}' cannot be read as a video: it is truncated or damaged, or of a kind that is not read; copy "
                "it again, or convert it to MP4 (H.264)"
            )
        yield container, streams[int(np.argmax(sizes))]


def _is_attached(stream: VideoStream) -> bool:
    from av.stream import Disposition

    return bool(stream.disposition & (Disposition.attached_pic | Disposition.timed_thumbnails))


def _stamps(container: InputContainer, stream: VideoStream) -> tuple[list[int | None], bool]:
    """When each frame is shown, in the order of the file, and whether it could be read to its end."""
    import av

    stamps: list[int | None] = []
    try:
        for packet in container.demux(stream):
            if packet.size and not packet.is_discard and not packet.is_corrupt:
                stamps.append(packet.pts)
    except (av.error.FFmpegError, OSError):
        return stamps, False
    return stamps, True


def _decoded(container: InputContainer, stream: VideoStream) -> Iterator[VideoFrame]:
    """What can be decoded; damaged frames are passed over."""
    import av

    packets: Iterator[Any] = container.demux(stream)
    ended = False
    while not ended:
        try:
            packet = next(packets, None)
        except (av.error.FFmpegError, OSError):
            packet = None  # cut off: what the decoder still holds is the end
        ended = packet is None or packet.size == 0
        if (
            packet is not None and packet.is_corrupt
        ):  # the last one of a file that is cut off; the decoder would lose others
            continue
        try:
            frames = stream.codec_context.decode(None if ended else packet)
        except av.error.EOFError:
            return
        except (av.error.FFmpegError, OSError):
            continue
        yield from (frame for frame in frames if not frame.is_corrupt)


def _stated_seconds(container: InputContainer, stream: VideoStream) -> float:
    """How long the file says it is; 0 where it does not."""
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    return (container.duration or 0) / _SECOND


def _ends_early(
    path: Path, stated_frames: int, count: int, stated: float, times: NDArray[np.float64], complete: bool
) -> str | None:
    """What to say of a file that ends before it should; None for others."""
    seconds = float(times[-1] + (times[-1] - times[0]) / max(count - 1, 1))
    cut = stated_frames > 0 and count < _ENDS_EARLY * stated_frames
    cut = cut or (stated_frames == 0 and count > 1 and seconds < _ENDS_EARLY * stated - 1)
    if not cut and complete:
        return None
    whole = f"of {stated_frames} frames" if stated_frames > count else f"frames, {seconds:.1f} s of {stated:.1f} s"
    return f"'{path}' ends early: {count} {whole} are there, which are used; copy it again for the rest"
