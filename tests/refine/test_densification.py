"""Splats that become more while they are fitted, and harmonics whose degree grows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from recon.choices import SplatOptimisation
from recon.refine.optimisation.densification import Densification, densify, shake, shared
from recon.refine.optimisation.schedule import Schedule
from recon.refine.optimisation.state import AdamSplats
from recon.refine.optimise_splats import optimise_splats
from recon.refine.point_splats import splats_from_points
from recon.types import Gaussians, Prediction
from tests.refine.depth_scene import make_prediction
from tests.seeds import numpy_random
from tests.splats.scenes import random_gaussians

SIZE = (30, 40)


@pytest.fixture(scope="module")
def photos() -> Prediction:
    """Photos with cameras, of which no depth is known."""
    room = make_prediction(4, *SIZE)
    return replace(room, depth=np.zeros_like(room.depth))


@pytest.fixture(scope="module")
def points() -> Gaussians:
    """Splats of 60 points of the room."""
    room = make_prediction(4, *SIZE)
    assert room.intrinsics is not None
    assert room.extrinsics is not None
    rng = numpy_random(2)
    found, colors = [], []
    for view in range(4):
        rows, columns = rng.integers(SIZE[0], size=15), rng.integers(SIZE[1], size=15)
        rays = np.stack([columns + 0.5, rows + 0.5, np.ones(15)]).T @ np.linalg.inv(room.intrinsics[view]).T
        camera = rays * room.depth[view, rows, columns][:, None]
        found.append((camera - room.extrinsics[view, :, 3]) @ room.extrinsics[view, :, :3])
        colors.append(room.processed_images[view, rows, columns])
    return splats_from_points(np.concatenate(found), np.concatenate(colors))


def some_splats(count: int, degree: int = 1) -> AdamSplats:
    splats = AdamSplats.of(random_gaussians(numpy_random(5), count, degree=degree), degree)
    rng = numpy_random(6)
    splats.moments[:] = rng.normal(size=splats.moments.shape)
    splats.steps[:] = 7
    splats.gaussians.opacities[:] = rng.uniform(0.01, 0.9, count)
    return splats


@pytest.mark.parametrize("copies", [1, 2, 3, 9])
@pytest.mark.parametrize("opacity", [0.05, 0.5, 0.95])
def test_copies_together_look_as_one_did(copies: int, opacity: float) -> None:
    scale = 0.3
    part, smaller = shared(np.float32([opacity]), np.full((1, 3), scale, np.float32), np.array([copies]))
    assert 1 - (1 - part[0]) ** copies == pytest.approx(opacity, rel=1e-5)
    along = np.linspace(-3, 3, 20001)
    one = opacity * np.exp(-(along**2) / (2 * scale**2))
    together = 1 - (1 - part[0] * np.exp(-(along**2) / (2 * smaller[0, 0] ** 2))) ** copies
    assert together.sum() == pytest.approx(one.sum(), rel=1e-4)


def test_what_has_faded_is_put_where_others_are_and_some_are_added() -> None:
    splats = some_splats(200)
    faded = np.arange(0, 200, 5)
    splats.gaussians.opacities[faded] = 0.001
    before = splats.gaussians.means.copy()
    found = densify(splats, 230, numpy_random(1))
    assert len(found.gaussians) == 230
    assert found.moments.shape == (230, splats.moments.shape[1])
    kept = np.setdiff1d(np.arange(200), faded)
    np.testing.assert_array_equal(found.gaussians.means[kept], before[kept])
    places = {tuple(mean) for mean in before[kept]}
    copied = np.concatenate([faded, np.arange(200, 230)])
    assert all(tuple(mean) in places for mean in found.gaussians.means[copied])
    np.testing.assert_array_equal(found.moments[copied], 0)
    np.testing.assert_array_equal(found.steps[copied], 0)
    untouched = [k for k in kept if tuple(before[k]) not in {tuple(m) for m in found.gaussians.means[copied]}]
    np.testing.assert_array_equal(found.steps[untouched], 7)
    again = some_splats(200)
    again.gaussians.opacities[faded] = 0.001
    other = densify(again, 230, numpy_random(1))
    np.testing.assert_array_equal(found.gaussians.means, other.gaussians.means)


def test_there_are_as_many_as_there_may_be_well_before_the_end() -> None:
    for first, most in ((100, 50_000), (100, 130), (200, 100)):
        plan = Densification(first, most)
        counts = [plan.count(plan.rounds(progress)) for progress in np.linspace(0, 1, 500)]
        assert counts == sorted(counts)
        assert counts[0] == min(first, most)
        assert counts[250] == counts[-1] == most
        assert plan.is_going_on(0.6)
        assert not plan.is_going_on(0.8)


def test_faint_splats_are_moved_along_their_shape_and_others_are_not() -> None:
    splats = some_splats(4000)
    splats.gaussians.opacities[:2000] = 0.5
    splats.gaussians.opacities[2000:] = 0.006
    splats.gaussians.scales[:] = (0.2, 0.1, 1e-4)
    splats.gaussians.rotations[:] = (1, 0, 0, 0)
    before = splats.gaussians.means.copy()
    shake(splats, 2.0, numpy_random(1))
    moved = splats.gaussians.means - before
    np.testing.assert_array_equal(moved[:2000], 0)
    faint = 1 / (1 + np.exp(100 * (0.006 - 0.005)))
    expected = 2 * faint * np.array([0.2, 0.1]) ** 2
    np.testing.assert_allclose(moved[2000:, :2].std(axis=0), expected, rtol=0.06)
    assert np.abs(moved[:, 2]).max() < 1e-6


def test_a_higher_degree_changes_no_view_and_adam_goes_on() -> None:
    low = some_splats(30, degree=1)
    high = low.with_degree(3)
    assert high.sh_degree == 3
    np.testing.assert_array_equal(high.gaussians.harmonics[:, :, :4], low.gaussians.harmonics)
    np.testing.assert_array_equal(high.gaussians.harmonics[:, :, 4:], 0)
    old, new = low.moments.reshape(30, 2, -1), high.moments.reshape(30, 2, -1)
    np.testing.assert_array_equal(new[:, :, :11], old[:, :, :11])
    channels = new[:, :, 11:].reshape(30, 2, 3, 16)
    np.testing.assert_array_equal(channels[..., :4], old[:, :, 11:].reshape(30, 2, 3, 4))
    np.testing.assert_array_equal(channels[..., 4:], 0)


def test_sparse_points_become_many_splats_that_look_like_the_photos(photos: Prediction, points: Gaussians) -> None:
    def fit(densify: str, threads: int) -> tuple[Gaussians, float]:
        options = SplatOptimisation(gs_iterations=150, gs_splats=600, gs_densify=densify)  # type: ignore[arg-type]
        found = optimise_splats(photos, options, start=points, threads=threads)
        assert found.after is not None
        return found.gaussians, found.after.psnr

    few, psnr_of_few = fit("none", 2)
    many, psnr_of_many = fit("auto", 1)
    assert len(few) <= 60
    assert 150 < len(many) <= 600
    assert psnr_of_many > psnr_of_few + 0.7
    hurried = SplatOptimisation(gs_seconds=0.7, gs_splats=600, gs_holdout=0)
    assert len(optimise_splats(photos, hurried, start=points).gaussians) > 150
    same, _ = fit("mcmc", 3)
    for name in Gaussians.__dataclass_fields__:
        np.testing.assert_array_equal(getattr(many, name), getattr(same, name), err_msg=name)


def test_harmonics_grow_to_the_degree_that_is_asked_for(photos: Prediction, points: Gaussians) -> None:
    for degree, starts_with in ((0, points), (3, points), (None, replace(points, harmonics=np.zeros((60, 3, 9))))):
        options = SplatOptimisation(gs_iterations=8, gs_densify="none", gs_sh_degree=degree)
        found = optimise_splats(photos, options, start=starts_with).gaussians
        assert found.sh_degree == (2 if degree is None else degree)
    assert np.abs(found.harmonics[:, :, 4:]).max() > 0


def test_what_becomes_more_by_itself(points: Gaussians) -> None:
    def of(densify: str, is_sparse: bool, most: int, levels: int) -> Schedule:
        options = SplatOptimisation(gs_densify=densify)  # type: ignore[arg-type]
        return Schedule.of(options, points, is_sparse, most, (10, 1), 1.0, levels)

    assert of("auto", False, 10_000, 1).densification is None  # from depth, as large as the photos
    assert of("none", True, 10_000, 3).densification is None
    assert of("auto", False, 100, 3).densification is None
    for schedule in (of("auto", True, 10_000, 1), of("auto", False, 10_000, 3), of("mcmc", False, 100, 1)):
        assert schedule.densification is not None
        assert schedule.looks_between_scores == 100
        assert not schedule.is_settled(0.6)
        assert schedule.is_settled(0.8)
    assert of("auto", True, 10_000, 1).iterations >= 3000
    assert of("auto", False, 10_000, 3).iterations == of("none", False, 10_000, 3).iterations == 3 * 650
