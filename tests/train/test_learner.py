"""From batches to terms of the loss: what is compared with what, and what a batch has nothing to say about."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from recon.geometry.cameras import normalise_extrinsics
from recon.models.build import random_network
from recon.models.presets import Preset, load_preset
from recon.train.batches import Batch
from recon.train.learner import TOTAL, Learner, generator_of_step
from recon.train.learning_options import LearningOptions
from recon.train.losses.affine_invariant import affine_invariant_loss
from recon.train.losses.unlabeled import cut_box, cut_mix_loss
from recon.train.terms import TERMS, Compared, Predicted
from tests.seeds import torch_random
from tests.train.scene import rooms

SIZE = 28


def learner(name: str = "tiny-monocular", weights: dict[str, float] | None = None, **options: Any) -> Learner:
    preset = load_preset(name)
    network = random_network(preset.network, 0)
    found = {"pseudo_label": 1.0} if weights is None else weights
    return Learner(network, preset, found, LearningOptions(**options), seed=5)


def labeled(scenes: int = 2, views: int = 1) -> Batch:
    return rooms(1, scenes, views, SIZE)[0]


def unlabeled(**changes: Any) -> Batch:
    batch = labeled()
    assert batch.depth is not None
    assert batch.valid is not None
    teacher = torch.where(batch.valid, 0.3 / batch.depth + 0.1, torch.nan)
    nothing = {"depth": None, "valid": None, "world_to_camera": None, "intrinsics": None}
    return replace(batch, **nothing, teacher=teacher, teacher_kind="disparity", **changes)


def test_a_batch_teaches_what_it_knows() -> None:
    """Labels where there are some, the teacher elsewhere; cameras only where they are known."""
    both = learner(weights={"affine_invariant": 1.0, "pseudo_label": 2.0})
    one, other = both(labeled(), 0, 10), both(unlabeled(), 0, 10)
    assert one["affine_invariant"] > 0 == one["pseudo_label"]
    assert other["pseudo_label"] > 0 == other["affine_invariant"]
    torch.testing.assert_close(other[TOTAL], 2 * other["pseudo_label"])
    several = learner("tiny-any-view", {"depth": 1.0, "rays": 1.0, "points": 1.0, "camera": 1.0})
    batch = labeled(1, 2)
    known = several(batch, 0, 10)
    unknown = several(replace(batch, world_to_camera=None, intrinsics=None), 0, 10)
    assert all(known[name] != 0 for name in ("rays", "points", "camera"))
    assert all(unknown[name] == 0 for name in ("rays", "points", "camera"))
    assert unknown["depth"] != 0


def test_disparity_is_learned_from_depth_with_the_sky_at_infinity() -> None:
    batch = labeled()
    sky = torch.zeros_like(batch.valid)
    sky[..., :8, :] = True
    batch = replace(batch, sky=sky, valid=batch.valid & ~sky, depth=torch.where(sky, torch.nan, batch.depth))
    target, known = learner().target_of(batch)
    assert torch.equal(known, batch.valid | sky)
    assert (target[sky] == 0).all()
    torch.testing.assert_close(target[batch.valid], 1 / batch.depth[batch.valid])
    depth, valid = learner("tiny-single-view", {"sky": 1.0}).target_of(batch)
    assert torch.equal(valid, batch.valid)
    torch.testing.assert_close(depth[valid], batch.depth[valid])


def test_canonical_metres_are_those_of_a_focal_length_of_300() -> None:
    official = load_preset("da3metric-large")
    tiny = load_preset("tiny-single-view")
    preset = Preset(**{**vars(official), "network": tiny.network})
    canonical = Learner(random_network(tiny.network, 0), preset, {"log": 1.0}, LearningOptions())
    batch = replace(labeled(), metric=True)
    focal = float(batch.intrinsics[0, 0, 0, 0])
    target, valid = canonical.target_of(batch)
    torch.testing.assert_close(target[valid], batch.depth[valid] * 300 / focal)
    assert canonical(batch, 0, 10)["log"] > 0
    assert canonical(replace(batch, metric=False), 0, 10)["log"] == 0


class TestCutMix:
    def test_photos_are_mixed_as_their_labels_are(self) -> None:
        whole, batch = learner(cut_mix=1.0), unlabeled()
        seen: list[Tensor] = []
        whole.network.register_forward_pre_hook(lambda module, arguments: seen.append(arguments[0]))
        outputs: list[Tensor] = []
        whole.network.register_forward_hook(lambda module, arguments, output: outputs.append(output.disparity))
        terms = whole(batch, 3, 10)
        generator = generator_of_step(whole.seed, 3)
        torch.rand((), generator=generator)
        box = cut_box(SIZE, SIZE, generator)
        assert torch.equal(seen[0][0, 0][:, box], batch.images[0, 0][:, box])
        assert torch.equal(seen[0][0, 0][:, ~box], batch.images[1, 0][:, ~box])
        assert torch.equal(seen[0][1, 0][:, ~box], batch.images[0, 0][:, ~box])
        teacher, valid = batch.teacher.nan_to_num(0.0), batch.teacher.isfinite()
        expected = cut_mix_loss(outputs[0], teacher, teacher.flip(0), box, valid, valid.flip(0))
        torch.testing.assert_close(terms["pseudo_label"], expected.mean())

    def test_half_of_the_batches_are_mixed_and_steps_decide_which(self) -> None:
        half, batch, mixed = learner(cut_mix=0.5), unlabeled(), 0
        seen: list[Tensor] = []
        half.network.register_forward_pre_hook(lambda module, arguments: seen.append(arguments[0]))
        with torch.no_grad():
            for step in range(40):
                half(batch, step, 40)
                mixed += not torch.equal(seen[-1], batch.images)
            half(batch, 7, 40)
        assert 8 <= mixed <= 32
        assert torch.equal(seen[-1], seen[7])

    def test_several_views_of_a_scene_are_not_mixed(self) -> None:
        several = learner("tiny-any-view", cut_mix=1.0)
        batch = labeled(1, 2)
        batch = replace(batch, depth=None, valid=None, teacher=batch.depth)
        seen: list[Tensor] = []
        encoder = several.network.backbone.pretrained
        encoder.register_forward_pre_hook(lambda module, arguments: seen.append(arguments[0]))
        assert several(batch, 0, 10)["pseudo_label"] > 0
        assert torch.equal(seen[0], batch.images)


def test_features_stay_near_those_before_the_training() -> None:
    aligned = learner(weights={"feature_alignment": 1.0}, cut_mix=0.0)
    assert aligned(unlabeled(), 0, 10)["feature_alignment"] == 0  # nothing has changed yet
    assert not any("frozen" in name for name, _ in aligned.named_parameters())
    with torch.no_grad():
        for parameter in aligned.network.pretrained.parameters():
            parameter.add_(0.5 * torch.randn(parameter.shape, generator=torch_random(5)))
    terms = aligned(unlabeled(), 0, 10)
    assert terms["feature_alignment"] > 0.1
    terms[TOTAL].backward()
    assert aligned.network.pretrained.blocks[0].attn.qkv.weight.grad.abs().sum() > 0
    assert aligned(labeled(), 0, 10)["feature_alignment"] == 0


class TestTeacher:
    def noisy(self) -> Batch:
        """Depth with holes and errors, and a teacher that knows it up to scale and shift."""
        batch = labeled(1, 2)
        wrong = torch.zeros_like(batch.valid)
        wrong[..., ::4, ::3] = True
        depth = torch.where(wrong, 3 * batch.depth, batch.depth)
        valid = batch.valid.clone()
        valid[..., :10] = False
        return replace(batch, depth=depth, valid=valid, teacher=0.2 * batch.depth + 0.3, exact=False)

    @pytest.mark.parametrize(("step", "changed"), [(4, False), (5, True), (9, True)])
    def test_it_takes_over_late(self, step: int, changed: bool) -> None:
        several = learner("tiny-any-view", {"depth": 1.0}, teacher_from=0.5)
        batch, truth = self.noisy(), labeled(1, 2)
        found = several._with_teacher(batch, step / 10, torch_random(5, step))
        if not changed:
            assert found is batch
            return
        assert found.valid.all()
        torch.testing.assert_close(found.depth, truth.depth, rtol=1e-3, atol=0)
        assert several(batch, step, 10)["depth"] != learner("tiny-any-view", {"depth": 1.0})(batch, step, 10)["depth"]

    def test_rendered_depth_needs_none_and_a_teacher_that_does_not_fit_is_left_out(self) -> None:
        several = learner("tiny-any-view", {"depth": 1.0}, teacher_from=0.0)
        exact = replace(self.noisy(), exact=True)
        assert several._with_teacher(exact, 1.0, torch_random(5)) is exact
        other = self.noisy()
        teacher = other.teacher.clone()
        teacher[0, 1] = torch.rand(SIZE, SIZE, generator=torch_random(5, 1))
        found = several._with_teacher(replace(other, teacher=teacher), 1.0, torch_random(5))
        assert not torch.equal(found.depth[0, 0], other.depth[0, 0])
        assert torch.equal(found.depth[0, 1], other.depth[0, 1])
        assert torch.equal(found.valid[0, 1], other.valid[0, 1])

    def test_its_kind_becomes_that_of_the_network(self) -> None:
        batch = unlabeled()
        of_depth = replace(batch, teacher=1 / batch.teacher, teacher_kind="depth")
        one, other = (learner()._of_teacher(each) for each in (batch, of_depth))
        assert torch.equal(one[1], other[1])
        torch.testing.assert_close(one[0], other[0])


def test_cameras_are_told_as_they_are_at_inference() -> None:
    several, batch = learner("tiny-any-view", {"depth": 1.0}), labeled(2, 2)
    seen: list[tuple[Tensor, ...]] = []
    several.network.cam_enc.register_forward_pre_hook(lambda module, arguments: seen.append(arguments))
    several(batch, 0, 10)
    assert not seen
    several(replace(batch, cameras_given=True), 0, 10)
    extrinsics, intrinsics, height, width = seen[0]
    for scene in range(2):
        expected = torch.from_numpy(normalise_extrinsics(batch.world_to_camera[scene].numpy()))
        torch.testing.assert_close(extrinsics[scene].double(), expected, rtol=1e-5, atol=1e-5)
    assert torch.equal(intrinsics, batch.intrinsics)
    assert (height, width) == (SIZE, SIZE)


def test_every_term_has_gradients_or_nothing_to_say() -> None:
    """The table as a whole, with a prediction that has everything."""
    batch = replace(labeled(1, 2), metric=True, sky=torch.zeros(1, 2, SIZE, SIZE, dtype=torch.bool))
    several = learner("tiny-any-view", {name: 1.0 for name, term in TERMS.items() if "any-view" in term.usual})
    predicted = several.predict(batch.images, batch, with_rays=True)
    everything = replace(predicted, sky=predicted.map)
    target, valid = several.target_of(batch)
    compared = several._compare(batch, 0.0, torch_random(5))
    full = Compared(everything, batch, several.options, compared.truth, target, valid, None, everything.features)
    for name, term in TERMS.items():
        value = term.loss(full)
        if value is None:
            assert name == "feature_alignment"  # without a frozen encoder there are no features
            continue
        assert value.shape in ((1,), (1, 2)), name
        assert torch.isfinite(value).all()
        assert value.requires_grad, name
    only_map = Compared(Predicted(predicted.map, "depth"), batch, several.options, compared.truth, target, valid)
    assert TERMS["rays"].loss(only_map) is None
    torch.testing.assert_close(
        TERMS["affine_invariant"].loss(only_map), affine_invariant_loss(predicted.map, target, valid)
    )
