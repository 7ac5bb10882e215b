"""Camera paths: even, through or near the input cameras, and clear of surfaces."""

from __future__ import annotations

import numpy as np
import pytest

from recon.errors import InputError
from recon.geometry.cameras import camera_centres
from recon.splats import trajectories
from recon.splats.camera_path import CameraPath
from recon.splats.path_steps import step_over
from recon.splats.splat_sample import SplatSample
from recon.splats.trajectories import BLOCKED, TRAJECTORIES, make_path, used_mode
from recon.types import Gaussians
from recon.types.cameras import Cameras
from tests.geometry.random_cameras import (
    cameras_at,
    random_rotations,
    random_similarity,
    rigid,
    small_rotations,
    upright_cameras,
)
from tests.seeds import numpy_random

SIZE = (60, 80)
INTRINSICS = np.array([[64.0, 0, 41], [0, 64, 29], [0, 0, 1]])
ROOM = 2.0
"""Half the side of the cubic room that the cameras are in."""
MOVING = tuple(mode for mode in TRAJECTORIES if mode != "original")


def surface(points: np.ndarray, extent: float, opacity: float = 0.9) -> Gaussians:
    count = len(points)
    return Gaussians(
        means=points.astype(np.float32),
        scales=np.tile(np.float32([extent / 10, extent, extent]), (count, 1)),
        rotations=np.tile(np.float32([1, 0, 0, 0]), (count, 1)),
        harmonics=np.zeros((count, 3, 1), np.float32),
        opacities=np.full(count, opacity, np.float32),
    )


def room(count: int = 6000) -> Gaussians:
    """The walls of a cube about the origin."""
    rng = numpy_random(0)
    points = rng.uniform(-ROOM, ROOM, (count, 3))
    points[np.arange(count), rng.integers(0, 3, count)] = ROOM * rng.choice([-1, 1], count)
    return surface(points, 0.7 * np.sqrt(24 * ROOM**2 / count))


def sphere(radius: float, count: int = 4000) -> Gaussians:
    points = numpy_random(1).normal(size=(count, 3))
    points *= radius / np.linalg.norm(points, axis=1, keepdims=True)
    return surface(points, radius * np.sqrt(4 * np.pi / count))


def turns_about(axis: int, angles: np.ndarray) -> np.ndarray:
    vectors = np.zeros((len(angles), 3, 3))
    i, j = (axis + 1) % 3, (axis + 2) % 3
    vectors[:, axis, axis] = 1
    vectors[:, i, i] = vectors[:, j, j] = np.cos(angles)
    vectors[:, j, i], vectors[:, i, j] = np.sin(angles), -np.sin(angles)
    return vectors


def circle(count: int, radius: float, share: float = 0.8) -> np.ndarray:
    angles = 2 * np.pi * share * np.linspace(0, 1, count)
    return np.stack([radius * np.cos(angles), radius * np.sin(angles), np.full(count, 0.1)], axis=1)


def line(count: int) -> np.ndarray:
    return np.linspace(-1, 1, count)[:, None] * [1.0, 0.2, 0.1]


