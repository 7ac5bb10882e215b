"""What a run makes of depth from stereo: nothing that was found is lost, and what was filled in is told apart."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from recon.choices import InferenceOptions
from recon.estimate.stereo import StereoEstimator
from recon.export import export, read_npz
from recon.run.pipeline import Reconstruction, reconstruct
from recon.stereo.multi_view import StereoOptions
from recon.types import MadeBy
from tests.stereo.planes import card, row, see


@pytest.fixture(scope="module")
def with_filled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Reconstruction, Path]:
    """A run over a card before nothing, so that stereo finds depth on the card only and fills in the rest."""
    views = see([card(0, (0, 0, 5.0), 3.0)], row(4))
    folder = tmp_path_factory.mktemp("stereo")
    result = reconstruct(
        StereoEstimator(StereoOptions(fill=True, device="cpu")),
        list(views.images),
        views.cameras.world_to_camera,
        views.cameras.intrinsics,
        options=InferenceOptions(process_res=views.images.shape[2], clean=False),
        export_dir=folder,
        export_format="npz-ply-gs_ply",
    )
    return result, folder


def test_filled_pixels_are_told_apart_kept_and_noted(with_filled):
    result, folder = with_filled
    prediction = result.prediction
    assert prediction.made_by == MadeBy("stereo", "multi-view stereo")
    assert (prediction.depth > 0).all()
    assert 0.05 < prediction.filled.mean() < 0.95
    np.testing.assert_array_equal(prediction.valid, ~prediction.filled)
    again = read_npz(folder / "exports/npz/results.npz")
    np.testing.assert_array_equal(again.filled, prediction.filled)
    quality = json.loads((folder / "run.json").read_text())["quality"]
    expected = {
        "made_by": {"kind": "stereo", "name": "multi-view stereo", "parts": []},
        "valid": pytest.approx(prediction.valid.mean()),
        "filled": pytest.approx(prediction.filled.mean()),
        "sky": 0,
        "masked": None,
    }
    assert {name: quality[name] for name in expected} == expected


def test_the_cloud_has_all_that_was_found_and_nothing_filled_in_unless_asked(with_filled, tmp_path):
    result, _ = with_filled
    prediction = result.prediction
    assert result.exported["ply"].details == {"points": int(prediction.valid.sum()), "conf_threshold": None}
    written = export(prediction, "ply", tmp_path, {"ply": {"include_filled": True}})
    assert written["ply"].details["points"] == prediction.depth.size
