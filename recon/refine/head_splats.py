"""Gaussians of a network's head, one for each pixel of each view, as a start that can be optimised: the most important
ones, each piece of surface once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from recon.refine.depth_splats import DepthSplatOptions, splats_from_depth
from recon.refine.optimisation.start import of_views
from recon.types import Gaussians, Prediction


def head_splats(prediction: Prediction, views: Sequence[int], options: DepthSplatOptions) -> Gaussians:
    """The Gaussians of the head at the pixels of `views` that splats from depth would be made of.

    Where a budget leaves out others beside them, they are larger by as much as splats from depth would be.

    Args:
        prediction: with Gaussians of the head.
        views: the others are held out.
        options: which pixels become splats; without a budget as many as a view has pixels.

    Raises:
        InputError: as `recon.refine.from_depth`.
    """
    gaussians = prediction.gaussians
    assert gaussians is not None
    _, height, width = prediction.depth.shape
    budget = height * width if options.budget is None else options.budget
    chosen = splats_from_depth(of_views(prediction, views), replace(options, budget=budget, second_layer=False))
    view, pixel = np.divmod(chosen.pixels, height * width)
    pixels = np.asarray(views, np.intp)[view] * height * width + pixel
    return Gaussians(
        means=gaussians.means[pixels],
        scales=gaussians.scales[pixels] * chosen.spacing[:, None],
        rotations=gaussians.rotations[pixels],
        harmonics=gaussians.harmonics[pixels],
        opacities=gaussians.opacities[pixels],
    )
