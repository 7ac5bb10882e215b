"""What a run says of the quality of its result, and the types of what `run.json` says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from recon.errors import InputError
from recon.run.find_cameras import KnownCameras
from recon.run.quality import Quality
from recon.run.schema import check_record
from recon.sfm.certainty import Certainty
from tests.export.true_scene import true_prediction
from tests.seeds import numpy_random

from .test_find_cameras import found as sfm_result


@pytest.fixture(scope="module")
def courtyard():
    return true_prediction(range(6), 126)


def test_true_depth_agrees(courtyard):
    sure = Certainty(np.array([0.01, 0.02, 0.5]), np.array([0.001, 0.003, 0.002]), np.array([90, 80, 9]), 1.0)
    by_sfm = KnownCameras(None, (), sfm_result(("a", "b", "c"), [0, 1, 2], certainty=sure))  # type: ignore[arg-type]
    found = Quality.of(courtyard, by_sfm)
    assert (found.camera_degrees, found.camera_distance) == (0.02, 0.002)
    assert found.weak_cameras == ("c",)
    assert "not sure: c" in found.text
    assert by_sfm.describe()["certainty"][2] == {"name": "c", "degrees": 0.5, "distance": 0.002, "points": 9}
    assert found.depth_difference < 0.004
    assert found.depth_agreeing > 0.85
    assert found.depth_confirmed > 0.85
    assert found.views_apart == ()
    assert "0.50 pixels" in found.text


@pytest.mark.parametrize("noise", [0.02, 0.05])
def test_noise_is_measured(noise, courtyard):
    factors = np.exp(numpy_random(1).normal(0, noise, courtyard.depth.shape)).astype(np.float32)
    found = Quality.of(replace(courtyard, depth=courtyard.depth * factors))
    # Of the difference of two, in the median.
    assert found.depth_difference == pytest.approx(noise * 2**0.5 * 0.6745, rel=0.15)
    assert found.depth_agreeing < 0.5


def test_a_view_apart_is_named(courtyard):
    factors = np.ones(6, np.float32)
    factors[2] = 1.2
    found = Quality.of(replace(courtyard, depth=courtyard.depth * factors[:, None, None]))
    assert found.views_apart == (courtyard.image_names[2],)
    assert courtyard.image_names[2] in found.text


def test_where_none_fits_another_that_is_said(courtyard):
    """Six views of one camera that have three pixels in common: too few for anything to be said of them."""
    depth = np.zeros_like(courtyard.depth)
    depth[:, 40, 60:63] = 2
    first = {name: np.repeat(getattr(courtyard, name)[:1], 6, axis=0) for name in ("extrinsics", "intrinsics")}
    found = Quality.of(replace(courtyard, depth=depth, **first))
    assert found.views_apart == courtyard.image_names
    assert "no view fits another" in found.text
    assert "rest" not in found.text
    assert "none_fits" not in found.entry


@pytest.mark.parametrize("changes", [{"extrinsics": None}, {"depth": np.zeros((6, 98, 126), np.float32)}])
def test_nothing_is_said_where_nothing_can_be(changes, courtyard):
    found = Quality.of(replace(courtyard, **changes))
    assert found.depth_difference is found.depth_agreeing is found.depth_confirmed is None
    assert found.text == ""


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda record: record.pop("units"), "run.json.units is missing"),
        (lambda record: record["quality"].pop("valid"), "run.json.quality.valid is missing"),
        (lambda record: record["images"][0].update(valid="much"), r"run.json.images\[0\].valid must be a number"),
        (lambda record: record.update(units="miles"), "units must be one of 'relative'"),
        (lambda record: record.update(exports=[]), "run.json.exports must be an object"),
        (lambda record: record.update(ref_view=True), "ref_view must be a whole number"),
        (lambda record: record.update(warnings=None), "warnings must be a list"),
    ],
)
def test_records_are_checked(change, message, courtyard):
    image = {
        "name": "a",
        "path": None,
        "original_size": [4, 3],
        "processed_size": [4, 3],
        "valid": 1.0,
        "processed_to_original": None,
        "masked": None,
        "photo_box": None,
        "camera": {"intrinsics": [[1, 0, 2], [0, 1, 2], [0, 0, 1]]},
    }
    record = {
        "state": "done",
        "versions": {"recon": "1"},
        "model": {},
        "settings": {},
        "units": "metric",
        "scale_factor": None,
        "ref_view": 0,
        "gaussians": {"source": "depth", "count": 7},
        "quality": Quality.of(courtyard).entry,
        "cameras": {"extrinsics": "sfm", "intrinsics": None},
        "cleaning": {"points": 4, "removed": {"edges": 1}, "tolerance": None},
        "images": [image],
        "optimised": None,
        "not_optimised": None,
        "dropped_images": [],
        "warnings": ["w"],
        "seconds": {"load": 1},
        "reused": [],
        "result": "ab",
        "exports": {"ply": {"files": [], "details": {}, "seconds": 0.1}},
    }
    check_record(record)
    change(record)
    with pytest.raises(InputError, match=message):
        check_record(record)
