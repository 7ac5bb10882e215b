"""What `recon view` makes of results, files and models of cameras, and what it says where it cannot."""

from __future__ import annotations

import json
import zlib
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from recon.cli.main import main
from recon.errors import InputError
from recon.export import export
from recon.export.mesh_gltf import write_mesh_glb
from recon.export.packing import dequantise
from recon.export.page_content import describe
from recon.export.page_of_prediction import content_of
from recon.export.points import PointOptions, select_points
from recon.export.splats import SplatOptions
from recon.geometry.mesh import Mesh, Texture
from recon.messages import ReconWarning
from recon.sources.cameras_file import write_cameras
from recon.splats.ply import write_ply
from recon.splats.spz import write_spz
from recon.types.cameras import Cameras
from recon.view.opened import open_for_view
from tests.seeds import numpy_random
from tests.splats.scenes import random_gaussians


@pytest.fixture(scope="module")
def prediction(make_prediction):
    splats = random_gaussians(numpy_random(3), 50, 2)
    return replace(make_prediction(), conf=None, gaussians=splats, gaussian_source="depth")


@pytest.fixture(scope="module")
def files(prediction, tmp_path_factory):
    """A folder with every format, without a record."""
    folder = tmp_path_factory.mktemp("files")
    with pytest.MonkeyPatch.context():
        options = {"mesh": {"format": "glb", "small_parts": 0}}
        export(prediction, "npz-ply-glb-gs_ply-gs_glb-mesh", folder, options)
        export(prediction, "mesh", folder, {"mesh": {"format": "ply", "small_parts": 0}})
        export(prediction, "mesh", folder, {"mesh": {"format": "obj", "small_parts": 0}})
    return folder


def triangles(content):
    packed = content.layers["mesh"].make(10**9)
    return packed["face"].count


def test_a_run(files, prediction):
    content = open_for_view(files)
    cloud = select_points(prediction, PointOptions())
    np.testing.assert_array_equal(content.points.positions, cloud.points)
    np.testing.assert_array_equal(content.points.views, cloud.pixels // (28 * 42))
    assert [view.name for view in content.views] == list(prediction.image_names)
    np.testing.assert_array_equal(content.views[1].pictures["photo"](), prediction.processed_images[1])
    assert len(content.splats) == 50
    assert content.facts["units"] == "aligned"
    same = open_for_view(files / "exports" / "npz" / "results.npz")
    np.testing.assert_array_equal(same.points.positions, cloud.points)


def test_points_of_a_file(files, prediction):
    cloud = select_points(prediction, PointOptions())
    content = open_for_view(files / "points.ply")
    np.testing.assert_array_equal(content.points.positions, cloud.points)
    np.testing.assert_array_equal(content.points.colors, cloud.colors)
    placed = open_for_view(files / "scene.glb")
    assert placed.up == (0, 1, 0)
    np.testing.assert_array_equal(placed.points.colors, cloud.colors)
    distances = [np.linalg.norm(np.diff(one.points.positions[:100], axis=0), axis=1) for one in (content, placed)]
    np.testing.assert_allclose(*distances, rtol=1e-3)


@pytest.mark.parametrize("name", ["mesh.ply", "mesh.obj", "mesh.glb"])
def test_meshes_of_files(files, name):
    meshes = {one: open_for_view(files / one).layers["mesh"].make(10**9) for one in (name, "mesh.ply")}
    assert meshes[name]["face"].count == meshes["mesh.ply"]["face"].count > 50
    colors = {one: np.frombuffer(zlib.decompress(packed["color"].data), np.uint8) for one, packed in meshes.items()}
    assert np.abs(colors[name].astype(int) - colors["mesh.ply"]).max() <= 2


def test_a_texture_of_a_file_is_shown(tmp_path):
    vertices = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], np.float32)
    faces = np.array([[0, 1, 2], [0, 2, 3]], np.int32)
    texture = Texture(vertices[:, :2].copy(), faces, np.full((16, 16, 3), (200, 40, 90), np.uint8))
    mesh = Mesh(vertices, faces, texture=texture)
    write_mesh_glb(tmp_path / "mesh.glb", mesh, np.zeros((4, 3), np.float32), "test", {})
    packed = open_for_view(tmp_path / "mesh.glb").layers["mesh"].make(10**9)
    assert packed["texture"].count > 100
    np.testing.assert_allclose(dequantise(packed["place"]), vertices[:, :2], atol=1e-4)


