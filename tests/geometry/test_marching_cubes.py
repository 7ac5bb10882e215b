"""Surfaces of distance fields: closed, at the right place, facing out; their holes, parts and normals."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh
from scipy.spatial import cKDTree

from recon.errors import InputError
from recon.geometry.marching_cubes import extract_surface
from recon.geometry.marching_cubes_table import triangle_table
from recon.geometry.mesh import Mesh, vertex_normals, without_small_parts
from recon.geometry.mesh_colors import colors_from_photos
from recon.geometry.mesh_holes import boundary_loops, close_holes
from recon.geometry.tsdf import CpuIntegrator, Field, TooManyBlocks, fuse
from tests.geometry.test_tsdf import HEIGHT, INTRINSICS, WIDTH, sphere_views
from tests.seeds import numpy_random

CENTRE = np.array([0.3, -0.2, 5])


def sphere_mesh(voxel: float = 0.05, views: int = 6) -> Mesh:
    depth, cameras = sphere_views()
    intrinsics = np.tile(INTRINSICS, (views, 1, 1))
    return extract_surface(fuse(depth[:views], intrinsics, cameras[:views], voxel, 5 * voxel))


def opened(mesh: Mesh) -> trimesh.Trimesh:
    return trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)


def test_a_sphere_seen_from_all_sides_is_closed_and_within_half_a_voxel() -> None:
    mesh = sphere_mesh()
    shape = opened(mesh)
    assert shape.is_watertight
    assert shape.euler_number == 2
    assert shape.volume == pytest.approx(4 / 3 * np.pi, rel=0.03)  # positive: it faces out
    directions = numpy_random(0).normal(size=(3000, 3))
    surface = CENTRE + directions / np.linalg.norm(directions, axis=1, keepdims=True)
    off = np.abs(np.linalg.norm(mesh.vertices - CENTRE, axis=1) - 1).mean()
    missing = cKDTree(trimesh.sample.sample_surface(shape, 50_000, seed=0)[0]).query(surface)[0].mean()
    assert (off + missing) / 2 <= 0.5 * 0.05
    outward = (vertex_normals(mesh) * (mesh.vertices - CENTRE)).sum(axis=1)
    assert np.median(outward) > 0.99


def test_half_a_sphere_ends_where_nothing_is_seen() -> None:
    depth, cameras = sphere_views()
    mesh = extract_surface(fuse(depth[:1], INTRINSICS[None], cameras[:1], 0.05, 0.25))
    shape = opened(mesh)
    assert not shape.is_watertight
    towards = (mesh.vertices - CENTRE) @ -cameras[0][2, :3]
    assert towards.min() > -0.1


@pytest.mark.parametrize("seed", range(3))
def test_any_field_gives_a_surface_without_cracks(seed: int) -> None:
    """Of random signs, ambiguous faces among them, across blocks: each edge inside has two triangles, turned alike."""
    blocks = np.stack(np.meshgrid(range(2), range(2), range(2), indexing="ij"), axis=-1).reshape(-1, 3)
    dense = numpy_random(seed).uniform(-1, 1, (16, 16, 16)).astype(np.float32)
    dense[0], dense[-1], dense[:, 0], dense[:, -1], dense[:, :, 0], dense[:, :, -1] = 1, 1, 1, 1, 1, 1
    values = np.stack([dense[8 * x : 8 * x + 8, 8 * y : 8 * y + 8, 8 * z : 8 * z + 8] for x, y, z in blocks])
    mesh = extract_surface(Field(blocks, values, 0.1))
    edges = np.concatenate([mesh.faces[:, [0, 1]], mesh.faces[:, [1, 2]], mesh.faces[:, [2, 0]]])
    directed, counts = np.unique(edges, axis=0, return_counts=True)
    assert (counts == 1).all()
    there = {tuple(edge) for edge in directed.tolist()}
    assert all((end, start) in there for start, end in there)
    inside = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False).volume
    assert 0.3 * 1.4**3 < inside < 0.7 * 1.4**3  # half of the voxels


def test_the_table_uses_just_the_edges_that_are_crossed() -> None:
    table = triangle_table()
    assert table.shape[0] == 256
    assert (table[[0, 255]] == -1).all()
    for case in range(256):
        crossed = {
            index
            for index, (corner, axis) in enumerate([(c, a) for a in range(3) for c in range(8) if not c >> a & 1])
            if (case >> corner & 1) != (case >> (corner | 1 << axis) & 1)
        }
        assert set(table[case].ravel().tolist()) - {-1} == crossed


def test_voxels_that_do_not_fit_are_refused_with_a_size_that_does() -> None:
    depth, cameras = sphere_views()
    intrinsics = np.tile(INTRINSICS, (6, 1, 1))
    with pytest.raises(TooManyBlocks, match="fit") as caught:
        fuse(depth, intrinsics, cameras, 0.01, 0.05, most_blocks=300)
    fits = caught.value.voxel
    assert len(fuse(depth, intrinsics, cameras, fits, 5 * fits, most_blocks=300).blocks) > 60
    with pytest.raises(InputError, match="far away"):
        fuse(depth, intrinsics, cameras, 1e-8, 5e-8)


def test_one_and_several_threads_give_the_same() -> None:
    depth, cameras = sphere_views()
    intrinsics = np.tile(INTRINSICS, (6, 1, 1))
    fields = [fuse(depth, intrinsics, cameras, 0.03, 0.15, integrator=CpuIntegrator(threads)) for threads in (1, 3)]
    np.testing.assert_array_equal(fields[0].values, fields[1].values)
    meshes = [extract_surface(fields[0], threads) for threads in (1, 3)]
    np.testing.assert_array_equal(meshes[0].vertices, meshes[1].vertices)
    np.testing.assert_array_equal(meshes[0].faces, meshes[1].faces)


def test_small_parts_go_and_the_largest_always_stays() -> None:
    mesh = sphere_mesh()
    speck = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], np.float32)
    faces = np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3], [0, 3, 2]], np.int32)
    both = Mesh(np.concatenate([speck, mesh.vertices]), np.concatenate([faces, mesh.faces + 4]))
    cleaned = without_small_parts(both, 300)
    np.testing.assert_array_equal(cleaned.vertices, mesh.vertices)
    np.testing.assert_array_equal(cleaned.faces, mesh.faces)
    assert len(without_small_parts(both, 0).faces) == len(both.faces)
    assert len(without_small_parts(both, 10**9).faces) == len(mesh.faces)


def test_holes_are_closed_up_to_a_size() -> None:
    mesh = sphere_mesh()
    centres = mesh.vertices[mesh.faces].mean(axis=1) - CENTRE
    small, large = np.linalg.norm(centres - [0, 0, 1], axis=1) < 0.1, centres[:, 0] > 0.8
    holed = Mesh(mesh.vertices, mesh.faces[~small & ~large])
    sizes = sorted(map(len, boundary_loops(holed.faces)))
    assert len(sizes) == 2
    closed, count = close_holes(holed, sizes[0])
    assert count == 1
    assert [len(loop) for loop in boundary_loops(closed.faces)] == [sizes[1]]
    whole, count = close_holes(holed, sizes[1])
    assert count == 2
    shape = opened(whole)
    assert shape.is_watertight
    assert shape.is_winding_consistent
    flat = np.pi * (1 - 0.8**2)  # the larger hole is closed by a disc
    added = shape.area_faces[len(holed.faces) :].sum()
    assert added == pytest.approx(flat + np.pi * 0.1**2, rel=0.1)


def test_colours_are_those_of_the_views_that_see_a_point() -> None:
    depth, cameras = sphere_views()
    mesh = sphere_mesh()
    images = np.zeros((6, HEIGHT, WIDTH, 3), np.uint8)
    for view in range(6):
        images[view] = 40 * view + 20
    normals = vertex_normals(mesh)
    intrinsics = np.tile(INTRINSICS, (6, 1, 1))
    colors = colors_from_photos(mesh.vertices, normals, images, depth, intrinsics, cameras, 0.1)
    for view in range(6):
        pole = CENTRE - cameras[view][2, :3]  # where that camera looks at the sphere
        nearest = cKDTree(mesh.vertices).query(pole)[1]
        assert abs(int(colors[nearest, 0]) - (40 * view + 20)) <= 1
