"""Splats rendered where the run had no photo, beside the true picture from there."""

from __future__ import annotations

import contextlib
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recon.eval.fitted_cameras import fit_camera, gains
from recon.eval.ground_truth import sample_depth
from recon.eval.truth import GroundTruth
from recon.geometry.similarity import Similarity
from recon.sources.fitting import map_intrinsics
from recon.splats.view_metrics import WINDOW, psnr, ssim
from recon.types import Gaussians
from recon.types.cameras import Cameras


@dataclass(frozen=True)
class ViewScores:
    """Means over the views that were rendered: whole, without the pixels that truly are sky, and where splats are.

    Splats made from depth know no sky, however good they are, so that pictures of the open are compared without it.
    Holes count as errors there all the same; what the splats are worth where there are any, the last two tell.
    """

    views: int
    """How many."""
    psnr: float
    """dB, of whole pictures, against black where no splat is."""
    ssim: float
    """At most 1, of whole pictures."""
    psnr_without_sky: float | None
    """dB; None where the truth does not tell which pixels are sky, or nothing else is seen."""
    ssim_without_sky: float | None
    """At most 1; None as above."""
    covered: float
    """Share of the pixels, without sky where it is known, that splats cover by half or more."""
    psnr_covered: float | None
    """dB, of those pixels alone; None where a view has none."""
    psnr_gained: float | None = None
    """dB, of whole pictures, after one gain for each channel has been fitted to each."""
    psnr_fitted: float | None = None
    """dB, of whole pictures, after each camera has been fitted to its picture; None where that was not wanted."""
    ssim_fitted: float | None = None
    """At most 1, likewise."""


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
    distance: float | None = None,
) -> ViewScores:
    """Render the splats at true cameras and compare.

    Args:
        gaussians: in the world of the result.
        truth: of the scene.
        views: at least one index into it.
        to_truth: from the world of the result to the true one.
        size: height and width to render at: the processed ones.
        to_image: (3, 3) affine map from pixels at that size to those of the true images.
        distance: typical depth, in the world of the result, of what is seen; given where cameras are also to be fitted
            to the pictures, as `recon.eval.fitted_cameras` does.
    """
    from recon.splats.rendering import render

    cameras = Cameras(
        to_truth.inverse().apply_to_extrinsics(truth.extrinsics[views]),
        map_intrinsics(truth.intrinsics[views], to_image),
    )
    rendering = render(gaussians, cameras, size)
    pictures = [_processed(truth, int(view), size, to_image) for view in views]
    scores = [
        _compare(color, alpha, picture, _sky(truth, int(view), size, to_image))
        for color, alpha, picture, view in zip(
            np.clip(rendering.color, 0, 1), rendering.alpha, pictures, views, strict=True
        )
    ]
    fitted = [] if distance is None else _fitted(gaussians, cameras, pictures, distance)
    return ViewScores(
        views=len(views),
        psnr=_mean([score.psnr for score in scores]),
        ssim=_mean([score.ssim for score in scores]),
        psnr_without_sky=_mean_of_all([score.psnr_without_sky for score in scores]),
        ssim_without_sky=_mean_of_all([score.ssim_without_sky for score in scores]),
        covered=_mean([score.covered for score in scores]),
        psnr_covered=_mean_of_all([score.psnr_covered for score in scores]),
        psnr_gained=_mean_of_all([score.psnr_gained for score in scores]),
        psnr_fitted=_mean([one for one, _ in fitted]) if fitted else None,
        ssim_fitted=_mean([one for _, one in fitted]) if fitted else None,
    )


def _fitted(
    gaussians: Gaussians, cameras: Cameras, pictures: list[NDArray[np.float64]], distance: float
) -> list[tuple[float, float]]:
    """PSNR and SSIM of the splats from each camera after it has been fitted to its picture."""
    from recon.splats.rasterizer import RenderSettings
    from recon.splats.rendering import choose_rasterizer

    assert cameras.world_to_camera is not None
    assert cameras.intrinsics is not None
    height, width, _ = pictures[0].shape
    settings = RenderSettings((height, width), np.zeros(3), "RGB")
    with contextlib.closing(choose_rasterizer("auto").open(gaussians, settings)) as renderer:
        views = [
            fit_camera(renderer, world_to_camera, intrinsics, picture, distance).view
            for world_to_camera, intrinsics, picture in zip(
                cameras.world_to_camera, cameras.intrinsics, pictures, strict=True
            )
        ]
    return [(psnr(view, picture), ssim(view, picture)) for view, picture in zip(views, pictures, strict=True)]


def _compare(
    color: NDArray[np.float32],
    alpha: NDArray[np.float32],
    picture: NDArray[np.float64],
    sky: NDArray[np.bool_] | None,
) -> ViewScores:
    """The scores of one view: (H, W, 3) colours and (H, W) alpha beside the true (H, W, 3) picture and (H, W) sky."""
    margin = WINDOW // 2
    seen = np.ones(alpha.shape, bool) if sky is None else ~sky
    comparable = sky is not None and bool(seen[margin:-margin, margin:-margin].any())
    covered = seen & (alpha >= 0.5)
    return ViewScores(
        views=1,
        psnr=psnr(color, picture),
        ssim=ssim(color, picture),
        psnr_without_sky=psnr(color, picture, seen) if comparable else None,
        ssim_without_sky=ssim(color, picture, seen) if comparable else None,
        covered=float(covered.sum() / max(seen.sum(), 1)),
        psnr_covered=psnr(color, picture, covered) if covered.any() else None,
        psnr_gained=psnr(np.clip(color * gains(color, picture), 0, 1), picture),
    )


def _mean(values: list[float]) -> float:
    return float(np.mean(values))


def _mean_of_all(values: list[float | None]) -> float | None:
    """None where one is."""
    known = [value for value in values if value is not None]
    return _mean(known) if len(known) == len(values) else None


def _sky(
    truth: GroundTruth, view: int, size: tuple[int, int], to_image: NDArray[np.float64]
) -> NDArray[np.bool_] | None:
    """(H, W) True where the picture shows sky; None where that is not known."""
    sampled = sample_depth(truth, view, size, to_image)
    return None if sampled is None else sampled[1]


def _processed(
    truth: GroundTruth, view: int, size: tuple[int, int], to_image: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(H, W, 3) in [0, 1]: the true picture, cut to what the processed one shows and resized to it."""
    import cv2

    from recon.sources.pixels import read_image

    pixels, _ = read_image(truth.image_paths[view])
    height, width = size
    left, top = (max(0, round(edge)) for edge in to_image[:2, 2])
    right, bottom = (round(edge) for edge in to_image[:2, :2] @ (width, height) + to_image[:2, 2])
    shrinking = to_image[0, 0] >= 1
    resized = cv2.resize(
        pixels[top:bottom, left:right], (width, height), interpolation=cv2.INTER_AREA if shrinking else cv2.INTER_CUBIC
    )
    return np.asarray(resized, np.float64) / 255
