"""One frame and one scale, end to end: exact depth of a plane seen by rotated cameras stays on that plane.

The network of these tests knows the scene exactly, but in a frame and a scale of its own.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from torch import Tensor, nn

import recon.refine.align
from recon.choices import InferenceOptions, MixedSizes
from recon.estimate.network import NetworkEstimator
from recon.geometry.similarity import Similarity
from recon.geometry.unprojection import unproject_depth
from recon.models.outputs import GaussianTensors, NetworkOutput
from recon.models.presets import load_preset
from recon.models.ready import ReadyModel, WeightsRecord
from recon.run.pipeline import reconstruct
from recon.sources.fitting import PROCESS_RES_METHODS, map_intrinsics, preprocess
from recon.sources.photo import Photo
from recon.types import Prediction
from tests.seeds import numpy_random

NORMAL = np.array([0.1, -0.2, 1.0]) / np.linalg.norm([0.1, -0.2, 1.0])
OFFSET = 6.0
"""The plane is where NORMAL · x = OFFSET."""
USER_WORLD = Similarity(2.5, Rotation.from_rotvec([0.3, -1, 0.7]).as_matrix(), np.array([10.0, -3.0, 7.0]))
"""From the world of the plane to the world of the cameras that the user gives."""
PROCESS_RES = 112


def make_cameras(count: int) -> np.ndarray:
    """(N, 4, 4) world-to-camera, turned and placed at random before the plane."""
    generator = numpy_random(count)
    cameras = np.tile(np.eye(4), (count, 1, 1))
    cameras[:, :3, :3] = Rotation.from_rotvec(generator.normal(size=(count, 3)) * 0.15).as_matrix()
    centres = generator.normal(size=(count, 3, 1)) * 0.7
    cameras[:, :3, 3:] = -cameras[:, :3, :3] @ centres
    return cameras


def plane_depth(world_to_camera: np.ndarray, intrinsics: np.ndarray, height: int, width: int) -> np.ndarray:
    """(N, H, W) depth of the plane at the pixel centres."""
    y, x = np.mgrid[:height, :width] + 0.5
    pixels = np.stack([x, y, np.ones_like(x)], axis=-1)
    depth = []
    for camera, matrix in zip(world_to_camera, intrinsics, strict=True):
        rays = pixels @ np.linalg.inv(matrix).T @ camera[:3, :3]  # (H, W, 3) in the world, z = 1 in the camera
        centre = -camera[:3, :3].T @ camera[:3, 3]
        depth.append((OFFSET - NORMAL @ centre) / (rays @ NORMAL))
    return np.stack(depth)


class PlaneNetwork(nn.Module):
    """Knows the plane, in the frame of its first camera and at a scale of its own."""

    def __init__(self, cameras: np.ndarray, intrinsics: np.ndarray, scale: float, metric: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.cameras, self.intrinsics, self.scale, self.metric = cameras, intrinsics, scale, metric

    def forward(self, images: Tensor, **asked: object) -> NetworkOutput:
        height, width = images.shape[-2:]
        own = self.cameras @ np.linalg.inv(self.cameras[0])
        own[:, :3, 3] *= self.scale
        depth = plane_depth(self.cameras, self.intrinsics, height, width) * self.scale
        means = unproject_depth(depth.astype(np.float32), self.intrinsics, own).reshape(-1, 3)
        count = len(means)
        gaussians = GaussianTensors(
            means=torch.from_numpy(means)[None],
            scales=torch.full((1, count, 3), 0.1 * self.scale),
            rotations=torch.tensor([1.0, 0, 0, 0]).expand(1, count, 4),
            harmonics=torch.full((1, count, 3, 1), 0.2),
            opacities=torch.full((1, count), 0.5),
        )
        return NetworkOutput(
            depth=as_batch(depth),
            depth_conf=torch.full((1, *depth.shape), 2.0),
            extrinsics=as_batch(own[:, :3]),
            intrinsics=as_batch(self.intrinsics),
            gaussians=gaussians,
            scale_factor=torch.tensor([2.0]) if self.metric else None,
        )


def as_batch(array: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array, np.float32))[None]


def run(
    count: int,
    scale: float = 3.0,
    method: str = "upper_bound_resize",
    *,
    sizes: tuple[tuple[int, int], ...] = ((300, 420),),
    to_input: bool = True,
    metric: bool = False,
    mixed_sizes: MixedSizes = "own",
) -> Prediction:
    """A reconstruction of the plane from given cameras, with Gaussians."""
    cameras = make_cameras(count)
    shapes = [sizes[index % len(sizes)] for index in range(count)]
    photos = [Photo(str(index), np.zeros((*shape, 3), np.uint8)) for index, shape in enumerate(shapes)]
    originals = np.array([[[400.0, 0, 205], [0, 410, height / 2 - 3], [0, 0, 1]] for height, _ in shapes])
    affines = preprocess(photos, PROCESS_RES, method, mixed_sizes=mixed_sizes).processed_to_original
    network = PlaneNetwork(cameras, map_intrinsics(originals, affines), scale, metric)
    preset = load_preset("da3nested-giant-large" if metric else "da3-giant")
    options = InferenceOptions(
        process_res=PROCESS_RES,
        process_res_method=method,
        align_to_input_ext_scale=to_input,
        infer_gs=True,
        mixed_sizes=mixed_sizes,
    )
    model = NetworkEstimator(ReadyModel(network, preset, WeightsRecord("random", seed=0)))
    return reconstruct(model, photos, USER_WORLD.apply_to_extrinsics(cameras), originals, options=options).prediction


def assert_on_the_plane(prediction: Prediction) -> None:
    """Depth, cameras and Gaussians in the user's world."""
    points = unproject_depth(prediction.depth, prediction.intrinsics, prediction.extrinsics)[prediction.valid]
    for cloud in (points, prediction.gaussians.means):
        np.testing.assert_allclose(USER_WORLD.inverse().apply(cloud) @ NORMAL, OFFSET, atol=1e-4)
    np.testing.assert_allclose(prediction.gaussians.scales, 0.1 * USER_WORLD.scale, rtol=1e-4)
    assert prediction.units == "aligned"


