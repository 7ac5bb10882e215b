"""Which pixels with depth are worth a point: the one place where points, meshes and splats are cleaned.

Filters, in this order, each of which can be asked for or left out (`recon.choices.CleanChoices`): flying pixels at
depth edges, points that other views look through, statistical outliers. What stays is `Prediction.kept`; depth itself
and `Prediction.valid` remain what the estimator found. Cropping comes last, after splats have been made, and takes them
too. How confident a pixel has to be is for each format to say (`recon.export.points`).
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recon.choices import CleanChoices
from recon.choices.words import CLEANING_FILTERS
from recon.cores import usable_cores
from recon.errors import InputError
from recon.geometry.located_depth import check_points, with_cameras
from recon.geometry.region import Region
from recon.geometry.unprojection import unproject_depth
from recon.geometry.view_agreement import contradicted, depth_maps, typical_difference
from recon.messages import warn
from recon.options import asked_for, options_of
from recon.refine.surface import EDGE_GAP, mixed_pixels
from recon.refine.thinning import pixel_angle
from recon.types import Gaussians, Prediction
from recon.types.mapped import map_like, release, row_pieces
from recon.types.pieces import in_pieces

AGREEING_VIEWS = 2
"""Views that protect a point by default."""
LEAST_TOLERANCE = 0.01
"""Views never have to agree better than this, relative to the depth."""
TOLERANCE = 4.5
"""Views agree up to this many times what they differ by in the median: three standard deviations."""
_NEIGHBOURS = 8
"""Views of a long run before and after those that are cleaned, which these are compared with, too."""
NEIGHBOURS = 12
"""Nearest points whose mean distance tells an outlier."""


@dataclass(frozen=True)
class Cleaning:
    """What was left out, and why."""

    kept: NDArray[np.bool_] | None
    """(N, H, W) True where a pixel is worth a point; None where no filter was applied."""
    points: int
    """Pixels with depth before."""
    removed: dict[str, int] = field(default_factory=dict)
    """How many each filter took of what the ones before had left, by its name, in order; those that were applied."""
    tolerance: float | None = None
    """Relative difference of depth up to which views agreed; None where they were not compared."""

    @property
    def entry(self) -> dict[str, Any]:
        """What `run.json` says."""
        return {"points": self.points, "removed": self.removed, "tolerance": self.tolerance}

    @property
    def text(self) -> str:
        """One line; empty where nothing was left out."""
        shares = [
            f"{100 * count / self.points:.2g} % {CLEANING_FILTERS[name]}"
            for name, count in self.removed.items()
            if count and self.points
        ]
        return f"cleaning left out of the points: {', '.join(shares)}" if shares else ""


def clean(prediction: Prediction, choices: CleanChoices) -> Cleaning:
    """Apply the filters that are asked for, and by default those that depth of this kind needs.

    Depth that was checked against other views (`MadeBy.verified`) has no pixels between two surfaces; a patch of it may
    still be wrong in two views at once, and then others look through it. A filter that would leave nothing at all is
    not applied, with a warning. Cropping is left to `crop`. Of a long run, views are compared with those before and
    after them, some at a time.
    """
    kept = map_like(prediction.depth, np.bool_)
    points, removed, tolerances = 0, dict[str, int](), []
    for views, own, piece in in_pieces(prediction, _NEIGHBOURS):
        usable, left_out, tolerance = _filtered(piece, choices)
        points += int(usable[own].sum())
        kept[views] = True
        for name, gone in left_out.items():
            removed[name] = removed.get(name, 0) + int(gone[own].sum())
            kept[views] &= ~gone[own]
        release(kept)
        tolerances += [] if tolerance is None else [tolerance]
        del piece, usable, left_out  # before the next piece takes memory, too
    return Cleaning(kept if removed else None, points, removed, float(np.median(tolerances)) if tolerances else None)


def _filtered(
    prediction: Prediction, choices: CleanChoices
) -> tuple[NDArray[np.bool_], dict[str, NDArray[np.bool_]], float | None]:
    """(N, H, W) the pixels with depth, those that each filter leaves out of what the ones before had left, by its name,
    and the tolerance."""
    usable = prediction.pixels_with_depth(filled=True)
    if not usable.any():
        return usable, {}, None
    verified = prediction.made_by is not None and prediction.made_by.verified
    edge_gap = EDGE_GAP if choices.clean and not verified else 0.0
    if choices.clean_edges is not None:
        edge_gap = choices.clean_edges
    views = AGREEING_VIEWS if choices.clean else 0
    if choices.clean_views is not None:
        views = choices.clean_views
    located = prediction.extrinsics is not None and prediction.intrinsics is not None
    kept, removed, tolerance = usable, {}, None
    if edge_gap:
        kept, removed["edges"] = _without(kept, _at_edges(prediction, kept, edge_gap), "pixels at depth edges")
    if views and located and len(prediction.depth) > 1:
        looked_through, tolerance = _contradicted(prediction, kept, views, choices.clean_tolerance)
        kept, removed["agreement"] = _without(kept, looked_through, "points that other views look through")
    if choices.clean_outliers is not None and kept.any():
        check_points(prediction)
        kept, removed["outliers"] = _without(kept, _outliers(prediction, kept, choices.clean_outliers), "outliers")
    return usable, removed, tolerance


def clean_again(prediction: Prediction, choices: CleanChoices) -> Cleaning:
    """Of a stored prediction: as it was stored, or anew where an option of cleaning is asked for."""
    names = options_of(CleanChoices)
    if prediction.kept is None or any(one.name in names for one in asked_for(choices)):
        return clean(prediction, choices)
    usable = prediction.pixels_with_depth(filled=True)
    return Cleaning(prediction.kept, sum(int(usable[views].sum()) for views in row_pieces(usable)))


def crop(prediction: Prediction, cleaning: Cleaning, choices: CleanChoices) -> tuple[Prediction, Cleaning]:
    """What lies within the region that is asked for, of points and of splats.

    Splats of a network's head, one per pixel, stay as they are, for their files leave out the pixels that are not kept.

    Raises:
        InputError: nothing lies in it.
    """
    if choices.crop_box is None and choices.crop_sphere is None:
        return prediction, cleaning
    region = Region(choices.crop_box, choices.crop_sphere)
    check_points(prediction, "cropping")
    located = with_cameras(prediction)
    assert located.extrinsics is not None
    assert located.intrinsics is not None
    usable = prediction.pixels_with_depth(filled=True, cleaned=True)
    kept = map_like(prediction.depth, np.bool_)
    within = outside = 0
    for view in range(len(usable)):
        this = slice(view, view + 1)
        points = unproject_depth(prediction.depth[this], located.intrinsics[this], located.extrinsics[this])
        inside = region.contains(points[0])
        within, outside = within + int((usable[view] & inside).sum()), outside + int((usable[view] & ~inside).sum())
        kept[view] = inside if prediction.kept is None else inside & prediction.kept[view]
        release(prediction.depth, prediction.kept, usable, kept)
    if not within:
        low, high = _extent(located, usable)
        name = "crop_box" if choices.crop_box is not None else "crop_sphere"
        raise InputError(f"{name}: no point lies in it; they lie between ({low}) and ({high})")
    removed = {**cleaning.removed, "crop": outside}
    gaussians = prediction.gaussians
    if gaussians is not None and prediction.gaussian_source != "head":
        chosen = region.contains(gaussians.means)
        gaussians = Gaussians(**{f.name: getattr(gaussians, f.name)[chosen] for f in fields(Gaussians)})
    return (
        replace(prediction, kept=kept, gaussians=gaussians),
        replace(cleaning, kept=kept, removed=removed),
    )


def _without(kept: NDArray[np.bool_], out: NDArray[np.bool_], what: str) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """(N, H, W) what is kept when the pixels in `out` go, and those that go."""
    remaining = kept & ~out
    if kept.any() and not remaining.any():
        warn(f"leaving out {what} would leave no points: they are kept")
        return kept, np.zeros_like(kept)
    return remaining, kept & out


def _at_edges(prediction: Prediction, kept: NDArray[np.bool_], gap: float) -> NDArray[np.bool_]:
    """(N, H, W) pixels that float between two surfaces."""

    def of_view(view: int) -> NDArray[np.bool_]:
        depth = prediction.depth[view]
        intrinsics = None if prediction.intrinsics is None else prediction.intrinsics[view]
        angle = 1 / max(depth.shape) if intrinsics is None else pixel_angle(intrinsics)  # of about 53 degrees
        return mixed_pixels(depth, kept[view], angle, gap)

    with ThreadPoolExecutor(usable_cores()) as pool:
        return np.stack(list(pool.map(of_view, range(len(kept)))))


def _contradicted(
    prediction: Prediction, kept: NDArray[np.bool_], views: int, tolerance: float | None
) -> tuple[NDArray[np.bool_], float]:
    """(N, H, W) points that other views look through, and the tolerance."""
    assert prediction.extrinsics is not None
    assert prediction.intrinsics is not None
    check_points(prediction, "comparing depth between views")
    sky = prediction.sky
    if sky is not None and prediction.mask is not None:
        sky = sky & prediction.mask
    maps = depth_maps(prediction.depth, kept, prediction.intrinsics, prediction.extrinsics, sky)
    if tolerance is None:
        difference = typical_difference(maps)
        tolerance = max(LEAST_TOLERANCE, TOLERANCE * (difference or 0.0))
    return contradicted(maps, views, tolerance), tolerance


def _outliers(prediction: Prediction, kept: NDArray[np.bool_], deviations: float) -> NDArray[np.bool_]:
    """(N, H, W) points that are much farther from their neighbours than is usual (Rusu et al., RAS 2008).

    Distances count in widths of a pixel at the point's depth, for that is how far apart points of a surface are.
    """
    from scipy.spatial import cKDTree

    located = with_cameras(prediction)
    assert located.extrinsics is not None
    assert located.intrinsics is not None
    widths = np.array([pixel_angle(intrinsics) for intrinsics in located.intrinsics], np.float32)
    points = unproject_depth(located.depth, located.intrinsics, located.extrinsics)[kept]  # (P, 3)
    spacing = (located.depth * widths[:, None, None])[kept]
    found = np.zeros(kept.shape, bool)
    if len(points) <= NEIGHBOURS:
        return found
    tree = cKDTree(points, balanced_tree=False, compact_nodes=False)
    distances = tree.query(points, NEIGHBOURS + 1, workers=-1)[0][:, 1:].mean(axis=1) / spacing
    found[kept] = distances > distances.mean() + deviations * distances.std()
    return found


def _extent(located: Prediction, usable: NDArray[np.bool_]) -> tuple[str, str]:
    """Least and largest coordinates of the points, as text."""
    assert located.extrinsics is not None
    assert located.intrinsics is not None
    low, high = np.full(3, np.inf), np.full(3, -np.inf)
    for view in range(len(usable)):
        this = slice(view, view + 1)
        points = unproject_depth(located.depth[this], located.intrinsics[this], located.extrinsics[this])[usable[this]]
        low = np.minimum(low, points.min(axis=0, initial=np.inf))
        high = np.maximum(high, points.max(axis=0, initial=-np.inf))
    return ", ".join(f"{c:.3g}" for c in low), ", ".join(f"{c:.3g}" for c in high)
