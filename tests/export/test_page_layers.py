"""The page's mesh, sparse points and depth in numbers: what the quantised arrays hold."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from recon.export.html import HtmlOptions, write
from recon.export.packing import dequantise
from recon.export.page_layers import layer_size, pack_depth, pack_mesh, pack_sparse, page_mesh, sparse_colors
from recon.geometry.mesh import Mesh, Texture
from recon.types.sparse_points import SparsePoints
from tests.export.test_html import read_page
from tests.seeds import numpy_random


def some_sparse(prediction, count=40):
    """Points at depth 3 of the first view, each seen by it and every third by the last view as well."""
    rng = numpy_random(2)
    inverse = np.linalg.inv(prediction.intrinsics[0].astype(float))
    height, width = prediction.depth.shape[1:]
    pixels = np.column_stack([rng.uniform(0, width, count), rng.uniform(0, height, count), np.ones(count)])
    camera = 3 * pixels @ inverse.T
    rotation, shift = prediction.extrinsics[0, :, :3].astype(float), prediction.extrinsics[0, :, 3].astype(float)
    points = (camera - shift) @ rotation
    observed = (np.arange(count), np.zeros(0, np.intp), np.arange(0, count, 3))
    return SparsePoints(points, observed), pixels


def test_a_mesh_is_packed_whole():
    rng = numpy_random(1)
    mesh = Mesh(
        rng.normal(size=(70_000, 3)).astype(np.float32),
        rng.integers(0, 70_000, (500, 3), dtype=np.int32),
        rng.integers(0, 256, (70_000, 3), dtype=np.uint8),
    )
    packed = pack_mesh(mesh)
    np.testing.assert_array_equal(dequantise(packed["face"]), mesh.faces)
    np.testing.assert_array_equal(dequantise(packed["color"]), mesh.colors)
    np.testing.assert_allclose(dequantise(packed["position"]), mesh.vertices, atol=1e-6)


def test_a_texture_is_packed_with_its_places():
    rng = numpy_random(1)
    faces = np.array([[0, 1, 2], [0, 2, 3]], np.int32)
    picture = np.full((16, 32, 3), (200, 40, 90), np.uint8)
    uv = rng.random((6, 2)).astype(np.float32)
    texture = Texture(uv, np.array([[0, 1, 2], [3, 4, 5]], np.int32), picture)
    mesh = Mesh(rng.normal(size=(4, 3)).astype(np.float32), faces, texture=texture)
    packed = pack_mesh(mesh)
    position, face = dequantise(packed["position"]), dequantise(packed["face"]).astype(int)
    np.testing.assert_allclose(position[face], mesh.vertices[faces], atol=1e-6)
    np.testing.assert_allclose(dequantise(packed["place"]), uv, atol=1e-5)
    file = dequantise(packed["texture"])[:, 0].astype(np.uint8).tobytes()
    np.testing.assert_allclose(np.asarray(Image.open(io.BytesIO(file))), picture, atol=3)
    assert "color" not in packed


def test_sparse_points_say_which_views_see_them(make_prediction):
    sparse, _ = some_sparse(make_prediction())
    packed = pack_sparse(sparse, np.zeros((40, 3), np.uint8))
    lengths, views = (dequantise(packed[name])[:, 0].astype(int) for name in ("length", "view"))
    np.testing.assert_array_equal(lengths, sparse.track_lengths)
    per_point = np.split(views, np.cumsum(lengths)[:-1])
    assert [seen.tolist() for seen in per_point[:4]] == [[0, 2], [0], [0], [0, 2]]


def test_sparse_points_have_the_colours_of_the_photos(make_prediction):
    prediction = make_prediction()
    sparse, pixels = some_sparse(prediction)
    only_first = SparsePoints(sparse.points, (sparse.observed[0][:-1], *sparse.observed[1:2], np.zeros(0, np.intp)))
    colors = sparse_colors(make_prediction(sparse=only_first))
    x, y = np.floor(pixels[:, :2]).astype(int).T
    inside = np.abs(pixels[:, :2] % 1 - 0.5).max(axis=1) < 0.49  # not where rounding decides the pixel
    shown = prediction.processed_images[0, y, x]
    np.testing.assert_array_equal(colors[:-1][inside[:-1]], shown[:-1][inside[:-1]])
    assert colors[-1].tolist() == [128, 128, 128]


def test_depth_in_numbers(make_prediction):
    mask = np.ones((3, 28, 42), bool)
    mask[1, :14] = False
    prediction = make_prediction(mask=mask, photo_boxes=np.array([[0, 0, 42, 28], [6, 4, 30, 20], [0, 0, 42, 28]]))
    packed, grid = pack_depth(prediction, 1, 4)
    assert grid == {"columns": 7, "rows": 5, "step": 4}
    codes = np.rint((dequantise(packed) - packed.low[0]) / (packed.high[0] - packed.low[0]) * 65535).reshape(5, 7)
    truth = prediction.depth[1, 6:24:4, 8:36:4]
    np.testing.assert_array_equal(codes > 0, mask[1, 6:24:4, 8:36:4])
    read = np.exp(dequantise(packed).reshape(5, 7))
    np.testing.assert_allclose(read[codes > 0], truth[codes > 0], rtol=1e-4)


def test_the_mesh_of_the_page_lies_on_the_depth_and_keeps_to_its_room(make_prediction):
    prediction = make_prediction(views=1, height=56, width=84, with_conf=False, ref_view=None)
    whole = page_mesh(prediction, HtmlOptions(), 10**7)
    vertices = dequantise(whole["position"])
    camera = vertices @ prediction.extrinsics[0, :, :3].T + prediction.extrinsics[0, :, 3]
    assert 1.9 < np.percentile(camera[:, 2], 5) < np.percentile(camera[:, 2], 95) < 5.2
    less = page_mesh(prediction, HtmlOptions(), layer_size(whole) // 2)
    assert 0 < layer_size(less) <= layer_size(whole) // 2
    assert page_mesh(prediction, HtmlOptions(), 10) is None


@pytest.mark.parametrize("mesh", [True, False])
def test_a_page_holds_the_layers(make_prediction, tmp_path, mesh):
    sparse, _ = some_sparse(make_prediction())
    written = write(make_prediction(sparse=sparse), tmp_path, HtmlOptions(mesh=mesh))
    scene, blocks = read_page(written.files[0])
    assert ("mesh" in {layer for layer, _ in blocks}) == mesh == (scene["mesh"] is not None)
    np.testing.assert_allclose(dequantise(blocks["sparse", "position"]), sparse.points, atol=1e-5)
    assert scene["views"][2]["depths"]["columns"] == 42
    assert written.details["sparse"] == 40
    assert (written.details["mesh"] > 0) == mesh