def capture(kind: str, count: int, seed: int = 0) -> np.ndarray:
    """(count, 4, 4) world to camera."""
    rng = numpy_random(seed, count)
    anywhere = rng.uniform(-1, 1, (count, 3))
    match kind:
        case "orbit":
            return upright_cameras(circle(count, 1.2), -circle(count, 1.2))
        case "outward":
            return upright_cameras(circle(count, 0.5), circle(count, 0.5))
        case "hand-held":
            shaken = np.cumsum(rng.normal(size=(count, 3)) * 0.03, axis=0).clip(-0.5, 0.5)
            return cameras_at(line(count) + shaken, small_rotations(rng, count, 4))
        case "unordered":
            return cameras_at(anywhere, random_rotations(rng, count))
        case "near-coincident":
            anywhere[1::2] = anywhere[: 2 * (count // 2) : 2] + 1e-4 * rng.normal(size=(count // 2, 3))
            return cameras_at(anywhere, random_rotations(rng, count))
        case "coincident":
            return np.repeat(cameras_at(anywhere[:1], random_rotations(rng, 1)), count, axis=0)
        case "panorama":
            return cameras_at(np.zeros((count, 3)), random_rotations(rng, count))
        case "collinear":
            return cameras_at(anywhere[:, :1] * [1.0, 0.2, 0.1], np.eye(3))
        case "half turns":
            return cameras_at(line(count), turns_about(1, np.pi * np.arange(count)))
        case "roll":
            return cameras_at(line(count), turns_about(2, 1.4 * np.arange(count)))
    raise ValueError(kind)


CAPTURES = (
    "orbit",
    "outward",
    "hand-held",
    "unordered",
    "near-coincident",
    "coincident",
    "panorama",
    "collinear",
    "half turns",
    "roll",
)


def cameras(extrinsics: np.ndarray) -> Cameras:
    return Cameras(extrinsics, np.tile(INTRINSICS, (len(extrinsics), 1, 1)))


def path_of(mode: str, extrinsics: np.ndarray, splats: Gaussians | None = None, **options) -> Cameras:
    return make_path(mode, cameras(extrinsics), SIZE, SplatSample.of(splats or room()), **options)


def steps(extrinsics: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distances and radians from frame to frame."""
    relative = extrinsics[1:, :3, :3] @ extrinsics[:-1, :3, :3].swapaxes(1, 2)
    sines = np.stack([relative[:, i, j] - relative[:, j, i] for i, j in ((0, 1), (1, 2), (2, 0))])
    angles = np.arctan2(np.linalg.norm(sines, axis=0), np.trace(relative, axis1=1, axis2=2) - 1)
    return np.linalg.norm(np.diff(camera_centres(extrinsics), axis=0), axis=1), angles


def largest_ratio(sizes: np.ndarray, invisible: float) -> float:
    """Of a step to the smaller of its neighbours; a tenth of the mean step, and what nobody sees, count as still."""
    ends = np.pad(sizes, 1, constant_values=np.inf)
    smaller = np.minimum(ends[:-2], ends[2:])
    return float((sizes / np.maximum(smaller, max(sizes.mean() / 10, invisible))).max())


def assert_even(path: Cameras) -> None:
    translations, rotations = steps(path.world_to_camera)
    assert largest_ratio(translations, 2e-4) < 3
    assert largest_ratio(rotations, 1e-4) < 3


def assert_rigid(path: Cameras) -> None:
    assert np.isfinite(path.world_to_camera).all()
    rotations = path.world_to_camera[:, :3, :3]
    np.testing.assert_allclose(
        rotations @ rotations.swapaxes(1, 2), np.tile(np.eye(3), (len(rotations), 1, 1)), atol=1e-9
    )
    assert (path.intrinsics[:, [0, 1], [0, 1]] > 0).all()
    np.testing.assert_array_equal(path.intrinsics[:, 2], np.tile([0, 0, 1], (len(rotations), 1)))


@pytest.mark.parametrize("kind", CAPTURES)
@pytest.mark.parametrize("count", [2, 3, 7, 30])
def test_no_step_is_a_jump(kind, count):
    for mode in MOVING:
        path = path_of(mode, capture(kind, count))
        assert_rigid(path)
        assert_even(path)


@pytest.mark.parametrize("fps", [10, 60])
def test_no_step_is_a_jump_at_other_frame_rates(fps):
    for mode in MOVING:
        assert_even(path_of(mode, capture("hand-held", 7), fps=fps))


@pytest.mark.parametrize("braking", [0, 1, 2, 7, 30])
@pytest.mark.parametrize("stop", [trajectories._stop_softly, trajectories._stop_by_one_factor])
def test_stopping_goes_forward_to_the_very_end(stop, braking):
    positions = stop(30, braking)
    assert (positions[0], positions[-1]) == pytest.approx((0, 30))
    steps = np.diff(positions)
    assert (steps > -1e-9).all()
    assert steps.max() <= 1.6
    if braking == 30:
        assert steps[-1] < 0.1


def test_the_check_of_evenness_can_fail():
    uneven = cameras_at(np.array([0, 1, 2, 6.1, 7, 8])[:, None] * [1.0, 0, 0], np.eye(3))
    assert largest_ratio(steps(uneven)[0], 1e-3) > 3
    turned = cameras_at(np.zeros((6, 3)), turns_about(0, np.array([0, 0.1, 0.2, 0.7, 0.8, 0.9])))
    assert largest_ratio(steps(turned)[1], 1e-3) > 3


@pytest.mark.parametrize("kind", ["orbit", "outward", "hand-held", "unordered", "collinear", "half turns", "roll"])
@pytest.mark.parametrize("count", [2, 5, 12])
def test_interpolation_passes_through_the_cameras_in_turn(kind, count):
    given = capture(kind, count)
    path = path_of("interpolate", given)
    frames = []
    for camera in given:
        misses = np.abs(path.world_to_camera - camera).max(axis=(1, 2))
        frames.append(int(np.argmin(misses)))
        largest_step = max(steps(path.world_to_camera)[0].max(), steps(path.world_to_camera)[1].max())
        assert misses.min() < (1e-9 if kind in ("orbit", "outward", "half turns", "roll") else largest_step)
    assert frames[0] == 0
    assert frames[-1] == len(path.world_to_camera) - 1
    if kind != "collinear":  # back and forth along a line, a place is passed more than once
        assert frames == sorted(frames)


def test_interpolation_goes_around_what_the_cameras_look_at():
    """Straight from camera to camera the path would lead through the ball."""
    given = upright_cameras(circle(4, 1.5, share=0.75), -circle(4, 1.5, share=0.75))
    for mode in ("interpolate", "interpolate_smooth", "extend", "wobble_inter"):
        path = path_of(mode, given, sphere(0.9))
        distances = np.linalg.norm(camera_centres(path.world_to_camera), axis=1)
        assert distances.min() > (1.4 if mode == "interpolate" else 1)
        assert distances.max() < 2


def test_intrinsics_change_smoothly_with_the_cameras():
    given = capture("hand-held", 4)
    focal = np.array([60.0, 90, 45, 60])
    intrinsics = np.tile(INTRINSICS, (4, 1, 1))
    intrinsics[:, 0, 0] = intrinsics[:, 1, 1] = focal
    sample = SplatSample.of(room())
    path = make_path("interpolate", Cameras(given, intrinsics), SIZE, sample)
    changes = np.diff(path.intrinsics[:, 0, 0])
    assert path.intrinsics[0, 0, 0] == 60
    assert np.abs(np.diff(changes)).max() < 2
    assert path.intrinsics[:, 0, 0].min() > 40
    assert path.intrinsics[:, 0, 0].max() < 95


def test_the_original_path_is_the_input():
    given = capture("unordered", 5)
    path = path_of("original", given)
    np.testing.assert_allclose(path.world_to_camera, given, atol=1e-12)
    np.testing.assert_array_equal(path.intrinsics, np.tile(INTRINSICS, (5, 1, 1)))


def test_smoothing_takes_the_shake_out_and_stays_close():
    given = capture("hand-held", 60)
    smooth = path_of("smooth", given)
    assert len(smooth.world_to_camera) == 60

    def shake(extrinsics: np.ndarray) -> tuple[float, float]:
        directions = extrinsics[:, 2, :3]
        centres = camera_centres(extrinsics)
        return tuple(np.linalg.norm(np.diff(values, 2, axis=0), axis=1).mean() for values in (centres, directions))

    for after, before in zip(shake(smooth.world_to_camera), shake(given), strict=True):
        assert after < before / 5
    strayed = np.linalg.norm(camera_centres(smooth.world_to_camera) - camera_centres(given), axis=1)
    assert strayed.max() < 0.2
    np.testing.assert_allclose(smooth.world_to_camera[[0, -1]], given[[0, -1]], atol=1e-9)


def test_lengths():
    def frames(mode: str, count: int, fps: int = 24) -> int:
        return len(path_of(mode, cameras_at(line(count), np.eye(3)), fps=fps).world_to_camera)

    assert frames("interpolate", 2) == 48  # two seconds at least
    assert abs(frames("interpolate", 2, fps=10) - 20) <= 1
    assert abs(frames("interpolate", 30) - 29 * 8) <= 29
    assert abs(frames("interpolate", 100) - 24 * 18) <= 99  # eighteen seconds at most
    assert frames("wander", 2) == frames("dolly_zoom", 2) == 121
    assert frames("smooth", 7) == frames("original", 7) == 7
    assert frames("extend", 2) > frames("interpolate_smooth", 2) + 2 * 36


def test_extend_wanders_and_zooms_half_way():
    given = capture("orbit", 9)
    base, extended = path_of("interpolate_smooth", given), path_of("extend", given)
    for end in (0, -1):
        np.testing.assert_allclose(extended.world_to_camera[end], base.world_to_camera[end], atol=1e-9)
    zoomed = extended.intrinsics[:, 0, 0] > INTRINSICS[0, 0] * 1.001
    assert 0.3 < np.flatnonzero(zoomed).mean() / len(zoomed) < 0.7
    middle = base.world_to_camera[len(base.world_to_camera) // 2]
    at_rest = np.abs(extended.world_to_camera - middle).max(axis=(1, 2)) < 1e-6
    assert at_rest.sum() >= 2  # before and after the loops


@pytest.mark.parametrize("mode", ["wander", "dolly_zoom"])
def test_loops_start_and_end_at_rest_where_the_camera_is(mode):
    given = capture("orbit", 3)
    path = path_of(mode, given)
    for end in (0, -1):
        np.testing.assert_allclose(path.world_to_camera[end], given[0], atol=1e-12)
    translations, rotations = steps(path.world_to_camera)
    assert max(translations[0], translations[-1]) < translations.max() / 50
    assert rotations.max() < 1e-7


def test_the_dolly_zoom_keeps_the_size_of_what_is_in_the_middle():
    wall = numpy_random(0).uniform(-3, 3, (3000, 3))
    wall[:, 2] = 2
    path = path_of("dolly_zoom", cameras_at(np.zeros((2, 3)), np.eye(3)), surface(wall, 0.1))
    depth = 2 + path.world_to_camera[:, 2, 3]
    assert depth.max() > 2.5
    np.testing.assert_allclose(path.intrinsics[:, 0, 0] / depth, INTRINSICS[0, 0] / 2, rtol=1e-6)


def test_one_camera_wanders():
    one = capture("unordered", 1)
    wander = path_of("wander", one)
    for mode in set(TRAJECTORIES) - {"dolly_zoom"}:
        assert used_mode(mode, cameras(one)) == "wander"
        np.testing.assert_array_equal(path_of(mode, one).world_to_camera, wander.world_to_camera)
    assert_even(path_of("dolly_zoom", one))
    assert_even(wander)


def test_an_unknown_path_is_named_with_the_known_ones():
    with pytest.raises(
        InputError, match=r"unknown camera path 'spiral'; known: original, smooth, interpolate, .*wobble"
    ):
        path_of("spiral", capture("orbit", 3))


@pytest.mark.parametrize("mode", TRAJECTORIES)
def test_paths_move_and_grow_with_the_world(mode):
    """Another world frame and unit change nothing but the numbers."""
    given, splats = capture("hand-held", 6), room()
    similarity = random_similarity(numpy_random(4))
    scale, rotation = similarity.scale, similarity.rotation
    to_new = rigid(rotation, similarity.translation)
    moved = given @ np.linalg.inv(to_new)
    moved[:, :3, 3] = given[:, :3, 3] * scale - moved[:, :3, :3] @ similarity.translation
    points = scale * splats.means @ rotation.T + similarity.translation
    other = Gaussians(points, splats.scales * scale, splats.rotations, splats.harmonics, splats.opacities)
    path, moved_path = path_of(mode, given, splats), path_of(mode, moved, other)
    centres = scale * camera_centres(path.world_to_camera) @ rotation.T + similarity.translation
    np.testing.assert_allclose(camera_centres(moved_path.world_to_camera), centres, atol=1e-4 * scale)
    np.testing.assert_allclose(
        moved_path.world_to_camera[:, :3, :3], path.world_to_camera[:, :3, :3] @ rotation.T, atol=1e-4
    )
    np.testing.assert_allclose(moved_path.intrinsics, path.intrinsics, rtol=1e-4)


@pytest.mark.parametrize("kind", ["orbit", "outward", "hand-held", "unordered", "half turns", "panorama"])
def test_no_frame_is_inside_a_wall_of_the_room(kind):
    given, splats = capture(kind, 5, seed=1), room()
    sample = SplatSample.of(splats)
    near = np.median(sample.depth_percentiles(CameraPath.of(cameras(given)), SIZE, (5,)))
    for mode in TRAJECTORIES:
        path = path_of(mode, given, splats)
        covered = sample.covered(CameraPath.of(path), SIZE, 0.1 * near)
        assert covered.max() <= BLOCKED, mode
        assert np.abs(camera_centres(path.world_to_camera)).max() < ROOM, mode


def test_loops_close_to_a_wall_are_small():
    """In front of a wall, with another right behind the camera."""
    behind = numpy_random(0).uniform(-1, 1, (2000, 3)) * [1, 1, 0] + [0, 0, -0.05]
    ahead = numpy_random(1).uniform(-1, 1, (2000, 3)) * [1, 1, 0] + [0, 0, 0.5]
    splats = surface(np.concatenate([behind, ahead]), 0.05)
    for mode in ("wander", "dolly_zoom"):
        path = path_of(mode, cameras_at(np.zeros((1, 3)), np.eye(3)), splats)
        assert SplatSample.of(splats).covered(CameraPath.of(path), SIZE, 0.05).max() <= BLOCKED
        assert (camera_centres(path.world_to_camera)[:, 2] < 0.1).all()


def test_a_wall_in_the_way_is_taken_in_one_step():
    wall = numpy_random(0).uniform(-3, 3, (8000, 3)) * [1, 1, 0]
    far = wall + [0, 0, 4]
    splats = surface(np.concatenate([wall, far]), 0.06)
    given = cameras_at(np.array([[0, 0, -2.0], [0.1, 0, 2.0]]), np.eye(3))
    for mode in ("interpolate", "interpolate_smooth", "extend"):
        path = path_of(mode, given, splats)
        assert_even(path)
        depth_to_wall = -camera_centres(path.world_to_camera)[:, 2]
        assert ((depth_to_wall < 0) | (depth_to_wall > 0.1)).all()
        assert SplatSample.of(splats).covered(CameraPath.of(path), SIZE, 0.15).max() <= BLOCKED


@pytest.mark.parametrize("stretches", [[(20, 23)], [(20, 40)], [(10, 14), (17, 22)], [(30, 50), (60, 62), (70, 90)]])
def test_stepping_over_keeps_the_path_even(stretches):
    path = CameraPath.of(cameras(cameras_at(np.arange(121)[:, None] * [0.1, 0, 0], np.eye(3))))
    blocked = np.zeros(121, bool)
    for begin, end in stretches:
        blocked[begin:end] = True
    stepped = step_over(path, blocked)
    positions = stepped.centres[:, 0] / 0.1
    assert not blocked[np.rint(positions).astype(int)].any()
    assert (positions[0], positions[-1]) == pytest.approx((0, 120))
    ratios = np.diff(positions)[1:] / np.diff(positions)[:-1]
    assert (ratios < 3).all()
    assert (ratios > 1 / 3).all()
    assert (np.diff(positions) > 0).all()


def test_stepping_over_leaves_blocked_ends_and_clear_paths_alone():
    path = CameraPath.of(cameras(cameras_at(np.arange(9)[:, None] * [0.1, 0, 0], np.eye(3))))
    for blocked in ([0] * 9, [1, 1] + [0] * 7, [0] * 8 + [1], [1] * 9):
        np.testing.assert_allclose(step_over(path, np.array(blocked, bool)).centres, path.centres)


def test_coverage_is_the_share_of_the_view():
    rng = numpy_random(0)
    wall = rng.uniform(-1, 1, (20_000, 3)) * [1, 1, 0] + [0, 0, 0.2]
    path = CameraPath.of(cameras(cameras_at(np.zeros((1, 3)), np.eye(3))))
    full = SplatSample.of(surface(wall, 0.03))
    assert full.covered(path, SIZE, 0.3)[0] == 1
    assert full.covered(path, SIZE, 0.1)[0] == 0
    half = SplatSample.of(surface(wall[wall[:, 0] < 0], 0.03))
    assert half.covered(path, SIZE, 0.3)[0] == pytest.approx(0.5, abs=0.15)
    assert SplatSample.of(surface(-wall, 0.01)).covered(path, SIZE, 0.3)[0] == 0
    assert SplatSample.of(surface(wall, 0.01, opacity=0.01)).covered(path, SIZE, 0.3)[0] == 0


def test_a_sample_of_many_splats_still_fills_the_view():
    """Five layers, of which a sample of one eighth would cover half were its splats not enlarged."""
    wall = numpy_random(0).uniform(-1, 1, (400_000, 3)) * [1, 1, 0] + [0, 0, 0.05]
    sample = SplatSample.of(surface(wall, 0.004))
    assert len(sample.centres) == 50_000
    path = CameraPath.of(cameras(cameras_at(np.zeros((1, 3)), np.eye(3))))
    assert sample.covered(path, SIZE, 0.1)[0] > 0.9


def test_nothing_in_view_and_nothing_at_all():
    path = CameraPath.of(cameras(cameras_at(np.zeros((1, 3)), np.eye(3))))
    behind = SplatSample.of(surface(np.array([[0, 0, -3.0]]), 0.1))
    np.testing.assert_allclose(behind.depth_percentiles(path, SIZE, (5, 50)), [[3, 3]])
    nothing = surface(np.zeros((0, 3)), 0.1)
    np.testing.assert_array_equal(SplatSample.of(nothing).depth_percentiles(path, SIZE, (5, 50)), [[1, 1]])
    for mode in TRAJECTORIES:
        assert_rigid(path_of(mode, capture("orbit", 3), nothing))
