"""Choosing the pixels of a prediction that become a coloured point cloud."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recon.choices import ExportChoices
from recon.errors import InputError
from recon.geometry.located_depth import check_points, percentiles, with_cameras
from recon.geometry.unprojection import unproject_depth
from recon.messages import warn
from recon.options import Options, like, option, options_of
from recon.types import FloatArray, MadeBy, Prediction
from recon.types.mapped import any_in, is_mapped
from recon.types.pieces import in_pieces

BLACK_BELOW = 16
"""A pixel is black background where all three channels are below this."""
WHITE_FROM = 240
"""A pixel is white background where all three channels reach this."""
_REACH = 2**20
"""Cubes from the origin, along each axis, that are told apart."""
_MOST_SAMPLED = 1_000_000
"""Of a long run, about so many values of the confidence decide its threshold."""
DEFAULT_PERCENTILE = 40.0
DEFAULT_LEAST_CONFIDENCE = 1.05
"""Of the official package's rule for the confidence of a network."""


@dataclass(frozen=True, kw_only=True)
class PixelOptions(Options):
    """Which pixels with depth count."""

    conf_thresh_percentile: float | None = like(
        ExportChoices,
        "conf_thresh_percentile",
        help="Leave out the pixels below this percentile of the confidence, and further ones by the two options below "
        "[40 for the confidence of a network; depth that was checked against other views is kept whole, fused depth by "
        "the next option alone].",
    )
    conf_thresh: float | None = option(
        None,
        help="Raise that threshold to at least this confidence, as far as ensure_thresh_percentile allows [1.05; none "
        "for depth that was checked against other views, unless conf_thresh_percentile is given].",
    )
    ensure_thresh_percentile: float = option(
        90.0,
        help="Never raise the threshold above this percentile: the pixels above it always stay.",
        least=0,
        most=100,
    )
    conf_drop_percent: float | None = like(
        ExportChoices,
        "conf_drop_percent",
        help="Instead of the three options above: leave out just this percentage of the pixels, the least confident.",
    )
    include_filled: bool = like(ExportChoices, "include_filled", help="Take filled-in depth, too.")
    filter_black_bg: bool = option(False, help="Leave out near-black pixels.")
    filter_white_bg: bool = option(False, help="Leave out near-white pixels.")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.conf_drop_percent is not None:
            for name in ("conf_thresh_percentile", "conf_thresh", "ensure_thresh_percentile"):
                if getattr(self, name) != options_of(PixelOptions)[name].default:
                    raise InputError(f"conf_drop_percent and {name} are two rules for one threshold: give one of them")


@dataclass(frozen=True, kw_only=True)
class PointOptions(PixelOptions):
    """Which pixels become points."""

    num_max_points: int = like(
        ExportChoices,
        "num_max_points",
        help="Keep at most this many points, drawn evenly among those that pass.",
    )
    voxel: float | None = like(ExportChoices, "clean_voxel")
    seed: int = like(ExportChoices, "seed", help="Of the draw.")


@dataclass(frozen=True)
class PointCloud:
    """P coloured points in world space, in the order of views, rows and columns."""

    points: NDArray[np.float32]
    """(P, 3) positions in the frame and units of the prediction."""
    colors: NDArray[np.uint8]
    """(P, 3) sRGB."""
    pixels: NDArray[np.intp]
    """(P,) the pixel each point comes from, as an index into the flattened (N, H, W) depth; ascending."""
    conf_threshold: float | None
    """The confidence each point reaches; None where no threshold was set."""


def check_cloud(prediction: Prediction, options: PixelOptions) -> None:
    """Raise InputError where no pixel can become a point."""
    check_points(prediction)
    if not any_in(prediction.pixels_with_depth(filled=options.include_filled, sky=True)):
        raise InputError("all depth of this prediction was filled in: include_filled makes points of it")
    if not any_in(prediction.pixels_with_depth(filled=options.include_filled, sky=True, cleaned=True)):
        raise InputError("cleaning or cropping left out every pixel of this prediction that could become a point")


