"""The mesh exporter: files that trimesh opens, at the right place and of the right colours; refusals."""

from __future__ import annotations

import json
import sys
from dataclasses import replace

import numpy as np
import pytest
import trimesh

from recon.cli.main import main
from recon.errors import InputError, MissingExtraError
from recon.export import export
from recon.export.mesh import MeshOptions
from recon.export.mesh_depth import voxel_size
from recon.export.npz import NoOptions, write_full
from recon.messages import ReconWarning
from recon.types import MadeBy, Prediction
from tests.refine.depth_scene import RADIUS, ROOM, SPHERE, make_prediction


@pytest.fixture(scope="module")
def room() -> Prediction:
    return make_prediction(5, 90, 120)


def written(prediction: Prediction, folder, **options) -> tuple[trimesh.Trimesh, dict]:
    exported = export(prediction, "mesh", folder, {"mesh": options})["mesh"]
    (path,) = exported.files
    return trimesh.load(path, process=False, force="mesh"), exported.details


def off_the_room(points: np.ndarray) -> np.ndarray:
    """Distance to the walls or the sphere, whichever is nearer; the block is left to chance."""
    walls = np.minimum(np.abs(points - ROOM[0]), np.abs(points - ROOM[1])).min(axis=1)
    return np.minimum(walls, np.abs(np.linalg.norm(points - SPHERE, axis=1) - RADIUS))


def test_the_surface_is_where_it_was_seen_in_every_format(room, tmp_path) -> None:
    meshes = {kind: written(room, tmp_path / kind, format=kind) for kind in ("ply", "obj", "glb")}
    shape, details = meshes["ply"]
    assert details["units"] == "metric"
    assert (details["vertices"], details["triangles"]) == (len(shape.vertices), len(shape.faces))
    assert details["voxel"] == pytest.approx(voxel_size(room, np.ones(room.depth.shape, bool)))
    assert np.median(off_the_room(np.asarray(shape.vertices))) < 0.1 * details["voxel"]
    assert (off_the_room(np.asarray(shape.vertices)) < details["voxel"]).mean() > 0.9
    for kind, (other, _) in meshes.items():
        assert len(other.faces) == len(shape.faces), kind
    np.testing.assert_allclose(meshes["obj"][0].vertices, shape.vertices, atol=1e-5)
    np.testing.assert_array_equal(meshes["obj"][0].visual.vertex_colors[:, :3], shape.visual.vertex_colors[:, :3])
    glb, glb_details = meshes["glb"]
    to_gltf = np.reshape(glb_details["world_to_gltf"], (4, 4))
    expected = np.asarray(shape.vertices) @ to_gltf[:3, :3].T + to_gltf[:3, 3]
    np.testing.assert_allclose(glb.vertices, expected, atol=1e-5)
    assert (tmp_path / "ply" / "mesh.ply").read_bytes()[:3] == b"ply"


def test_colours_are_the_photos(room, tmp_path) -> None:
    prediction = replace(room, processed_images=np.full_like(room.processed_images, [200, 100, 50]))
    shape, _ = written(prediction, tmp_path)
    assert (np.asarray(shape.visual.vertex_colors)[:, :3] == [200, 100, 50]).all()
    written(prediction, tmp_path, format="glb")
    linear = ((np.array([200, 100, 50]) / 255 + 0.055) / 1.055) ** 2.4
    (geometry,) = trimesh.load(tmp_path / "mesh.glb", process=False).geometry.values()
    colors = np.asarray(geometry.visual.vertex_attributes["color"])[0, :3]
    np.testing.assert_allclose(colors / np.iinfo(colors.dtype).max, linear, atol=0.005)


def test_the_voxel_follows_what_depth_can_tell(room, tmp_path) -> None:
    everywhere = np.ones(room.depth.shape, bool)
    pixel = np.quantile(room.depth, 0.75) / room.intrinsics[0, 0, 0]
    assert voxel_size(room, everywhere) == pytest.approx(2 * pixel, rel=1e-3)
    far = room.depth.copy()
    far[:, :30] = 100  # a third of the pixels: the background does not make the rest coarse
    middle = np.median(far) / room.intrinsics[0, 0, 0]
    assert voxel_size(replace(room, depth=far), everywhere) == pytest.approx(4 * middle, rel=1e-3)
    scales = np.array([1, 1.1, 0.9, 1.1, 0.9], np.float32)[:, None, None]
    assert voxel_size(replace(room, depth=room.depth * scales), everywhere) > 4 * pixel
    _, details = written(room, tmp_path, voxel=0.2)
    assert details["voxel"] == 0.2


