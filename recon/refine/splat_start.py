"""What splats are made of before they are made to look like the photos: depth, a network's head, points, or a file."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from recon.choices import InferenceOptions
from recon.errors import InputError
from recon.geometry.sparse_points import SparsePoints
from recon.messages import warn
from recon.refine.depth_splats import DepthSplatOptions
from recon.refine.head_splats import head_splats
from recon.refine.optimisation.scoring import held_out_views
from recon.refine.point_splats import colors_in_photos, splats_from_points
from recon.refine.thinning import within_budget
from recon.types import Gaussians, Prediction

DEPTH, POINTS = "depth", "points"


@dataclass(frozen=True)
class SplatStart:
    """Where splats begin that a run is to train."""

    name: str
    """`depth` (or the head of a network that has one), `points` (of the source, or of structure from motion), or the
    path of a file."""
    gaussians: Gaussians | None = None
    """Of the file."""

    @staticmethod
    def of(name: str | Path) -> SplatStart:
        """Reads the file, where it is one. Raises InputError naming it."""
        if name in (DEPTH, POINTS):
            return SplatStart(str(name))
        from recon.splats.files import READERS, read_splats

        path = Path(name).expanduser()
        if path.suffix.lower() not in READERS:
            raise InputError(
                f"start_from must be {DEPTH}, {POINTS}, or a file of splats ({', '.join(READERS)}), got '{name}'"
            )
        return SplatStart(str(path), read_splats(path))

    @property
    def needs_depth(self) -> bool:
        """Whether there is nothing to begin from without depth."""
        return self.name == DEPTH

    @property
    def is_file(self) -> bool:
        """Whether it is in the frame of cameras that were known before."""
        return self.gaussians is not None


def check_points(points: SparsePoints | None) -> None:
    """Raise InputError where splats cannot begin from the points of a source: there are none."""
    if points is None or len(points) < 2:
        raise InputError(
            "start_from points: these photos come without points; take a source that has some (a COLMAP model), "
            "cameras sfm, or start_from depth"
        )


def splats_to_begin(
    start: SplatStart,
    prediction: Prediction,
    points: SparsePoints | None,
    choices: InferenceOptions,
    from_depth_options: DepthSplatOptions,
) -> Gaussians | None:
    """The splats that `start` stands for; None for those that the optimisation itself makes of depth.

    Args:
        start: see there.
        prediction: with cameras, and Gaussians of the head where these are wanted.
        points: of the scene, seen by the views of the prediction; None where there are none.
        choices: how many splats, and how many photos are held out.
        from_depth_options: which pixels become splats.

    Raises:
        InputError: there is nothing to begin from.
    """
    if start.gaussians is not None:
        return _at_most(start.gaussians, choices.gs_splats, start.name)
    if start.name == POINTS:
        check_points(points)
        assert points is not None
        return _at_most(
            splats_from_points(points.points, colors_in_photos(points, prediction)), choices.gs_splats, POINTS
        )
    if prediction.gaussian_source == "head":
        count = len(prediction.depth)
        held_out = held_out_views(count, choices.gs_holdout)
        shown = [view for view in range(count) if view not in held_out]
        return head_splats(prediction, shown, replace(from_depth_options, budget=choices.gs_splats))
    return None


def _at_most(gaussians: Gaussians, budget: int | None, name: str) -> Gaussians:
    """No more than `budget`: the more opaque, the likelier a splat stays; those that stay are larger instead."""
    count = len(gaussians)
    if budget is None or count <= budget:
        return gaussians
    warn(f"gs_splats: of the {count} splats of {name}, {budget} are kept")
    thresholds = (1 - np.modf(np.arange(count) * 0.7548776662466927)[0]).astype(np.float32)
    importances = np.maximum(gaussians.opacities, np.float32(1e-3))
    kept, apart = within_budget(importances, thresholds, budget)
    chosen = {field: getattr(gaussians, field)[kept] for field in Gaussians.__dataclass_fields__}
    return Gaussians(**{**chosen, "scales": chosen["scales"] * apart.astype(np.float32)[:, None]})