def select_points(prediction: Prediction, options: PointOptions) -> PointCloud:
    """The pixels with depth that are neither sky nor filtered background and reach the confidence threshold.

    A rule that would leave no pixel at all is dropped with a warning, so the cloud is never empty. Of a long run, whose
    maps are on the disk, as many points are drawn of some views as of as many pixels of others. Raises InputError as
    `check_cloud`.
    """
    if is_mapped(prediction.depth):
        return _select_in_pieces(prediction, options)
    kept, threshold = kept_pixels(prediction, options)
    prediction = with_cameras(prediction)
    pixels = _sample(thinned(prediction, kept, options), options.num_max_points, options.seed)
    points = _positions(prediction, pixels)
    colors = np.take(prediction.processed_images.reshape(-1, 3), pixels, axis=0)  # (N*H*W, 3) -> (P, 3)
    return PointCloud(points, colors, pixels, threshold)


def thinned(prediction: Prediction, kept: NDArray[np.bool_], options: PointOptions) -> NDArray[np.intp]:
    """(P,) ascending indices into the flattened depth of `kept` pixels (N, H, W): all, or one in each voxel."""
    pixels = np.flatnonzero(kept)
    if options.voxel is None:
        return pixels
    return pixels[one_in_each_cube(_positions(prediction, pixels), options.voxel)]


def kept_pixels(prediction: Prediction, options: PixelOptions) -> tuple[NDArray[np.bool_], float | None]:
    """(N, H, W) the pixels of `select_points` before any is drawn, and the confidence that each reaches.

    Never none. The second is None where no threshold was set. Raises InputError as `check_cloud`.
    """
    check_cloud(prediction, options)
    kept = _foreground(prediction, options)
    if prediction.conf is None:
        return kept, None
    threshold = confidence_threshold(prediction.conf[kept], options, prediction.made_by)
    return (kept if threshold is None else kept & (prediction.conf >= threshold)), threshold


def one_in_each_cube(
    points: NDArray[np.float32], side: float, corner: NDArray[np.float64] | None = None
) -> NDArray[np.intp]:
    """(C,) ascending indices of points (P, 3): of those in one cube of a grid the one nearest to their mean.

    `corner`: (3,) of a cube [the least coordinates].
    """
    if corner is None:
        corner = points.min(axis=0, initial=np.inf).astype(np.float64) if len(points) else np.zeros(3)
    scaled = (points - corner) / side
    cells = np.floor(scaled)
    members = np.zeros(len(points), np.int64)
    for axis in range(3):
        _, layer = np.unique(cells[:, axis], return_inverse=True)
        _, members = np.unique(members * (layer.max(initial=0) + 1) + layer, return_inverse=True)
    counts = np.maximum(np.bincount(members), 1)
    squares = np.zeros(len(points))
    for axis in range(3):
        inside = scaled[:, axis] - cells[:, axis]
        squares += (inside - (np.bincount(members, weights=inside) / counts)[members]) ** 2
    order = np.lexsort((squares, members))
    first = np.ones(len(points), bool)
    first[1:] = members[order][1:] != members[order][:-1]
    return np.sort(order[first])


def _positions(prediction: Prediction, pixels: NDArray[np.intp]) -> NDArray[np.float32]:
    """(P, 3) world points of ascending `pixels` (P,) of the flattened depth."""
    assert prediction.extrinsics is not None
    assert prediction.intrinsics is not None
    views, height, width = prediction.depth.shape
    points = np.empty((len(pixels), 3), np.float32)
    ends = np.searchsorted(pixels, np.arange(views + 1) * (height * width))
    for view in range(views):  # one view at a time: all pixels' points at once would not fit for long sequences
        chosen = slice(ends[view], ends[view + 1])
        this = slice(view, view + 1)
        world = unproject_depth(prediction.depth[this], prediction.intrinsics[this], prediction.extrinsics[this])
        np.take(world.reshape(-1, 3), pixels[chosen] - view * height * width, axis=0, out=points[chosen])
    return points


