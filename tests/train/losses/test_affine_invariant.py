"""Losses of single images at an unknown scale and shift, against numpy, and the laws they keep."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from recon.train.losses.affine_invariant import (
    affine_invariant_loss,
    gradient_matching_loss,
    normalised,
    sky_at_infinity,
    trimmed_affine_invariant_loss,
)
from recon.train.losses.metric import scale_invariant_log_loss, sky_loss
from recon.train.losses.unlabeled import cut_box, cut_mix, cut_mix_loss, feature_alignment_loss
from tests.seeds import torch_random
from tests.train.losses.checks import (
    assert_gradient_is_right,
    assert_outside_is_not_seen,
    map_like,
    numpy_of,
    some_mask,
)

SHAPE = (3, 9, 12)
PREDICTED, TRUTH, MASK = map_like(SHAPE, 0), map_like(SHAPE, 1), some_mask(SHAPE, 0)
LOSSES = {
    "affine-invariant": affine_invariant_loss,
    "trimmed": trimmed_affine_invariant_loss,
    "gradients": gradient_matching_loss,
    "log": scale_invariant_log_loss,
}


def hat(values: NDArray, mask: NDArray) -> NDArray:
    """Eqs. 2 and 3 of one image."""
    middle = np.median(values[mask])
    return (values - middle) / np.abs(values[mask] - middle).mean()


def by_numpy(name: str, d: NDArray, truth: NDArray, m: NDArray) -> float:
    if name == "log":
        g = np.log(d[m]) - np.log(truth[m])
        return float(np.sqrt((g**2).mean() - 0.5 * g.mean() ** 2))
    r = hat(d, m) - hat(truth, m)
    if name == "affine-invariant":
        return float(np.abs(r[m]).mean())
    if name == "trimmed":
        errors = np.sort(np.abs(r[m]))
        return float(errors[: int(0.8 * len(errors) + 1e-9)].sum() / (2 * len(errors)))
    total = 0.0
    for k in range(4):
        part, seen = r[:: 2**k, :: 2**k], m[:: 2**k, :: 2**k]
        count = max(int(seen.sum()), 1)
        total += np.abs(np.diff(part, axis=1))[seen[:, 1:] & seen[:, :-1]].sum() / count
        total += np.abs(np.diff(part, axis=0))[seen[1:] & seen[:-1]].sum() / count
    return float(total)


@pytest.mark.parametrize("name", LOSSES)
def test_against_numpy(name: str) -> None:
    found = LOSSES[name](PREDICTED, TRUTH, MASK)
    expected = [by_numpy(name, *one) for one in zip(*numpy_of(PREDICTED, TRUTH, MASK), strict=True)]
    np.testing.assert_allclose(found, expected, rtol=1e-9)


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_against_differences(name: str) -> None:
    assert_gradient_is_right(lambda d: LOSSES[name](d, TRUTH, MASK), PREDICTED)


@pytest.mark.parametrize("name", LOSSES)
def test_nothing_outside_the_mask_is_seen(name: str) -> None:
    def loss(predicted: Tensor, junk: Tensor) -> Tensor:
        return LOSSES[name](predicted, torch.where(MASK, TRUTH, junk), MASK)

    assert_outside_is_not_seen(loss, PREDICTED, ~MASK)


@pytest.mark.parametrize("name", ["affine-invariant", "trimmed", "gradients"])
def test_scale_and_shift_of_either_map_cost_nothing(name: str) -> None:
    loss = LOSSES[name]
    torch.testing.assert_close(loss(7 * PREDICTED - 3, TRUTH, MASK), loss(PREDICTED, TRUTH, MASK))
    torch.testing.assert_close(loss(PREDICTED, 0.1 * TRUTH + 9, MASK), loss(PREDICTED, TRUTH, MASK))
    assert loss(5 * TRUTH + 2, TRUTH, MASK).max() < 1e-9
    assert loss(-TRUTH, TRUTH, MASK).min() > 0.5


def test_a_normalised_map_has_median_0_and_deviation_1() -> None:
    for values, mask in zip(normalised(PREDICTED, MASK), MASK, strict=True):
        np.testing.assert_allclose([np.median(values[mask]), values[mask].abs().mean()], [0, 1], atol=1e-12)


def test_trimming_forgives_a_fifth_of_wrong_truth() -> None:
    wrong = TRUTH.clone()
    pixels = MASK[0].nonzero()[:8]
    wrong[0, pixels[:, 0], pixels[:, 1]] = 40.0
    predicted = wrong.clone()
    predicted[0, pixels[:, 0], pixels[:, 1]] = 41.0
    assert trimmed_affine_invariant_loss(predicted, wrong, MASK)[0] < affine_invariant_loss(predicted, wrong, MASK)[0]
    only = torch.zeros(10, dtype=torch.float64)
    only[9] = 100.0  # one of ten is far off: of the mean it is a part, of the trimmed mean it is none
    base = torch.arange(10.0, dtype=torch.float64)
    mask = torch.ones(1, 10, dtype=torch.bool)
    spoilt = trimmed_affine_invariant_loss((base + only)[None], base[None], mask)
    errors = np.sort(np.abs(hat((base + only).numpy(), mask[0].numpy()) - hat(base.numpy(), mask[0].numpy())))
    assert float(spoilt) == pytest.approx(errors[:8].sum() / 20)


def test_the_log_loss_forgives_half_of_a_common_factor() -> None:
    once = scale_invariant_log_loss(2 * TRUTH, TRUTH, MASK, scale_share=0.0)
    torch.testing.assert_close(once, torch.full((3,), float(np.log(2)), dtype=torch.float64))
    torch.testing.assert_close(scale_invariant_log_loss(2 * TRUTH, TRUTH, MASK), once * 0.5**0.5)
    assert scale_invariant_log_loss(2 * TRUTH, TRUTH, MASK, scale_share=1.0).max() < 1e-5


@pytest.mark.parametrize("name", LOSSES)
def test_images_without_pixels_to_compare_cost_nothing(name: str) -> None:
    few = torch.zeros(SHAPE, dtype=torch.bool)
    few[1, 0, 0] = name != "log"  # scale and shift of one pixel leave nothing
    few[2] = MASK[2]
    predicted = PREDICTED.clone().requires_grad_()
    loss = LOSSES[name](predicted, TRUTH, few)
    assert loss[:2].tolist() == [0, 0]
    (gradient,) = torch.autograd.grad(loss.sum(), predicted)
    assert torch.isfinite(gradient).all()
    assert (gradient[:2] == 0).all()
    torch.testing.assert_close(loss[2], LOSSES[name](PREDICTED, TRUTH, MASK)[2])


def test_sky_is_the_farthest() -> None:
    sky = some_mask(SHAPE, 5, 0.2)
    valid = MASK & ~sky
    disparity, known = sky_at_infinity(torch.where(sky, torch.nan, TRUTH), valid, sky)
    assert torch.equal(known, valid | sky)
    assert (disparity[sky] == 0).all()
    assert torch.equal(disparity[~sky], TRUTH[~sky])
    assert disparity[known].min() == 0
    assert sky_at_infinity(TRUTH, valid, None)[1] is valid


def test_sky_score_against_numpy_and_differences() -> None:
    sky = some_mask(SHAPE, 6, 0.3)
    expected = [((p - s) ** 2)[m].mean() for p, s, m in zip(*numpy_of(PREDICTED, sky, MASK), strict=True)]
    np.testing.assert_allclose(sky_loss(PREDICTED, sky, MASK), expected)
    assert_gradient_is_right(lambda score: sky_loss(score, sky, MASK), PREDICTED)


class TestUnlabeled:
    OTHERS = map_like(SHAPE, 2)
    BOX = torch.zeros(SHAPE[1:], dtype=torch.bool)
    BOX[2:7, 3:8] = True

    def test_cut_mix_shows_one_photo_in_the_box_and_the_other_around_it(self) -> None:
        photos, others = map_like((2, 3, 9, 12), 3), map_like((2, 3, 9, 12), 4)
        mixed = cut_mix(photos, others, self.BOX)
        assert torch.equal(mixed[..., self.BOX], photos[..., self.BOX])
        assert torch.equal(mixed[..., ~self.BOX], others[..., ~self.BOX])

    def test_boxes_cover_all_shares_and_come_from_the_generator(self) -> None:
        boxes = [cut_box(20, 30, torch_random(key)) for key in range(200)]
        shares = np.array([float(box.float().mean()) for box in boxes])
        assert shares.min() < 0.05
        assert shares.max() > 0.6
        assert torch.equal(boxes[7], cut_box(20, 30, torch_random(7)))
        rows, columns = boxes[7].any(dim=1), boxes[7].any(dim=0)
        assert torch.equal(boxes[7], rows[:, None] & columns)  # a rectangle

    def test_against_numpy(self) -> None:
        valid, others_valid = MASK, some_mask(SHAPE, 8)
        found = cut_mix_loss(PREDICTED, TRUTH, self.OTHERS, self.BOX, valid, others_valid)
        box = self.BOX.numpy()
        expected = []
        for d, a, b, m, n in zip(*numpy_of(PREDICTED, TRUTH, self.OTHERS, valid, others_valid), strict=True):
            within = by_numpy("affine-invariant", d, a, m & box)
            around = by_numpy("affine-invariant", d, b, n & ~box)
            expected.append(box.mean() * within + (1 - box.mean()) * around)
        np.testing.assert_allclose(found, expected, rtol=1e-6)
        assert_gradient_is_right(
            lambda d: cut_mix_loss(d, TRUTH, self.OTHERS, self.BOX, valid, others_valid), PREDICTED
        )

    def test_the_sides_are_normalised_apart(self) -> None:
        everywhere = torch.ones(SHAPE, dtype=torch.bool)
        predicted = torch.where(self.BOX, 3 * TRUTH + 1, 0.2 * self.OTHERS - 4)
        loss = cut_mix_loss(predicted, TRUTH, self.OTHERS, self.BOX, everywhere, everywhere)
        assert loss.max() < 1e-7
        joint = torch.where(self.BOX, TRUTH, self.OTHERS)
        assert affine_invariant_loss(predicted, joint, everywhere).min() > 0.1

    def test_feature_alignment_against_numpy_and_differences(self) -> None:
        student, frozen = map_like((2, 20, 8), 10, -1, 1), map_like((2, 20, 8), 11, -1, 1)
        student[:, :10] = frozen[:, :10] + 0.2 * student[:, :10]  # near enough for some
        cosine = (student * frozen).sum(-1) / student.norm(dim=-1) / frozen.norm(dim=-1)
        near = cosine >= 0.85
        assert 2 < int(near.sum()) < 30
        expected = np.where(near, 0, 1 - cosine).mean(axis=1)
        np.testing.assert_allclose(feature_alignment_loss(student, frozen), expected)
        assert_gradient_is_right(lambda f: feature_alignment_loss(f, frozen), student)
        student.requires_grad_()
        frozen.requires_grad_()
        feature_alignment_loss(student, frozen).sum().backward()
        assert (student.grad[near] == 0).all()
        assert (student.grad[~near].abs().amax(dim=-1) > 0).all()
        assert frozen.grad is None
