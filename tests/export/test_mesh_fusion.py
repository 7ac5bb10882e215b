"""Fusion in torch beside the compiled loops: the same blocks, field and colours, on the CPU and where there is CUDA."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
import trimesh

from recon.errors import InputError
from recon.export import export
from recon.export.mesh_fusion import CpuFusion, choose_fusion
from recon.export.mesh_fusion_torch import TorchFusion
from recon.geometry.marching_cubes import extract_surface
from recon.geometry.mesh import vertex_normals
from recon.geometry.tsdf import TooManyBlocks, fuse
from recon.types import Prediction
from tests.refine.depth_scene import make_prediction
from tests.seeds import numpy_random

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.cuda)]
VOXEL = 0.08


@pytest.fixture(scope="module")
def room() -> Prediction:
    """Five views with noise, pixels without depth, and a row of another surface."""
    scene = make_prediction(5, 60, 80)
    random = numpy_random(3)
    depth = scene.depth * (1 + 0.003 * random.normal(size=scene.depth.shape).astype(np.float32))
    depth[random.random(depth.shape) < 0.05] = 0
    depth[2, 20:24] *= 0.7
    return replace(scene, depth=depth)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("smooth", [True, False])
def test_torch_gives_the_field_and_the_colours_of_the_compiled_loops(room, device, smooth) -> None:
    cameras = room.intrinsics, room.extrinsics
    other = TorchFusion(torch.device(device))
    field = fuse(room.depth, *cameras, VOXEL, 5 * VOXEL, smooth=smooth)
    found = fuse(room.depth, *cameras, VOXEL, 5 * VOXEL, smooth=smooth, integrator=other)
    np.testing.assert_array_equal(found.blocks, field.blocks)
    np.testing.assert_array_equal(np.isnan(found.values), np.isnan(field.values))
    np.testing.assert_allclose(found.values, field.values, atol=1e-5)
    assert np.isnan(field.values).mean() < 0.7
    mesh = extract_surface(field)
    arguments = mesh.vertices, vertex_normals(mesh), room.processed_images, room.depth, *cameras, 0.4
    expected = CpuFusion().colors(*arguments)
    assert expected.std(axis=0).min() > 5
    np.testing.assert_allclose(other.colors(*arguments).astype(int), expected, atol=1)


@pytest.mark.parametrize("device", DEVICES)
def test_torch_refuses_as_the_compiled_loops_do(room, device) -> None:
    cameras = room.intrinsics, room.extrinsics
    other = TorchFusion(torch.device(device))
    with pytest.raises(TooManyBlocks):
        fuse(room.depth, *cameras, VOXEL, 5 * VOXEL, most_blocks=10, integrator=other)
    with pytest.raises(InputError, match="too small for depth this far away"):
        fuse(room.depth * 1e6, *cameras, VOXEL, 5 * VOXEL, integrator=other)
    empty = fuse(np.zeros_like(room.depth), *cameras, VOXEL, 5 * VOXEL, integrator=other)
    assert empty.values.shape == (0, 8, 8, 8)


@pytest.mark.cuda
def test_a_mesh_made_with_cuda_is_that_of_the_cpu(room, tmp_path) -> None:
    meshes = {}
    for device in ("cpu", "cuda"):
        (path,) = export(room, "mesh", tmp_path / device, {"mesh": {"device": device}})["mesh"].files
        meshes[device] = trimesh.load(path, process=False)
    assert len(meshes["cpu"].faces) > 1000
    assert len(meshes["cuda"].faces) == pytest.approx(len(meshes["cpu"].faces), rel=0.001)
    for kind in ("cpu", "cuda"):
        assert isinstance(choose_fusion(kind), CpuFusion) == (kind == "cpu")


def test_the_device_is_that_of_the_run_where_torch_has_it(room, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert isinstance(choose_fusion("auto"), CpuFusion)
    with pytest.raises(InputError, match="no CUDA device here; use 'cpu' or 'auto'"):
        export(room, "mesh", tmp_path, {"mesh": {"device": "cuda"}})
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert choose_fusion("auto") == TorchFusion(torch.device("cuda"))
    assert isinstance(choose_fusion("mps"), CpuFusion)
    monkeypatch.setitem(sys.modules, "torch", None)
    assert isinstance(choose_fusion("auto"), CpuFusion)
