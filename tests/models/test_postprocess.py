"""Sky filling and metric scale on made-up maps."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from recon.models.postprocess import (
    fill_metric_sky,
    fill_single_view_sky,
    metres_from_canonical,
    metric_scale,
    quantile,
)


@pytest.mark.parametrize("count", [1, 2, 101, 1000])
@pytest.mark.parametrize("q", [0.0, 0.3, 0.5, 0.99, 1.0])
def test_quantile_is_numpys(count: int, q: float) -> None:
    values = torch.randn(count)
    assert quantile(values, q).item() == pytest.approx(np.quantile(values.numpy(), q), rel=1e-5, abs=1e-6)


def maps() -> tuple[torch.Tensor, torch.Tensor]:
    depth = torch.linspace(1, 2, 2 * 20 * 30).reshape(1, 2, 20, 30)
    sky = torch.zeros_like(depth)
    sky[..., :5, :] = 1.0
    return depth, sky


def test_sky_goes_to_the_far_end() -> None:
    depth, sky = maps()
    filled = fill_single_view_sky(depth, sky)
    assert torch.equal(filled[sky == 0], depth[sky == 0])
    assert filled[sky == 1].unique().item() == pytest.approx(np.quantile(depth[sky == 0].numpy(), 0.99), rel=1e-5)


@pytest.mark.parametrize("score", [0.0, 1.0])
def test_all_or_no_sky_is_left_as_it_is(score: float) -> None:
    depth, _ = maps()
    assert torch.equal(fill_single_view_sky(depth, torch.full_like(depth, score)), depth)


def test_metric_sky_is_at_most_200_metres_away() -> None:
    depth, sky = maps()
    filled, conf = fill_metric_sky(depth * 500, torch.full_like(depth, 3.0), sky)
    assert filled[sky == 1].unique().item() == 200
    assert conf[sky == 1].unique().item() == 1
    assert conf[sky == 0].unique().item() == 3


def test_metres() -> None:
    intrinsics = torch.diag(torch.tensor([500.0, 700.0, 1.0])).expand(1, 2, 3, 3)
    assert torch.equal(metres_from_canonical(torch.ones(1, 2, 4, 4), intrinsics), torch.full((1, 2, 4, 4), 2.0))


def test_metric_scale_uses_confident_pixels_that_are_not_sky() -> None:
    depth, sky = maps()
    metres, conf = depth * 3.5, torch.linspace(1, 2, depth.numel()).reshape(depth.shape)
    doubtful = conf < torch.quantile(conf[sky == 0], 0.5)
    metres[doubtful] = 50
    metres[sky == 1] = 90
    assert metric_scale(depth, conf, sky, metres).item() == pytest.approx(3.5, rel=1e-5)


def test_metric_scale_without_anything_but_sky() -> None:
    depth, _ = maps()
    assert metric_scale(depth, depth, torch.ones_like(depth), depth).isnan().all()


def test_metric_scale_without_usable_depth_is_undetermined_not_zero() -> None:
    depth, sky = maps()
    assert metric_scale(depth * 1e-6, depth, sky, depth).isnan().all()
    assert metric_scale(depth, depth, sky, depth * 1e-6).isnan().all()
