"""Cameras that are given with errors, refined by the photos."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from recon.errors import InputError
from recon.geometry.cameras import camera_centres
from recon.sfm.photos import SfmPhoto
from recon.sfm.refine_cameras import refine_cameras
from recon.sfm.result import SfmResult
from tests.seeds import numpy_random

from .cards import INTRINSICS, SIZE, arc, photograph, prepared, stage
from .synthetic_models import relative_angle


def off_by(poses: np.ndarray, degrees: float, share: float, seed: int = 1) -> np.ndarray:
    """Each pose turned about a random axis, and its centre moved by a share of the extent of all."""
    random, off = numpy_random(seed), poses.copy()
    centres = camera_centres(poses)
    extent = np.linalg.norm(centres - centres.mean(axis=0), axis=1).mean()
    for index, centre in enumerate(centres):
        axis = random.normal(size=3)
        turn = cv2.Rodrigues(np.radians(degrees) * axis / np.linalg.norm(axis))[0]
        off[index, :3, :3] = turn @ poses[index, :3, :3]
        off[index, :3, 3] = -off[index, :3, :3] @ (centre + share * extent * random.normal(size=3))
    return off


def found_poses(found: SfmResult) -> np.ndarray:
    assert found.cameras.world_to_camera is not None
    return found.cameras.world_to_camera


@pytest.fixture(scope="module")
def truth() -> np.ndarray:
    """In a frame and a unit of their own."""
    poses = arc(7)
    poses[:, :3, 3] *= 3.0
    shift = np.eye(4)
    shift[:3, 3] = 10, -4, 2
    return poses @ shift


@pytest.fixture(scope="module")
def photos() -> list[SfmPhoto]:
    return [replace(photo, intrinsics=INTRINSICS) for photo in prepared(photograph(stage(), arc(7)))]


@pytest.fixture(scope="module")
def refined(photos: list[SfmPhoto], truth: np.ndarray) -> SfmResult:
    blank = replace(photos[0], gray=np.full_like(photos[0].gray, 90), name="blank")
    given = np.concatenate([off_by(truth, 1.0, 0.01), truth[:1]])
    return refine_cameras([*photos, blank], given, scale="metric")


def test_a_degree_goes(refined: SfmResult, truth: np.ndarray):
    assert relative_angle(off_by(truth, 1.0, 0.01), truth) > 1.0
    assert relative_angle(found_poses(refined)[:7], truth) < 0.05


def test_frame_and_scale_stay(refined: SfmResult, truth: np.ndarray):
    centres, expected = camera_centres(found_poses(refined)[:7]), camera_centres(truth)
    extent = np.linalg.norm(expected - expected.mean(axis=0), axis=1).mean()
    assert np.linalg.norm(centres - expected, axis=1).max() < 0.03 * extent
    assert refined.original_cameras.scale == "metric"
    turns = found_poses(refined)[:7, :3, :3] @ truth[:, :3, :3].swapaxes(1, 2)
    assert np.degrees(np.linalg.norm(turns - np.eye(3), axis=(1, 2)) / 2**0.5).max() < 0.8
    # Points lie on cards at known depths of the first frame, three times as far here.
    seen = refined.sparse.observed[3]
    depth = (refined.sparse.points[seen] @ truth[3, :3, :3].T + truth[3, :3, 3])[:, 2]
    assert 3 * 3.5 < np.median(depth) < 3 * 9.5


def test_what_changed_is_said(refined: SfmResult):
    assert refined.changes is not None
    assert 0.6 < np.median(refined.changes.degrees[:7]) < 1.4
    assert refined.certainty is not None
    assert np.isfinite(refined.certainty.degrees[:7]).all()


def test_a_photo_that_shares_nothing_keeps_its_camera(refined: SfmResult, truth: np.ndarray):
    np.testing.assert_allclose(found_poses(refined)[7], truth[0])
    assert refined.changes is not None
    assert refined.changes.kept == ("blank",)
    assert any("blank" in line for line in refined.warnings())
    assert refined.certainty is not None
    assert 7 in refined.certainty.weak


def test_cameras_of_other_photos_are_refused(photos: list[SfmPhoto], truth: np.ndarray):
    mixed = np.linalg.inv(truth)[[3, 0, 6, 2, 5, 1, 4]]
    with pytest.raises(InputError, match=r"given cameras cannot be refined.*convention"):
        refine_cameras(photos, mixed)


def test_an_unknown_lens_is_found_too(photos: list[SfmPhoto], truth: np.ndarray):
    plain = [replace(photo, intrinsics=None, exif_focal_35mm=36 * 330 / SIZE[1]) for photo in photos]
    found = refine_cameras(plain, off_by(truth, 0.5, 0.005))
    np.testing.assert_allclose(found.lenses.intrinsics[:, 0, 0], 300, rtol=0.02)
    assert found.lens_choices[0].lens == "estimated"