def test_what_cleaning_and_confidence_leave_out_is_not_fused(room, tmp_path) -> None:
    kept = np.ones(room.depth.shape, bool)
    kept[:, :, :60] = False
    half, _ = written(replace(room, kept=kept), tmp_path)
    whole, _ = written(room, tmp_path)
    assert len(half.faces) < 0.8 * len(whole.faces)
    conf = np.where(kept, 3, 1).astype(np.float32)
    network = replace(room, conf=conf, made_by=MadeBy("network", "x"))
    by_confidence, details = written(network, tmp_path, conf_thresh=2.0)
    assert details["conf_threshold"] == 2
    assert len(by_confidence.faces) == len(half.faces)


def test_fewer_triangles_and_closed_holes(room, tmp_path) -> None:
    pytest.importorskip("fast_simplification")
    details = written(room, tmp_path)[1]
    assert details["triangles"] > 5000
    fewer, details = written(room, tmp_path, triangles=3000, close_holes=50)
    assert 2000 < len(fewer.faces) <= 3100
    assert details["closed_holes"] > 0
    assert (off_the_room(np.asarray(fewer.vertices)) < details["voxel"]).mean() > 0.8
    assert (np.asarray(fewer.visual.vertex_colors)[:, :3].std(axis=0) > 5).all()


def test_simplifying_without_the_package_names_the_extra(room, tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "fast_simplification", None)
    with pytest.raises(MissingExtraError, match=r"recon\[mesh\]"):
        export(room, "mesh", tmp_path, {"mesh": {"triangles": 100}})
    assert not list(tmp_path.iterdir())


def test_one_view_and_none(tmp_path, room) -> None:
    one = Prediction(depth=room.depth[:1], processed_images=room.processed_images[:1])
    with pytest.warns(ReconWarning, match="field of view"):
        shape, _ = written(one, tmp_path)
    assert len(shape.faces) > 1000
    with pytest.raises(InputError, match="no pixel has a positive, finite depth"):
        export(replace(room, depth=np.zeros_like(room.depth)), "mesh", tmp_path)
    with pytest.raises(InputError, match="mesh of 5 views needs cameras"):
        export(replace(room, extrinsics=None), "mesh", tmp_path)


def test_too_little_memory(room, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("recon.export.mesh.blocks_that_fit", lambda: 100)
    with pytest.raises(InputError, match=r"mesh\.voxel 0\.02 needs more memory than is free; 0\.\d+ fits"):
        export(room, "mesh", tmp_path, {"mesh": {"voxel": 0.02}})
    with pytest.warns(ReconWarning, match="need more memory than is free"):
        _, details = written(room, tmp_path)
    assert details["blocks"] <= 100
    with pytest.raises(InputError, match="no surface at voxels of 50"):
        export(room, "mesh", tmp_path, {"mesh": {"voxel": 50}})


@pytest.mark.parametrize(
    ("option", "message"),
    [({"voxel": 0}, "mesh.voxel"), ({"format": "stl"}, "mesh.format"), ({"triangles": 1}, "mesh.triangles")],
)
def test_wrong_options_are_named(option, message, room, tmp_path) -> None:
    with pytest.raises(InputError, match=message):
        export(room, "mesh", tmp_path, {"mesh": option})


def test_later_from_a_stored_result(room, tmp_path, capsys) -> None:
    (stored,) = write_full(room, tmp_path, NoOptions()).files
    flags = ["--export-kwargs", "mesh.format=obj", "--export-kwargs", "mesh.voxel=0.1", "--crop-box"]
    assert main(["export", str(stored), "--to", "mesh", *flags, "-4", "0", "-4", "4", "1.4", "4"]) == 0
    shape = trimesh.load(tmp_path / "mesh.obj", process=False)
    assert shape.vertices[:, 1].min() > -0.2
    record = json.loads((tmp_path / "run.json").read_text())
    assert record["exports"]["mesh"]["details"]["voxel"] == 0.1
    assert "outside the crop" in capsys.readouterr().out


def test_defaults_need_nothing_optional() -> None:
    assert MeshOptions().triangles is None
