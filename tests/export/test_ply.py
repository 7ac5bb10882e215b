"""The PLY opens in two other libraries with the same points and colours."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh

from recon.export import export
from recon.export.points import PointOptions, select_points


def test_points_and_colours_are_read_back(make_prediction, tmp_path):
    plyfile = pytest.importorskip("plyfile")
    prediction = make_prediction(sky="upper")
    cloud = select_points(prediction, PointOptions())
    written = export(prediction, "ply", tmp_path)["ply"]
    assert written.details == {"points": len(cloud.points), "conf_threshold": cloud.conf_threshold}

    file = plyfile.PlyData.read(tmp_path / "points.ply")
    assert not file.text
    assert file.byte_order == "<"
    assert "units aligned" in file.comments
    vertices = file["vertex"]
    np.testing.assert_array_equal(np.stack([vertices[a] for a in "xyz"], axis=1), cloud.points)
    np.testing.assert_array_equal(np.stack([vertices[c] for c in ("red", "green", "blue")], axis=1), cloud.colors)

    loaded = trimesh.load(tmp_path / "points.ply")
    np.testing.assert_array_equal(loaded.vertices, cloud.points)
    np.testing.assert_array_equal(loaded.colors[:, :3], cloud.colors)


def test_the_options_reach_the_selection(make_prediction, tmp_path):
    export(make_prediction(), "ply", tmp_path, {"ply": {"num_max_points": 17}})
    assert len(trimesh.load(tmp_path / "points.ply").vertices) == 17
