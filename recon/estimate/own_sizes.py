"""Photos of sizes of their own, for estimators that see each alone: those of one size together, as if by themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recon.estimate.estimator import Estimator, Wishes
from recon.progress import TellPart
from recon.sources.fitting import Views
from recon.types import FloatArray, Prediction


def estimate_at_own_sizes(
    estimator: Estimator, views: Views, wishes: Wishes = Wishes(), progress: TellPart | None = None
) -> Prediction:
    """`Estimator.estimate`, of photos of several sizes as well."""
    if views.photo_boxes is not None and not estimator.profile.abilities.several_views:
        return estimate_by_size(estimator, views, wishes, progress)
    return estimator.estimate(views, wishes, progress)


def estimate_by_size(
    estimator: Estimator, views: Views, wishes: Wishes = Wishes(), progress: TellPart | None = None
) -> Prediction:
    """`Estimator.estimate` of an estimator that sees each view alone, of photos of several sizes (`photo_boxes`).

    Outside the photos depth is 0, confidence 1, and there are no features.
    """
    boxes = views.photo_boxes
    assert boxes is not None
    alike: dict[tuple[int, ...], list[int]] = {}
    for index, size in enumerate(boxes[:, 2:].tolist()):
        alike.setdefault(tuple(size), []).append(index)
    groups = list(alike.values())
    parts = [estimator.estimate(views.cut_out(indices), wishes, progress) for indices in groups]
    size = views.pixels.shape[1:3]

    def together(name: str, around: float) -> Any:
        return _pasted([getattr(part, name) for part in parts], groups, boxes, size, around)

    features: dict[int, FloatArray] = {}
    for layer in parts[0].features:
        maps = _pasted([part.features[layer] for part in parts], groups, boxes, size, 0)
        assert maps is not None
        features[layer] = maps
    factors = {part.scale_factor for part in parts}
    return replace(
        parts[0],
        depth=together("depth", 0),
        conf=together("conf", 1),
        sky=together("sky", 0),
        processed_images=views.pixels,
        extrinsics=_stacked([part.extrinsics for part in parts], groups),
        intrinsics=None if views.cameras.intrinsics is None else views.cameras.intrinsics.astype(np.float32),
        image_names=tuple(views.names),
        original_sizes=views.original_sizes,
        processed_to_original=views.processed_to_original,
        scale_factor=factors.pop() if len(factors) == 1 else None,
        features=features,
    )


def to_corner(values: NDArray[Any], boxes: NDArray[np.int64]) -> NDArray[Any]:
    """Each view's box of (N, H, W, ...) values moved to the left upper corner; zeros elsewhere."""
    moved = np.zeros_like(values)
    for index, (left, top, width, height) in enumerate(boxes.tolist()):
        moved[index, :height, :width] = values[index, top : top + height, left : left + width]
    return moved


def from_corner(values: NDArray[Any], boxes: NDArray[np.int64], around: float) -> NDArray[Any]:
    """(N, H, W) values from the left upper corner back to each view's box; `around` elsewhere."""
    moved = np.full_like(values, around)
    for index, (left, top, width, height) in enumerate(boxes.tolist()):
        moved[index, top : top + height, left : left + width] = values[index, :height, :width]
    return moved


def _pasted(
    parts: Sequence[NDArray[Any] | None],
    groups: Sequence[Sequence[int]],
    boxes: NDArray[np.int64],
    size: tuple[int, int],
    around: float,
) -> NDArray[Any] | None:
    """(N, H, W, ...) of the parts (n, h, w, ...) of each group, put where their boxes are; or grids of patches."""
    first = parts[0]
    if first is None:
        return None
    patch = int(boxes[groups[0][0], 3]) // first.shape[1]  # 1: of pixels
    whole = np.full((len(boxes), size[0] // patch, size[1] // patch, *first.shape[3:]), around, first.dtype)
    for part, indices in zip(parts, groups, strict=True):
        assert part is not None
        for values, index in zip(part, indices, strict=True):
            left, top = (boxes[index, :2] // patch).tolist()
            whole[index, top : top + values.shape[0], left : left + values.shape[1]] = values
    return whole


def _stacked(parts: Sequence[NDArray[Any] | None], groups: Sequence[Sequence[int]]) -> NDArray[Any] | None:
    """(N, ...) in the order of the views."""
    if parts[0] is None:
        return None
    order = np.argsort(np.concatenate([np.asarray(indices) for indices in groups]))
    return np.concatenate([part for part in parts if part is not None])[order]
