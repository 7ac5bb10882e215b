"""Depth metrics on constructed data: what each alignment takes back, and what the errors are by hand."""

from __future__ import annotations

import numpy as np
import pytest

from recon.errors import InputError
from recon.eval.depth_metrics import ALIGNMENTS, Coverage, coverage, depth_scores, fit_line
from tests.seeds import numpy_random


def true_depth() -> np.ndarray:
    """(3, 20, 30) between 1 and 8."""
    return numpy_random(0).uniform(1, 8, (3, 20, 30)).astype(np.float32)


@pytest.mark.parametrize(
    ("scale", "shift", "exact"),
    [
        (1.0, 0.0, {"none", "median", "scale", "scale-and-shift"}),
        (0.3, 0.0, {"median", "scale", "scale-and-shift"}),
        (0.3, 0.7, {"scale-and-shift"}),
    ],
)
def test_each_alignment_takes_back_what_it_can(scale: float, shift: float, exact: set[str]) -> None:
    truth = true_depth()
    for alignment in ALIGNMENTS:
        scores = depth_scores(scale * truth + shift, truth, alignment=alignment)
        assert scores is not None
        assert (scores.abs_rel < 1e-5) == (alignment in exact)
        assert (scores.rmse < 1e-4) == (alignment in exact)
        if alignment in exact and alignment != "none":
            assert scores.scale == pytest.approx(1 / scale, rel=1e-4)


def test_errors_by_hand() -> None:
    predicted = np.array([[[1.0, 2.0, 4.0, 2.0]]])
    truth = np.array([[[1.0, 2.5, 4.02, 4.0]]])
    scores = depth_scores(predicted, truth, alignment="none")
    assert scores is not None
    relative = [0, 0.2, 0.02 / 4.02, 0.5]
    assert scores.pixels == 4
    assert scores.abs_rel == pytest.approx(np.mean(relative))
    assert scores.median_rel == pytest.approx(np.median(relative))
    assert scores.rmse == pytest.approx(np.sqrt((0.25 + 0.0004 + 4) / 4))
    assert scores.delta_125 == 0.5  # 2.5 / 2 is 1.25 itself
    assert scores.within_1_percent == 0.5
    assert scores.within_5_percent == 0.5


def test_least_squares_is_least() -> None:
    rng = numpy_random(1)
    source, target = rng.uniform(1, 5, 200), rng.uniform(1, 5, 200)
    for alignment, parameters in (("scale", 1), ("scale-and-shift", 2)):
        columns = np.stack([source, np.ones(200)][:parameters], axis=1)
        expected = np.linalg.lstsq(columns, target, rcond=None)[0]
        np.testing.assert_allclose(fit_line(source, target, alignment)[:parameters], expected)


def test_pixels_without_depth_are_left_out() -> None:
    truth = true_depth()
    predicted = truth.copy()
    predicted[0, 0, :6] = [0, -1, np.nan, np.inf, 1e9, 1e9]
    truth[0, 0, 4:6] = [0, np.nan]
    scores = depth_scores(predicted, truth, alignment="none")
    assert scores is not None
    assert scores.pixels == truth.size - 6
    assert scores.abs_rel == 0
    mask = np.zeros(truth.shape, bool)
    mask[1, 2:4, 5] = True
    masked = depth_scores(predicted, truth, mask, "median")
    assert masked is not None
    assert masked.pixels == 2


@pytest.mark.parametrize("alignment", ALIGNMENTS)
def test_nothing_to_compare(alignment: str) -> None:
    truth = true_depth()
    assert depth_scores(np.zeros_like(truth), truth, alignment=alignment) is None
    assert depth_scores(truth, np.full_like(truth, np.nan), alignment=alignment) is None
    assert depth_scores(truth, truth, np.zeros(truth.shape, bool), alignment) is None


def test_views_of_their_own_scale() -> None:
    truth = true_depth()
    predicted = truth * np.array([0.5, 1, 3])[:, None, None]
    together = depth_scores(predicted, truth, alignment="scale")
    apart = depth_scores(predicted, truth, alignment="scale", per_view=True)
    assert together is not None
    assert apart is not None
    assert together.abs_rel > 0.1
    assert apart.abs_rel < 1e-6
    assert apart.scale == pytest.approx(1)  # the median of 2, 1 and 1/3
    predicted[1] = 0  # a view without depth is no group
    assert depth_scores(predicted, truth, alignment="scale", per_view=True) is not None


def test_constant_prediction_has_no_shift() -> None:
    scores = depth_scores(np.full((1, 4, 4), 2.0), true_depth()[:1, :4, :4], alignment="scale-and-shift")
    assert scores is not None
    assert scores.shift == 0
    assert np.isfinite(scores.scale)


def test_depth_made_negative_is_wrong() -> None:
    predicted = np.array([[[5.0, 4.0, 3.0, 1.0]]])  # falls where the truth rises
    scores = depth_scores(predicted, np.array([[[0.1, 4.0, 6.0, 9.0]]]), alignment="scale-and-shift")
    assert scores is not None
    assert scores.scale < 0
    assert scores.delta_125 < 1


def test_unknown_alignment() -> None:
    with pytest.raises(InputError, match="none, median, scale, scale-and-shift"):
        depth_scores(true_depth(), true_depth(), alignment="mean")  # type: ignore[arg-type]


def test_coverage_by_hand() -> None:
    predicted = np.array([True, True, False, True, False, False])
    truth = np.array([True, True, True, False, False, False])
    sky = np.array([False, False, False, True, True, False])
    assert coverage(predicted, truth, sky) == Coverage(kept=2 / 3, sky_kept=0.5)
    assert coverage(predicted, truth) == Coverage(kept=2 / 3, sky_kept=None)
    assert coverage(predicted, np.zeros(6, bool)) == Coverage(kept=None, sky_kept=None)
