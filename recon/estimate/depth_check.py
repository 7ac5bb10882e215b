"""Whether there is depth at all, and enough of it: the same question to whatever made it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from recon.errors import InputError
from recon.estimate.estimator import Profile
from recon.messages import listed, warn
from recon.types import Prediction

LITTLE = 0.2
"""Share of the pixels that may have depth, below which it is said that there is little."""
_NAMED = 3
"""Photos that a message names at most."""


def check_depth(prediction: Prediction, profile: Profile) -> Prediction:
    """The prediction without depth where there is no number (0 stands there), and warnings about what is missing.

    Args:
        prediction: as the estimator of this profile gives it.
        profile: says what to look into.

    Raises:
        InputError: there is no depth at all.
    """
    if not profile.abilities.depth:
        return prediction
    why = profile.why_no_depth(prediction.extrinsics_origin == "given")
    numbers = np.isfinite(prediction.depth)
    if prediction.conf is not None:
        numbers &= np.isfinite(prediction.conf)
    if not numbers.all():
        conf = None if prediction.conf is None else np.where(numbers, prediction.conf, np.float32(1))
        depth = np.where(numbers, prediction.depth, np.float32(0))
        share = 1 - numbers.mean()
        which = _names(prediction, np.asarray(~numbers.all(axis=(1, 2))))
        if not numbers.any():
            raise InputError(f"{profile.name} gives no number for any pixel of {which}: {why}")
        warn(f"{profile.name} gives no number for {share:.1%} of the pixels ({which}): there is no depth there")
        prediction = replace(prediction, depth=depth, conf=conf)
    valid = prediction.valid
    if not valid.any():
        if prediction.sky is not None and prediction.sky.all():
            warn(f"{profile.name} sees nothing but sky in {_names(prediction, np.ones(len(valid), bool))}")
            return prediction
        everything = _names(prediction, np.ones(len(valid), bool))
        raise InputError(f"no pixel of {everything} has a positive, finite depth: {why}")
    wanted = np.ones_like(valid)
    for mask, kept in ((prediction.sky, False), (prediction.mask, True)):
        if mask is not None:
            wanted &= mask == kept
    counts = wanted.sum(axis=(1, 2))
    with_depth = valid.sum(axis=(1, 2))
    share = with_depth.sum() / counts.sum()
    empty = (with_depth == 0) & (counts > 0)
    if share < LITTLE:
        warn(f"only {share:.1%} of the photos got depth by {profile.name}: {why}")
    elif empty.any():
        warn(f"{profile.name} gives no depth for {_names(prediction, empty)}")
    return prediction


def _names(prediction: Prediction, views: NDArray[np.bool_]) -> str:
    """Those of the `views` (N,) that are True, a few of them by name."""
    names = prediction.image_names or tuple(f"view {index}" for index in range(len(views)))
    chosen = [f"'{name}'" for name, wanted in zip(names, views, strict=True) if wanted]
    return listed(chosen, _NAMED)
