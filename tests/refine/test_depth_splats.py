"""Splats from depth maps: laws of geometry, what is left out, and the pictures they render."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

from recon.errors import InputError
from recon.export.points import PointOptions, select_points
from recon.geometry.cameras import to_4x4
from recon.geometry.quaternions import to_matrix
from recon.messages import ReconWarning
from recon.refine import ellipsoids, thinning
from recon.refine.depth_splats import OPACITY, DepthSplatOptions, from_depth, splats_from_depth
from recon.refine.surface import at_depth_edges, measure_slopes, plane_normals
from recon.splats.rendering import render
from recon.types import Gaussians, Prediction
from recon.types.cameras import Cameras
from tests.refine.depth_scene import RADIUS, SPHERE, make_prediction
from tests.seeds import numpy_random

FIRST = DepthSplatOptions(second_layer=False)
"""The layer that has a splat per pixel, alone; `test_second_layer` is about the other."""
ALL = DepthSplatOptions(thin=False, second_layer=False)
ANGLE = 1 / 300


@pytest.fixture(scope="module")
def scene() -> Prediction:
    return make_prediction(4)


def one_view(surface: np.ndarray, focal: float = 300.0, **changes: object) -> Prediction:
    """A view of (H, W) depth, from the origin of the world along z."""
    height, width = surface.shape
    rng = numpy_random(1)
    values = {
        "depth": surface[None].astype(np.float32),
        "processed_images": rng.integers(0, 256, (1, height, width, 3), dtype=np.uint8),
        "extrinsics": np.eye(3, 4, dtype=np.float32)[None],
        "intrinsics": np.array([[[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]]], np.float32),
    }
    return Prediction(**{**values, **changes})


def repeated(prediction: Prediction, views: list[int], **changes: object) -> Prediction:
    """The given views of a prediction, in this order."""
    names = ("depth", "processed_images", "conf", "sky", "extrinsics", "intrinsics")
    arrays = {name: getattr(prediction, name) for name in names}
    chosen = {name: array if array is None else array[views] for name, array in arrays.items()}
    return replace(prediction, **{**chosen, **changes})


def plane_depth(normal: np.ndarray, height: int, width: int, focal: float, distance: float = 4.0) -> np.ndarray:
    """(H, W) depth of the plane `normal` · X = distance · normal_z seen from the origin."""
    y, x = np.mgrid[:height, :width] + 0.5
    rays = np.stack([(x - width / 2) / focal, (y - height / 2) / focal, np.ones_like(x)], axis=-1)
    return distance * normal[2] / (rays @ normal)


def same_bytes(left: Gaussians, right: Gaussians) -> bool:
    return all(np.array_equal(getattr(left, f.name), getattr(right, f.name)) for f in fields(Gaussians))


def psnr(gaussians: Gaussians, views: Prediction) -> np.ndarray:
    """(N,) of the rendered views against the images."""
    cameras = Cameras(to_4x4(views.extrinsics.astype(np.float64)), views.intrinsics.astype(np.float64))
    rendering = render(gaussians, cameras, views.depth.shape[1:], rasterizer="cpu")
    error = (np.clip(rendering.color, 0, 1) - views.processed_images / 255.0) ** 2
    return -10 * np.log10(error.mean(axis=(1, 2, 3)))


@pytest.mark.parametrize("tilt", [(0, 0), (0.5, 0.2), (-1.5, 0.7), (0.1, -4.0)])
def test_splats_of_a_plane_lie_in_it(tilt: tuple[float, float]) -> None:
    normal = np.array([*tilt, 1]) / np.linalg.norm([*tilt, 1])
    splats = from_depth(one_view(plane_depth(normal, 40, 60, 300)), FIRST)
    assert len(splats) == 40 * 60
    np.testing.assert_allclose(np.abs(to_matrix(splats.rotations)[:, :, 2] @ normal), 1, atol=2e-5)
    thin = splats.scales[:, 2] / splats.scales[:, 1]
    np.testing.assert_allclose(thin, ellipsoids.THICKNESS, rtol=1e-4)


def test_splats_look_round_and_equal_from_their_own_view() -> None:
    """The projected covariance, to first order, is that of a circle of the deviation that was asked for."""
    normal = np.array([0.8, -1.1, 1.0])
    prediction = one_view(plane_depth(normal, 30, 40, 200), focal=200.0)
    k = prediction.intrinsics[0].astype(np.float64)
    k[0, 1], k[1, 1] = 7.0, 260.0  # skew and pixels that are not square
    depth = plane_depth(normal, 30, 40, 200)
    slopes = measure_slopes(depth, depth > 0, ANGLE).reshape(2, -1)
    y, x = np.mgrid[:30, :40].reshape(2, -1).astype(np.float32) + np.float32(0.5)
    pixels = np.stack([x, y])
    z = depth.ravel().astype(np.float32)
    spacing = np.ones(len(z), np.float32)
    shape = ellipsoids.cover_footprints(z, slopes, pixels, spacing, 0.35, k, np.eye(3, 4))
    axes = to_matrix(shape.rotations.astype(np.float64)) * shape.scales[:, None]
    points = (np.linalg.inv(k) @ np.stack([x, y, np.ones_like(x)])).T * z[:, None]
    jacobian = np.zeros((len(z), 2, 3))  # of (x, y) = K X / z
    for row in range(2):
        jacobian[:, row] = (k[row] - np.stack([x, y])[row][:, None] * np.array([0, 0, 1])) / points[:, 2:]
    axes[:, :, 2] = 0  # the thickness is not part of the footprint
    projected = jacobian @ axes  # (P, 2, 3)
    covariance = projected @ projected.swapaxes(1, 2)
    np.testing.assert_allclose(covariance, 0.35**2 * np.tile(np.eye(2), (len(z), 1, 1)), atol=2e-3)


def test_normals_of_a_sphere(scene: Prediction) -> None:
    splats = from_depth(scene, ALL)
    out = (splats.means - SPHERE) / RADIUS
    on_sphere = np.abs(np.linalg.norm(out, axis=1) - 1) < 1e-3
    centres = -np.einsum("nji,nj->ni", scene.extrinsics[:, :, :3], scene.extrinsics[:, :, 3])
    pixels = splats_from_depth(scene, ALL).pixels[on_sphere]
    to_camera = centres[pixels // scene.depth[0].size] - splats.means[on_sphere]
    facing = (out[on_sphere] * to_camera).sum(axis=1) / np.linalg.norm(to_camera, axis=1)
    normals = to_matrix(splats.rotations[on_sphere])[:, :, 2]
    error = np.degrees(np.arccos(np.clip(np.abs((normals * out[on_sphere]).sum(axis=1)), 0, 1)))
    assert on_sphere.sum() > 2000
    assert np.median(error) < 0.3
    assert np.percentile(error[facing > 0.5], 99) < 5


def test_noise_hardly_tilts_normals() -> None:
    normal = np.array([0.4, -0.3, 1.0]) / np.linalg.norm([0.4, -0.3, 1.0])
    depth = plane_depth(normal, 60, 80, 300)
    noisy = depth * (1 + 0.002 * numpy_random(0).normal(size=depth.shape))
    normals = to_matrix(from_depth(one_view(noisy), FIRST).rotations)[:, :, 2]
    tilt = np.median(np.degrees(np.arccos(np.clip(np.abs(normals @ normal), 0, 1))))
    assert tilt < 8.5  # of 40 draws, 7.8 with a deviation of 0.13


def test_clean_step_keeps_both_sides_and_their_normals() -> None:
    depth = np.where(np.arange(40) < 20, 2.0, 3.0) * np.ones((30, 1))
    splats = splats_from_depth(one_view(depth), FIRST)
    assert len(splats.gaussians) == depth.size
    np.testing.assert_allclose(np.abs(to_matrix(splats.gaussians.rotations)[:, 2, 2]), 1, atol=1e-5)


@pytest.mark.parametrize("between", [[2.5], [2.2, 2.5, 2.8], [2.2, 2.4, 2.6, 2.8]])
def test_pixels_between_foreground_and_background_are_left_out(between: list[float]) -> None:
    row = np.concatenate([np.full(20, 2.0), between, np.full(20, 3.0)])
    for depth in (row * np.ones((30, 1)), (row * np.ones((30, 1))).T):
        edges = at_depth_edges(depth, depth > 0, ANGLE)
        along = edges[5] if depth.shape[0] == 30 else edges[:, 5]
        np.testing.assert_array_equal(np.flatnonzero(along), 20 + np.arange(len(between)))
        assert splats_from_depth(one_view(depth)).at_edges == edges.sum()


def test_thin_things_and_grazing_floors_are_no_edges() -> None:
    pole = np.where(np.arange(40) < 17, 3.0, 4.0) * np.ones((30, 1))
    pole[:, 17] = 1.0
    floor = 300 * 1.5 / (np.arange(1, 121)[::-1, None] * np.ones((1, 40)))  # up to 0.2 degrees below the horizon
    for depth in (pole, floor):
        assert not at_depth_edges(depth, depth > 0, ANGLE).any()


def test_means_are_the_points_of_the_cloud(scene: Prediction) -> None:
    everything = PointOptions(conf_thresh_percentile=0, conf_thresh=0, num_max_points=10**9)
    cloud = select_points(scene, everything)
    splats = splats_from_depth(scene, FIRST)
    np.testing.assert_array_equal(cloud.pixels, np.arange(scene.depth.size))
    np.testing.assert_array_equal(splats.gaussians.means, cloud.points[splats.pixels])
    colors = splats.gaussians.harmonics[:, :, 0] * 0.28209479177387814 + 0.5
    np.testing.assert_allclose(colors * 255, cloud.colors[splats.pixels], atol=1e-3)
    assert splats.gaussians.sh_degree == 0


@pytest.mark.parametrize("power", [-3, 1, 10])
def test_scaling_the_scene_scales_means_and_scales_exactly(scene: Prediction, power: int) -> None:
    factor = np.float32(2.0**power)
    scaled = scene.extrinsics.copy()
    scaled[:, :, 3] *= factor
    options = DepthSplatOptions(budget=20_000)
    splats = from_depth(scene, options)
    larger = from_depth(replace(scene, depth=scene.depth * factor, extrinsics=scaled), options)
    assert same_bytes(larger, replace(splats, means=splats.means * factor, scales=splats.scales * factor))


def test_scaling_by_any_factor(scene: Prediction) -> None:
    scaled = scene.extrinsics.copy()
    scaled[:, :, 3] *= 3.3
    splats = splats_from_depth(scene, FIRST)
    larger = splats_from_depth(replace(scene, depth=scene.depth * np.float32(3.3), extrinsics=scaled), FIRST)
    common, mine, other = np.intersect1d(splats.pixels, larger.pixels, return_indices=True)
    assert len(common) > 0.999 * max(len(splats.pixels), len(larger.pixels))  # rounding decides a few
    before, after = splats.gaussians, larger.gaussians
    np.testing.assert_allclose(after.means[other], before.means[mine] * 3.3, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(np.log(after.scales[other] / before.scales[mine]), np.log(3.3), atol=1e-3)


def test_a_view_seen_before_adds_nothing(scene: Prediction) -> None:
    """But along the border of the image and beside depth edges, where nothing covers the neighbours."""
    once, twice = splats_from_depth(repeated(scene, [0])), splats_from_depth(repeated(scene, [0, 0]))
    added = twice.pixels[len(once.pixels) :] - scene.depth[0].size
    np.testing.assert_array_equal(twice.pixels[: len(once.pixels)], once.pixels)
    height, width = scene.depth.shape[1:]
    rows, columns = np.divmod(added, width)
    inner = (rows > 0) & (rows < height - 1) & (columns > 0) & (columns < width - 1)
    assert inner.sum() < 0.002 * height * width


def test_the_view_that_sees_finer_wins_whatever_the_order() -> None:
    normal = np.array([0.0, 0, 1])
    near, far = one_view(plane_depth(normal, 40, 40, 300, 2.0)), one_view(plane_depth(normal, 40, 40, 300, 4.0))
    extrinsics = np.stack([np.eye(3, 4), np.eye(3, 4)]).astype(np.float32)
    extrinsics[1, 2, 3] = 2.0  # two metres further back
    both = replace(
        near,
        depth=np.concatenate([near.depth, far.depth]),
        processed_images=np.concatenate([near.processed_images, far.processed_images]),
        extrinsics=extrinsics,
        intrinsics=np.concatenate([near.intrinsics, far.intrinsics]),
    )
    counts = []
    for order in ([0, 1], [1, 0]):
        views = splats_from_depth(repeated(both, order)).pixels // 1600
        counts.append([int((views == order.index(view)).sum()) for view in (0, 1)])
    assert counts[0] == counts[1]
    assert counts[0][0] == 1600
    assert abs(counts[0][1] - (1600 - 19**2)) < 80  # the far view keeps what lies outside the near one


def test_both_sides_of_a_sheet_stay() -> None:
    front = np.eye(3, 4, dtype=np.float32)
    back = np.array([[-1, 0, 0, 0], [0, 1, 0, 0], [0, 0, -1, 6.0]], np.float32)  # looks back from z = 6
    view = one_view(np.full((30, 30), 3.0))
    both = repeated(view, [0, 0], extrinsics=np.stack([front, back]))
    assert splats_from_depth(both).thinned == 0


def test_thinned_splats_leave_no_gap(scene: Prediction) -> None:
    splats = splats_from_depth(scene, FIRST)
    assert 0.2 * scene.depth.size < splats.thinned < 0.7 * scene.depth.size
    cameras = Cameras(to_4x4(scene.extrinsics.astype(np.float64)), scene.intrinsics.astype(np.float64))
    alpha = render(splats.gaussians, cameras, scene.depth.shape[1:], rasterizer="cpu").alpha
    assert np.percentile(alpha, 1) > 0.93
    unthinned = render(from_depth(scene, ALL), cameras, scene.depth.shape[1:], rasterizer="cpu").alpha
    assert np.percentile(unthinned[:, 2:-2, 2:-2], 0.1) > 0.99


@pytest.mark.parametrize("share", [0.5, 0.25, 0.1])
def test_budget_is_met_and_leaves_no_gap(scene: Prediction, share: float) -> None:
    budget = int(len(from_depth(scene)) * share)
    splats = splats_from_depth(scene, DepthSplatOptions(budget=budget))
    assert len(splats.gaussians) == budget
    cameras = Cameras(to_4x4(scene.extrinsics.astype(np.float64)), scene.intrinsics.astype(np.float64))
    alpha = render(splats.gaussians, cameras, scene.depth.shape[1:], rasterizer="cpu").alpha
    assert np.percentile(alpha, 1) > 0.85


def test_a_budget_spends_more_on_detail_than_on_even_colour() -> None:
    prediction = one_view(np.full((60, 80), 3.0))
    images = prediction.processed_images.copy()
    images[:, :, :40] = 128
    splats = splats_from_depth(replace(prediction, processed_images=images), DepthSplatOptions(budget=1500))
    even = splats.pixels % 80 < 39
    assert even.sum() < 0.4 * len(even)
    assert np.median(splats.gaussians.scales[even, 0]) > 1.2 * np.median(splats.gaussians.scales[~even, 0])


def test_a_generous_budget_changes_nothing(scene: Prediction) -> None:
    assert same_bytes(from_depth(scene), from_depth(scene, DepthSplatOptions(budget=10**9)))


def test_within_budget_keeps_the_most_important_and_breaks_ties_by_order() -> None:
    kept, spacing = thinning.within_budget(np.ones(10, np.float32), np.ones(10, np.float32), 4)
    np.testing.assert_array_equal(kept, [0, 1, 2, 3])
    kept, spacing = thinning.within_budget(np.arange(1, 11, dtype=np.float32), np.full(10, 0.5, np.float32), 3)
    np.testing.assert_array_equal(kept, [7, 8, 9])
    assert (spacing >= 1).all()


def test_counts_add_up_and_nothing_is_changed() -> None:
    scene = make_prediction(3, 60, 80)
    rng = numpy_random(0)
    depth, sky = scene.depth.copy(), np.zeros(scene.depth.shape, bool)
    depth[:, 10, :9], depth[:, 11, :5], depth[:, 12, :4] = 0, np.nan, -1
    sky[:, :5] = True
    conf = (1 + rng.gamma(1, 4, depth.shape)).astype(np.float32)
    conf[:, 20, :7] = np.nan
    prediction = replace(scene, depth=depth, sky=sky, conf=conf)
    before = [array.tobytes() for array in (depth, sky, conf, scene.processed_images)]
    options = DepthSplatOptions(conf_thresh_percentile=10, budget=3000, second_layer=False)
    splats = splats_from_depth(prediction, options)
    assert [array.tobytes() for array in (depth, sky, conf, scene.processed_images)] == before
    assert splats.without_depth == 3 * (9 + 5 + 4 + 7)
    assert splats.sky == 3 * 5 * 80
    assert splats.low_confidence == pytest.approx(0.1 * (depth.size - splats.without_depth - splats.sky), abs=2)
    left_out = splats.without_depth + splats.sky + splats.low_confidence + splats.at_edges
    assert left_out + splats.thinned + splats.over_budget + len(splats.gaussians) == depth.size
    usable = np.isfinite(depth) & (depth > 0) & np.isfinite(conf) & ~sky
    assert usable.ravel()[splats.pixels].all()
    assert same_bytes(splats.gaussians, from_depth(prediction, options))


def test_confidence_leaves_out_a_tenth_where_nothing_else_has_been() -> None:
    depth = np.full((20, 30), 3.0)
    conf = (1 + numpy_random(0).permutation(600).reshape(1, 20, 30)).astype(np.float32)
    assert splats_from_depth(one_view(depth, conf=conf)).low_confidence == 60
    depth[0, 0] = 0
    assert splats_from_depth(one_view(depth, conf=conf)).low_confidence == 0
    given = DepthSplatOptions(conf_thresh_percentile=50)
    assert splats_from_depth(one_view(depth, conf=conf), given).low_confidence == pytest.approx(300, abs=1)


def test_opacity_follows_confidence() -> None:
    prediction = one_view(np.full((30, 40), 3.0))
    assert (from_depth(prediction, FIRST).opacities == np.float32(OPACITY)).all()
    constant = replace(prediction, conf=np.ones((1, 30, 40), np.float32))
    splats = from_depth(constant, FIRST)
    assert len(splats) == 1200
    assert (splats.opacities == np.float32(OPACITY)).all()
    conf = (1 + numpy_random(0).gamma(1, 5, (1, 30, 40))).astype(np.float32)
    splats = splats_from_depth(replace(prediction, conf=conf), FIRST)
    order = np.argsort(conf.ravel()[splats.pixels])
    assert (np.diff(splats.gaussians.opacities[order]) >= 0).all()
    assert splats.gaussians.opacities.min() < 0.8 < OPACITY - 0.01 < np.median(splats.gaussians.opacities)


def test_single_view_without_cameras_assumes_some() -> None:
    prediction = one_view(np.full((20, 30), 2.0), extrinsics=None, intrinsics=None)
    with pytest.warns(ReconWarning, match="field of view"):
        splats = from_depth(prediction, FIRST)
    assert len(splats) == 600
    np.testing.assert_allclose(splats.means[:, 2], 2)


@pytest.mark.parametrize("shape", [(1, 1), (1, 17), (17, 1), (2, 2)])
def test_tiny_depth_maps(shape: tuple[int, int]) -> None:
    view = one_view(np.full(shape, 2.0))
    splats = from_depth(repeated(view, [0, 0]))
    assert len(splats) >= shape[0] * shape[1]
    for f in fields(splats):
        assert np.isfinite(getattr(splats, f.name)).all()


def test_any_depth_gives_finite_splats() -> None:
    depth = 10 ** numpy_random(0).uniform(-20, 20, (40, 50))
    depth[0, :4] = 1e35, 3e38, 1e-35, np.inf
    splats = from_depth(repeated(one_view(depth), [0, 0]))
    assert len(splats)
    for f in fields(splats):
        assert np.isfinite(getattr(splats, f.name)).all(), f.name
    np.testing.assert_allclose(np.linalg.norm(splats.rotations, axis=1), 1, atol=1e-4)


def test_a_rule_that_would_leave_nothing_is_dropped() -> None:
    view = one_view(np.full((20, 30), 2.0), sky=np.ones((1, 20, 30), bool))
    with pytest.warns(ReconWarning, match="sky"):
        assert len(from_depth(view, FIRST)) == 600


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"depth": np.zeros((1, 4, 5), np.float32)}, "positive, finite depth"),
        ({"depth": np.full((1, 4, 5), np.nan, np.float32)}, "positive, finite depth"),
        ({"depth": np.full((1, 4, 5), 2e38, np.float32)}, "positive, finite depth"),
        ({"conf": np.full((1, 4, 5), np.nan, np.float32)}, "positive, finite depth"),
        ({"intrinsics": np.full((1, 3, 3), np.nan, np.float32)}, "intrinsics"),
    ],
)
def test_unusable_predictions(changes: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(InputError, match=message):
        from_depth(one_view(np.full((4, 5), 2.0), **changes))


def test_several_views_need_cameras() -> None:
    view = one_view(np.full((4, 5), 2.0))
    for name in ("extrinsics", "intrinsics"):
        with pytest.raises(InputError, match=f"needs cameras, and this prediction has no {name}"):
            from_depth(repeated(view, [0, 0], **{name: None}))


@pytest.mark.parametrize(("name", "value"), [("budget", 0), ("budget", -3), ("conf_thresh_percentile", 101.0)])
def test_bad_options_are_named(name: str, value: float) -> None:
    with pytest.raises(InputError, match=name):
        DepthSplatOptions(**{name: value})


def test_plane_normals_follow_the_slopes() -> None:
    normal = np.array([0.5, -0.25, 1.0])
    depth = plane_depth(normal, 20, 30, 150)
    k = np.array([[150, 0, 15], [0, 150, 10], [0, 0, 1]], np.float32)
    slopes = measure_slopes(depth, depth > 0, ANGLE).reshape(2, -1)
    y, x = np.mgrid[:20, :30].reshape(2, -1) + 0.5
    found = plane_normals(slopes, np.stack([x, y]).astype(np.float32), k)
    np.testing.assert_allclose(found / found[2], np.tile(normal[:, None], (1, 600)), atol=1e-3)


@pytest.mark.slow
def test_pictures_of_own_and_of_held_out_views() -> None:
    views, between = make_prediction(6, 189, 252), make_prediction(6, 189, 252, between=True)
    thinned = from_depth(views)
    assert psnr(thinned, views).mean() >= 30
    assert psnr(thinned, between).mean() >= 29
    halved = from_depth(views, DepthSplatOptions(budget=len(thinned) // 2))
    assert psnr(halved, between).mean() >= 27
    noise = 1 + 0.01 * numpy_random(0).normal(size=views.depth.shape)
    noisy = replace(views, depth=(views.depth * noise).astype(np.float32))
    assert psnr(from_depth(noisy), between).mean() >= 25
