"""One result against the ground truth of its scene: cameras, depth, surface and novel views.

Everything is compared at the processed resolution: true depth is looked up at the processed pixels' centres, true
intrinsics are mapped to them. What cannot be compared is None, and a note says why.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from recon.errors import InputError
from recon.eval.camera_metrics import CameraScores, camera_scores
from recon.eval.depth_metrics import (
    ALIGNMENTS,
    Alignment,
    Coverage,
    DepthScores,
    coverage,
    depth_scores,
    usable,
)
from recon.eval.eval_options import EvalOptions, ShownAlignment
from recon.eval.ground_truth import match_names, sample_depth
from recon.eval.novel_views import ViewScores, cameras_to_render, novel_view_scores
from recon.eval.registration import closest_point_alignment
from recon.eval.results import Result
from recon.eval.surface_metrics import SurfaceScores, surface_scores, thin
from recon.eval.true_surface import surface_sizes, true_points
from recon.eval.truth import GroundTruth, SparseDepth
from recon.geometry.cameras import to_4x4
from recon.geometry.similarity import Similarity, align_cameras
from recon.geometry.unprojection import unproject_depth
from recon.geometry.view_alignment import align_views
from recon.messages import warn
from recon.sources.fitting import map_intrinsics
from recon.types import FloatArray


@dataclass(frozen=True)
class Evaluation:
    """What was found for one result."""

    views: int
    """Views of the result that have ground truth."""
    unknown_views: tuple[str, ...]
    """Views of the result that have none."""
    failed_views: tuple[str, ...]
    """Views that the run was given and left out, and that have ground truth."""
    units: str
    """Of lengths: those of the ground truth."""
    cameras: CameraScores | None
    alignment: Alignment
    """The depth alignment to look at: the one that was asked for."""
    depth: dict[Alignment, DepthScores]
    """By alignment; empty where no pixel can be compared."""
    coverage: Coverage | None
    surface: SurfaceScores | None
    novel_views: ViewScores | None
    notes: tuple[str, ...]
    """Why something above is None."""


@dataclass(frozen=True)
class _Matched:
    """The V views of a result that have ground truth, and that truth at the processed size."""

    result: Result
    """Those views alone; depth is 0 where the result says nothing: sky, low confidence, not finite."""
    indices: NDArray[np.intp]
    """(V,) into the ground truth."""
    to_image: NDArray[np.float64]
    """(V, 3, 3) affine maps from processed pixels to those of the true images."""
    extrinsics: NDArray[np.float64]
    """(V, 4, 4) true world-to-camera."""
    intrinsics: NDArray[np.float64]
    """(V, 3, 3) true, in processed pixels."""
    depth: NDArray[np.float32]
    """(V, H, W) true, 0 where there is none."""
    has_depth: NDArray[np.bool_]
    """(V,) whether there is any true depth of the view."""
    sky: NDArray[np.bool_]
    """(V, H, W) True where the truth says so."""


def evaluate(result: Result, truth: GroundTruth, options: EvalOptions | None = None) -> Evaluation:
    """Compare a result with the truth of its scene.

    Raises:
        InputError: none of its images is among the true ones, or their sizes say that they are others.
    """
    options = EvalOptions() if options is None else options
    matches = _match(result, truth)
    unknown = tuple(result.image_names[i] for i, match in enumerate(matches) if match is None)
    dropped = [
        (name, i) for name, i in zip(result.dropped, match_names(result.dropped, truth.image_names), strict=True)
    ]
    failed = [(name, i) for name, i in dropped if i is not None and i not in matches]
    matched = _gather(result, truth, matches, options)
    notes: list[str] = []
    cameras = _cameras(matched, truth, [i for _, i in failed], notes)
    depth, kept = _depth(matched, options, notes)
    to_truth = None
    if options.surface != "none" or result.gaussians is not None:
        to_truth = _similarity(matched, notes)
    return Evaluation(
        views=len(matched.indices),
        unknown_views=unknown,
        failed_views=tuple(name for name, _ in failed),
        units=truth.units,
        cameras=cameras,
        alignment=_shown(options.alignment, result),
        depth=depth,
        coverage=kept,
        surface=_surface(matched, truth, to_truth, options, notes),
        novel_views=_novel_views(matched, truth, to_truth, options, notes),
        notes=tuple(notes),
    )


def _match(result: Result, truth: GroundTruth) -> list[int | None]:
    """For each view of the result the index of its truth, or None; at least one has any."""
    views = len(result.depth)
    if not result.image_names:
        if views != len(truth.image_names):
            raise InputError(
                f"{result.path} names no images, and its {views} views are not the {len(truth.image_names)} of "
                f"{truth.path}; keep the run.json beside it"
            )
        warn(f"{result.path} names no images: its views are taken in the order of the ground truth")
        return list(range(views))
    matches = match_names(result.image_names, truth.image_names)
    known = [match for match in matches if match is not None]
    if not known:
        raise InputError(
            f"no image of {result.path} is in {truth.path}: '{result.image_names[0]}' is not among "
            f"'{truth.image_names[0]}', …; is it another scene?"
        )
    if len(set(known)) < len(known):
        twice = next(i for i in known if known.count(i) > 1)
        raise InputError(f"{result.path}: several views are the true image '{truth.image_names[twice]}'")
    return matches


def _gather(result: Result, truth: GroundTruth, matches: Sequence[int | None], options: EvalOptions) -> _Matched:
    chosen = np.array([i for i, match in enumerate(matches) if match is not None])
    indices = np.array([match for match in matches if match is not None])
    within = _within_photos(result)[chosen]
    known = result.valid[chosen] & within
    if options.min_conf is not None and result.conf is not None:
        known = known & (result.conf[chosen] >= options.min_conf)
    views = replace(
        result,
        depth=np.where(known, result.depth[chosen], 0),
        valid=known,
        image_names=tuple(result.image_names[i] for i in chosen) if result.image_names else (),
        conf=None if result.conf is None else result.conf[chosen],
        sky=None if result.sky is None else result.sky[chosen],
        extrinsics=None if result.extrinsics is None else result.extrinsics[chosen],
        intrinsics=None if result.intrinsics is None else result.intrinsics[chosen],
        lens_intrinsics=None if result.lens_intrinsics is None else result.lens_intrinsics[chosen],
        original_sizes=None if result.original_sizes is None else result.original_sizes[chosen],
        processed_to_original=None if result.processed_to_original is None else result.processed_to_original[chosen],
        photo_boxes=None if result.photo_boxes is None else result.photo_boxes[chosen],
    )
    size = views.depth.shape[1:]
    to_image = _maps_to_true_images(views, truth.image_sizes[indices])
    depth, sky = np.zeros(views.depth.shape, np.float32), np.zeros(views.depth.shape, bool)
    has_depth = np.zeros(len(chosen), bool)
    for i, view in enumerate(indices):
        sampled = sample_depth(truth, int(view), size, to_image[i])
        if sampled is not None:
            has_depth[i] = True
            depth[i] = np.where(within[i], sampled[0], 0)
            sky[i] = False if sampled[1] is None else sampled[1] & within[i]
    return _Matched(
        result=views,
        indices=indices,
        to_image=to_image,
        extrinsics=truth.extrinsics[indices],
        intrinsics=map_intrinsics(truth.intrinsics[indices], to_image),
        depth=depth,
        has_depth=has_depth,
        sky=sky,
    )


def _within_photos(result: Result) -> NDArray[np.bool_]:
    """(N, H, W) False around photos that fill a part of the processed image only."""
    within = np.ones(result.depth.shape, bool)
    if result.photo_boxes is not None:
        for view, (left, top, width, height) in enumerate(result.photo_boxes.tolist()):
            within[view] = False
            within[view, top : top + height, left : left + width] = True
    return within


def _maps_to_true_images(result: Result, true_sizes: NDArray[np.int64]) -> NDArray[np.float64]:
    """(V, 3, 3) from processed pixels to those of the true images, which may be the originals at another size."""
    height, width = result.depth.shape[1:]
    if result.processed_to_original is None:
        warn(f"{result.path} does not say how its images were resized: taken as plain resizes of the whole photos")
        return np.array([np.diag([w / width, h / height, 1]) for w, h in true_sizes])
    if result.original_sizes is None:
        return np.asarray(result.processed_to_original, np.float64)
    for index, (own, true) in enumerate(zip(result.original_sizes.tolist(), true_sizes.tolist(), strict=True)):
        if abs(own[0] * true[1] / true[0] - own[1]) > 1:
            name = result.image_names[index] if result.image_names else index
            raise InputError(
                f"{result.path}: image '{name}' was {own[0]}×{own[1]} pixels and the true one is {true[0]}×{true[1]}: "
                "they are not the same photo (distorted and undistorted ones differ so)"
            )
    scales = true_sizes / result.original_sizes  # (V, 2)
    to_true = np.array([np.diag([x, y, 1]) for x, y in scales])
    return to_true @ np.asarray(result.processed_to_original, np.float64)


def _cameras(matched: _Matched, truth: GroundTruth, failed: Sequence[int], notes: list[str]) -> CameraScores | None:
    result = matched.result
    if result.extrinsics is None:
        notes.append("cameras: the result has none")
        return None
    if result.cameras_from == "given":
        notes.append("cameras: they were given to the run, and say nothing of it")
    without = np.full((len(failed), 4, 4), np.nan)
    found, true = result.intrinsics, matched.intrinsics
    if result.lens_intrinsics is not None and result.original_sizes is not None:
        # Undistorting a photo changes its focal length, so that lenses are compared as they are.
        to_own = result.original_sizes / truth.image_sizes[matched.indices]  # (V, 2)
        scaling = np.array([np.diag([x, y, 1]) for x, y in to_own])
        found, true = result.lens_intrinsics, map_intrinsics(truth.intrinsics[matched.indices], np.linalg.inv(scaling))
    return camera_scores(
        np.concatenate([to_4x4(result.extrinsics.astype(np.float64)), without]),
        np.concatenate([matched.extrinsics, truth.extrinsics[list(failed)]]),
        found,
        true,
    )


def _depth(
    matched: _Matched, options: EvalOptions, notes: list[str]
) -> tuple[dict[Alignment, DepthScores], Coverage | None]:
    if not matched.has_depth.any():
        notes.append("depth: the ground truth has none for these views")
        return {}, None
    predicted, truth = matched.result.depth[matched.has_depth], matched.depth[matched.has_depth]
    found = {a: depth_scores(predicted, truth, alignment=a, per_view=options.align_per_view) for a in ALIGNMENTS}
    scores = {alignment: score for alignment, score in found.items() if score is not None}
    if not scores:
        notes.append("depth: no pixel has both a predicted and a true depth")
    return scores, coverage(usable(predicted), usable(truth), matched.sky[matched.has_depth])


def _shown(alignment: ShownAlignment, result: Result) -> Alignment:
    if alignment != "auto":
        return alignment
    # The scale of cameras from structure from motion is free, so that results aligned to it have no true one either.
    free = result.units == "relative" or (result.units == "aligned" and result.cameras_from == "sfm")
    return "median" if free else "none"


def _similarity(matched: _Matched, notes: list[str]) -> Similarity | None:
    """From the world of the result to the true one, by the cameras; None where there are none."""
    result = matched.result
    if result.extrinsics is None or not np.isfinite(result.extrinsics).all():
        return None
    found = align_cameras(matched.extrinsics, result.extrinsics)
    if found is not None:
        return found
    # A single camera, or all in one place, has no scale to tell: depth does.
    scores = depth_scores(result.depth, matched.depth, alignment="median")
    if scores is None:
        return None
    notes.append("surface: the cameras tell no scale, so that it is the one of the median depth")
    predicted, true = to_4x4(result.extrinsics[0].astype(np.float64)), matched.extrinsics[0]
    rotation = true[:3, :3].T @ predicted[:3, :3]
    translation = true[:3, :3].T @ (scores.scale * predicted[:3, 3] - true[:3, 3])
    return Similarity(scores.scale, rotation, translation)


def _surface(
    matched: _Matched, truth: GroundTruth, to_truth: Similarity | None, options: EvalOptions, notes: list[str]
) -> SurfaceScores | None:
    if options.surface == "none":
        return None
    result = matched.result
    if to_truth is None or result.intrinsics is None or result.extrinsics is None:
        notes.append("surface: the result has no cameras that place it in the true world")
        return None
    if any(isinstance(depth, SparseDepth) for depth in truth.depth_files):
        notes.append("surface: the ground truth has neither a scan nor dense depth")
        return None
    sizes = surface_sizes(truth, matched.depth, options.threshold, options.voxel)
    if sizes is None:
        notes.append("surface: the ground truth has neither a scan nor dense depth")
        return None
    points = true_points(truth, matched.depth, matched.intrinsics, matched.extrinsics, sizes.voxel)
    # As in the DA3 benchmark, where a true depth map has a hole, nobody knows what is right.
    unknown = matched.has_depth[:, None, None] & ~usable(matched.depth)
    depth = np.where(unknown, 0, result.depth * to_truth.scale)
    extrinsics = to_truth.apply_to_extrinsics(result.extrinsics)
    if options.surface == "tsdf":
        from recon.geometry.tsdf import fuse_depth

        try:
            predicted: FloatArray = fuse_depth(depth, result.intrinsics, extrinsics, sizes.voxel, sizes.truncation)
        except InputError as error:
            if options.voxel is not None:
                raise
            # Depth far from the truth, of one result among several: the others are to be compared all the same.
            notes.append(f"surface: {error}; --surface cloud does without")
            return None
    else:
        predicted = unproject_depth(depth, result.intrinsics, extrinsics)[depth > 0]
    if sizes.refined_by:
        predicted = closest_point_alignment(thin(predicted, sizes.voxel), points, sizes.refined_by).apply(predicted)
    if sizes.region is not None:
        predicted, points = predicted[sizes.region.holds(predicted)], points[sizes.region.holds(points)]
    return surface_scores(thin(predicted, sizes.voxel), points, sizes.threshold, sizes.outlier_distance)


def _novel_views(
    matched: _Matched, truth: GroundTruth, to_truth: Similarity | None, options: EvalOptions, notes: list[str]
) -> ViewScores | None:
    result = matched.result
    if result.gaussians is None or options.novel_views == 0:
        return None
    if to_truth is None or result.extrinsics is None:
        notes.append("novel views: the result has no cameras that place it in the true world")
        return None
    if not np.isfinite(truth.intrinsics).all():
        notes.append("novel views: the ground truth tells no focal lengths")
        return None
    given = [*matched.indices, *match_names(result.dropped, truth.image_names)]
    _, height, width = result.depth.shape
    cameras = cameras_to_render(truth, given, int(matched.indices[0]), options.novel_views)
    if len(cameras) == 0:
        notes.append("novel views: every true picture was given to the run")
        return None
    seen = result.depth[usable(result.depth)]
    distance = float(np.median(seen)) if len(seen) else None
    if distance is not None:
        to_truth = align_views(matched.extrinsics, result.extrinsics, to_truth, distance * to_truth.scale)
    return novel_view_scores(
        result.gaussians,
        truth,
        cameras,
        to_truth,
        (height, width),
        matched.to_image[0],
        distance if options.fit_views else None,
    )
