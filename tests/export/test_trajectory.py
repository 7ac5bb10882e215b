from __future__ import annotations

from dataclasses import replace

import numpy as np

from recon.export import EXPORTERS
from recon.export.exporter import NoOptions
from recon.export.trajectory import cameras_of_frames
from recon.geometry.cameras import camera_centres
from recon.sources.cameras_file import read_cameras
from recon.types import Prediction
from recon.types.cameras import Cameras
from tests.synthetic.camera_paths import look_at

FRAMES = tuple(f"{number}.png" for number in range(9))
VIEWS = (FRAMES[0], FRAMES[4], FRAMES[5], FRAMES[7])


def cameras_at(turns: list[float]) -> Cameras:
    """Of a camera that goes along x and turns about z."""
    angle, centres = np.array(turns), np.array([[turn, 2.0, 1.0] for turn in turns])
    ahead = np.stack([np.cos(angle), np.sin(angle), 0 * angle], axis=1)
    intrinsics = np.tile(np.array([[50.0, 0, 20], [0, 50, 15], [0, 0, 1]]), (len(turns), 1, 1))
    sizes = np.tile(np.array([40, 30]), (len(turns), 1))
    return Cameras(look_at(centres, centres + ahead), intrinsics, sizes)


GIVEN = cameras_at([0.0, 0.4, 0.5, 0.7])


def test_an_even_motion_is_met_at_every_frame() -> None:
    found = cameras_of_frames(GIVEN, VIEWS, FRAMES)
    expected = cameras_at([0.1 * number for number in range(8)] + [0.7])  # stands after the last view
    np.testing.assert_allclose(found.world_to_camera, expected.world_to_camera, atol=1e-12)
    np.testing.assert_array_equal(found.intrinsics, expected.intrinsics)


def test_views_keep_their_cameras_to_the_bit_in_any_order() -> None:
    order = [2, 0, 3, 1]
    found = cameras_of_frames(GIVEN[order], [VIEWS[index] for index in order], FRAMES)
    np.testing.assert_array_equal(found.world_to_camera[[0, 4, 5, 7]], GIVEN.world_to_camera)


def test_nothing_moves_towards_a_cut() -> None:
    found = cameras_of_frames(GIVEN, VIEWS, FRAMES, cuts=[FRAMES[4]])
    np.testing.assert_array_equal(found.world_to_camera[:4], np.tile(GIVEN.world_to_camera[0], (4, 1, 1)))
    np.testing.assert_allclose(camera_centres(found.world_to_camera)[4:, 0], [0.4, 0.5, 0.6, 0.7, 0.7])


def prediction() -> Prediction:
    return Prediction(
        depth=np.ones((4, 30, 40), np.float32),
        processed_images=np.zeros((4, 30, 40, 3), np.uint8),
        extrinsics=GIVEN.world_to_camera[:, :3].astype(np.float32),
        intrinsics=GIVEN.intrinsics.astype(np.float32),
        image_names=VIEWS,
        original_sizes=GIVEN.sizes,
        processed_to_original=np.tile(np.eye(3), (4, 1, 1)),
    )


def test_the_file_holds_what_cameras_are_read_from(tmp_path) -> None:
    of_run = replace(prediction(), run={"keyframes": {"frames": list(FRAMES), "cuts": []}})
    exported = EXPORTERS["trajectory"].write(of_run, tmp_path, NoOptions())
    assert exported.details == {"frames": 9, "interpolated": 5}
    again = read_cameras(exported.files[0], FRAMES)
    np.testing.assert_allclose(camera_centres(again.world_to_camera)[:, 0], [*np.arange(8) / 10, 0.7], atol=1e-6)
    alone = EXPORTERS["trajectory"].write(prediction(), tmp_path, NoOptions())
    assert alone.details == {"frames": 4, "interpolated": 0}


def test_views_without_names_go_by_number(tmp_path) -> None:
    nameless = replace(prediction(), image_names=())
    EXPORTERS["trajectory"].write(nameless, tmp_path, NoOptions())
    again = read_cameras(tmp_path / "trajectory.json", ["0000", "0001", "0002", "0003"])
    np.testing.assert_allclose(again.world_to_camera, GIVEN.world_to_camera, atol=1e-6)