@pytest.mark.parametrize("scale", [0.2, 7.0])
@pytest.mark.parametrize("count", [2, 3, 5, 12])
def test_aligned(count: int, scale: float) -> None:
    prediction = run(count, scale)
    assert_on_the_plane(prediction)
    given = USER_WORLD.apply_to_extrinsics(make_cameras(count))[:, :3].astype(np.float32)
    np.testing.assert_array_equal(prediction.extrinsics, given)
    assert prediction.scale_factor == pytest.approx(USER_WORLD.scale / scale, rel=1e-4)


@pytest.mark.parametrize("method", PROCESS_RES_METHODS)
def test_aligned_whatever_the_resizing(method: str) -> None:
    assert_on_the_plane(run(4, method=method))


@pytest.mark.filterwarnings("default::recon.messages.ReconWarning")
@pytest.mark.parametrize("method", ["upper_bound_resize", "upper_bound_crop"])
@pytest.mark.parametrize("mixed_sizes", ["own", "crop"])
def test_aligned_with_photos_of_two_sizes(method: str, mixed_sizes: MixedSizes) -> None:
    prediction = run(4, method=method, sizes=((300, 420), (360, 420)), mixed_sizes=mixed_sizes)
    assert_on_the_plane(prediction)
    assert prediction.valid.all() == (mixed_sizes == "crop")
    assert prediction.valid[1::2].all()


def test_nested_networks_too() -> None:
    prediction = run(4, metric=True)
    assert_on_the_plane(prediction)
    assert prediction.scale_factor == pytest.approx(2.0 * USER_WORLD.scale / 3.0, rel=1e-4)


