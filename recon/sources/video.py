"""Videos: some of their frames, in order, as photos."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from recon.choices import SourceOptions
from recon.digests import digest, file_content
from recon.errors import InputError
from recon.messages import warn
from recon.progress import tell
from recon.sources.frame_spool import FrameSpool, SpooledPicture
from recon.sources.in_flight import Admit
from recon.sources.photo import Photo
from recon.sources.video_choice import intervals
from recon.sources.video_file import VideoFile
from recon.sources.video_pixels import UPRIGHT, display_matrix, rgb_pixels, sharpness

if TYPE_CHECKING:
    from av import VideoFrame

Item = TypeVar("Item")
Done = TypeVar("Done")

_TOLD_EVERY = 10
"""Frames from one word of progress to the next."""
_MOST_OF_ALL = 0.5
"""Share of the frames from the first taken to the last, from which on decoding them again is less work than keeping."""
_KEPT_AHEAD = 16
"""Frames decoded again that wait to be asked for."""


@dataclass(frozen=True)
class ChosenFrame:
    """A frame that was taken."""

    number: int
    """In the video, from 0, in the order in which frames are shown."""
    time: float
    """Seconds after the first frame of the video."""
    sharpness: float
    """As `recon.sources.video_pixels.sharpness`; NaN where there was nothing to choose from."""
    kept: SpooledPicture | None
    """Where its pixels are; None where there was no room, and it is decoded again."""

    @property
    def name(self) -> str:
        """`frame_000123_4100ms`."""
        return f"frame_{self.number:06d}_{round(self.time * 1000)}ms"


class VideoSource:
    """Frames of a video; see `recon.sources.source.Source`.

    The video is decoded when the names are asked for first: which frames of it are the sharpest, and which can be
    decoded at all, is not known before. Those taken go into a temporary file. Where nothing is to be chosen and most
    frames of an intact file are taken, they are decoded as they are read, one after the other, and nothing is kept.
    """

    ordered = True
    cameras = None
    points = None
    depths = None
    left_out = ()

    def __init__(
        self, path: Path, options: SourceOptions, spool: FrameSpool | None = None, upright: bool = True
    ) -> None:
        """Where not `upright`, frames are not turned as the file says. Raises InputError: no video, one without frames,
        or options that leave none."""
        self.path = path
        self._options = options
        self._upright = upright
        self._matrix: tuple[float, float, float, float] | None = None  # of the first frame whose pixels were asked for
        self._file = VideoFile.probe(path)
        self._intervals = intervals(self._file.times, options, f"'{path}'")
        self._spool = FrameSpool() if spool is None else spool
        self._choosing = threading.Lock()
        self._again = _DecodedAgain(self._file)

    @property
    def stored_size(self) -> tuple[int, int]:
        """Width and height of the frames as the file stores them."""
        return self._file.stored_size

    @property
    def frames(self) -> tuple[ChosenFrame, ...]:
        """Those taken; raises InputError where none can be decoded."""
        with self._choosing:
            return self._chosen

    @property
    def names(self) -> tuple[str, ...]:
        """With the number and the time of each frame."""
        return tuple(frame.name for frame in self.frames)

    @property
    def paths(self) -> tuple[Path | None, ...]:
        """None: no frame has a file of its own."""
        return (None,) * len(self.frames)

    @property
    def folders(self) -> tuple[Path, ...]:
        """None that photos lie in."""
        return ()

    def content(self, index: int) -> str:
        """Hash of the video file and of which frame it is."""
        return digest(self._digest, self.frames[index].number)

    def read(self, index: int, admit: Admit = lambda pixels: None) -> Photo:
        """The frame, upright."""
        frame = self.frames[index]
        if frame.kept is not None:
            admit(frame.kept.height * frame.kept.width)
            return Photo(frame.name, self._spool.get(frame.kept))
        found = self._again.frame(frame.number, self._not_kept)
        if found is None:
            raise InputError(f"frame {frame.number} of '{self.path}' cannot be decoded: the file is damaged there")
        admit(found.width * found.height)
        return Photo(frame.name, self._pixels(found))

    @cached_property
    def _digest(self) -> str:
        return file_content(self.path)

    @cached_property
    def _not_kept(self) -> frozenset[int]:
        """Numbers of the frames taken that are decoded again."""
        return frozenset(frame.number for frame in self.frames if frame.kept is None)

    @cached_property
    def _chosen(self) -> tuple[ChosenFrame, ...]:
        candidates = self._intervals.candidates
        wanted = np.flatnonzero(candidates >= 0)
        if self._file.intact and len(wanted) == self._intervals.count > _MOST_OF_ALL * (wanted[-1] - wanted[0] + 1):
            self._intervals.say_if_usual(f"'{self.path}'", self._options.sharpest)
            return tuple(ChosenFrame(n, float(self._file.times[n]), math.nan, None) for n in wanted.tolist())
        with ThreadPoolExecutor(1) as keeper:  # pixels are converted and written while the next frames are decoded
            chosen = list(_one_behind(keeper, self._taken, self._sharpest(candidates)))
        if not chosen:
            raise InputError(f"no frame of '{self.path}' can be decoded; copy it again or convert it to MP4 (H.264)")
        if len(chosen) < self._intervals.count:
            missing = self._intervals.count - len(chosen)
            warn(f"'{self.path}': {missing} of {self._intervals.count} frames to take cannot be decoded; it is damaged")
        self._intervals.say_if_usual(f"'{self.path}'", self._options.sharpest)
        return tuple(chosen)

    def _sharpest(self, candidates: NDArray[np.int64]) -> Iterator[tuple[float, int, VideoFrame]]:
        """Of each interval the best frame with its sharpness and number, as soon as the interval is over."""
        wanted = np.flatnonzero(candidates >= 0)
        first, last = int(wanted[0]), int(wanted[-1])
        alone = np.bincount(candidates[wanted]) == 1
        best: tuple[float, int, VideoFrame] | None = None
        for number, frame in self._file.frames(first):
            if number > last:
                break
            interval = candidates[number]
            if interval < 0:
                continue
            if number % _TOLD_EVERY == 0:
                tell("frames", number - first, last - first + 1)
            if best is not None and candidates[best[1]] != interval:
                yield best
                best = None
            score = math.nan if alone[interval] else sharpness(frame)
            if best is None or score > best[0]:
                best = (score, number, frame)
        if best is not None:
            yield best

    def _taken(self, best: tuple[float, int, VideoFrame]) -> ChosenFrame:
        score, number, frame = best
        return ChosenFrame(number, float(self._file.times[number]), score, self._spool.add(self._pixels(frame)))

    def _pixels(self, frame: VideoFrame) -> NDArray[np.uint8]:
        if self._matrix is None:
            self._matrix = display_matrix(frame) if self._upright else UPRIGHT
        return rgb_pixels(frame, self._file.aspect, self._matrix, f"'{self.path}'")


def _one_behind(pool: ThreadPoolExecutor, work: Callable[[Item], Done], items: Iterable[Item]) -> Iterator[Done]:
    """`work` of each item in order, in a thread of `pool` while the next item comes; no more than one waits."""
    waiting: Future[Done] | None = None
    for item in items:
        if waiting is not None:
            yield waiting.result()
        waiting = pool.submit(work, item)
    if waiting is not None:
        yield waiting.result()


class _DecodedAgain:
    """Frames of a video by number: asked for in about their order, the video is decoded once for all."""

    def __init__(self, file: VideoFile) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._frames: Iterator[tuple[int, VideoFrame]] | None = None
        self._at = -1
        self._ahead: dict[int, VideoFrame] = {}

    def frame(self, number: int, wanted: frozenset[int]) -> VideoFrame | None:
        """Frame `number`; others of `wanted` that come before it are kept for a while. None where it does not come."""
        with self._lock:
            if number in self._ahead:
                return self._ahead.pop(number)
            if self._frames is None or number <= self._at:
                self._frames = self._file.frames(number)
                self._ahead.clear()
            for at, frame in self._frames:
                self._at = at
                if at == number:
                    return frame
                if at in wanted:
                    self._ahead[at] = frame
                    while len(self._ahead) > _KEPT_AHEAD:
                        del self._ahead[next(iter(self._ahead))]
                if at > number:
                    break
            self._frames = None
            return None
