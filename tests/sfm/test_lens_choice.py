"""What a set of photos determines of its lens, on models whose truth is known."""

from __future__ import annotations

import numpy as np
import pycolmap
import pytest

from recon.sfm.bundle import adjust, copy_model, refine
from recon.sfm.lens_choice import CENTRE, ChosenLenses, choose_lenses
from recon.sfm.lens_models import FISHEYE, convert, may_be_fisheye, to_plain

from .synthetic_models import SIMPLE, around, forward, nadir, poses_of, relative_angle, synthetic_model


def with_plain_lens(model: pycolmap.Reconstruction) -> pycolmap.Reconstruction:
    """As mapping leaves it: one coefficient of distortion, and the principal point in the middle."""
    camera = model.cameras[1]
    focal = camera.mean_focal_length()
    camera.model = pycolmap.CameraModelId.SIMPLE_RADIAL
    camera.params = [focal, camera.width / 2, camera.height / 2, 0.0]
    adjust(model, iterations=100)
    return model


def angles(truth: np.ndarray, model: pycolmap.Reconstruction, chosen: ChosenLenses) -> tuple[float, float]:
    """Degrees by which rotations are wrong before and after."""
    return relative_angle(poses_of(model), truth), relative_angle(poses_of(chosen.part), truth)


def test_a_principal_point_that_is_determined_is_found():
    truth = around(9)
    model = with_plain_lens(synthetic_model(truth, ("SIMPLE_RADIAL", (700.0, 408.0, 294.0, -0.02))))
    chosen = choose_lenses(model)
    (trial,) = (one for one in chosen.tried[1] if one.freedom == CENTRE.name)
    assert trial.taken
    assert trial.uncertainty is not None
    assert 0.1 < trial.uncertainty < 2.4
    assert chosen.centres == {1}
    assert chosen.part.cameras[1].model_name == "SIMPLE_RADIAL"
    np.testing.assert_allclose(chosen.part.cameras[1].params[1:3], (408, 294), atol=2)
    before, after = angles(truth, model, chosen)
    assert after < 0.4 * before


def test_one_that_is_in_the_middle_stays_there():
    chosen = choose_lenses(with_plain_lens(synthetic_model(around(9))))
    assert not chosen.centres
    assert not any(one.taken for one in chosen.tried[1])


@pytest.mark.parametrize("bias", [0.0, 0.5])
@pytest.mark.parametrize(
    ("poses", "box"),
    [
        pytest.param(forward(10), (3.0, 2.0, 6.0), id="forward"),
        pytest.param(nadir(4, 4), (4.0, 4.0, 0.15), id="nadir grid"),
        pytest.param(around(3, 30), (2.0, 2.0, 1.0), id="three photos"),
    ],
)
def test_one_that_is_not_determined_makes_nothing_worse(poses: np.ndarray, box: tuple[float, ...], bias: float):
    """`bias` stands for what no model of a lens says, such as a shutter that rolls: it draws on any freedom."""
    model = with_plain_lens(synthetic_model(poses, box=box, bias=bias))
    chosen = choose_lenses(model)
    plain, freed = refine(model, lenses=True), refine(model, lenses=True, start=chosen.part, centre=chosen.centres)
    assert relative_angle(poses_of(freed), poses) < 1.05 * relative_angle(poses_of(plain), poses) + 0.003


@pytest.mark.parametrize(
    ("lens", "name"),
    [
        (("RADIAL", (700.0, 400.0, 300.0, -0.25, 0.12)), "RADIAL"),
        (("OPENCV", (700.0, 700.0, 408.0, 294.0, -0.2, 0.08, 0.004, -0.003)), "OPENCV"),
    ],
)
def test_coefficients_that_photos_show_are_found(lens: tuple[str, tuple[float, ...]], name: str):
    truth = around(9)
    model = with_plain_lens(synthetic_model(truth, lens))
    chosen = choose_lenses(model)
    camera = chosen.part.cameras[1]
    assert camera.model_name == name
    assert camera.mean_focal_length() == pytest.approx(700, rel=2e-3)
    extra = list(camera.extra_params_idxs())
    np.testing.assert_allclose(np.array(camera.params)[extra], np.array(lens[1])[extra], atol=0.02)
    before, after = angles(truth, model, chosen)
    assert after < 0.6 * before


