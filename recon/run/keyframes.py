"""Which frames of a long input are looked at: those that show something new, and where it cuts to another place."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np

from recon.cores import usable_cores
from recon.errors import InputError
from recon.messages import warn
from recon.progress import tell
from recon.run.plan import Plan
from recon.sfm.retrieval import LIKELY, picture_features, shared_features
from recon.sources.frame_motion import SmallFrame, frame_motion
from recon.sources.part import SourcePart
from recon.sources.photo import Photo
from recon.sources.source import Source

_FOUND = 0.15
"""Share of the points of a frame that the next one shows, below which there may be a cut between them, ..."""
_SHARED = LIKELY / 256
"""... and there is, if they share less than this of their largest features, of which 256 are counted at most, ..."""
_FEATURES = 80
"""... of which each has so many."""
_AHEAD = 8
"""Frames that are read ahead."""


@dataclass(frozen=True)
class Keyframes:
    """What `find_keyframes` finds."""

    chosen: tuple[int, ...]
    """Numbers of the photos that show something new."""
    cuts: tuple[int, ...]
    """Those of them that begin at another place than the one before ends."""

    def entry(self, names: Sequence[str]) -> dict[str, Any]:
        """What `run.json` says; `names` of all photos."""
        return {
            "frames": list(names),
            "left_out": len(names) - len(self.chosen),
            "cuts": [names[photo] for photo in self.cuts],
        }


def with_keyframes(plan: Plan, keyframes: Keyframes) -> Plan:
    """The plan of a run that looks at these photos alone, and warns of cuts."""
    names = plan.source.names
    cuts = tuple(names[photo] for photo in keyframes.cuts)
    if cuts:
        more = f" and {len(cuts) - 3} more" if len(cuts) > 3 else ""
        warn(f"the input cuts to another place at {', '.join(cuts[:3])}{more}: no window goes over a cut")
    windows = None if plan.windows is None else replace(plan.windows, cuts=cuts)
    return replace(
        plan,
        source=SourcePart(plan.source, keyframes.chosen) if len(keyframes.chosen) < len(names) else plan.source,
        windows=windows,
    )


def left_out(keyframes: Keyframes, count: int, least: float) -> list[str]:
    """What the summary says of the others of `count` frames; nothing where there are none."""
    others = count - len(keyframes.chosen)
    if not others:
        return []
    which = "1 frame is" if others == 1 else f"{others} frames are"
    return [
        f"{which} left out, of {count}: less than {least:.2%} of movement since the last one taken "
        "(`--keyframes 0` takes all)"
    ]


def find_keyframes(source: Source, least: float) -> Keyframes:
    """Go through the photos of a source in order, and take each that has moved since the last one that was taken.

    The same photos at the beginning give the same choice, whatever follows. Photos that cannot be read are taken, to be
    named later.

    Args:
        source: of photos in order.
        least: share of its longer side that the picture has to have moved.
    """
    chosen: list[int] = []
    cuts: list[int] = []
    last: SmallFrame | None = None
    before: tuple[Photo, SmallFrame] | None = None
    for number, photo in enumerate(_photos(source)):
        tell("keyframes", number, len(source.names))
        if photo is None:
            chosen.append(number)
            continue
        frame = SmallFrame.of(photo.pixels)
        moved = last is None or frame_motion(last, frame).share >= least
        if moved:
            if before is not None and _is_cut(*before, photo, frame):
                cuts.append(number)
            chosen.append(number)
            last = frame
        before = photo, frame
    tell("keyframes", len(source.names), len(source.names))
    return Keyframes(tuple(chosen), tuple(cuts))


def keyframes_decided_by(photos: Any, least: float) -> dict[str, Any]:
    """Of the stage; `photos` as `recon.run.decided_by.photo_contents` gives them."""
    return {"photos": photos, "least": least}


def _photos(source: Source) -> Iterator[Photo | None]:
    """In order, some read ahead; None for one that cannot be read."""

    def read(number: int) -> Photo | None:
        try:
            return source.read(number)
        except InputError:
            return None

    with ThreadPoolExecutor(min(_AHEAD, usable_cores())) as pool:
        for start in range(0, len(source.names), _AHEAD):
            yield from pool.map(read, range(start, min(start + _AHEAD, len(source.names))))


def _is_cut(before: Photo, small_before: SmallFrame, photo: Photo, small: SmallFrame) -> bool:
    """Whether two neighbours have nothing in common, of what would be found again even after a jump or a blur."""
    if frame_motion(small_before, small).found >= _FOUND:
        return False
    features = [
        picture_features(cv2.cvtColor(one.pixels, cv2.COLOR_RGB2GRAY).astype(np.uint8, copy=False), one.mask)
        for one in (before, photo)
    ]
    fewest = min(len(one) for one in features)
    return fewest >= _FEATURES and shared_features(*features) < _SHARED * min(fewest, 256)
