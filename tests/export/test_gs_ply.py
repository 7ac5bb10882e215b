"""Which Gaussians of a prediction are written as gs_ply, and how."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from recon.errors import InputError
from recon.export import check_options, gs_ply
from recon.export.splats import SplatOptions, select_splats
from recon.messages import ReconWarning
from recon.splats.ply import read_ply
from recon.types import Gaussians

EVERYTHING = SplatOptions(prune_border=False, prune_by_depth_percent=1.0)


@pytest.fixture
def prediction(make_prediction):
    """Three views of 64 × 96 pixels, each with a Gaussian of the head; the x of a mean is the number of its pixel."""
    prediction = make_prediction(height=64, width=96, gaussians=True)
    means = prediction.gaussians.means.copy()
    means[:, 0] = np.arange(len(means))
    return replace(prediction, gaussians=replace(prediction.gaussians, means=means))


def first(gaussians, count):
    return Gaussians(**{name: values[:count] for name, values in vars(gaussians).items()})


def kept(prediction, **options):
    """(N, H, W) True for the pixels whose Gaussian is selected, which come in their own order."""
    splats = select_splats(prediction, check_options({"gs_ply": options})["gs_ply"])
    pixels = splats.gaussians.means[:, 0].astype(int)
    assert (np.diff(pixels) > 0).all()
    assert len(pixels) + splats.pruned == prediction.depth.size
    mask = np.zeros(prediction.depth.size, bool)
    mask[pixels] = True
    return mask.reshape(prediction.depth.shape)


def test_file_and_details(prediction, tmp_path):
    plyfile = pytest.importorskip("plyfile")
    written = gs_ply.write(prediction, tmp_path, EVERYTHING)
    assert written.files == (tmp_path / "gs_ply" / "0000.ply",)
    count = prediction.depth.size
    details = {"gaussians": count, "pruned": 0, "sh_degree": 2, "source": "head", "units": "aligned"}
    assert written.details == details
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == list(written.files)
    read = read_ply(written.files[0])
    np.testing.assert_array_equal(read.means, prediction.gaussians.means)
    np.testing.assert_array_equal(read.harmonics, prediction.gaussians.harmonics)
    assert "units aligned" in plyfile.PlyData.read(written.files[0]).comments


def test_every_parameter_follows_the_selection(prediction):
    chosen = select_splats(prediction, SplatOptions()).gaussians
    pixels = chosen.means[:, 0].astype(int)
    for name in ("means", "scales", "rotations", "harmonics", "opacities"):
        np.testing.assert_array_equal(getattr(chosen, name), getattr(prediction.gaussians, name)[pixels])


def test_border(prediction):
    expected = np.zeros(prediction.depth.shape, bool)
    expected[:, 2:-2, 3:-3] = True
    np.testing.assert_array_equal(kept(prediction, prune_by_depth_percent=1), expected)


def test_small_images_have_no_border(make_prediction):
    prediction = make_prediction(height=14, width=31, gaussians=True)
    assert select_splats(prediction, replace(EVERYTHING, prune_border=True)).pruned == 0


def test_far_pixels_of_each_view(prediction):
    near = kept(prediction, prune_border=False, prune_by_depth_percent=0.75)
    for view, depth in zip(near, prediction.depth, strict=True):
        assert view.mean() == pytest.approx(0.75, abs=1e-3)
        assert depth[view].max() < depth[~view].min()


def test_depth_that_is_not_finite_is_far(prediction):
    depth = prediction.depth.copy()
    depth[0, 10], depth[2] = np.nan, np.nan
    near = kept(replace(prediction, depth=depth), prune_border=False)
    assert near[0].sum() == pytest.approx(0.9 * 63 * 96, abs=1)
    assert not near[0, 10].any()
    assert not near[2].any()


@pytest.mark.parametrize(("views", "interval", "expected"), [(5, 2, [0, 2, 4]), (5, 9, [0]), (5, 0, range(5))])
def test_views_interval(views, interval, expected, make_prediction):
    prediction = make_prediction(views=views, gaussians=True)
    options = replace(EVERYTHING, gs_views_interval=interval)
    per_view = prediction.depth[0].size
    rows = np.concatenate([np.arange(per_view) + view * per_view for view in expected])
    chosen = select_splats(prediction, options).gaussians
    np.testing.assert_array_equal(chosen.means, prediction.gaussians.means[rows])


def test_about_twelve_views_of_many(make_prediction):
    prediction = make_prediction(views=40, height=4, width=5, gaussians=True)
    chosen = select_splats(prediction, replace(EVERYTHING, gs_views_interval=0)).gaussians
    assert len(chosen) == 14 * 20  # every third


def test_rules_that_leave_nothing_are_dropped(prediction):
    depth = np.full_like(prediction.depth, 5)
    depth[:, :2] = 1  # near only where the border is left out
    with pytest.warns(ReconWarning, match="prune_by_depth_percent would leave no Gaussians"):
        mask = kept(replace(prediction, depth=depth), prune_by_depth_percent=0.01)
    np.testing.assert_array_equal(mask, kept(prediction, prune_by_depth_percent=1))


def test_splats_from_depth_are_all_written(make_prediction, tmp_path):
    whole = make_prediction(gaussians=True)
    some = first(whole.gaussians, 50)
    prediction = replace(whole, gaussians=some, gaussian_source="depth")
    written = gs_ply.write(prediction, tmp_path, SplatOptions(sh_degree=0))
    assert written.details == {"gaussians": 50, "pruned": 0, "sh_degree": 0, "source": "depth", "units": "aligned"}
    np.testing.assert_array_equal(read_ply(written.files[0]).means, some.means)
    with pytest.warns(ReconWarning, match="^gs_views_interval, prune_by_depth_percent: only for Gaussians of"):
        select_splats(prediction, SplatOptions(gs_views_interval=2, prune_by_depth_percent=0.5))


@pytest.mark.parametrize("degree", range(4))
def test_degree(degree, prediction, tmp_path):
    written = gs_ply.write(prediction, tmp_path, replace(EVERYTHING, sh_degree=degree))
    read = read_ply(written.files[0])
    assert read.sh_degree == written.details["sh_degree"] == min(degree, 2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sh_degree": 4}, "sh_degree must be 0 to 3, got 4"),
        ({"sh_degree": -1}, "sh_degree must be 0 to 3, got -1"),
        ({"gs_views_interval": -1}, "gs_views_interval must be at least 0"),
        ({"prune_by_depth_percent": 90}, "prune_by_depth_percent must be above 0 and at most 1, got 90"),
        ({"prune_by_depth_percent": 0.0}, "prune_by_depth_percent must be above 0"),
        ({"prune_by_depth_percent": float("nan")}, "prune_by_depth_percent must be a number"),
        ({"prune_borders": True}, "unknown option 'prune_borders'"),
    ],
)
def test_wrong_options(options, message):
    with pytest.raises(InputError, match=message):
        check_options({"gs_ply": options})["gs_ply"]


def test_check_names_what_is_missing(prediction, make_prediction):
    gs_ply.check(prediction, SplatOptions())
    with pytest.raises(InputError, match="has no Gaussians to export: ask for them with gaussians 'auto'"):
        gs_ply.check(make_prediction(), SplatOptions())
    none = first(prediction.gaussians, 0)
    with pytest.raises(InputError, match="no Gaussians to export: its count is 0"):
        gs_ply.check(replace(prediction, gaussians=none, gaussian_source="depth"), SplatOptions())
    broken = replace(prediction.gaussians, scales=prediction.gaussians.scales * np.float32(np.nan))
    with pytest.raises(InputError, match=r"scales of .* Gaussians are NaN or infinite"):
        gs_ply.check(replace(prediction, gaussians=broken), SplatOptions())


def test_the_prediction_stays_as_it_is_and_the_bytes_are_the_same(prediction, digest_of, tmp_path):
    before = digest_of(prediction)
    files = [gs_ply.write(prediction, tmp_path / name, SplatOptions()).files[0] for name in "ab"]
    assert digest_of(prediction) == before
    assert files[0].read_bytes() == files[1].read_bytes()


def test_no_renderer_is_imported(tmp_path):
    program = """
import sys
from pathlib import Path
import numpy as np
from recon.export import check_options, gs_ply
from recon.export.splats import SplatOptions
from recon.types import Gaussians, Prediction

gaussians = Gaussians(np.zeros((4, 3)), np.ones((4, 3)), np.ones((4, 4)), np.zeros((4, 3, 1)), np.ones(4))
prediction = Prediction(
    np.ones((1, 2, 2), np.float32), np.zeros((1, 2, 2, 3), np.uint8), gaussians=gaussians, gaussian_source="head"
)
gs_ply.check(prediction, SplatOptions())
gs_ply.write(prediction, Path(sys.argv[1]), SplatOptions())
heavy = ("torch", "numba", "gsplat", "gsply", "av", "plyfile", "recon.splats.cpu_renderer")
print(*(name for name in heavy if name in sys.modules))
"""
    command = [sys.executable, "-c", program, str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == ""
