"""Choosing the Gaussians of a prediction that go into a splat file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recon.errors import InputError
from recon.geometry.spherical_harmonics import MAX_DEGREE
from recon.messages import warn
from recon.options import Options, option, options_of
from recon.splats.parameters import check_gaussians, lower_degree
from recon.types import Gaussians, Prediction

BORDER = 8 / 256
"""Share of the height, and of the width, that is left out at either side: a head sees little of what is around it."""
VIEWS_IN_ALL = 12
"""How many views, about, `gs_views_interval` 0 keeps."""
_PIXEL_OPTIONS = ("gs_views_interval", "prune_border", "prune_by_depth_percent")


@dataclass(frozen=True, kw_only=True)
class SplatOptions(Options):
    """Which Gaussians are written, and how much of their colour.

    All but `sh_degree` choose pixels, and so apply only to Gaussians of a network's head, which are one per pixel.
    Those from depth were chosen when they were made: all are written.
    """

    sh_degree: int = option(
        MAX_DEGREE,
        help="Leave out spherical harmonics above this degree; 0 keeps one colour per Gaussian.",
        least=0,
        most=MAX_DEGREE,
    )
    gs_views_interval: int = option(
        1,
        help="Keep the Gaussians of every N-th view; 0 chooses N so that about 12 views are kept.",
        least=0,
    )
    prune_border: bool = option(
        True, help="Leave out those near the border of their view, a 32nd of its size at each side."
    )
    prune_by_depth_percent: float = option(
        0.9, help="Keep this share of each view's pixels, the nearest ones; 1 keeps all.", above=0, most=1
    )


@dataclass(frozen=True)
class Splats:
    """What goes into a file."""

    gaussians: Gaussians
    pruned: int
    """How many Gaussians of the prediction were left out."""

    def details(self, prediction: Prediction) -> dict[str, Any]:
        """For `run.json`."""
        return {
            "gaussians": len(self.gaussians),
            "pruned": self.pruned,
            "sh_degree": self.gaussians.sh_degree,
            "source": prediction.gaussian_source,
            "units": prediction.units,
        }


def check_splats(prediction: Prediction) -> Gaussians:
    """The Gaussians of the prediction. Raises InputError where there are none, or not ones that can be written."""
    if prediction.gaussians is None:
        raise InputError(
            "this prediction has no Gaussians to export: ask for them with gaussians 'auto', 'head' or 'depth'"
        )
    if len(prediction.gaussians) == 0:
        raise InputError("this prediction has no Gaussians to export: its count is 0")
    check_gaussians(prediction.gaussians)
    return prediction.gaussians


def select_splats(prediction: Prediction, options: SplatOptions) -> Splats:
    """The Gaussians that the options choose, in their order. Raises InputError as `check_splats`.

    A rule that would leave no Gaussian at all is dropped with a warning, so the selection is never empty.
    """
    gaussians = lower_degree(check_splats(prediction), options.sh_degree)
    if prediction.gaussian_source != "head":
        unused = [name for name in _PIXEL_OPTIONS if getattr(options, name) != options_of(SplatOptions)[name].default]
        if unused:
            warn(f"{', '.join(unused)}: only for Gaussians of a network's head; those from depth are all written")
        return Splats(gaussians, 0)
    kept = np.flatnonzero(_kept_pixels(prediction, options))
    if len(kept) == len(gaussians):
        return Splats(gaussians, 0)
    chosen = Gaussians(
        means=gaussians.means[kept],
        scales=gaussians.scales[kept],
        rotations=gaussians.rotations[kept],
        harmonics=gaussians.harmonics[kept],
        opacities=gaussians.opacities[kept],
    )
    return Splats(chosen, len(gaussians) - len(chosen))


def _kept_pixels(prediction: Prediction, options: SplatOptions) -> NDArray[np.bool_]:
    """(N, H, W) True where a pixel's Gaussian is written."""
    views, height, width = prediction.depth.shape
    kept = np.zeros((views, height, width), bool)
    kept[:: options.gs_views_interval or max(views // VIEWS_IN_ALL, 1)] = True
    for wanted in (prediction.mask, prediction.kept):
        if wanted is not None:
            kept &= wanted
    if options.prune_border:
        for view in range(views):
            photo = kept[view, *prediction.photo_area(view)]
            rows, columns = int(BORDER * photo.shape[0]), int(BORDER * photo.shape[1])
            photo[:rows] = photo[photo.shape[0] - rows :] = False
            photo[:, :columns] = photo[:, photo.shape[1] - columns :] = False
    if options.prune_by_depth_percent < 1:
        depth = prediction.depth if prediction.mask is None else np.where(prediction.mask, prediction.depth, np.nan)
        near = kept & _near_pixels(depth, options.prune_by_depth_percent)
        if near.any():
            kept = near
        else:
            warn("prune_by_depth_percent would leave no Gaussians: those far away are kept")
    return kept


def _near_pixels(depth: NDArray[np.floating[Any]], share: float) -> NDArray[np.bool_]:
    """(N, H, W) True for the given share of the pixels of each view of (N, H, W) depth, counted from the nearest."""
    near = np.zeros(depth.shape, bool)
    for view, plane in enumerate(depth):
        finite = plane[np.isfinite(plane)]
        if finite.size:
            near[view] = plane <= np.quantile(finite, share)
    return near
