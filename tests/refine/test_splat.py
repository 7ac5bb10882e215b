from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from recon.choices import ExportChoices, InferenceOptions
from recon.errors import InputError
from recon.export import export, read_npz
from recon.refine.depth_splats import DepthSplatOptions, splats_from_depth
from recon.refine.splat import with_gaussians
from recon.run.pipeline import reconstruct
from tests.fake_network import fake_model, photos

SMALL = {"process_res": 70}


def test_splats_of_depth_lie_on_the_depth(tmp_path: Path) -> None:
    model = fake_model("da3-small")
    result = reconstruct(
        model, photos(3), options=InferenceOptions(**SMALL), export_dir=tmp_path, export_format="npz-gs_ply"
    )
    prediction = result.prediction
    assert not model.network.calls[0]["infer_gs"]
    assert prediction.gaussian_source == "depth"
    assert prediction.aux["gaussians"] is prediction.gaussians
    first = splats_from_depth(prediction, DepthSplatOptions(second_layer=False)).gaussians.means
    np.testing.assert_allclose(first[:, 2], 4.0, rtol=1e-4)  # the wall of the fake network
    np.testing.assert_array_equal(prediction.gaussians.means[: len(first)], first)
    behind = prediction.gaussians.means[len(first) :, 2]
    assert ((behind > 4) & (behind < 4.4)).all()
    assert list(result.seconds) == ["load", "predict", "align", "clean", "splat", "export npz", "export gs_ply"]
    stored = read_npz(tmp_path / "exports" / "npz" / "results.npz")
    assert stored.gaussian_source == "depth"
    np.testing.assert_array_equal(stored.gaussians.means, prediction.gaussians.means)


def test_a_stored_result_makes_splats_again(tmp_path: Path) -> None:
    reconstruct(
        fake_model("da3-small"), photos(2), options=InferenceOptions(**SMALL), export_dir=tmp_path, export_format="npz"
    )
    stored = read_npz(tmp_path / "exports" / "npz" / "results.npz")
    assert stored.gaussians is None
    assert with_gaussians(stored, ExportChoices()).gaussian_source == "depth"
    few = with_gaussians(stored, ExportChoices(gs_budget=50))
    assert 0 < len(few.gaussians) <= 50
    with pytest.raises(InputError, match="holds no Gaussians of a head"):
        with_gaussians(stored, ExportChoices(gaussians="head"))
    with pytest.raises(InputError, match="Gaussians"):
        export(stored, "gs_ply", tmp_path)


def test_a_stored_head_is_kept_unless_depth_is_asked_for(tmp_path: Path) -> None:
    options = InferenceOptions(infer_gs=True, **SMALL)
    reconstruct(fake_model("da3-giant"), photos(2), options=options, export_dir=tmp_path, export_format="npz")
    stored = read_npz(tmp_path / "exports" / "npz" / "results.npz")
    assert stored.gaussian_source == "head"
    assert with_gaussians(stored, ExportChoices()) is stored
    assert with_gaussians(stored, ExportChoices(gaussians="depth")).gaussian_source == "depth"