def confidence_threshold(conf: FloatArray, options: PixelOptions, made_by: MadeBy | None = None) -> float | None:
    """The least of (P,) `conf` that a point may have; None where any will do.

    The rule of the official package: `conf_thresh`, clamped between the percentiles that the options name, of which the
    upper one wins where they contradict each other. Depth that was checked against other views is kept whole unless a
    rule is asked for; where confidence says how far off depth is, no percentile counts.
    """
    if options.conf_drop_percent is not None:
        return float(percentiles(conf, [options.conf_drop_percent])[0])
    percentile, least = options.conf_thresh_percentile, options.conf_thresh
    if made_by is not None and made_by.verified and percentile is None:
        if least is None:
            return None
        percentile = 0.0
    if made_by is not None and made_by.calibrated and percentile is None:
        percentile = 0.0
    percentile = DEFAULT_PERCENTILE if percentile is None else percentile
    least = DEFAULT_LEAST_CONFIDENCE if least is None else least
    lower, upper = percentiles(conf, [percentile, options.ensure_thresh_percentile])
    return float(min(max(least, lower), upper))


def _foreground(prediction: Prediction, options: PixelOptions) -> NDArray[np.bool_]:
    """(N, H, W) True where a pixel has depth and is neither sky nor a background colour to leave out."""
    kept = prediction.pixels_with_depth(filled=options.include_filled, sky=True, cleaned=True)
    for what, mask in _excluded(prediction, options).items():
        remaining = kept & ~mask
        if remaining.any():
            kept = remaining
        else:
            warn(f"leaving out {what} would leave no points: it is kept")
    return kept


def _excluded(prediction: Prediction, options: PixelOptions) -> dict[str, NDArray[np.bool_]]:
    """(N, H, W) what is left out where something else is there, by what it is called."""
    images = prediction.processed_images
    excluded = {}
    if prediction.sky is not None:
        excluded["sky"] = prediction.sky
    if options.filter_black_bg:
        excluded["black background"] = np.all(images < BLACK_BELOW, axis=-1)
    if options.filter_white_bg:
        excluded["white background"] = np.all(images >= WHITE_FROM, axis=-1)
    return excluded


def _select_in_pieces(prediction: Prediction, options: PointOptions) -> PointCloud:
    check_cloud(prediction, options)
    prediction = with_cameras(prediction)
    applied = _exclusions_in_pieces(prediction, options)
    threshold = _threshold_in_pieces(prediction, options, applied)
    area = prediction.depth.shape[1] * prediction.depth.shape[2]
    counts, of_cubes = [], []
    cubes = None if options.voxel is None else _Cubes(options.voxel)
    for _, _, piece in in_pieces(prediction):
        pixels = np.flatnonzero(_kept_of(piece, options, applied, threshold))
        if cubes is not None:
            pixels = pixels[cubes.first_in_each(_positions(piece, pixels))]
            of_cubes.append(pixels)
        counts.append(len(pixels))
        del piece, pixels  # before the next piece takes memory, too
    ends = np.cumsum(counts)
    share = min(options.num_max_points / max(int(ends[-1]), 1), 1.0)
    drawn = np.diff(np.rint(ends * share).astype(np.int64), prepend=0)
    points, colors, places = [], [], []
    for number, (views, _, piece) in enumerate(in_pieces(prediction)):
        pixels = of_cubes[number] if of_cubes else np.flatnonzero(_kept_of(piece, options, applied, threshold))
        pixels = _sample(pixels, int(drawn[number]), options.seed + number)
        points.append(_positions(piece, pixels))
        colors.append(np.take(piece.processed_images.reshape(-1, 3), pixels, axis=0))
        places.append(pixels + views.start * area)
        del piece, pixels
    return PointCloud(np.concatenate(points), np.concatenate(colors), np.concatenate(places), threshold)


