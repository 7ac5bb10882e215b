"""How good a network is on the samples kept for it, beside the priors.

Depth is compared after the scale and shift that fit best by least squares: of each view where a network looks at one,
of each scene where it looks at several; for a network of disparity, in disparity.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray

from recon.choices import OutputKind
from recon.eval.camera_metrics import camera_scores
from recon.eval.depth_metrics import fit_line
from recon.models.camera_tokens import decode_cameras
from recon.train.batches import Batch
from recon.train.learner import Learner
from recon.train.prior import MeanDepthMap, best_constant

_DELTA = 1.25
_LEAST_PIXELS = 16
_NEAREST = 1e-3
"""Share of the median true depth below which an aligned depth counts as this."""
_CONSTANT = 1e-9
"""Share of its largest value up to which a map may vary and still be constant."""

COLUMNS = (
    "abs_rel",
    "delta_125",
    "abs_rel_constant",
    "abs_rel_mean_map",
    "abs_rel_unaligned",
    "rotation",
    "translation",
    "focal",
    "rotation_prior",
    "views",
)
"""What is measured: mean |predicted - true| / true and the share of pixels within a factor 1.25; the first of both
priors; the first without alignment, for networks that know metres; median errors of cameras in degrees and of focal
lengths as a share; rotations for cameras that all look alike."""


def evaluate(learner: Learner, batches: Iterable[Batch], mean_map: MeanDepthMap) -> dict[str, float]:
    """`COLUMNS` that can be had, as means over views or scenes.

    Args:
        learner: in evaluation mode.
        batches: labeled.
        mean_map: of the training set.
    """
    device = next(learner.parameters()).device
    found: dict[str, list[float]] = {}
    views = 0
    for batch in batches:
        batch = batch.to(device)
        with torch.inference_mode():
            predicted = learner.predict(batch.images, batch)
            target, known = learner.target_of(batch)
        if batch.depth is None or batch.valid is None:
            raise ValueError("evaluation needs true depth")
        maps, depth = predicted.map.float().cpu().numpy(), batch.depth.cpu().numpy()
        valid = (batch.valid & known).cpu().numpy() & np.isfinite(depth) & (depth > 0)
        prior = mean_map.depth(*depth.shape[-2:])
        views += depth.shape[0] * depth.shape[1]
        for index in _groups(depth.shape[0], depth.shape[1], learner.several_views):
            seen = valid[index] & np.isfinite(maps[index])
            if seen.sum() < _LEAST_PIXELS:
                continue
            truth = depth[index][seen].astype(np.float64)
            scores = _scores(maps[index][seen].astype(np.float64), truth, predicted.kind)
            scores["abs_rel_constant"] = float((np.abs(best_constant(truth) - truth) / truth).mean())
            if prior is not None:
                flat = np.broadcast_to(prior, seen.shape)[seen]
                of_prior = _scores(flat if predicted.kind == "depth" else 1 / flat, truth, predicted.kind)
                scores["abs_rel_mean_map"] = of_prior["abs_rel"]
            if batch.metric and predicted.kind == "depth" and learner.family != "any-view":
                metres = target.cpu().numpy()[index][seen]
                scores["abs_rel_unaligned"] = float((np.abs(maps[index][seen] - metres) / metres).mean())
            _add(found, scores)
        if predicted.encoding is not None and batch.world_to_camera is not None and batch.intrinsics is not None:
            world_to_camera, intrinsics = decode_cameras(predicted.encoding.float(), *batch.images.shape[-2:])
            for scene in range(len(batch.images)):
                truth_cameras = batch.world_to_camera[scene, :, :3].cpu().numpy().astype(np.float64)
                true_intrinsics = batch.intrinsics[scene].cpu().numpy().astype(np.float64)
                _add(
                    found,
                    _camera_scores(
                        world_to_camera[scene].cpu().numpy().astype(np.float64),
                        intrinsics[scene].cpu().numpy().astype(np.float64),
                        truth_cameras,
                        true_intrinsics,
                    ),
                )
    means = {name: float(np.mean(values)) for name, values in found.items()}
    return {name: means[name] for name in COLUMNS if name in means} | {"views": float(views)}


def _groups(scenes: int, views: int, several_views: bool) -> list[tuple[int, ...]]:
    if several_views:
        return [(scene,) for scene in range(scenes)]
    return [(scene, view) for scene in range(scenes) for view in range(views)]


def _scores(values: NDArray[np.float64], truth: NDArray[np.float64], kind: OutputKind) -> dict[str, float]:
    """Of a map's values (P,) and true depth (P,), after alignment."""
    target = truth if kind == "depth" else 1 / truth
    if np.ptp(values) <= _CONSTANT * np.abs(values).max():
        aligned = np.full_like(target, target.mean())
    else:
        line = fit_line(values, target, "scale-and-shift")
        aligned = line.scale * values + line.shift
    if kind == "disparity":
        aligned = 1 / np.maximum(aligned, 1 / truth.max())
    aligned = np.maximum(aligned, _NEAREST * np.median(truth))
    ratio = np.maximum(aligned / truth, truth / aligned)
    return {"abs_rel": float((np.abs(aligned - truth) / truth).mean()), "delta_125": float((ratio < _DELTA).mean())}


def _camera_scores(
    predicted: NDArray[np.float64],
    predicted_intrinsics: NDArray[np.float64],
    truth: NDArray[np.float64],
    intrinsics: NDArray[np.float64],
) -> dict[str, float]:
    scores = camera_scores(predicted, truth, predicted_intrinsics, intrinsics)
    alike = camera_scores(np.tile(np.eye(3, 4), (len(truth), 1, 1)), truth)
    found = {
        "rotation": scores.rotation_median,
        "translation": scores.translation_median,
        "focal": scores.focal_error,
        "rotation_prior": alike.rotation_median,
    }
    return {name: float(value) for name, value in found.items() if value is not None}


def _add(found: dict[str, list[float]], scores: dict[str, float]) -> None:
    for name, value in scores.items():
        found.setdefault(name, []).append(value)
