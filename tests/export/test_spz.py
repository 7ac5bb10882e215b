"""The spz exporter: the same Gaussians as gs_ply, in its own file."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from recon.errors import InputError, MissingExtraError
from recon.export import gs_ply, spz
from recon.export.splats import SplatOptions
from recon.splats.ply import read_ply
from recon.splats.spz import read_spz


def test_the_same_gaussians_as_gs_ply(make_prediction, digest_of, tmp_path):
    pytest.importorskip("gsply")
    prediction = make_prediction(height=64, gaussians=True)
    before = digest_of(prediction)
    options = SplatOptions(sh_degree=1, gs_views_interval=2)
    spz.check(prediction, options)
    written = spz.write(prediction, tmp_path, options)
    assert written.files == (tmp_path / "gs_spz" / "0000.spz",)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == list(written.files)
    other = gs_ply.write(prediction, tmp_path, options)
    assert written.details == other.details
    assert written.details["pruned"] > 0
    np.testing.assert_allclose(read_spz(written.files[0]).means, read_ply(other.files[0]).means, atol=1e-6)
    assert read_spz(written.files[0]).sh_degree == 1
    assert digest_of(prediction) == before


def test_check_names_what_is_missing(make_prediction, monkeypatch):
    pytest.importorskip("gsply")
    with pytest.raises(InputError, match="no Gaussians to export"):
        spz.check(make_prediction(), SplatOptions())
    monkeypatch.setitem(sys.modules, "gsply", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'recon\[spz\]'"):
        spz.check_options(SplatOptions())
