"""Whether a run goes through its input in overlapping windows, and how long those are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from recon.choices import InferenceOptions
from recon.cuda import cuda_device
from recon.errors import InputError
from recon.estimate.estimator import Profile
from recon.export import EXPORTERS
from recon.refine.optimisation.memory import free_bytes
from recon.run.given_cameras import AUTO, GivenCameras
from recon.sources.source import Source

USUAL_SIZE = 100
"""Views of a window of an estimator that sees them together, where memory has room for so many: it compares each with
each, so that more take longer for each view, and are of little use to each other."""
_SHARED = 8
"""One of so many views of a window is in the next one, too, where nobody says how many are."""
_LEAST_SHARED = 2
_SHARE_OF_FREE = 0.5
"""Of the memory that is free, what a window takes where nobody says how long it is."""
_STANDING = 0.3
"""Percent of its longer side by which the picture of a camera that stands still moves at most."""


@dataclass(frozen=True)
class WindowSizes:
    """How an ordered input is divided."""

    size: int
    """Views in each window."""
    overlap: int
    """Views that it has in common with the next one; 0 where each view is looked at alone."""
    cuts: tuple[str, ...] = ()
    """Names of the photos at which the input goes on at another place."""

    def spans(self, count: int, cuts: Sequence[int] = ()) -> tuple[range, ...]:
        """Which of `count` photos each window has; none goes over one of `cuts`, numbers of photos that begin anew.

        All have `size` of them, so the last two before an end may share more; fewer where there are not so many.
        """
        borders = [0, *(cut for cut in cuts if 0 < cut < count), count]
        spans: list[range] = []
        for first, end in pairwise(borders):
            last = end - self.size
            starts = [first] if last <= first else [*range(first, last, self.size - self.overlap), last]
            spans += [range(start, min(start + self.size, end)) for start in starts]
        return tuple(spans)


def usual_overlap(size: int) -> int:
    """Views that windows of `size` have in common where nobody says how many."""
    return min(max(size // _SHARED, _LEAST_SHARED), size - 1)


def choose_windows(
    profile: Profile, source: Source, options: InferenceOptions, formats: Sequence[str], folder: Path | None
) -> WindowSizes | None:
    """The windows of a run; None where its views go through all at once.

    Where nobody says, an input is divided that has more than `USUAL_SIZE` views, or than memory has room for, and of
    which nothing is wanted that needs all views at once.

    Raises InputError for windows that cannot be: of photos in no order, or with what needs all views at once.
    """
    if options.overlap is not None and options.window is None:
        raise InputError("overlap is what windows have in common: give window, too, or leave it out")
    if options.window is None:
        return _usual_windows(profile, source, options, formats, folder)
    size = options.window
    if size == 0:
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
    if len(source.names) <= size and not options.keep_windows:
        return None
    if folder is None:
        raise InputError("window keeps what is done on the disk: give a folder for the results")
    if (what := needs_all_at_once(options, formats)) is not None:
        raise InputError(what)
    _check_memory(profile, options, min(size, len(source.names)))
    return _sizes(profile, options, size)


def usual_size(profile: Profile, options: InferenceOptions) -> int:
    """Views of a window where nobody says how many."""
    most = views_that_fit(profile, options, _SHARE_OF_FREE)
    return USUAL_SIZE if most is None else max(min(USUAL_SIZE, most), 2)


def least_motion(options: InferenceOptions, source: Source, cameras: GivenCameras, in_windows: bool) -> float:
    """Share of its longer side that the picture has to move from one photo that is taken to the next; 0: any.

    Raises InputError for keyframes of what has none.
    """
    asked = options.keyframes
    counted = cameras.extrinsics is not None or (
        cameras.intrinsics is not None and not isinstance(cameras.intrinsics, str)
    )
    if asked:
        if not source.ordered:
            raise InputError(
                "keyframes is for photos that follow each other in time, as the frames of a video do: say so with "
                "ordered, or leave it out"
            )
        if counted:
            raise InputError("keyframes leaves photos out, and cameras are given as arrays for all: leave it out")
    usual = _STANDING if in_windows and not (counted or options.keep_windows) else 0.0
    return (usual if asked is None else asked) / 100


def views_that_fit(profile: Profile, options: InferenceOptions, share: float) -> int | None:
    """Views that a `share` of the free memory has room for when they are looked at together; None: not known."""
    on_cuda = profile.bytes_per_pixel is not None and cuda_device(options.device) is not None
    free = _free_on_cuda() if on_cuda else free_bytes()
    needed = bytes_per_view(profile, options, on_cuda=on_cuda)
    return None if free is None or needed is None else int(free * share / needed)


def bytes_per_view(profile: Profile, options: InferenceOptions, *, on_cuda: bool) -> int | None:
    """About what one more view takes, at most: of a square photo; None: not known."""
    if profile.bytes_per_pixel is None:
        return None
    side = profile.fit.process_res if options.process_res is None else options.process_res
    return int(profile.bytes_per_pixel[on_cuda] * side * side)


def needs_all_at_once(options: InferenceOptions, formats: Sequence[str]) -> str | None:
    """What to say of a wish that no run in windows can meet; None without such a wish."""
    whole = [name for name in formats if not EXPORTERS[name].in_pieces]
    if whole:
        others = "-".join(name for name in formats if name not in whole) or "npz-glb"
        return (
            f"the format {' and '.join(whole)} needs the whole result in memory, and in windows it is not: export "
            f"{others}, or give window 0"
        )
    for name, asked in (
        ("infer_gs", options.infer_gs),
        ("gaussians", options.gaussians != "auto"),
        ("export_feat_layers", bool(options.export_feat_layers)),
        ("known_distance", options.known_distance is not None),
    ):
        if asked:
            return f"{name} needs all views at once: leave it out, or give window 0"
    return None


def check_cameras_in_windows(windows: WindowSizes | None, cameras: GivenCameras, asked: bool) -> WindowSizes | None:
    """The windows, with cameras that can be had in windows; None where nobody `asked` for them and they cannot.

    Raises InputError where somebody did.
    """
    if windows is None or cameras.source != AUTO:
        return windows
    if asked:
        raise InputError(
            "cameras 'auto' looks at all views at once; with window give cameras 'predicted' or 'sfm', or known ones"
        )
    return None


def _usual_windows(
    profile: Profile, source: Source, options: InferenceOptions, formats: Sequence[str], folder: Path | None
) -> WindowSizes | None:
    if profile.bytes_per_pixel is None or folder is None or not source.ordered:
        return None
    size, count = usual_size(profile, options), len(source.names)
    if count <= size and not options.keep_windows:
        return None
    what = needs_all_at_once(options, formats)
    if what is None:
        return _sizes(profile, options, size)
    most = views_that_fit(profile, options, 1.0)
    if most is not None and count > most:
        raise InputError(f"{count} views at once need more memory than is free, and {what}")
    return None


def _sizes(profile: Profile, options: InferenceOptions, size: int) -> WindowSizes:
    overlap = usual_overlap(size) if options.overlap is None else options.overlap
    return WindowSizes(size, overlap if profile.abilities.several_views else 0)


def _check_memory(profile: Profile, options: InferenceOptions, size: int) -> None:
    most = views_that_fit(profile, options, 1.0)
    if most is not None and size > most:
        raise InputError(
            f"window {size} needs more memory than is free: there is room for about {most} views of "
            f"process_res {options.process_res or profile.fit.process_res}; give a smaller window, or process_res"
        )


def _free_on_cuda() -> int:
    import torch

    return int(torch.cuda.mem_get_info()[0])