def test_splats_of_files(files, prediction, tmp_path):
    splats = prediction.gaussians
    content = open_for_view(files / "gs_ply" / "0000.ply")
    np.testing.assert_allclose(content.splats.means, splats.means, atol=1e-6)
    write_spz(tmp_path / "a.spz", splats)
    np.testing.assert_allclose(open_for_view(tmp_path / "a.spz").splats.means, splats.means, atol=1e-3)
    placed = open_for_view(files / "gs_glb" / "0000.glb").splats
    assert placed.sh_degree == 2
    np.testing.assert_allclose(placed.scales, splats.scales, rtol=1e-5)
    np.testing.assert_allclose(placed.opacities, splats.opacities, atol=1e-6)
    moved = np.linalg.norm(placed.means[1:] - placed.means[:-1], axis=1)
    np.testing.assert_allclose(moved, np.linalg.norm(np.diff(splats.means, axis=0), axis=1), rtol=1e-3, atol=1e-5)


@pytest.fixture(scope="module")
def colmap(make_prediction, tmp_path_factory):
    """A COLMAP model of three photos with points on their depth."""
    folder = tmp_path_factory.mktemp("colmap")
    prediction = make_prediction()
    names = tuple(f"{i}.png" for i in range(3))
    sizes = np.tile(np.array([[42, 28]]), (3, 1))
    affine = np.tile(np.eye(3), (3, 1, 1))
    prediction = replace(prediction, image_names=names, original_sizes=sizes, processed_to_original=affine, conf=None)
    export(prediction, "colmap", folder)
    (folder / "images").mkdir(exist_ok=True)
    for name, pixels in zip(names, prediction.processed_images, strict=True):
        Image.fromarray(pixels).save(folder / "images" / name)
    return folder, prediction


def test_a_colmap_model(colmap):
    folder, prediction = colmap
    content = open_for_view(folder)
    assert [view.name for view in content.views] == ["0.png", "1.png", "2.png"]
    np.testing.assert_allclose(content.views[2].world_to_camera, prediction.extrinsics[2], atol=1e-5)
    np.testing.assert_array_equal(content.views[1].pictures["photo"](), prediction.processed_images[1])
    assert 2 < content.views[0].distance < 5
    assert len(content.points) > 100
    assert (content.points.colors != 160).any(axis=1).mean() > 0.9


def test_a_model_without_its_photos(colmap, tmp_path):
    (tmp_path / "sparse").symlink_to(colmap[0] / "sparse")
    with pytest.warns(ReconWarning, match="without photos"):
        content = open_for_view(tmp_path)
    assert len(content.views) == 3
    assert content.views[0].pictures == {}
    assert len(content.points) > 100


GPS = {"cameras": {"sfm": {"georeference": {"frame": "east-north-up"}}}}
"""What `run.json` says where x is east, y north and z up."""


def test_a_run_whose_depth_is_gone_shows_its_files(files, tmp_path):
    (tmp_path / "points.ply").symlink_to(files / "points.ply")
    (tmp_path / "mesh.ply").symlink_to(files / "mesh.ply")
    (tmp_path / "run.json").write_text(json.dumps({"exports": {"ply": {"files": []}}, **GPS}))
    with pytest.warns(ReconWarning, match=r"results\.npz"):
        content = open_for_view(tmp_path)
    assert len(content.points) > 100
    assert triangles(content) > 50
    assert content.up == (0, 0, 1)
    (tmp_path / "run.json").write_text("{")
    with pytest.warns(ReconWarning, match="run.json"):
        assert open_for_view(tmp_path).up is None


@pytest.mark.filterwarnings("ignore::recon.messages.ReconWarning")
def test_a_result_of_photos_that_are_gone_is_coloured_by_depth(make_prediction, tmp_path):
    export(make_prediction(), "mini_npz", tmp_path)
    content = open_for_view(tmp_path)
    assert set(content.views[0].pictures) == {"depth"}
    assert np.ptp(content.points.colors) > 100


def test_one_view_without_a_camera(make_prediction, tmp_path):
    export(make_prediction(views=1, cameras=False), "npz", tmp_path)
    with pytest.warns(ReconWarning, match="field of view"):
        content = open_for_view(tmp_path)
    assert len(content.views) == 1
    assert len(content.points) > 100


def test_views_without_cameras_are_refused(make_prediction, tmp_path):
    export(make_prediction(cameras=False), "npz", tmp_path)
    with pytest.raises(InputError, match="cameras"):
        open_for_view(tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.ply", b"ply\nformat binary_little_endian 1.0\nelement vertex 0\nproperty float x\nproperty float y\n"
         b"property float z\nend_header\n", "nothing in it"),
        ("a.ply", b"ply\nformat bina", "PLY"),
        ("a.glb", b"glTF\x02\0\0\0", "glTF"),
        ("a.glb", b"glTF\x02\0\0\0\x1e\0\0\0\x0a\0\0\0JSON{\"a\": 1.5}", "holds no points"),
        ("a.spz", b"no splats", r"a\.spz"),
        ("a.npz", b"PK\x03\x04no", r"a\.npz"),
        ("a.txt", b"hello", r"give .*\.ply"),
        ("view.html", b"<!doctype html>", "in a browser"),
        ("run.json", b"[]", "run"),
    ],
)  # fmt: skip
def test_files_that_show_nothing(tmp_path, name, content, said):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=said) as error:
        open_for_view(tmp_path / name)
    assert str(tmp_path) in str(error.value)
    assert "\n" not in str(error.value)


