"""Sure depth brought to the scale that views are in, and what the scale of the result is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from recon.errors import InputError
from recon.estimate.prior_evidence import evidence_of
from recon.geometry.scale_field import FEWEST, blocks_of, fit_field, fit_line
from recon.messages import listed, warn
from recon.types import FloatArray, MadeBy, Prediction, Units

if TYPE_CHECKING:
    from recon.sources.fitting import Views

_ANOTHER_UNIT = 1.2
"""Factor from which on depth is in another unit than said, not just imprecise."""
_NEAR_UNIT = 1.05
"""Factor up to which a scale that is found is taken for a power of ten, of cameras whose unit nobody says."""
_WORTH_SAYING = 1.02
_UNLIKE, _UNLIKE_IN_DETAIL = 0.3, 0.05
"""Median difference of log depth, apart from scale and shift, and apart from a smooth field of scale, from which on two
maps are of different things."""
_WORSE, _WORSE_THAN_USUAL = 0.02, 5.0
"""The second, where it is so many times that of the other views."""
_APART = 1.5
"""Factor by which the scale of one view may differ from that of the others."""
_NAMED = 3


@dataclass(frozen=True)
class Sure:
    """Sure depth of N views."""

    depth: NDArray[np.float32]
    """(N, H, W) 0 where there is none."""
    conf: FloatArray | None
    made_by: MadeBy
    units: Units
    """`aligned`: of the cameras; `metric`: metres; `relative`: a unit that nobody says."""


def measured_maps(prediction: Prediction) -> Sure:
    """What an estimator found, without what it filled in."""
    assert prediction.made_by is not None
    depth = np.where(prediction.valid, prediction.depth, np.float32(0)).astype(np.float32)
    return Sure(depth, prediction.conf, prediction.made_by, prediction.units)


@dataclass(frozen=True)
class Frame:
    """What is known of the scale that the dense depth is in."""

    placed: bool
    """Cameras are given: the result stays in their frame."""
    one_scale: bool
    """All views are in one scale; else each has its own."""
    scale_known: bool
    """That scale is that of the given cameras."""
    metric: bool
    """The given cameras are in metres; without any, the dense depth is."""
    free: bool = False
    """The unit of the given cameras is any, as structure from motion leaves it."""
    dense_unit: float | None = None
    """What the dense depth is multiplied by already, to be in the scale of the given cameras; None: it is as it was."""


def in_scale_of(
    dense: NDArray[np.float32],
    found: Sequence[Sure],
    views: Views,
    frame: Frame,
    units: Units,
    certain: NDArray[np.bool_] | None = None,
) -> tuple[list[Sure], float, Units]:
    """Sure depth in the scale of the dense one's cameras.

    Args:
        dense: (N, H, W) 0 where it does not count.
        found: sure depth, each in its own units.
        views: what both are of.
        frame: of the dense depth.
        units: of the dense depth.
        certain: (N, H, W) where the dense depth is sure itself, and in the scale of given cameras.

    Returns:
        The sure depth, what all is to be multiplied by in the end (given cameras stay as they are), and the units then.

    Raises:
        InputError: sure depth that does not go with the photos, or is in other units than it says.
    """
    reference = dense
    sure_there = np.zeros_like(dense) if certain is None else np.where(certain, dense, np.float32(0))
    for one in found:
        if one.units == "aligned":
            reference = np.where(one.depth > 0, one.depth, reference)
            sure_there = np.where(one.depth > 0, one.depth, sure_there)
    by_cameras = any(one.units == "aligned" for one in found)
    known = frame.scale_known or by_cameras  # of the given cameras, or of the sure depth that decided
    scaled: list[Sure] = []
    to_result = 1.0
    for one in found:
        if one.units == "aligned":
            scaled.append(one)
            continue
        agreeing, held = np.zeros(len(dense), bool), None
        said = one.units == "metric" and not frame.free
        if frame.placed:
            seen = evidence_of(one.depth, sure_there, views, said)
            one, agreeing = _without(one, seen.apart, views, f" at odds with {seen.against}"), seen.agreeing
            held = _as_said(one, seen.factor, frame) if said else seen.factor
        sure, factor = _fitted(one, reference, views, frame.one_scale, by_cameras, agreeing)
        if frame.placed and known and factor is not None:
            held = factor * to_result if held is None else held
        if held is not None and not frame.free and not said:
            held = _round_unit(held, _ANOTHER_UNIT if frame.metric else _NEAR_UNIT)
        if held is not None:
            if not known and factor is not None:  # it tells the scale of the dense depth
                to_result, known = held / factor, True
            factor = held / to_result
            if max(held, 1 / held) > _WORTH_SAYING:
                warn(f"{one.made_by.name} is taken times {held:.4g}, to be in the scale of the cameras")
        elif factor is None:
            pass
        elif not known and (one.units == "metric" or not frame.metric):
            to_result, known = 1 / factor, True
            units = one.units if one.units == "metric" and not frame.placed else units
        elif max(factor, 1 / factor) > _WORTH_SAYING:
            warn(f"{one.made_by.name} is taken times {factor * to_result:.4g}, to be in the scale of the result")
        if factor is not None:
            sure = replace(sure, depth=(sure.depth * np.float32(factor)).astype(np.float32))
        scaled.append(sure)
    return scaled, to_result, "aligned" if frame.placed and known else units


def _round_unit(factor: float, within: float) -> float:
    """The power of ten that `factor` is near to, for sure depth is surer than what it is compared with; else itself."""
    power = 10.0 ** round(np.log10(factor))
    return power if max(factor / power, power / factor) <= within else factor


def _as_said(sure: Sure, factor: float | None, frame: Frame) -> float:
    """What depth in metres is to be multiplied by, where cameras and sure depth say `factor`: 1, unless the unit of the
    cameras is another. Raises InputError where they are in metres as well."""
    if factor is None or max(factor, 1 / factor) <= _ANOTHER_UNIT:
        return 1.0
    if frame.metric:
        raise InputError(
            f"{sure.made_by.name}: by depth_prior_unit it is {1 / factor:.3g} times as far as the cameras say, which "
            f"are in metres; a unit of {factor:.3g} times the given one would fit: give that, or leave "
            "depth_prior_unit out to have it found"
        )
    factor = _round_unit(factor, _NEAR_UNIT)
    warn(
        f"{sure.made_by.name}: in metres by depth_prior_unit it is {1 / factor:.4g} times as far as the cameras say; "
        f"if these are in metres, a unit of {factor:.4g} times the given one would fit"
    )
    return factor


def _without(sure: Sure, unlike: NDArray[np.bool_], views: Views, why: str) -> Sure:
    """Without the views that are `unlike` (N,), which are named. Raises InputError where none is left."""
    has = (sure.depth > 0).any(axis=(1, 2))
    unlike = unlike & has
    if not unlike.any():
        return sure
    if not (has & ~unlike).any():
        raise InputError(
            f"{sure.made_by.name} does not go with the photos,{why}: it may be of other ones, or not be depth along "
            "the axis of the camera (disparity, or a picture of depth)"
        )
    names = [f"'{views.names[view]}'" for view in np.flatnonzero(unlike)]
    warn(
        f"{sure.made_by.name} of {listed(names, _NAMED)} does not go with the photo,{why}, as if of another "
        "one: left out"
    )
    return replace(sure, depth=np.where(unlike[:, None, None], np.float32(0), sure.depth))


def _fitted(
    sure: Sure,
    reference: NDArray[np.float32],
    views: Views,
    one_scale: bool,
    by_cameras: bool,
    agreeing: NDArray[np.bool_],
) -> tuple[Sure, float | None]:
    """Without the views that it does not go with; and what it is to be multiplied by to be in the reference's scale.

    Views that are known to be `agreeing` (N,) are kept. None where no view has enough of both to tell. Where each view
    has a scale of its own, 1.
    """
    ratios, details = (np.full(len(reference), np.nan) for _ in range(2))
    unlike = np.zeros(len(reference), bool)
    for view, (near, far) in enumerate(zip(reference, sure.depth, strict=True)):
        blocks = blocks_of(near, far)
        line = fit_line(blocks, shift=not by_cameras)
        if line is None or len(blocks.counts) < FEWEST:
            continue
        ratios[view] = -np.median(blocks.ratios)
        details[view] = fit_field(blocks_of(line.apply(near), far), near.shape).deviation
        unlike[view] = line.deviation > _UNLIKE or details[view] > _UNLIKE_IN_DETAIL
    compared = np.isfinite(ratios)
    if not compared.any():
        return sure, None
    unlike |= compared & (details > max(_WORSE, _WORSE_THAN_USUAL * float(np.median(details[compared]))))
    unlike &= ~agreeing
    good = compared & ~unlike
    middle = float(np.median(ratios[good])) if good.any() else np.nan
    if one_scale or by_cameras:
        unlike |= compared & (np.abs(ratios - middle) > np.log(_APART)) & ~agreeing
    good = compared & ~unlike
    sure = _without(sure, unlike, views, " at odds with the other depth")
    if not good.any():
        return sure, None
    return sure, float(np.exp(np.median(ratios[good]))) if one_scale or by_cameras else 1.0
