"""Whether a run goes through its input in overlapping windows, and how long those are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from recon.choices import InferenceOptions
from recon.errors import InputError
from recon.estimate.estimator import Profile
from recon.export import EXPORTERS
from recon.run.given_cameras import AUTO, GivenCameras
from recon.sources.source import Source

USUAL_SIZE = 100
"""Views of a window of an estimator that sees them together, where memory has room for so many: it compares each with
each, so that more take longer for each view, and are of little use to each other."""
_SHARED = 8
"""One of so many views of a window is in the next one, too, where nobody says how many are."""
_LEAST_SHARED = 2


@dataclass(frozen=True)
class WindowSizes:
    """How an ordered input is divided."""

    size: int
    """Views in each window."""
    overlap: int
    """Views that it has in common with the next one; 0 where each view is looked at alone."""

    def spans(self, count: int) -> tuple[range, ...]:
        """Which of `count` photos each window has. All have `size` of them, so the last two may share more."""
        if count <= self.size:
            return (range(count),)
        starts = [*range(0, count - self.size, self.size - self.overlap), count - self.size]
        return tuple(range(start, start + self.size) for start in starts)


def usual_overlap(size: int) -> int:
    """Views that windows of `size` have in common where nobody says how many."""
    return min(max(size // _SHARED, _LEAST_SHARED), size - 1)


def choose_windows(
    profile: Profile, source: Source, options: InferenceOptions, formats: Sequence[str], folder: Path | None
) -> WindowSizes | None:
    """The windows of a run; None where its views go through all at once.

    Raises InputError for windows that cannot be: of photos in no order, or with what needs all views at once.
    """
    if options.overlap is not None and options.window is None:
        raise InputError("overlap is what windows have in common: give window, too, or leave it out")
    size = options.window
    if size is None or size == 0:
        return None
    if options.overlap is not None and options.overlap >= size:
        raise InputError(
            f"overlap {options.overlap} must be less than window {size}: each window begins with the views that it has "
            "in common with the one before"
        )
    if not source.ordered:
        raise InputError(
            "window is for photos that follow each other in time, as the frames of a video do: say so with ordered, or "
            "leave it out"
        )
    if len(source.names) <= size:
        return None
    if folder is None:
        raise InputError("window keeps what is done on the disk: give a folder for the results")
    _refuse_whole(options, formats)
    overlap = usual_overlap(size) if options.overlap is None else options.overlap
    return WindowSizes(size, overlap if profile.abilities.several_views else 0)


def check_cameras_in_windows(cameras: GivenCameras) -> None:
    """Raise InputError for cameras that no run in windows can take."""
    if cameras.source == AUTO:
        raise InputError(
            "cameras 'auto' looks at all views at once; with window give cameras 'predicted' or 'sfm', or known ones"
        )


def _refuse_whole(options: InferenceOptions, formats: Sequence[str]) -> None:
    """Raise InputError for what needs the whole of a long result in memory."""
    whole = [name for name in formats if not EXPORTERS[name].in_pieces]
    if whole:
        others = "-".join(name for name in formats if name not in whole) or "npz-glb"
        raise InputError(
            f"the format {' and '.join(whole)} needs the whole result in memory, and with window it is not: export "
            f"{others}, or leave window out"
        )
    for name, asked in (
        ("infer_gs", options.infer_gs),
        ("export_feat_layers", bool(options.export_feat_layers)),
        ("known_distance", options.known_distance is not None),
    ):
        if asked:
            raise InputError(f"{name} needs all views at once: leave it or window out")
