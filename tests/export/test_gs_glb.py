"""Splats as glTF: read back by the specification of KHR_gaussian_splatting, attribute by attribute."""

from __future__ import annotations

import json
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh

from recon.export import export
from recon.geometry.spherical_harmonics import evaluate_basis
from recon.types import Gaussians
from tests.seeds import numpy_random

DTYPES = {5126: np.dtype("<f4"), 5123: np.dtype("<u2")}
WIDTHS = {"SCALAR": 1, "VEC3": 3, "VEC4": 4}


def read_glb(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The JSON of a binary glTF of one primitive, and its attributes."""
    content = path.read_bytes()
    magic, version, length, json_length = struct.unpack("<IIII", content[:16])
    assert (magic, version, length) == (0x46546C67, 2, len(content))
    document = json.loads(content[20 : 20 + json_length])
    binary = content[20 + json_length + 8 :]
    (mesh,) = document["meshes"]
    (primitive,) = mesh["primitives"]
    attributes = {}
    for name, index in primitive["attributes"].items():
        accessor = document["accessors"][index]
        view = document["bufferViews"][accessor["bufferView"]]
        dtype, width = DTYPES[accessor["componentType"]], WIDTHS[accessor["type"]]
        assert view["byteOffset"] % 4 == 0
        assert view["byteLength"] == accessor["count"] * width * dtype.itemsize
        values = np.frombuffer(binary, dtype, accessor["count"] * width, view["byteOffset"])
        attributes[name] = values.reshape(-1, width)
    return document, attributes


def turned(quaternions_xyzw: np.ndarray) -> np.ndarray:
    """(G, 3, 3) as the specification writes the matrix out."""
    x, y, z, w = quaternions_xyzw.T
    rows = [
        [1 - 2 * (y**2 + z**2), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x**2 + z**2), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x**2 + y**2)],
    ]
    return np.moveaxis(np.array(rows), -1, 0)


@pytest.fixture(scope="module")
def prediction(make_prediction):
    random = numpy_random(7)
    count = 50
    rotations = random.normal(size=(count, 4))
    gaussians = Gaussians(
        random.normal(size=(count, 3)).astype(np.float32),
        random.uniform(0.01, 0.3, (count, 3)).astype(np.float32),
        (rotations / np.linalg.norm(rotations, axis=1, keepdims=True)).astype(np.float32),
        random.normal(0, 0.2, (count, 3, 16)).astype(np.float32),
        random.uniform(size=count).astype(np.float32),
    )
    return replace(make_prediction(), gaussians=gaussians, gaussian_source="depth")


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_what_a_reader_makes_of_it(degree, prediction, tmp_path):
    exported = export(prediction, "gs_glb", tmp_path, {"gs_glb": {"sh_degree": degree}})["gs_glb"]
    document, found = read_glb(tmp_path / "gs_glb" / "0000.glb")
    (primitive,) = document["meshes"][0]["primitives"]
    assert primitive["mode"] == 0
    assert primitive["extensions"]["KHR_gaussian_splatting"]["kernel"] == "ellipse"
    assert primitive["extensions"]["KHR_gaussian_splatting"]["colorSpace"] == "srgb_rec709_display"
    assert document["extensionsUsed"] == ["KHR_gaussian_splatting"]
    of = {name.rpartition(":")[2]: values.astype(np.float64) for name, values in found.items()}
    bands = [f"SH_DEGREE_{d}_COEF_{k}" for d in range(degree + 1) for k in range(2 * d + 1)]
    assert set(found) == {
        *("POSITION", "COLOR_0"),
        *(f"KHR_gaussian_splatting:{name}" for name in ("ROTATION", "SCALE", "OPACITY", *bands)),
    }
    gaussians = prediction.gaussians
    world_to_gltf = np.array(exported.details["world_to_gltf"]).reshape(4, 4)
    assert exported.details["world_to_gltf"] == document["scenes"][0]["extras"]["world_to_gltf"]
    rotation = world_to_gltf[:3, :3]
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-6)
    # Up in the first photo is y, what lies before its camera has negative z.
    np.testing.assert_allclose(rotation, np.diag([1, -1, -1]) @ prediction.extrinsics[0, :, :3], atol=1e-6)
    np.testing.assert_allclose(of["POSITION"], gaussians.means @ rotation.T + world_to_gltf[:3, 3], atol=1e-5)
    np.testing.assert_allclose(np.median(of["POSITION"], axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(of["OPACITY"][:, 0], gaussians.opacities)
    np.testing.assert_allclose(np.linalg.norm(of["ROTATION"], axis=1), 1, atol=1e-6)
    # Covariances, whatever the signs and the order of axes.
    axes = turned(of["ROTATION"]) * of["SCALE"][:, None]
    own = turned(np.roll(gaussians.rotations.astype(np.float64), -1, axis=1)) * gaussians.scales[:, None]
    np.testing.assert_allclose(axes @ axes.swapaxes(1, 2), rotation @ own @ own.swapaxes(1, 2) @ rotation.T, atol=1e-6)
    # Colours: the same seen from the same side.
    direction = np.array([0.48, -0.6, 0.64])
    coefficients = np.stack([of[name] for name in bands], axis=2)  # (G, 3, K)
    own_coefficients = gaussians.harmonics[:, :, : len(bands)].astype(np.float64)
    np.testing.assert_allclose(
        coefficients @ evaluate_basis(rotation @ direction, degree),
        own_coefficients @ evaluate_basis(direction, degree),
        atol=1e-5,
    )


def test_programs_that_do_not_know_splats_show_points(prediction, tmp_path):
    export(prediction, "gs_glb", tmp_path)
    (cloud,) = trimesh.load(tmp_path / "gs_glb" / "0000.glb").geometry.values()
    assert isinstance(cloud, trimesh.PointCloud)
    assert len(cloud.vertices) == 50
    _, found = read_glb(tmp_path / "gs_glb" / "0000.glb")
    plain = np.clip(prediction.gaussians.harmonics[:, :, 0] * 0.28209479 + 0.5, 0, 1)
    shown = found["COLOR_0"][:, :3] / 65535
    np.testing.assert_allclose(
        np.where(shown > 0.0031308, 1.055 * shown ** (1 / 2.4) - 0.055, 12.92 * shown), plain, atol=1e-3
    )
    np.testing.assert_allclose(found["COLOR_0"][:, 3] / 65535, prediction.gaussians.opacities, atol=1e-4)
