"""From a batch to the terms of its loss: a network and all that it is compared with."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn

from recon.geometry.cameras import normalise_extrinsics
from recon.models.conventions import conventions_of
from recon.models.networks import AnyViewNetwork, Network, encode
from recon.models.presets import Preset
from recon.models.single_view import CANONICAL_FOCAL
from recon.train.batches import Batch
from recon.train.learning_options import LearningOptions
from recon.train.losses.affine_invariant import sky_at_infinity
from recon.train.losses.masked import inside
from recon.train.losses.teacher import aligned_teacher
from recon.train.losses.truth import truth_of
from recon.train.losses.unlabeled import cut_box, cut_mix
from recon.train.parts import encoder_of
from recon.train.terms import FEATURE_ALIGNMENT, RAY_TERMS, TERMS, Compared, Mixed, Predicted, family_of

TOTAL = "total"


class Learner(nn.Module):
    """A network that gives the terms of the loss of a batch; wrapped as one module by data-parallel training."""

    def __init__(
        self,
        network: Network,
        preset: Preset,
        weights: Mapping[str, float],
        options: LearningOptions,
        *,
        seed: int = 0,
        encoder_dtype: torch.dtype = torch.float32,
    ) -> None:
        """
        Args:
            network: of `preset`, on its device; its parameters are those of this module.
            weights: of the terms that count.
            options: how they are computed.
            seed: of mixing and of aligning teachers.
            encoder_dtype: of the encoder's matrix products.
        """
        super().__init__()
        self.network = network
        self.preset, self.weights, self.options = preset, dict(weights), options
        self.seed, self.encoder_dtype = seed, encoder_dtype
        self.family = family_of(preset)
        self.several_views = self.family == "any-view"
        self._canonical = not self.several_views and conventions_of(preset).depth_scale == "canonical"
        # In a list, so that it is neither trained nor part of any state.
        self._frozen = []
        if FEATURE_ALIGNMENT in self.weights:
            self._frozen.append(copy.deepcopy(encoder_of(network)).requires_grad_(False).eval())

    def forward(self, batch: Batch, step: int, steps: int) -> dict[str, Tensor]:
        """The mean of each term over the samples, and their weighted sum under `TOTAL`; scalars.

        Terms that the batch says nothing about are 0. What is random in it follows from the seed and the step.
        """
        generator = generator_of_step(self.seed, step)
        compared = self._compare(batch, step / steps, generator)
        zero = compared.predicted.map.new_zeros(())
        terms: dict[str, Tensor] = {}
        for name in self.weights:
            fits = TERMS[name].unlabeled == batch.unlabeled
            value = TERMS[name].loss(compared) if fits else None
            terms[name] = zero if value is None else value.float().mean()
        # The map is always a part of it, so that a batch without anything to compare has gradients, of 0.
        terms[TOTAL] = sum(
            (self.weights[name] * terms[name] for name in self.weights), 0.0 * compared.predicted.map.mean()
        )
        return terms

    def predict(self, images: Tensor, batch: Batch | None = None, *, with_rays: bool = False) -> Predicted:
        """What the network says of images (B, N, 3, H, W); told the cameras of `batch` where it is to be."""
        layers = (len(encoder_of(self.network).blocks) - 1,) if self._frozen else ()
        if isinstance(self.network, AnyViewNetwork):
            extrinsics, intrinsics = (None, None) if batch is None else _given_cameras(batch)
            computed = self.network.compute(
                images,
                extrinsics,
                intrinsics,
                feature_layers=layers,
                with_rays=with_rays,
                # The first view is the reference of the truth.
                ref_view_strategy="first",
                encoder_dtype=self.encoder_dtype,
            )
            views, maps = images.shape[:2], computed.maps
            return Predicted(
                map=maps.depth.unflatten(0, views),
                kind="depth",
                conf=maps.depth_conf.unflatten(0, views),
                rays=None if maps.rays is None else maps.rays.unflatten(0, views),
                ray_conf=None if maps.ray_conf is None else maps.ray_conf.unflatten(0, views),
                encoding=self.network.cam_dec.encoding(computed.camera_tokens),
                features=next(iter(computed.features.values()), None),
            )
        output = self.network(images, feature_layers=layers, encoder_dtype=self.encoder_dtype)
        values = output.disparity if output.depth is None else output.depth
        features = next(iter(output.features.values()), None)
        return Predicted(values, "disparity" if output.depth is None else "depth", sky=output.sky, features=features)

    def target_of(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Truth (B, N, H, W) of a labeled batch in the kind and unit of the network's map, and where it is known."""
        assert batch.depth is not None
        assert batch.valid is not None
        valid = batch.valid & torch.isfinite(batch.depth) & (batch.depth > 0)
        depth = inside(batch.depth, valid)
        if self.family == "disparity":
            return sky_at_infinity(torch.where(valid, 1 / torch.where(valid, depth, 1.0), 0.0), valid, batch.sky)
        if self._canonical and batch.intrinsics is not None:
            focal = (batch.intrinsics[..., 0, 0] + batch.intrinsics[..., 1, 1]) / 2  # (B, N)
            depth = depth * (CANONICAL_FOCAL / focal)[..., None, None]
        return depth, valid

    def _compare(self, batch: Batch, progress: float, generator: torch.Generator) -> Compared:
        with_rays = any(name in self.weights for name in RAY_TERMS)
        if not batch.unlabeled:
            batch = self._with_teacher(batch, progress, generator)
            predicted = self.predict(batch.images, batch, with_rays=with_rays)
            assert batch.depth is not None
            assert batch.valid is not None
            truth = truth_of(batch.depth, batch.valid, batch.world_to_camera, batch.intrinsics)
            target, valid = self.target_of(batch)
            return Compared(predicted, batch, self.options, truth, target, valid)
        images, mixed = batch.images, None
        target, valid = self._of_teacher(batch)
        mixes = float(torch.rand((), generator=generator)) < self.options.cut_mix
        if mixes and not self.several_views and images.shape[0] * images.shape[1] > 1:
            box = cut_box(images.shape[-2], images.shape[-1], generator).to(images.device)
            images = cut_mix(images, _next(images), box)
            mixed = Mixed(box, _next(target), _next(valid))
        predicted = self.predict(images)
        frozen = None
        for encoder in self._frozen:
            last = len(encoder.blocks) - 1
            with torch.no_grad():
                frozen = encode(encoder, images, None, (last,), "first", self.encoder_dtype).features[last]
        return Compared(predicted, batch, self.options, None, target, valid, mixed, frozen)

    def _of_teacher(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The teacher's maps as what the network gives, and where they say something."""
        assert batch.teacher is not None
        kind = "disparity" if self.family == "disparity" else "depth"
        valid = torch.isfinite(batch.teacher)
        if batch.teacher_kind == kind:
            return inside(batch.teacher, valid), valid
        valid = valid & (batch.teacher > 0)
        return torch.where(valid, 1 / torch.where(valid, batch.teacher, 1.0), 0.0), valid

    def _with_teacher(self, batch: Batch, progress: float, generator: torch.Generator) -> Batch:
        """The batch with its teacher's depth in place of its own where that is time; views it does not fit stay."""
        if batch.teacher is None or batch.exact or progress < self.options.teacher_from:
            return batch
        assert batch.depth is not None
        assert batch.valid is not None
        depth, known = aligned_teacher(batch.teacher, batch.depth, batch.valid, batch.teacher_kind, generator)
        if batch.sky is not None:
            known = known & ~batch.sky
        found = known.flatten(2).any(dim=2)[..., None, None]  # (B, N, 1, 1)
        return replace(
            batch, depth=torch.where(found, depth, batch.depth), valid=torch.where(found, known, batch.valid)
        )


def _given_cameras(batch: Batch) -> tuple[Tensor | None, Tensor | None]:
    """Cameras as the network takes them: (B, N, 4, 4) and (B, N, 3, 3), or neither."""
    if not batch.cameras_given:
        return None, None
    assert batch.world_to_camera is not None
    scenes = [torch.from_numpy(normalise_extrinsics(one)) for one in batch.world_to_camera.double().cpu().numpy()]
    return torch.stack(scenes).to(batch.images), batch.intrinsics


def _next(values: Tensor) -> Tensor:
    """For each of B · N views (B, N, ...) another one: the next, and for the last the first."""
    return values.flatten(0, 1).roll(-1, dims=0).reshape(values.shape)


def generator_of_step(seed: int, step: int) -> torch.Generator:
    """What is random in a step of a training with that seed."""
    return torch.Generator().manual_seed((seed * 1_000_003 + step) % 2**63)
