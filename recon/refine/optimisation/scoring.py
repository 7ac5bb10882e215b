"""How alike photos and rendered views are, and which photos are held out to tell."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from recon.refine.optimisation.photos import ProcessedPhotos
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


def score(state: FitState, updater: SplatUpdater, photos: ProcessedPhotos, views: Sequence[int]) -> Scores | None:
    """Of photos with their exposures; None of none."""
    if not views:
        return None
    found = []
    for view in views:
        photo = photos.pixels(view)
        height, width, _ = photo.shape
        cameras = state.cameras
        drawn = updater.draw(cameras.world_to_camera[view], cameras.intrinsics[view], (height, width))
        color = drawn.transpose(1, 2, 0) * state.exposures.gains[view] + state.exposures.offsets[view]
        found.append(compare(color, photo, photos.mask(view)))
    similarities = [one.ssim for one in found if one.ssim is not None]
    return Scores(
        psnr=float(np.mean([one.psnr for one in found])),
        psnr_fitted=float(np.mean([one.psnr_fitted for one in found])),
        ssim=float(np.mean(similarities)) if len(similarities) == len(found) else None,
    )


def compare(color: NDArray[np.float64], photo: NDArray[np.uint8], mask: NDArray[np.bool_] | None) -> Scores:
    """Of one (H, W, 3) view and its photo, where the (H, W) `mask` counts."""
    truth = photo / 255
    counts = np.ones(photo.shape[:2], bool) if mask is None else mask
    if not counts.any():
        return Scores(np.inf, np.inf, None)
    shown = np.clip(color, 0, 1)
    chosen, wanted = shown[counts], truth[counts]  # (P, 3)
    gain = (chosen * wanted).sum(axis=0) / np.maximum((chosen * chosen).sum(axis=0), 1e-12)
    margin = WINDOW // 2
    has_window = bool(counts[margin:-margin, margin:-margin].any())
    return Scores(
        psnr=psnr(shown, truth, mask),
        psnr_fitted=psnr(np.clip(shown * gain, 0, 1), truth, mask),
        ssim=ssim(shown, truth, mask) if has_window else None,
    )
