"""The terms of a training's loss: one table of what there is, which networks it is for, and its usual weight."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import torch
from torch import Tensor

from recon.choices import OutputKind
from recon.errors import InputError
from recon.models.presets import AnyViewConfig, MonocularConfig, NestedConfig, Preset, SingleViewConfig
from recon.train.batches import Batch
from recon.train.learning_options import LearningOptions
from recon.train.losses.affine_invariant import (
    affine_invariant_loss,
    gradient_matching_loss,
    trimmed_affine_invariant_loss,
)
from recon.train.losses.any_view import (
    camera_loss,
    confident_depth_loss,
    depth_gradient_loss,
    point_map_loss,
    ray_map_loss,
)
from recon.train.losses.metric import scale_invariant_log_loss, sky_loss
from recon.train.losses.normals import normal_loss
from recon.train.losses.truth import Truth
from recon.train.losses.unlabeled import cut_mix_loss, feature_alignment_loss

Family = Literal["any-view", "single-view", "disparity", "metric"]
"""What a network is trained to give: depth, rays and cameras of several views; depth and sky of one; disparity of one;
depth in metres of one."""


@dataclass(frozen=True)
class Predicted:
    """What a network says of B scenes of N views."""

    map: Tensor
    """(B, N, H, W) depth or disparity"""
    kind: OutputKind
    conf: Tensor | None = None
    """(B, N, H, W) ≥ 1"""
    rays: Tensor | None = None
    """(B, N, h, w, 6)"""
    ray_conf: Tensor | None = None
    """(B, N, h, w) ≥ 1"""
    encoding: Tensor | None = None
    """(B, N, 9) cameras"""
    sky: Tensor | None = None
    """(B, N, H, W) score"""
    features: Tensor | None = None
    """(B, N, h, w, C) of the encoder's last block"""


@dataclass(frozen=True)
class Mixed:
    """How the photos of an unlabeled batch were mixed."""

    box: Tensor
    """(H, W) True where a photo is its own; False where it shows another"""
    others: Tensor
    """(B, N, H, W) the teacher's maps of those"""
    others_valid: Tensor
    """(B, N, H, W)"""


@dataclass(frozen=True)
class Compared:
    """A prediction and what it is to be."""

    predicted: Predicted
    batch: Batch
    options: LearningOptions
    truth: Truth | None = None
    """Of a labeled batch, in the frame of its first view and in units of its mean distance"""
    target: Tensor | None = None
    """(B, N, H, W) of a labeled batch in the kind and unit of the network's map; of an unlabeled one, the teacher's"""
    target_valid: Tensor | None = None
    """(B, N, H, W)"""
    mixed: Mixed | None = None
    frozen_features: Tensor | None = None
    """(B, N, h, w, C) of the encoder as it was before the training"""


@dataclass(frozen=True)
class Term:
    """One term."""

    loss: Callable[[Compared], Tensor | None]
    """(B,) for each scene, or (B, N) for each view; None for a batch that says nothing about it"""
    usual: Mapping[Family, float]
    """Families of networks it is for, with its weight where the configuration names none"""
    help: str
    """What it compares, for users"""
    unlabeled: bool = False
    """Whether it is learned from photos without labels, not from those with"""


def _depth(c: Compared) -> Tensor | None:
    if c.truth is None:
        return None
    weight = c.options.confidence_weight
    return confident_depth_loss(c.predicted.map, c.predicted.conf, c.truth.depth, c.truth.valid, weight)


def _gradient(c: Compared) -> Tensor | None:
    return None if c.truth is None else depth_gradient_loss(c.predicted.map, c.truth.depth, c.truth.valid)


def _rays(c: Compared) -> Tensor | None:
    if c.truth is None or c.truth.rays is None or c.predicted.rays is None:
        return None
    weight = c.options.confidence_weight
    return ray_map_loss(c.predicted.rays, c.predicted.ray_conf, c.truth.rays, weight=weight)


def _points(c: Compared) -> Tensor | None:
    if c.truth is None or c.truth.points is None or c.predicted.rays is None:
        return None
    return point_map_loss(c.predicted.map, c.predicted.rays, c.truth.points, c.truth.valid)


def _camera(c: Compared) -> Tensor | None:
    if c.truth is None or c.truth.encoding is None or c.predicted.encoding is None:
        return None
    return camera_loss(c.predicted.encoding, c.truth.encoding, *c.options.camera_parts)


def _normals(c: Compared) -> Tensor | None:
    if c.truth is None or c.batch.intrinsics is None or not c.batch.exact:
        return None
    return normal_loss(c.predicted.map, c.truth.depth, c.truth.valid, c.batch.intrinsics)


def _of_maps(loss: Callable[[Tensor, Tensor, Tensor], Tensor]) -> Callable[[Compared], Tensor | None]:
    """A loss of the network's map and the truth of the same kind."""

    def of_labeled(c: Compared) -> Tensor | None:
        if c.target is None or c.target_valid is None:
            return None
        return loss(c.predicted.map, c.target, c.target_valid)

    return of_labeled