@pytest.mark.parametrize("metric", [False, True])
def test_in_the_networks_own_frame(metric: bool) -> None:
    """Without alignment to the input all is in the frame and scale of the network."""
    prediction = run(5, to_input=False, metric=metric)
    camera = make_cameras(5)[0]
    normal = camera[:3, :3] @ NORMAL
    offset = 3.0 * (OFFSET + normal @ camera[:3, 3])
    points = unproject_depth(prediction.depth, prediction.intrinsics, prediction.extrinsics).reshape(-1, 3)
    for cloud in (points, prediction.gaussians.means):
        np.testing.assert_allclose(cloud @ normal, offset, atol=1e-3)
    assert prediction.units == ("metric" if metric else "relative")


@pytest.mark.parametrize("to_input", [True, False])
@pytest.mark.parametrize("count", [1, 2, 5, 12])
@pytest.mark.filterwarnings("ignore::recon.messages.ReconWarning")  # that one camera tells no scale
def test_gaussians_lie_on_the_points_also_of_a_network_that_errs(count: int, to_input: bool) -> None:
    """Its cameras and focal lengths are off, so that no one similarity brings all views to the given cameras."""
    cameras = make_cameras(count)
    photos = [Photo(str(index), np.zeros((300, 420, 3), np.uint8)) for index in range(count)]
    originals = np.tile([[400.0, 0, 205], [0, 410, 147], [0, 0, 1]], (count, 1, 1))
    affines = preprocess(photos, PROCESS_RES).processed_to_original
    generator = numpy_random(count)
    predicted = map_intrinsics(originals, affines) * [[1.08, 1, 1], [1, 1.05, 1], [1, 1, 1]]
    off = np.tile(np.eye(4), (count, 1, 1))
    off[:, :3, :3] = Rotation.from_rotvec(generator.normal(size=(count, 3)) * 0.05).as_matrix()
    off[:, :3, 3] = generator.normal(size=(count, 3)) * 0.05
    network = PlaneNetwork(off @ cameras, predicted, 3.0, metric=False)
    options = InferenceOptions(process_res=PROCESS_RES, align_to_input_ext_scale=to_input, infer_gs=True)
    model = NetworkEstimator(ReadyModel(network, load_preset("da3-giant"), WeightsRecord("random", seed=0)))
    given = USER_WORLD.apply_to_extrinsics(cameras)
    prediction = reconstruct(model, photos, given, originals, options=options).prediction
    points = unproject_depth(prediction.depth, prediction.intrinsics, prediction.extrinsics).reshape(-1, 3)
    error = np.linalg.norm(points - prediction.gaussians.means, axis=1) / prediction.depth.reshape(-1)
    assert error.max() < 1e-4


def test_the_seed_reaches_the_alignment(monkeypatch: pytest.MonkeyPatch) -> None:
    """By default it is the one that the reference package aligns with."""
    seeds: list[int] = []

    def note(target_world_to_camera: object, source_world_to_camera: object, seed: int) -> Similarity:
        seeds.append(seed)
        return Similarity(1.0, np.eye(3), np.zeros(3))

    monkeypatch.setattr(recon.refine.align, "align_cameras", note)
    photos = [Photo(str(index), np.zeros((300, 420, 3), np.uint8)) for index in range(12)]
    originals = np.tile([[400.0, 0, 205], [0, 410, 147], [0, 0, 1]], (12, 1, 1))
    intrinsics = map_intrinsics(originals, preprocess(photos, PROCESS_RES).processed_to_original)
    for seed in (0, 5):
        network = PlaneNetwork(make_cameras(12), intrinsics, 3.0, metric=False)
        model = NetworkEstimator(ReadyModel(network, load_preset("da3-small"), WeightsRecord("random", seed=0)))
        options = InferenceOptions(process_res=PROCESS_RES, seed=seed)
        reconstruct(model, photos, make_cameras(12), originals, options=options)
    assert seeds == [42, 47]
