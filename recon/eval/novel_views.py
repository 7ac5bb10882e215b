"""Splats rendered where the run had no photo, beside the true picture from there."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recon.eval.ground_truth import GroundTruth, sample_depth
from recon.eval.view_metrics import WINDOW, psnr, ssim
from recon.geometry.similarity import Similarity
from recon.preprocess import map_intrinsics
from recon.types import Cameras, Gaussians


@dataclass(frozen=True)
class ViewScores:
    """Means over the views that were rendered, whole and without the pixels that truly are sky.

    Splats made from depth know no sky, however good they are; None where the truth does not tell which pixels it is.
    """

    views: int
    """How many."""
    psnr: float
    """dB."""
    ssim: float
    """At most 1."""
    psnr_without_sky: float | None
    """dB."""
    ssim_without_sky: float | None
    """At most 1."""


def cameras_to_render(truth: GroundTruth, given: Collection[int | None], like: int, count: int) -> NDArray[np.intp]:
    """Up to `count` views, evenly spread, with a picture on disk as large as that of view `like`, and not `given`."""
    held_out = [
        view
        for view, path in enumerate(truth.image_paths)
        if view not in given and (truth.image_sizes[view] == truth.image_sizes[like]).all() and path.is_file()
    ]
    places = np.linspace(0, len(held_out) - 1, min(count, len(held_out)))
    return np.array(held_out, np.intp)[np.unique(places.round().astype(np.intp))]


def novel_view_scores(
    gaussians: Gaussians,
    truth: GroundTruth,
    views: NDArray[np.intp],
    to_truth: Similarity,
    size: tuple[int, int],
    to_image: NDArray[np.float64],
) -> ViewScores:
    """Render the splats at true cameras and compare.

    Args:
        gaussians: in the world of the result.
        truth: of the scene.
        views: at least one index into it.
        to_truth: from the world of the result to the true one.
        size: height and width to render at: the processed ones.
        to_image: (3, 3) affine map from pixels at that size to those of the true images.
    """
    from recon.gaussians.rendering import render

    cameras = Cameras(
        to_truth.inverse().apply_to_extrinsics(truth.extrinsics[views]),
        map_intrinsics(truth.intrinsics[views], to_image),
    )
    rendered = np.clip(render(gaussians, cameras, size).color, 0, 1)
    pictures = [_processed(truth, int(view), size, to_image) for view in views]
    masks = [_without_sky(truth, int(view), size, to_image) for view in views]
    whole = [(psnr(a, b), ssim(a, b)) for a, b in zip(rendered, pictures, strict=True)]
    masked = [
        (psnr(a, b, m), ssim(a, b, m)) for a, b, m in zip(rendered, pictures, masks, strict=True) if m is not None
    ]
    all_masked = len(masked) == len(whole)
    return ViewScores(
        views=len(views),
        psnr=float(np.mean([pair[0] for pair in whole])),
        ssim=float(np.mean([pair[1] for pair in whole])),
        psnr_without_sky=float(np.mean([pair[0] for pair in masked])) if all_masked else None,
        ssim_without_sky=float(np.mean([pair[1] for pair in masked])) if all_masked else None,
    )


def _without_sky(
    truth: GroundTruth, view: int, size: tuple[int, int], to_image: NDArray[np.float64]
) -> NDArray[np.bool_] | None:
    """(H, W) True where the picture shows something else; None where that is not known, or leaves nothing."""
    sampled = sample_depth(truth, view, size, to_image)
    if sampled is None or sampled[1] is None:
        return None
    margin = WINDOW // 2
    return None if sampled[1][margin:-margin, margin:-margin].all() else ~sampled[1]


def _processed(
    truth: GroundTruth, view: int, size: tuple[int, int], to_image: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(H, W, 3) in [0, 1]: the true picture, cut to what the processed one shows and resized to it."""
    import cv2

    from recon.scene.pixels import read_image

    pixels, _ = read_image(truth.image_paths[view])
    height, width = size
    left, top = (max(0, round(edge)) for edge in to_image[:2, 2])
    right, bottom = (round(edge) for edge in to_image[:2, :2] @ (width, height) + to_image[:2, 2])
    shrinking = to_image[0, 0] >= 1
    resized = cv2.resize(
        pixels[top:bottom, left:right], (width, height), interpolation=cv2.INTER_AREA if shrinking else cv2.INTER_CUBIC
    )
    return np.asarray(resized, np.float64) / 255
