"""The coloured depth reads near as warm, and the 16-bit PNG gives the depth back."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from recon.export import export
from recon.export.depth_vis import DEPTH_COLORS, SKY_COLOR, color_depth, quantise_depth, render_view


def nearness(colors):
    """Index into the colour table of each colour."""
    table = {tuple(color): i for i, color in enumerate(DEPTH_COLORS.tolist())}
    return np.array([table[tuple(color)] for color in colors.reshape(-1, 3).tolist()]).reshape(colors.shape[:-1])


def test_colours_are_distinct_and_run_from_cold_to_warm():
    assert DEPTH_COLORS.shape == (256, 3)
    assert len(np.unique(DEPTH_COLORS, axis=0)) == 256
    far, near = DEPTH_COLORS[:40].astype(int), DEPTH_COLORS[-40:].astype(int)
    assert (far[:, 2] > far[:, 0]).all()
    assert (near[:, 0] > near[:, 2]).all()


def test_near_is_warm_and_linear_in_disparity():
    depth = 1 / np.linspace(0.2, 2, 400).reshape(20, 20)
    shade = nearness(color_depth(depth, np.ones((20, 20), bool))).ravel()
    assert (np.diff(shade) >= 0).all()
    assert (shade[:8] == 0).all()
    assert (shade[-8:] == 255).all()
    inner = shade[8:-8]
    np.testing.assert_allclose(inner, np.linspace(inner[0], inner[-1], len(inner)), atol=1)


def test_flat_or_missing_depth_is_drawn():
    flat = color_depth(np.full((4, 4), 2.0), np.ones((4, 4), bool))
    assert (nearness(flat) == 128).all()
    assert not color_depth(np.full((4, 4), np.nan), np.zeros((4, 4), bool)).any()


def test_picture_holds_image_depth_sky_and_gaps(make_prediction):
    depth = make_prediction().depth.copy()
    depth[0, 20, :4] = [np.nan, np.inf, 0, -3]
    prediction = make_prediction(sky="upper", depth=depth)
    picture = render_view(prediction, 0)
    assert picture.shape == (28, 84, 3)
    np.testing.assert_array_equal(picture[:, :42], prediction.processed_images[0])
    assert (picture[:9, 42:] == SKY_COLOR).all()
    assert not picture[20, 42:46].any()
    changed = prediction.depth.copy()
    changed[prediction.sky] = 1e6
    np.testing.assert_array_equal(render_view(make_prediction(sky="upper", depth=changed), 0), picture)


def test_png_gives_the_depth_back(make_prediction, tmp_path):
    depth = make_prediction().depth.copy()
    depth[1, 20, :4] = [np.nan, np.inf, 0, -3]
    prediction = make_prediction(sky="upper", depth=depth)
    written = export(prediction, "depth_vis", tmp_path)["depth_vis"]
    assert list(written.details) == ["depth_png"]
    for view in range(3):
        name = f"{view:04d}.png"
        png = np.asarray(Image.open(tmp_path / "depth_vis" / name))
        assert png.dtype == np.uint16
        scale = written.details["depth_png"][name]["scale"]
        gone = prediction.sky[view] | ~(np.isfinite(depth[view]) & (depth[view] > 0))
        np.testing.assert_array_equal(png == 0, gone)
        np.testing.assert_allclose(png[~gone] * scale, depth[view][~gone], atol=scale / 2 * (1 + 1e-6))
        assert png.max() == 65535
        jpeg = np.asarray(Image.open(tmp_path / "depth_vis" / f"{view:04d}.jpg"))
        np.testing.assert_allclose(np.median(jpeg[1:7, 44:82], axis=(0, 1)), SKY_COLOR, atol=3)


def test_jpegs_have_quality_95(make_prediction, tmp_path):
    prediction = make_prediction()
    export(prediction, "depth_vis", tmp_path)
    expected = io.BytesIO()
    Image.fromarray(render_view(prediction, 2)).save(expected, "JPEG", quality=95)
    assert Image.open(tmp_path / "depth_vis/0002.jpg").quantization == Image.open(expected).quantization


def test_small_depth_stays_apart_from_none():
    values, scale = quantise_depth(np.array([[1e-9, 1e3, 5.0]]), np.array([[True, True, False]]))
    assert values.tolist() == [[1, 65535, 0]]
    assert scale == pytest.approx(1e3 / 65535)
    values, scale = quantise_depth(np.ones((2, 2)), np.zeros((2, 2), bool))
    assert not values.any()
    assert scale == 1
