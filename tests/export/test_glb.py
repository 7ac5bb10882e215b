"""The GLB opens in another library with the same points and colours, in glTF axes, and says what it is."""

from __future__ import annotations

import json
import struct

import numpy as np
import pytest
import trimesh
from PIL import Image

from recon import __version__
from recon.export import export
from recon.export.glb import FRUSTUM_EDGES, GlbOptions, frustum_lines, place_in_gltf, sequence_colors
from recon.export.points import select_points
from recon.geometry.unprojection import project_points


def read_json(path):
    data = path.read_bytes()
    magic, version, total, length, kind = struct.unpack("<IIIII", data[:20])
    assert (magic, version, total, kind) == (0x46546C67, 2, len(data), 0x4E4F534A)
    bin_length, bin_kind = struct.unpack("<II", data[20 + length : 28 + length])
    assert (bin_length, bin_kind) == (total - 28 - length, 0x004E4942)
    return json.loads(data[20 : 20 + length])


@pytest.fixture
def prediction(make_prediction):
    return make_prediction(sky="upper")


@pytest.fixture
def scene_path(prediction, tmp_path):
    export(prediction, "glb", tmp_path)
    return tmp_path / "scene.glb"


def test_trimesh_reads_points_and_colours_back(prediction, scene_path):
    cloud = select_points(prediction, GlbOptions())
    positions, _, _ = place_in_gltf(cloud.points, prediction.extrinsics[0])
    scene = trimesh.load(scene_path)
    points = scene.geometry["points"]
    np.testing.assert_array_equal(points.vertices, positions)
    np.testing.assert_array_equal(points.colors[:, :3], cloud.colors)
    assert (points.colors[:, 3] == 255).all()
    assert len(scene.geometry["cameras"].vertices) == len(prediction.depth) * len(FRUSTUM_EDGES) * 2


def test_extras_state_units_counts_and_transform(prediction, scene_path):
    document = read_json(scene_path)
    assert document["asset"] == {"version": "2.0", "generator": f"recon {__version__}"}
    extras = document["scenes"][0]["extras"]
    cloud = select_points(prediction, GlbOptions())
    assert extras["units"] == "aligned"
    assert extras["points"] == len(cloud.points) == document["accessors"][0]["count"]
    assert "row-major" in extras["world_to_gltf_layout"]
    world_to_gltf = np.array(extras["world_to_gltf"]).reshape(4, 4)
    expected = cloud.points @ world_to_gltf[:3, :3].T + world_to_gltf[:3, 3]
    positions = trimesh.load(scene_path).geometry["points"].vertices
    np.testing.assert_allclose(positions, expected, atol=1e-5)
    np.testing.assert_allclose(np.median(positions, axis=0), 0, atol=1e-6)


def test_axes_are_the_first_cameras_with_y_up_and_z_backward(prediction):
    cloud = select_points(prediction, GlbOptions())
    moved, world_to_gltf, diagonal = place_in_gltf(cloud.points, prediction.extrinsics[0])
    first = cloud.pixels < 28 * 42
    rows, columns = np.divmod(cloud.pixels[first], 42)
    centre = world_to_gltf[:3, :3] @ -prediction.extrinsics[0, :, :3].T @ prediction.extrinsics[0, :, 3]
    from_camera = moved[first] - (centre + world_to_gltf[:3, 3])
    assert (np.sign(from_camera[:, 0]) == np.sign(columns + 0.5 - 21)).all()
    assert (np.sign(from_camera[:, 1]) == -np.sign(rows + 0.5 - 14)).all()
    np.testing.assert_allclose(-from_camera[:, 2], prediction.depth[0].ravel()[cloud.pixels[first]], rtol=1e-5)
    low, high = np.percentile(cloud.points @ world_to_gltf[:3, :3].T, [5, 95], axis=0)
    assert diagonal == pytest.approx(np.linalg.norm(high - low), rel=1e-5)


def test_frusta_reach_the_image_corners(prediction):
    size = 0.25
    lines = frustum_lines(
        prediction.intrinsics, prediction.extrinsics, np.tile([0, 0, 42, 28], (len(prediction.depth), 1)), size
    )
    assert lines.shape == (3, 8, 2, 3)
    rotations, translations = prediction.extrinsics[:, :, :3], prediction.extrinsics[:, :, 3]
    centres = -(rotations.swapaxes(1, 2) @ translations[:, :, None])[..., 0]
    np.testing.assert_allclose(lines[:, :4, 0], np.repeat(centres[:, None], 4, axis=1), atol=1e-6)
    corners = lines[:, :4, 1].astype(np.float32)
    pixels, z = project_points(corners, prediction.intrinsics, prediction.extrinsics)
    np.testing.assert_allclose(pixels, np.tile([[0, 0], [42, 0], [42, 28], [0, 28]], (3, 1, 1)), atol=1e-3)
    np.testing.assert_allclose(z, size, rtol=1e-5)
    np.testing.assert_array_equal(lines[:, 4:, 0], lines[:, :4, 1])
    np.testing.assert_array_equal(lines[:, 4:, 1], np.roll(lines[:, :4, 1], -1, axis=1))


def test_frusta_are_sized_by_the_scene_and_coloured_along_the_sequence(prediction, scene_path):
    lines = trimesh.load(scene_path).geometry["cameras"].vertices
    _, _, diagonal = place_in_gltf(select_points(prediction, GlbOptions()).points, prediction.extrinsics[0])
    assert np.ptp(lines[:16, 2]) == pytest.approx(0.03 * diagonal, rel=1e-4)  # the first camera looks along z
    document = read_json(scene_path)
    view = document["bufferViews"][document["meshes"][1]["primitives"][0]["attributes"]["COLOR_0"]]
    start = len(scene_path.read_bytes()) - document["buffers"][0]["byteLength"] + view["byteOffset"]
    colors = np.frombuffer(scene_path.read_bytes()[start : start + view["byteLength"]], np.uint8).reshape(3, 16, 4)
    np.testing.assert_array_equal(colors[:, 0, :3], sequence_colors(3))
    assert (colors == colors[:, :1]).all()
    assert len(np.unique(sequence_colors(40), axis=0)) == 40


def test_cameras_can_be_left_out(prediction, tmp_path):
    export(prediction, "glb", tmp_path, {"glb": {"show_cameras": False, "num_max_points": 100}})
    document = read_json(tmp_path / "scene.glb")
    assert [mesh["name"] for mesh in document["meshes"]] == ["points"]
    assert document["accessors"][0]["count"] == 100


def test_a_single_point_is_a_scene(make_prediction, tmp_path):
    depth = np.full((1, 3, 3), np.nan, np.float32)
    depth[0, 1, 1] = 2
    prediction = make_prediction(views=1, height=3, width=3, depth=depth, ref_view=None)
    export(prediction, "glb", tmp_path)
    np.testing.assert_allclose(trimesh.load(tmp_path / "scene.glb").geometry["points"].vertices, [[0, 0, 0]])


def test_the_picture_is_the_first_views(prediction, scene_path, tmp_path):
    export(prediction, "depth_vis", tmp_path)
    assert scene_path.with_suffix(".jpg").read_bytes() == (tmp_path / "depth_vis/0000.jpg").read_bytes()
    assert Image.open(scene_path.with_suffix(".jpg")).size == (84, 28)
