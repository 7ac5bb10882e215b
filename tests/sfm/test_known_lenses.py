"""Intrinsics that are known, of photos whose poses are not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from recon.errors import InputError
from recon.messages import ReconWarning
from recon.sfm.lens_models import known_camera
from recon.sfm.structure_from_motion import SfmOptions, structure_from_motion
from recon.sources.given_lens import check_size_of_lenses
from recon.types.lens import distort

from .cards import arc, largest_angle, photograph, prepared, stage

LENS = np.array([[310.0, 0, 175], [0, 306.0, 108], [0, 0, 1]])


def test_known_intrinsics_are_held():
    truth = arc(6)
    photos = [replace(photo, intrinsics=LENS) for photo in prepared(photograph(stage(), truth, LENS))]
    found = structure_from_motion(photos)
    np.testing.assert_allclose(found.lenses.intrinsics, np.tile(LENS, (6, 1, 1)), rtol=1e-9)
    assert not found.lenses.distortion.any()
    assert largest_angle(found, truth) < 0.1
    (choice,) = found.lens_choices
    assert (choice.principal_point, choice.lens, choice.model) == ("given", "held", "PINHOLE")


def test_known_intrinsics_are_refined():
    truth, start = arc(6), LENS.copy()
    start[[0, 1], [0, 1]] *= 1.03
    photos = [replace(photo, intrinsics=start) for photo in prepared(photograph(stage(), truth, LENS))]
    found = structure_from_motion(photos, SfmOptions(refine_intrinsics=True))
    np.testing.assert_allclose(found.lenses.intrinsics[0, [0, 1], [0, 1]], LENS[[0, 1], [0, 1]], rtol=0.01)
    assert largest_angle(found, truth) < 0.3
    assert found.lens_choices[0].lens == "refined"


def test_intrinsics_of_some_photos_are_refused():
    photos = prepared(photograph(stage(), arc(3), LENS))
    with pytest.raises(InputError, match=f"2 of 3 photos, but not of '{photos[1].name}'"):
        structure_from_motion([replace(p, intrinsics=None if i == 1 else LENS) for i, p in enumerate(photos)])


@pytest.mark.parametrize(
    ("fy", "coefficients", "model"),
    [
        (600.0, (0, 0, 0, 0, 0, 0, 0, 0), "SIMPLE_PINHOLE"),
        (605.0, (0, 0, 0, 0, 0, 0, 0, 0), "PINHOLE"),
        (600.0, (0.1, 0, 0, 0, 0, 0, 0, 0), "SIMPLE_RADIAL"),
        (600.0, (0.1, 0.02, 0, 0, 0, 0, 0, 0), "RADIAL"),
        (605.0, (0.1, 0, 0, 0, 0, 0, 0, 0), "OPENCV"),
        (600.0, (0, 0, 0.01, 0, 0, 0, 0, 0), "OPENCV"),
        (600.0, (0.1, 0.02, 0.01, 0.02, 0.03, 0.1, 0, 0), "FULL_OPENCV"),
    ],
)
def test_a_known_lens_is_said_in_full(fy: float, coefficients: tuple[float, ...], model: str):
    intrinsics = np.array([[600.0, 0, 410], [0, fy, 290], [0, 0, 1]])
    camera = known_camera(intrinsics, np.array(coefficients, float), (400, 300), 0.5)
    assert camera.model_name == model
    rays = np.array([[0.2, -0.1, 1.0], [-0.5, 0.4, 1.0]])
    bent = distort(rays[:, :2], np.array(coefficients, float))
    expected = (bent * (600, fy) + (410, 290)) * 0.5
    np.testing.assert_allclose(camera.img_from_cam(rays), expected, atol=1e-9)


def test_intrinsics_of_another_size_are_said_with_those_meant():
    half, sizes = LENS.copy(), np.array([[700, 432]])
    check_size_of_lenses(2 * half[None] * (1, 1, 1), sizes, ["a.jpg"])
    with pytest.warns(ReconWarning, match=r"'a.jpg'.*cropped.*350×216.*give 620,612,350,216.*1 more"):
        check_size_of_lenses(np.stack([half, half]), sizes.repeat(2, 0), ["a.jpg", "b.jpg"])
    with pytest.raises(InputError, match=r"outside the photo of 700×432.*at about 1400×864.*give 620,612,350,216"):
        check_size_of_lenses(4 * half[None] * (1, 1, 1), sizes, ["a.jpg"])
    with pytest.raises(InputError, match=r"\(800, 200\) lies outside the photo of 700×432.*subtracted from CX"):
        check_size_of_lenses(np.array([[[600.0, 0, 800], [0, 600, 200], [0, 0, 1]]]), sizes, ["a.jpg"])


def test_a_crop_off_the_centre_is_of_its_own_size():
    check_size_of_lenses(np.array([[[600.0, 0, 260], [0, 600, 150], [0, 0, 1]]]), np.array([[700, 432]]), ["a.jpg"])
    corner = np.array([[[1379.74, 0, 360.345], [0, 1382.08, 253.405], [0, 0, 1]]])
    with pytest.warns(ReconWarning, match="far from the middle of 500×350"):
        check_size_of_lenses(corner, np.array([[500, 350]]), ["a.jpg"])
