"""The matching kernels beside plain computations of the same, and beside torch."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from recon.stereo import plane_refinement, plane_refinement_torch, plane_sweep, plane_sweep_torch
from recon.stereo.images import Matching, pack_pixels, pack_quads, shrink, to_grey, warp_back, warp_between
from recon.stereo.plane_refinement import Bounds, window_taps
from recon.stereo.plane_refinement_kernels import COLOUR_SCALE, Limits, refine_band
from recon.stereo.plane_sweep import NO_SCORE
from tests.seeds import numpy_random

from .planes import SIZE, Views, card, row, see

SWEEP_WINDOW = 7
WINDOW = 9
NOISE = 0.5
INVERSE_DEPTHS = np.linspace(0.13, 0.3, 24, dtype=np.float32)


class Case(NamedTuple):
    views: Views
    matching: Matching


@pytest.fixture(scope="module")
def case() -> Case:
    """The middle of four views, and the other three as its sources."""
    views = see([card(0, (0, 0, 5.5), 16.0, 0.3), card(1, (0.2, 0, 4.0), 1.6, -0.2, 0.3)], row(4))
    grey = to_grey(views.images)
    sources = np.array([0, 2, 3])
    warp = warp_between(views.cameras, 1, sources)
    return Case(views, Matching(grey[1], views.images[1], grey[sources], warp, 2, NOISE))


@pytest.fixture(scope="module")
def pool():
    with ThreadPoolExecutor(2) as pool:
        yield pool


@pytest.fixture
def one_torch_thread():
    """Operations this small take longer with more, and far longer beside other work."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def project(matching: Matching, source: int, inverse_depth: NDArray[np.float64]) -> NDArray[np.float64]:
    """(3, H, W) homogeneous source pixels."""
    rows, columns = np.indices(matching.reference.shape)
    pixels = np.stack([columns, rows, np.ones_like(rows)]).astype(np.float64)
    matrix, shift = matching.warp.matrix[source].astype(np.float64), matching.warp.shift[source].astype(np.float64)
    return np.einsum("ij,jhw->ihw", matrix, pixels) + shift[:, None, None] * inverse_depth


def sample(image: NDArray[np.uint8], u: NDArray[np.float64], v: NDArray[np.float64]) -> NDArray[np.float64]:
    """Bilinear samples of an image (H, W) at pixels; its border goes on outside."""
    height, width = image.shape
    u, v = u.clip(0, width - 1), v.clip(0, height - 1)
    left, top = np.floor(u).astype(int).clip(max=width - 2), np.floor(v).astype(int).clip(max=height - 2)
    across, down = u - left, v - top
    values = image.astype(np.float64)
    upper = (1 - across) * values[top, left] + across * values[top, left + 1]
    lower = (1 - across) * values[top + 1, left] + across * values[top + 1, left + 1]
    return np.asarray((1 - down) * upper + down * lower)