def _trimmed(c: Compared) -> Tensor | None:
    return _of_maps(lambda p, t, m: trimmed_affine_invariant_loss(p, t, m, c.options.trimmed))(c)


def _gradient_matching(c: Compared) -> Tensor | None:
    return _of_maps(lambda p, t, m: gradient_matching_loss(p, t, m, c.options.gradient_scales))(c)


def _log(c: Compared) -> Tensor | None:
    return _of_maps(scale_invariant_log_loss)(c) if c.batch.metric else None


def _sky(c: Compared) -> Tensor | None:
    if c.batch.sky is None or c.predicted.sky is None:
        return None
    return sky_loss(c.predicted.sky, c.batch.sky, torch.ones_like(c.batch.sky))


def _pseudo_label(c: Compared) -> Tensor | None:
    if c.target is None or c.target_valid is None:
        return None
    if c.mixed is None:
        return affine_invariant_loss(c.predicted.map, c.target, c.target_valid)
    mixed = c.mixed
    return cut_mix_loss(c.predicted.map, c.target, mixed.others, mixed.box, c.target_valid, mixed.others_valid)


def _feature_alignment(c: Compared) -> Tensor | None:
    if c.frozen_features is None or c.predicted.features is None:
        return None
    student, frozen = (features.flatten(2, 3) for features in (c.predicted.features, c.frozen_features))
    return feature_alignment_loss(student, frozen, c.options.feature_tolerance)


FEATURE_ALIGNMENT = "feature_alignment"
RAY_TERMS = ("rays", "points")
"""Terms that need the ray branch, which is half of an any-view network's head."""

TERMS: Mapping[str, Term] = MappingProxyType(
    {
        "depth": Term(_depth, {"any-view": 1.0}, "Depth, by how sure the network is of it."),
        "gradient": Term(_gradient, {"any-view": 1.0}, "Slopes of depth."),
        "rays": Term(_rays, {"any-view": 1.0}, "Rays of the pixels, by how sure the network is of them."),
        "points": Term(_points, {"any-view": 1.0}, "Points that depth and rays make."),
        "camera": Term(_camera, {"any-view": 1.0}, "Translation, rotation and field of view of the cameras."),
        "normals": Term(
            _normals, {"any-view": 0.0, "single-view": 0.0, "metric": 0.0}, "Normals; of sets with exact depth."
        ),
        "affine_invariant": Term(
            _of_maps(affine_invariant_loss),
            {"single-view": 1.0, "disparity": 1.0, "any-view": 0.0, "metric": 0.0},
            "Depth or disparity of each view, whatever its scale and shift.",
        ),
        "trimmed": Term(
            _trimmed,
            {"single-view": 0.0, "disparity": 0.0, "any-view": 0.0, "metric": 0.0},
            "The same without the largest errors.",
        ),
        "gradient_matching": Term(
            _gradient_matching,
            {"single-view": 0.5, "disparity": 0.5, "any-view": 0.0, "metric": 0.0},
            "Slopes at several scales, whatever scale and shift.",
        ),
        "log": Term(
            _log,
            {"metric": 1.0, "single-view": 0.0},
            "Depth in metres; of sets in metres.",
        ),
        "sky": Term(_sky, {"single-view": 1.0}, "Where the sky is; of sets that know."),
        "pseudo_label": Term(
            _pseudo_label,
            {"single-view": 1.0, "disparity": 1.0, "any-view": 1.0, "metric": 0.0},
            "A teacher's map of photos without labels, with CutMix where views are single.",
            unlabeled=True,
        ),
        FEATURE_ALIGNMENT: Term(
            _feature_alignment,
            {"single-view": 0.0, "disparity": 0.0, "any-view": 0.0, "metric": 0.0},
            "Features of photos without labels, kept near those that the encoder began with.",
            unlabeled=True,
        ),
    }
)


def term_names() -> tuple[str, ...]:
    """All of them."""
    return tuple(TERMS)


def family_of(preset: Preset) -> Family:
    """Which family a preset's network is of. InputError for one that is two networks."""
    if isinstance(preset.network, NestedConfig):
        raise InputError(
            f"network: {preset.name} is two networks side by side; train them apart, as da3-giant and da3metric-large"
        )
    if isinstance(preset.network, AnyViewConfig):
        return "any-view"
    if isinstance(preset.network, MonocularConfig):
        return "disparity" if preset.network.max_depth is None else "metric"
    assert isinstance(preset.network, SingleViewConfig)
    return "single-view"


def weights_of(preset: Preset, losses: Mapping[str, float]) -> dict[str, float]:
    """The weight of each term that counts: those of a configuration, or where it has none, the usual ones.

    InputError for a term that the network has nothing for, and where nothing is left.
    """
    family = family_of(preset)
    usual = {name: term.usual[family] for name, term in TERMS.items() if family in term.usual}
    for name in losses:
        if name not in usual:
            raise InputError(
                f"losses.{name}: {preset.name} has nothing that it is for; it learns from {', '.join(usual)}"
            )
    found = {name: weight for name, weight in (losses or usual).items() if weight > 0}
    if not found:
        raise InputError("losses: every weight is 0, so that there is nothing to learn")
    return found