@dataclass(frozen=True)
class KeptPieces:
    """The pixels of `kept_pixels`, some views at a time; of a prediction in memory all at once."""

    prediction: Prediction
    options: PixelOptions
    threshold: float | None
    """The confidence that each reaches; None where no threshold was set."""
    applied: tuple[str, ...]

    @staticmethod
    def of(prediction: Prediction, options: PixelOptions) -> KeptPieces:
        """Of a prediction; raises InputError as `check_cloud`."""
        check_cloud(prediction, options)
        applied = _exclusions_in_pieces(prediction, options)
        return KeptPieces(prediction, options, _threshold_in_pieces(prediction, options, applied), applied)

    def __iter__(self) -> Iterator[tuple[Prediction, NDArray[np.bool_]]]:
        for _, _, piece in in_pieces(self.prediction):
            yield piece, _kept_of(piece, self.options, self.applied, self.threshold)


def _exclusions_in_pieces(prediction: Prediction, options: PixelOptions) -> tuple[str, ...]:
    """Names of what is left out, as `_foreground` decides it."""
    applied: tuple[str, ...] = ()
    names = next(iter(_excluded(piece, options) for _, _, piece in in_pieces(prediction)))
    for name in names:
        if any(_kept_of(piece, options, (*applied, name), None).any() for _, _, piece in in_pieces(prediction)):
            applied = (*applied, name)
        else:
            warn(f"leaving out {name} would leave no points: it is kept")
    return applied


def _kept_of(
    piece: Prediction, options: PixelOptions, applied: Sequence[str], threshold: float | None
) -> NDArray[np.bool_]:
    """(N, H, W) the pixels of a piece that can become points."""
    kept = piece.pixels_with_depth(filled=options.include_filled, sky=True, cleaned=True)
    excluded = _excluded(piece, options)
    for name in applied:
        kept = kept & ~excluded[name]
    return kept if threshold is None or piece.conf is None else kept & (piece.conf >= threshold)


def _threshold_in_pieces(prediction: Prediction, options: PixelOptions, applied: Sequence[str]) -> float | None:
    """As `confidence_threshold`, by an even sample of the pixels."""
    if prediction.conf is None:
        return None
    step = max(prediction.conf.size // _MOST_SAMPLED, 1)
    sample = []
    for _, _, piece in in_pieces(prediction):
        assert piece.conf is not None
        sample.append(piece.conf[_kept_of(piece, options, applied, None)][::step])
    return confidence_threshold(np.concatenate(sample), options, prediction.made_by)


class _Cubes:
    """Cubes of a grid in the world that have a point already."""

    def __init__(self, side: float) -> None:
        self._side = side
        self._taken = np.zeros(0, np.int64)

    def first_in_each(self, points: NDArray[np.float32]) -> NDArray[np.intp]:
        """(C,) ascending indices of points (P, 3): in each cube that had none, the one nearest to the mean there."""
        cells = np.floor(points.astype(np.float64) / self._side)
        x, y, z = (cells.clip(-_REACH, _REACH - 1).astype(np.int64) + _REACH).T
        keys = x << 42 | y << 21 | z
        free = np.flatnonzero(~np.isin(keys, self._taken))
        chosen = free[one_in_each_cube(points[free], self._side, np.zeros(3))]
        self._taken = np.union1d(self._taken, keys[chosen])
        return chosen


def _sample(pixels: NDArray[np.intp], count: int, seed: int) -> NDArray[np.intp]:
    """At most `count` of `pixels`, drawn without replacement, in their own order."""
    if len(pixels) <= count:
        return pixels
    keys = np.random.default_rng(seed).random(len(pixels))
    drawn = np.zeros(len(pixels), bool)
    drawn[np.argpartition(keys, count)[:count]] = True
    return pixels[drawn]
