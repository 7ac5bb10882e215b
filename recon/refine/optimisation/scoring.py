"""How alike photos and rendered views are, and which photos are held out to tell."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from recon.refine.optimisation.photos import Part, Photos
from recon.refine.optimisation.state import FitState
from recon.refine.optimisation.updater import SplatUpdater
from recon.refine.optimised_splats import Scores
from recon.splats.view_metrics import WINDOW, psnr, ssim

_SCORED = 4
"""Of the photos fitted to, about as many are compared with their views before and after."""


def held_out_views(count: int, share: int) -> list[int]:
    """One view in `share`, spread evenly; none of few, and none where `share` is 0."""
    if share == 0 or count < max(share, 2):
        return []
    number = count // share
    return sorted({int((i + 0.5) * count / number) for i in range(number)})


def sample_of(fitted: Sequence[int]) -> list[int]:
    """Some of the photos fitted to, spread evenly, to be compared before and after."""
    return list(fitted[:: -(-len(fitted) // _SCORED)])


def score(state: FitState, updater: SplatUpdater, photos: Photos, views: Sequence[int]) -> Scores | None:
    """Of photos with their exposures; None of none."""
    if not views:
        return None
    found = []
    state.cameras.take_others_along()
    for view in views:
        parts = photos.parts(view)
        found.append(compare([_drawn(state, updater, view, part) for part in parts], parts))
    similarities = [one.ssim for one in found if one.ssim is not None]
    return Scores(
        psnr=float(np.mean([one.psnr for one in found])),
        psnr_fitted=float(np.mean([one.psnr_fitted for one in found])),
        ssim=float(np.mean(similarities)) if len(similarities) == len(found) else None,
    )


def _drawn(state: FitState, updater: SplatUpdater, view: int, part: Part) -> NDArray[np.float64]:
    """(H, W, 3) what splats show there, with the exposure of the photo."""
    intrinsics = part.from_processed @ state.cameras.intrinsics[view]
    drawn = updater.draw(state.cameras.world_to_camera[view], intrinsics, part.size)
    color: NDArray[np.float64] = drawn.transpose(1, 2, 0) * state.exposures.gains[view] + state.exposures.offsets[view]
    return color


def compare(colors: Sequence[NDArray[np.float64]], parts: Sequence[Part]) -> Scores:
    """Of what is shown, (H, W, 3) for each part of one photo, and the photo."""
    counted = [np.ones(part.size, bool) if part.mask is None else part.mask for part in parts]
    pairs = [
        (np.clip(color, 0, 1), part.pixels / 255, part.mask, counts)
        for color, part, counts in zip(colors, parts, counted, strict=True)
        if counts.any()
    ]
    if not pairs:
        return Scores(np.inf, np.inf, None)
    products = sum((shown[counts] * truth[counts]).sum(axis=0) for shown, truth, _, counts in pairs)
    squares = sum((shown[counts] * shown[counts]).sum(axis=0) for shown, _, _, counts in pairs)
    gain = products / np.maximum(squares, 1e-12)
    pixels = [float(counts.sum()) for *_, counts in pairs]
    windows, similarities = [], []
    margin = WINDOW // 2
    for shown, truth, mask, counts in pairs:
        inside = counts[margin:-margin, margin:-margin]
        if inside.any():
            windows.append(float(inside.sum()))
            similarities.append(ssim(shown, truth, mask))
    as_is = [psnr(shown, truth, mask) for shown, truth, mask, _ in pairs]
    fitted = [psnr(np.clip(shown * gain, 0, 1), truth, mask) for shown, truth, mask, _ in pairs]
    return Scores(
        psnr=_pooled(as_is, pixels),
        psnr_fitted=_pooled(fitted, pixels),
        ssim=_average(similarities, windows) if similarities else None,
    )


def _average(values: Sequence[float], weights: Sequence[float]) -> float:
    return values[0] if len(values) == 1 else float(np.average(values, weights=weights))


def _pooled(decibels: Sequence[float], weights: Sequence[float]) -> float:
    """PSNR of parts together."""
    if len(decibels) == 1:
        return decibels[0]
    error = _average([10 ** (-value / 10) for value in decibels], weights)
    return -10 * float(np.log10(error)) if error > 0 else np.inf