def test_a_fisheye_is_found_where_its_corners_are_drawn_in():
    """111° from corner to corner: photos can still be placed as if a polynomial said it."""
    truth, params = around(9, 60), (520.0, 520.0, 404.0, 297.0, 0.03, -0.01, 0.0, 0.0)
    model = with_plain_lens(synthetic_model(truth, (FISHEYE, params), box=(8.0, 6.0, 2.0)))
    chosen = choose_lenses(model)
    camera = chosen.part.cameras[1]
    (trial,) = (one for one in chosen.tried[1] if one.freedom == FISHEYE)
    assert (camera.model_name, trial.taken) == (FISHEYE, True)
    assert camera.mean_focal_length() == pytest.approx(520, rel=5e-3)
    before, after = angles(truth, model, chosen)
    assert after < 0.1
    assert after < before
    assert choose_lenses(model, fisheyes=False).part.cameras[1].model_name != FISHEYE


def test_a_polynomial_that_bends_as_much_is_no_fisheye():
    chosen = choose_lenses(with_plain_lens(synthetic_model(around(9), ("RADIAL", (700.0, 400.0, 300.0, -0.25, 0.12)))))
    assert chosen.part.cameras[1].model_name == "RADIAL"
    assert any(one.freedom == FISHEYE and not one.taken for one in chosen.tried[1])


def test_a_fisheye_that_stands_for_a_polynomial_bends_rays_alike():
    lens = pycolmap.Camera(model="RADIAL", width=800, height=600, params=[600.0, 400, 300, -0.2, 0.03])
    assert may_be_fisheye(lens)
    assert not may_be_fisheye(pycolmap.Camera(model="RADIAL", width=800, height=600, params=[900.0, 400, 300, -0.1, 0]))
    rays = np.array([[0.0, 0, 1], [0.3, 0.1, 1], [-0.4, 0.4, 1], [0.6, 0.4, 1]])
    fisheye = pycolmap.Camera(lens.todict())
    convert(fisheye, FISHEYE)
    assert fisheye.model_name == FISHEYE
    np.testing.assert_allclose(fisheye.img_from_cam(rays), lens.img_from_cam(rays), atol=1.0)


def test_a_fisheye_that_is_none_becomes_a_plain_lens_again():
    lens = pycolmap.Camera(model="SIMPLE_RADIAL", width=800, height=600, params=[700.0, 405, 295, -0.05])
    camera = pycolmap.Camera(lens.todict())
    convert(camera, FISHEYE)
    assert to_plain(camera)
    np.testing.assert_allclose(camera.params, lens.params, rtol=5e-3, atol=1e-3)
    fisheye = pycolmap.Camera(model=FISHEYE, width=800, height=600, params=[440.0, 440, 400, 300, 0, 0, 0, 0])
    assert not to_plain(fisheye)
    assert fisheye.model_name == FISHEYE


def test_two_photos_of_a_lens_free_nothing():
    assert not choose_lenses(with_plain_lens(synthetic_model(around(2, 20)))).tried[1]


def test_lenses_are_judged_one_by_one():
    """Of two cameras, the one with photos enough gets its principal point, and the other keeps its own."""
    truth = around(10)
    model = with_plain_lens(synthetic_model(truth, ("SIMPLE_RADIAL", (700.0, 408.0, 294.0, 0.0))))
    model = with_second_lens(model, {3, 8})  # features moved by a whole shift are those of another principal point
    for image_id in (3, 8):
        for point in model.images[image_id].points2D:
            point.xy -= (8, -6)
    chosen = choose_lenses(model)
    assert chosen.centres == {1}
    np.testing.assert_allclose(chosen.part.cameras[1].params[1:3], (408, 294), atol=2)
    assert list(chosen.part.cameras[2].params[1:3]) == list(SIMPLE[1][1:3])


def with_second_lens(model: pycolmap.Reconstruction, images: set[int]) -> pycolmap.Reconstruction:
    """A copy in which some photos have a camera of their own."""
    return copy_model(model, model.points3D, {image_id: 1 + (image_id in images) for image_id in model.reg_image_ids()})