def upright(inverse_depth: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """(3, H, W) planes parallel to the image."""
    return np.stack([inverse_depth, np.zeros(SIZE), np.zeros(SIZE)]).astype(np.float32)


def seen(homogeneous: NDArray[np.float64], size: tuple[int, ...]) -> NDArray[np.bool_]:
    u, v, z = homogeneous
    height, width = size
    return (z > 0) & (u >= -0.5 * z) & (u <= (width - 0.5) * z) & (v >= -0.5 * z) & (v <= (height - 0.5) * z)


def test_a_warp_takes_the_pixels_of_a_point_to_each_other(case):
    """Pixels of one surface point in two views, from its exact depth and by hand."""
    views = case.views
    there = warp_between(views.cameras, 1, np.array([3]))
    back = warp_back(views.cameras, 1, np.array([3]))
    pixel, depth = np.array([40.0, 30, 1]), views.depth[1, 30, 40]
    camera, other = views.cameras.world_to_camera[1], views.cameras.world_to_camera[3]
    intrinsics = views.cameras.intrinsics[1]
    local = depth * np.linalg.inv(intrinsics) @ (pixel + (0.5, 0.5, 0))
    in_other = (other @ np.linalg.inv(camera) @ np.append(local, 1))[:3]
    expected = intrinsics @ in_other
    found = there.matrix[0] @ pixel + there.shift[0] / depth
    np.testing.assert_allclose(found[:2] / found[2], expected[:2] / expected[2] - 0.5, atol=1e-3)
    assert found[2] == pytest.approx(in_other[2] / depth, rel=1e-4)
    again = back.matrix[0] @ (found / found[2]) + back.shift[0] / in_other[2]
    np.testing.assert_allclose(again / again[2], pixel, atol=1e-3)


def test_the_sweep_scores_as_sums_over_each_window_do(case, pool):
    """Peaks of the mean of the best two correlations, computed window by window in float64."""
    matching = case.matching
    expected = _peaks(_score_volume(matching, INVERSE_DEPTHS, SWEEP_WINDOW), INVERSE_DEPTHS)
    found = plane_sweep.sweep(matching, INVERSE_DEPTHS, SWEEP_WINDOW, pool)
    # Scores that are alike but for rounding are a peak here and none there.
    assert ((found.score > NO_SCORE) == (expected[1] > NO_SCORE)).mean() > 0.999
    scored = (found.score > NO_SCORE) & (expected[1] > NO_SCORE)
    assert scored[0].mean() > 0.95
    assert (np.abs(found.score - expected[1])[scored] < 2e-4).mean() > 0.999
    # Where two peaks are of about one height their order may be another.
    clear = scored[0] & (expected[1][0] - expected[1][1] > 1e-3)
    off = np.abs(found.inverse_depth[0] - expected[0][0])[clear] / (INVERSE_DEPTHS[1] - INVERSE_DEPTHS[0])
    assert np.quantile(off, 0.999) < 0.01


def _windows(values: NDArray[np.float64], window: int) -> NDArray[np.float64]:
    """(H, W, window, window) of an image whose border goes on."""
    padded = np.pad(values, window // 2, mode="edge")
    return np.lib.stride_tricks.sliding_window_view(padded, (window, window))


def _score_volume(matching: Matching, inverse_depths: NDArray[np.float32], window: int) -> NDArray[np.float64]:
    reference = _windows(matching.reference.astype(np.float64), window)
    reference = reference - reference.mean(axis=(2, 3), keepdims=True)
    volume = []
    for inverse_depth in inverse_depths:
        scores = []
        for source, image in enumerate(matching.sources):
            homogeneous = project(matching, source, np.float64(inverse_depth))
            samples = _windows(sample(image, *(homogeneous[:2] / homogeneous[2])), window)
            samples = samples - samples.mean(axis=(2, 3), keepdims=True)
            covariance = (samples * reference).mean(axis=(2, 3))
            variances = ((samples**2).mean(axis=(2, 3)) + NOISE**2) * ((reference**2).mean(axis=(2, 3)) + NOISE**2)
            score = covariance / np.sqrt(variances)
            scores.append(np.where(seen(homogeneous, image.shape), score, NO_SCORE))
        volume.append(np.sort(scores, axis=0)[-matching.agreeing :].clip(min=NO_SCORE).mean(axis=0))
    return np.stack(volume)


def _peaks(
    volume: NDArray[np.float64], inverse_depths: NDArray[np.float32]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(2, H, W) inverse depths and scores of the best two local maxima of a volume (P, H, W)."""
    before, peak, after = volume[:-2], volume[1:-1], volume[2:]
    scores = np.where((peak >= before) & (peak > after) & (peak > NO_SCORE), peak, NO_SCORE)
    step = float(inverse_depths[1] - inverse_depths[0])
    with np.errstate(divide="ignore", invalid="ignore"):
        vertex = step / 2 * (before - after) / (before - 2 * peak + after)
    places = inverse_depths[1:-1, None, None] + vertex
    order = np.argsort(-scores, axis=0, kind="stable")[:2]
    best = np.take_along_axis(scores, order, axis=0)
    return np.where(best > NO_SCORE, np.take_along_axis(places, order, axis=0), 0), best


@pytest.mark.parametrize("fits", [1, 2])
def test_the_refinement_scores_as_a_weighted_correlation_does(case, fits):
    """Scores of given slanted planes: likeness-weighted ZNCC over the round window, computed pixel by pixel."""
    matching = case.matching
    generator = numpy_random(5)
    planes = np.zeros((3, *SIZE), np.float32)
    planes[0] = 1 / case.views.depth[1] * generator.uniform(0.95, 1.05, SIZE)
    planes[1:] = generator.normal(scale=2e-4, size=(2, *SIZE))
    after, scores = planes.copy(), np.full(SIZE, np.nan, np.float32)
    taps, count = window_taps(WINDOW)
    limits = Limits(*(np.float32(value) for value in (5e-3, 0.1, 0.5, 0.05, NOISE**2)), matching.agreeing)
    warp = np.concatenate([matching.warp.matrix, matching.warp.shift[..., None]], axis=2)
    refine_band(
        0, SIZE[0], pack_pixels(matching.colours, matching.reference), matching.wanted_or_empty,
        pack_quads(matching.sources).reshape(-1), SIZE, matching.visible_or_empty, warp, taps, count,
        limits, np.zeros(0, np.int64), fits, planes, np.zeros(SIZE, np.float32), after, scores,
        np.empty(SIZE, np.float32),
    )  # fmt: skip
    assert (np.abs(after - planes).max(axis=0) > 0).mean() > 0.5
    for y, x in generator.integers((0, 0), SIZE, (150, 2)):
        assert scores[y, x] == pytest.approx(_weighted(matching, after[:, y, x], x, y), abs=1e-3)


def _weighted(matching: Matching, plane: NDArray[np.float32], x: int, y: int) -> float:
    """Mean of the best weighted correlations at one pixel."""
    height, width = matching.reference.shape
    radius = WINDOW // 2
    offsets = [
        (dx, dy)
        for dy in range(-radius, radius + 1)
        for dx in range(-radius, radius + 1)
        if dx * dx + dy * dy <= radius**2 + radius // 2
    ]
    dx, dy = np.array(offsets).T
    columns, rows = (x + dx).clip(0, width - 1), (y + dy).clip(0, height - 1)
    away = ((matching.colours[rows, columns].astype(int) - matching.colours[y, x].astype(int)) ** 2).sum(axis=1)
    weights = (1 + away / COLOUR_SCALE**2) ** -3.0
    weights /= weights.sum()
    values = matching.reference[rows, columns].astype(np.float64)
    scores = []
    for source, image in enumerate(matching.sources):
        w = float(plane[0]) + dx * float(plane[1]) + dy * float(plane[2])
        pixels = np.stack([x + dx, y + dy, np.ones(len(dx))])
        u, v, z = matching.warp.matrix[source].astype(float) @ pixels + matching.warp.shift[source][:, None] * w
        samples = sample(image, u / z, v / z)
        covariance = (weights * samples * values).sum() - (weights * samples).sum() * (weights * values).sum()
        variances = [(weights * part**2).sum() - (weights * part).sum() ** 2 + NOISE**2 for part in (samples, values)]
        centre = project(matching, source, np.full(SIZE, float(plane[0])))[:, y, x]
        scores.append(covariance / np.sqrt(variances[0] * variances[1]) if seen(centre, SIZE) else NO_SCORE)
    return float(np.mean(np.sort(scores)[-matching.agreeing :].clip(min=NO_SCORE)))


def test_refinement_finds_the_slant_and_the_fraction_of_a_pixel(case, pool):
    """From depth off by up to half a pixel; more passes match better."""
    truth = 1 / case.views.depth[1]
    start = upright(truth + numpy_random(2).uniform(-0.012, 0.012, SIZE))
    bounds = Bounds(unit=0.012, lowest=0.1, highest=0.4, focal=120.0)
    errors, scores = [], []
    for passes in (1, 2, 4):
        found, score, _ = plane_refinement.refine(case.matching, start, bounds, WINDOW, passes, pool)
        errors.append(np.median(np.abs(found[0] / truth - 1)))
        scores.append(score.mean())
    assert errors[-1] < 0.125 * np.median(np.abs(start[0] / truth - 1))
    assert errors[-1] <= errors[0]
    assert scores == sorted(scores)


@pytest.mark.usefixtures("one_torch_thread")
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.cuda)])
def test_torch_sweeps_and_refines_alike(case, pool, device, masked):
    device = torch.device(device)
    matching = case.matching
    if masked:
        visible = np.ones(matching.sources.shape, bool)
        visible[:, 20:60, 10:50] = visible[1, :, 100:] = False
        wanted = np.ones(SIZE, bool)
        wanted[50:80, 40:90] = False
        matching = matching._replace(wanted=wanted, visible=visible)
    sweep = plane_sweep.sweep(matching, INVERSE_DEPTHS, SWEEP_WINDOW, pool)
    also = plane_sweep_torch.sweep(matching, INVERSE_DEPTHS, SWEEP_WINDOW, device)
    # A near tie may make a peak the second one here and none there.
    assert (np.abs(also.score - sweep.score) < 1e-3).mean() > 0.999
    assert (np.abs(also.inverse_depth[0] - sweep.inverse_depth[0]) < 1e-4).mean() > 0.999

    bounds = Bounds(unit=0.006, lowest=0.1, highest=0.4, focal=120.0)
    start = upright(sweep.inverse_depth[0])
    (found, *_), scores, information = plane_refinement.refine(matching, start, bounds, WINDOW, 3, pool)
    (also_found, *_), also_scores, also_information = plane_refinement_torch.refine(
        matching, start, bounds, WINDOW, 3, device
    )
    if masked:
        assert (scores[~wanted] == NO_SCORE).all()
        assert (also_scores[~wanted] == NO_SCORE).all()
        unmasked = plane_sweep.sweep(case.matching, INVERSE_DEPTHS, SWEEP_WINDOW, pool)
        assert (np.abs(unmasked.score - sweep.score) > 1e-3).mean() > 0.05
        matched = wanted & (scores > 0.3)  # others keep what they began with, or take what matches no better
        found, also_found, information, also_information = (
            part[matched] for part in (found, also_found, information, also_information)
        )
    # Near ties fall the one way or the other, and neighbours take over what was chosen.
    assert (np.abs(also_scores - scores) < 5e-3).mean() > 0.98
    assert (np.abs(also_found / np.maximum(found, 1e-6) - 1) < 2e-3).mean() > 0.97
    assert (np.abs(also_information / np.maximum(information, 1e-6) - 1) < 0.05).mean() > 0.95


def test_quads_hold_a_pixel_and_its_neighbours_to_the_right_and_below():
    grey = numpy_random(0).integers(0, 256, (2, 5, 7), np.uint8)
    quads = pack_quads(grey).reshape(2, 5, 7)
    assert quads.dtype == np.uint32
    padded = np.pad(grey, ((0, 0), (0, 1), (0, 1)), mode="edge")
    for shift, part in (
        (0, padded[:, :-1, :-1]),
        (8, padded[:, :-1, 1:]),
        (16, padded[:, 1:, :-1]),
        (24, padded[:, 1:, 1:]),
    ):
        np.testing.assert_array_equal(quads >> shift & 255, part)


def test_shrinking_averages_areas_and_rounds_sizes_up():
    grey = numpy_random(1).integers(0, 256, (3, 8, 12), np.uint8)
    expected = grey.reshape(3, 4, 2, 6, 2).mean(axis=(2, 4))
    np.testing.assert_allclose(shrink(grey, 2), expected, atol=0.51)
    assert shrink(grey[:, :7, :11], 2).shape == (3, 4, 6)


def test_grey_is_luma():
    images = numpy_random(1).integers(0, 256, (2, 6, 5, 3), np.uint8)

    np.testing.assert_allclose(to_grey(images), images @ (0.299, 0.587, 0.114), atol=0.51)
