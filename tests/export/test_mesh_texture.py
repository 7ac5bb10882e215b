"""Textured meshes: what their pictures show beside the photos, and files that trimesh opens."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import trimesh

from recon.errors import InputError, MissingExtraError
from recon.export import export
from recon.export.mesh import MeshOptions, make_mesh
from recon.export.mesh_texture import make_texture
from recon.geometry.mesh import Mesh
from recon.geometry.mesh_seams import exposure_factors
from recon.geometry.mesh_views import SeenBy, adjacent_faces, choose_views
from recon.messages import ReconWarning
from recon.types import Prediction
from tests.export.mesh_pictures import picture
from tests.refine.depth_scene import make_prediction
from tests.seeds import numpy_random

pytest.importorskip("xatlas")

VIEWS, FINER = 4, 3


class Photos:
    """At hand, three times as fine as what depth was found at; each of its own exposure."""

    paths: tuple[Path | None, ...] = (None,) * VIEWS

    def __init__(self, pixels: np.ndarray) -> None:
        self.pixels = pixels

    def read(self, view: int) -> tuple[np.ndarray, None]:
        return self.pixels[view], None


@pytest.fixture(scope="module")
def room() -> Prediction:
    coarse, fine = make_prediction(VIEWS, 60, 80), make_prediction(VIEWS, 60 * FINER, 80 * FINER)
    return replace(
        coarse,
        originals=Photos(fine.processed_images),
        original_sizes=np.tile(np.array([80, 60]) * FINER, (VIEWS, 1)),
        processed_to_original=np.tile(np.diag([FINER, FINER, 1.0]), (VIEWS, 1, 1)).astype(np.float32),
    )


@pytest.fixture(scope="module")
def mesh(room) -> tuple[Mesh, float]:
    made, details = make_mesh(room, MeshOptions(voxel=0.06, device="cpu"))
    return made, details["voxel"]


def decibels(mesh: Mesh, room: Prediction) -> float:
    """Of all pictures beside the photos."""
    errors = []
    for view in range(VIEWS):
        intrinsics = np.diag([FINER, FINER, 1.0]) @ room.intrinsics[view]
        size = (room.depth.shape[1] * FINER, room.depth.shape[2] * FINER)
        shown, seen = picture(mesh, intrinsics, room.extrinsics[view], size)
        errors.append((shown[seen] - room.originals.read(view)[0][seen]) ** 2)
    return float(10 * np.log10(255**2 / np.concatenate(errors).mean()))


def test_a_texture_shows_more_than_colours_of_vertices(room, mesh) -> None:
    plain, voxel = mesh
    texture, details = make_texture(plain, room, voxel, 4096)
    with_texture, with_colors = decibels(replace(plain, texture=texture), room), decibels(plain, room)
    assert with_texture > 32
    assert with_texture > with_colors + 1
    assert details["photos_enlarged"] == 0
    assert details["texels_per_pixel"] == 1
    assert details["triangles_without_photo"] < 0.2 * len(plain.faces)
    smaller, details = make_texture(plain, room, voxel, 128)
    assert max(smaller.pixels.shape[:2]) <= 128
    assert details["texels_per_pixel"] < 0.7


def test_photos_of_other_exposures_meet_without_seams(room, mesh) -> None:
    factors = np.array([0.8, 1.1, 0.9, 1.15])
    photos = Photos(
        np.stack([np.clip(room.originals.pixels[v] * f, 0, 255) for v, f in enumerate(factors)]).astype(np.uint8)
    )
    images = np.clip(room.processed_images * factors[:, None, None, None], 0, 255).astype(np.uint8)
    other = replace(room, originals=photos, processed_images=images)
    texture, _ = make_texture(mesh[0], other, mesh[1], 4096)
    evened = replace(texture, pixels=np.clip(texture.pixels / np.exp(np.log(factors).mean()), 0, 255).astype(np.uint8))
    assert decibels(replace(mesh[0], texture=evened), room) > 30


def test_exposure_factors_are_found_whatever_else_the_photos_show() -> None:
    random = numpy_random(0)
    factors = np.array([[1.2, 1.2, 1.2], [0.9, 1.0, 1.1], [0.8, 0.8, 0.7]])
    points = random.uniform(40, 160, (500, 3))
    colors = (points / factors[:, None]).astype(np.float32)
    colors[0, :100] = np.nan
    colors[1, 300:] = random.uniform(0, 255, (200, 3))
    colors[1, 200:300] = np.nan
    found = exposure_factors(colors)
    expected = factors / np.exp(np.log(factors).mean(axis=0))
    np.testing.assert_allclose(found, expected, rtol=0.02)
    np.testing.assert_array_equal(exposure_factors(np.full((2, 9, 3), np.nan, np.float32)), 1)


def test_what_is_masked_out_is_in_no_texture(room, mesh) -> None:
    mask = np.ones(room.depth.shape, bool)
    mask[:, 20:40, 30:50] = False
    pixels = room.originals.pixels.copy()
    pixels[:, 20 * FINER : 40 * FINER, 30 * FINER : 50 * FINER] = (255, 0, 255)
    texture, _ = make_texture(mesh[0], replace(room, mask=mask, originals=Photos(pixels)), mesh[1], 4096)
    shown = texture.pixels.astype(int)
    magenta = (shown[..., 0] > 230) & (shown[..., 1] < 30) & (shown[..., 2] > 230)
    used = np.zeros(magenta.shape, bool)
    middles = texture.uv[texture.faces].mean(axis=1) * magenta.shape[::-1]
    used[tuple(np.floor(middles).astype(int).T[::-1])] = True
    assert used.any()
    assert not (magenta & used).any()


def test_triangles_take_the_view_of_their_neighbours_where_it_is_nearly_as_good() -> None:
    faces = np.array([[0, 1, 2], [1, 3, 2], [2, 3, 4]], np.int32)
    np.testing.assert_array_equal(adjacent_faces(faces), [[-1, 1, -1], [-1, 2, 0], [1, -1, -1]])
    mesh = Mesh(np.zeros((5, 3), np.float32), faces)
    views = np.array([[0, 1], [1, 0], [0, -1]], np.int32)
    scores = np.array([[9, 2], [9, 8], [9, 0]], np.float32)
    assert choose_views(mesh, SeenBy(views, scores)).tolist() == [0, 0, 0]
    assert choose_views(mesh, SeenBy(np.full((3, 1), -1, np.int32), np.zeros((3, 1), np.float32))).tolist() == [-1] * 3


def test_trimesh_opens_both_files_and_finds_the_same_colours(room, tmp_path) -> None:
    options = {"texture": True, "voxel": 0.1}
    shapes = {}
    for kind in ("obj", "glb"):
        exported = export(room, "mesh", tmp_path, {"mesh": {**options, "format": kind}})["mesh"]
        assert exported.files[0] == tmp_path / f"mesh.{kind}"
        assert all(path.is_file() for path in exported.files)
        shapes[kind] = trimesh.load(exported.files[0], process=False, force="mesh")
        assert len(shapes[kind].faces) == exported.details["triangles"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mesh.glb", "mesh.mtl", "mesh.obj", "mesh.png"]
    obj, glb = shapes["obj"], shapes["glb"]
    assert obj.visual.material.image.size == glb.visual.material.baseColorTexture.size
    colors = {kind: shape.visual.to_color().vertex_colors[shape.faces].mean(axis=1) for kind, shape in shapes.items()}
    assert np.abs(colors["obj"].astype(float) - colors["glb"]).mean() < 3
    assert colors["obj"][:, :3].std(axis=0).min() > 5
    to_gltf = np.reshape(exported.details["world_to_gltf"], (4, 4))
    moved = obj.vertices[obj.faces] @ to_gltf[:3, :3].T + to_gltf[:3, 3]
    np.testing.assert_allclose(glb.vertices[glb.faces], moved, atol=1e-5)


def test_photos_that_are_gone_are_taken_as_the_model_saw_them(room, tmp_path) -> None:
    class Gone(Photos):
        def read(self, view: int) -> tuple[np.ndarray, None]:
            raise InputError("gone")

    with pytest.warns(ReconWarning, match="4 of 4 photos are not at hand"):
        export(
            replace(room, originals=Gone(np.zeros(0))), "mesh", tmp_path, {"mesh": {"texture": True, "format": "glb"}}
        )


def test_a_texture_that_cannot_be_is_refused(room, tmp_path, monkeypatch) -> None:
    with pytest.raises(InputError, match=r"PLY has no texture.*mesh\.format=glb"):
        export(room, "mesh", tmp_path, {"mesh": {"texture": True}})
    monkeypatch.setitem(sys.modules, "xatlas", None)
    with pytest.raises(MissingExtraError, match=r"recon\[mesh\]"):
        export(room, "mesh", tmp_path, {"mesh": {"texture": True, "format": "glb"}})
    assert not list(tmp_path.iterdir())
