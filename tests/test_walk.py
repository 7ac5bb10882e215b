from __future__ import annotations

import numpy as np

from recon.choices import InferenceOptions
from recon.eval.camera_metrics import rotation_angles, trajectory_error
from recon.geometry.cameras import camera_centres, to_4x4
from recon.geometry.similarity import umeyama
from recon.run.pipeline import reconstruct
from recon.sources.fitting import preprocess

from .drifting_network import Drift, DriftingNetwork
from .synthetic.casting import cast_depth
from .synthetic.render import render_views
from .synthetic.scenes import make_scene
from .synthetic.walk import Walk, courtyard

SMALL = Walk(60, size=(42, 56), shaded=False)


def test_depth_alone_is_that_of_the_photos() -> None:
    scene = make_scene("plain_room", 1)
    walk = Walk(2, size=(18, 24))
    views = render_views(scene, walk.world_to_camera, walk.intrinsics, walk.size, 1)
    depth, objects = cast_depth(scene, walk.world_to_camera, np.tile(walk.intrinsics, (2, 1, 1)), walk.size)
    np.testing.assert_array_equal(depth, views.depth)
    np.testing.assert_array_equal(objects, views.object_ids)


def test_a_walk_comes_back_and_keeps_its_distance_from_everything() -> None:
    walk = Walk(600)
    centres, looks = camera_centres(walk.world_to_camera), walk.world_to_camera[:, 2, :3]
    steps = np.linalg.norm(np.diff(centres, axis=0), axis=1)
    assert steps.min() > 0.01
    assert steps.max() < 0.1
    again = range(int(600 / 1.06) + 2, 600)
    for frame in again:  # near a place where the camera has been, looking about the same way
        near = int(np.linalg.norm(centres[:60] - centres[frame], axis=1).argmin())
        assert np.linalg.norm(centres[near] - centres[frame]) < 0.4
        assert looks[near] @ looks[frame] > np.cos(np.radians(25))
    middle = walk.depth([300], walk.intrinsics, walk.size)
    assert np.linalg.norm(centres[300] - centres[0]) > 6
    assert (middle > 0).mean() > 0.4
    nearest = walk.depth(range(0, 600, 25), walk.intrinsics, (21, 28))
    assert nearest[nearest > 0].min() > 0.3


def test_laps_stay_within_the_walls() -> None:
    walk = Walk(5000, laps=8, size=(42, 56), shaded=False)
    centres = camera_centres(walk.world_to_camera)
    assert np.abs(centres[:, 0]).max() < 4.4
    assert centres[:, 1].max() < 3.0
    assert SMALL.pixels([3]).std() > 10


def test_an_estimator_without_drift_gives_the_truth_in_one_world() -> None:
    exact = DriftingNetwork(SMALL, Drift(scale=0, depth=0, degrees=0, step=0))
    options = InferenceOptions(process_res=56)
    given = reconstruct(exact, SMALL.source(), options=options).prediction
    error, _ = trajectory_error(given.extrinsics, SMALL.world_to_camera)
    assert error < 1e-4
    world = umeyama(camera_centres(SMALL.world_to_camera), camera_centres(to_4x4(given.extrinsics)))
    truth = SMALL.depth(range(60), given.intrinsics[0].astype(float), given.depth.shape[1:])
    np.testing.assert_allclose(given.depth[given.valid] * world.scale, truth[given.valid], rtol=1e-4)
    np.testing.assert_array_equal(given.sky, truth == 0)


def test_an_estimator_drifts_as_much_as_it_says() -> None:
    network = DriftingNetwork(SMALL, Drift(depth=0, degrees=0.05, step=0))
    given = reconstruct(network, SMALL.source(), options=InferenceOptions(process_res=56)).prediction
    truth = SMALL.depth(range(60), given.intrinsics[0].astype(float), given.depth.shape[1:])
    scale = np.array(
        [np.median(one[ok] / true[ok]) for one, true, ok in zip(given.depth, truth, given.valid, strict=True)]
    )
    assert abs(abs(np.log(scale[-1] / scale[0])) - 0.01) < 1e-3
    cameras = to_4x4(given.extrinsics).astype(float)
    turns = cameras[1:, :3, :3] @ cameras[:-1, :3, :3].swapaxes(1, 2)
    true = SMALL.world_to_camera[1:, :3, :3] @ SMALL.world_to_camera[:-1, :3, :3].swapaxes(1, 2)
    off = rotation_angles(turns @ true.swapaxes(1, 2))
    assert 0.05 < off.mean() < 0.3
    views = preprocess([SMALL.source().read(frame) for frame in range(5, 9)], 56)
    first, again = network.estimate(views), network.estimate(views)
    np.testing.assert_array_equal(first.depth, again.depth)
    np.testing.assert_array_equal(first.extrinsics, again.extrinsics)


def test_frames_are_written_once(tmp_path) -> None:
    walk = Walk(40, size=(20, 28), shaded=False)
    walk.write(tmp_path, [3, 4])
    kept = (tmp_path / walk.name(3)).stat().st_mtime_ns
    walk.write(tmp_path, [3])
    assert (tmp_path / walk.name(3)).stat().st_mtime_ns == kept
    assert walk.frames([walk.name(3), "frame_000004_120ms"]) == [3, 4]
    assert courtyard() is courtyard()