def test_a_folder_that_is_no_run(tmp_path, capsys):
    Image.new("RGB", (8, 8)).save(tmp_path / "photo.png")
    assert main(["view", str(tmp_path), "--no-browser"]) == 2
    said = capsys.readouterr().err
    assert f"recon run {tmp_path}" in said
    assert "run.json" in said
    assert main(["view", str(tmp_path / "nothing"), "--no-browser"]) == 2
    assert "no such file" in capsys.readouterr().err


def test_cameras_that_are_not_placed(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    cameras = Cameras(None, np.tile(np.eye(3), (1, 1, 1)), np.array([[8, 8]]))
    write_cameras(tmp_path / "cameras.json", ["a.png"], cameras)
    with pytest.raises(InputError, match="recon run"):
        open_for_view(tmp_path)


def test_splats_that_are_not_finite_are_left_out(prediction, tmp_path):
    means = prediction.gaussians.means.copy()
    write_ply(tmp_path / "a.ply", prediction.gaussians)
    data = bytearray((tmp_path / "a.ply").read_bytes())
    at = data.index(b"end_header\n") + len(b"end_header\n")
    data[at : at + 4] = np.float32(np.nan).tobytes()
    (tmp_path / "a.ply").write_bytes(bytes(data))
    with pytest.warns(ReconWarning, match="1 of"):
        assert len(open_for_view(tmp_path / "a.ply").splats) == len(means) - 1


def test_photos_alone_are_all_in_the_view_that_the_page_begins_with(tmp_path):
    """Three cameras side by side, of a camera's usual axes; photos differ in size."""
    names, sizes = ["a.png", "b.png", "c.png"], np.array([[60, 40], [60, 40], [40, 60]])
    for name, size in zip(names, sizes.tolist(), strict=True):
        Image.new("RGB", tuple(size)).save(tmp_path / name)
    poses = np.tile(np.eye(4), (3, 1, 1))
    poses[:, 0, 3] = [-10, 0, 10]
    lens = np.tile(np.array([[50.0, 0, 30], [0, 50, 20], [0, 0, 1]]), (3, 1, 1))
    write_cameras(tmp_path / "cameras.json", names, Cameras(poses, lens, sizes))
    scene = describe(open_for_view(tmp_path))
    assert scene["frustum"] == pytest.approx(4.5)  # a quarter of what 90 % of the cameras spread over
    rows = np.reshape(scene["start"]["world_to_camera"], (3, 4))
    (fx, fy, cx, cy), (width, height) = scene["start"]["intrinsics"], scene["start"]["size"]
    corners = [
        [centre + (x - 30) / 50 * 4.5, (y - 20) / 50 * 4.5, 4.5]
        for centre, size in zip((10, 0, -10), sizes, strict=True)
        for x in (0, size[0])
        for y in (0, size[1])
    ]
    points = np.array([[10, 0, 0], [0, 0, 0], [-10, 0, 0], *corners]) @ rows[:, :3].T + rows[:, 3]
    x, y = fx * points[:, 0] / points[:, 2] + cx, fy * points[:, 1] / points[:, 2] + cy
    assert (points[:, 2] > 0).all()
    assert 0.02 * width < x.min() < x.max() < 0.98 * width
    assert 0.02 * height < y.min() < y.max() < 0.98 * height
    assert np.ptp(x) > 0.6 * width
    assert rows[2, 2] > 0.5  # from behind the cameras


def test_up_of_a_result_that_gps_has_placed_is_z(prediction):
    for facts, up in ((GPS, (0, 0, 1)), ({"cameras": {"sfm": {"georeference": {"frame": "metres"}}}}, None)):
        content = content_of(replace(prediction, run=facts), PointOptions(), SplatOptions(), mesh=False)
        assert content.up == up


def test_splats_tell_the_focal_length_that_they_were_fitted_at(prediction):
    affine = np.tile(np.diag([4.0, 4, 1]), (3, 1, 1))
    sizes = np.tile([[168, 112]], (3, 1))
    fitted = replace(
        prediction, gaussian_source="optimised", processed_to_original=affine, original_sizes=sizes, run={}
    )
    focal = float(np.median(prediction.intrinsics[:, 0, 0]))
    for resolution, times in (("process", 1), ("full", 4), (84, 2), (1000, 4)):
        one = replace(fitted, run={"settings": {"gs_resolution": resolution}})
        content = content_of(one, PointOptions(), SplatOptions(), mesh=False)
        assert content.splat_focal == pytest.approx(times * focal)
    assert content_of(prediction, PointOptions(), SplatOptions(), mesh=False).splat_focal is None
