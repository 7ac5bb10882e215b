"""Cameras in another convention are named by what the photos agree with; right ones pass in silence."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from recon.errors import InputError
from recon.files import scenes_folder
from recon.geometry.cameras import invert_rigid
from recon.messages import ReconWarning
from recon.sources.calibrated import CalibratedSource
from recon.sources.camera_check import check_given_cameras, judge_cameras
from recon.sources.camera_conventions import another_size
from recon.sources.cameras_file import read_cameras
from recon.sources.colmap import read_colmap
from recon.sources.fitting import Views, combine, fit_photo
from recon.sources.open_source import open_source
from recon.sources.photo import Photo
from recon.sources.views import read_views
from recon.types.cameras import Cameras
from tests.seeds import numpy_random

Matrices: TypeAlias = NDArray[np.float64]
SETS = ["door", "table", "courtyard", "fountain"]


@pytest.fixture(scope="module")
def views_of(shared_data: Path) -> Callable[[str], Views]:
    """Views with right cameras, loaded once each."""
    kept: dict[str, Views] = {}

    def load(name: str) -> Views:
        if name not in kept:
            real = name in ("door", "fountain")
            folder = (shared_data if real else scenes_folder()) / name
            source = open_source(folder / "images")
            if name == "door":
                cameras = read_colmap(folder / "sparse" / "0").cameras
            else:
                cameras = read_cameras(folder / "cameras.json", source.names)
            some = CalibratedSource(source, tuple(range(len(source.names))), cameras).select(range(6))
            kept[name] = read_views(some, lambda photo: fit_photo(photo, 392)).views
        return kept[name]

    return load


def with_cameras(views: Views, world_to_camera: Matrices | None, intrinsics: Matrices | None) -> Views:
    return views.with_cameras(Cameras(world_to_camera, intrinsics, views.original_sizes))


def known(views: Views) -> tuple[Matrices, Matrices]:
    cameras = views.original_cameras
    assert cameras.world_to_camera is not None
    assert cameras.intrinsics is not None
    return cameras.world_to_camera, cameras.intrinsics


def scaled(factor: float) -> Callable[[Matrices, Matrices, Matrices], tuple[Matrices, Matrices]]:
    return lambda extrinsics, intrinsics, sizes: (extrinsics, intrinsics * [[factor], [factor], [1]])


def opengl(extrinsics: Matrices, intrinsics: Matrices, sizes: Matrices) -> tuple[Matrices, Matrices]:
    return np.diag([1.0, -1, -1, 1]) @ extrinsics, intrinsics


def camera_to_world(extrinsics: Matrices, intrinsics: Matrices, sizes: Matrices) -> tuple[Matrices, Matrices]:
    return invert_rigid(extrinsics), intrinsics


def nerfstudio(extrinsics: Matrices, intrinsics: Matrices, sizes: Matrices) -> tuple[Matrices, Matrices]:
    return invert_rigid(opengl(extrinsics, intrinsics, sizes)[0]), intrinsics


def positions(extrinsics: Matrices, intrinsics: Matrices, sizes: Matrices) -> tuple[Matrices, Matrices]:
    mixed = extrinsics.copy()
    mixed[:, :3, 3] = invert_rigid(extrinsics)[:, :3, 3]
    return mixed, intrinsics


def from_zero(extrinsics: Matrices, intrinsics: Matrices, sizes: Matrices) -> tuple[Matrices, Matrices]:
    normalised = intrinsics.copy()
    normalised[:, :2] /= sizes[:, :, None]
    return extrinsics, normalised


def around_zero(extrinsics: Matrices, intrinsics: Matrices, sizes: Matrices) -> tuple[Matrices, Matrices]:
    normalised = 2 * from_zero(extrinsics, intrinsics, sizes)[1]
    normalised[:, :2, 2] -= 1
    normalised[:, 2, 2] = 1
    return extrinsics, normalised


MISTAKES = {
    "opengl": (opengl, "axes of OpenGL"),
    "camera-to-world": (camera_to_world, "are camera-to-world: invert them"),
    "nerfstudio": (nerfstudio, "camera-to-world in axes of OpenGL"),
    "positions": (positions, "with the positions of the cameras"),
    "twice the size": (scaled(2), "2 times the size of the photos"),
    "a quarter of the size": (scaled(0.25), "0.25 times the size of the photos"),
    "a processed image": (scaled(1 / 2.57), r"0\.3[89]\d? times the size of the photos"),
    "normalised 0 to 1": (from_zero, r"normalised \(0 to 1\)"),
    "normalised -1 to 1": (around_zero, r"normalised \(-1 to 1\)"),
}


@pytest.mark.parametrize("count", [2, 3, 5])
@pytest.mark.parametrize("name", SETS)
def test_right_cameras_raise_no_doubt(name: str, count: int, views_of: Callable[[str], Views]) -> None:
    views = views_of(name).window(slice(count))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_given_cameras(views)
    verdict = judge_cameras(views)
    assert verdict is not None
    assert verdict.agreement > 0.95


@pytest.mark.parametrize("mistake", MISTAKES)
@pytest.mark.parametrize("name", SETS)
def test_each_mistake_is_named(name: str, mistake: str, views_of: Callable[[str], Views]) -> None:
    change, said = MISTAKES[mistake]
    for count in (2, 5) if name == "door" else (4,):
        views = views_of(name).window(slice(count))
        wrong = with_cameras(views, *change(*known(views), views.original_sizes.astype(float)))
        with pytest.warns(ReconWarning, match=said) as warned:
            check_given_cameras(wrong)
        assert len(warned) == 1


def test_the_inverse_of_an_arc_that_is_as_good_an_arc(views_of: Callable[[str], Views]) -> None:
    """In the frame of one of the cameras, the inverses circle around as well as the cameras: only the photos tell."""
    views = views_of("table").window(slice(5))
    extrinsics, intrinsics = known(views)
    relative = extrinsics @ invert_rigid(extrinsics[2])
    check_given_cameras(with_cameras(views, relative, intrinsics))
    with pytest.warns(ReconWarning, match="are camera-to-world: invert them"):
        check_given_cameras(with_cameras(views, invert_rigid(relative), intrinsics))


@pytest.mark.parametrize("mistake", ["opengl", "camera-to-world", "nerfstudio"])
def test_extrinsics_alone_are_judged_with_usual_lenses(mistake: str, views_of: Callable[[str], Views]) -> None:
    change, said = MISTAKES[mistake]
    views = views_of("table").window(slice(5))
    extrinsics, intrinsics = known(views)
    verdict = judge_cameras(with_cameras(views, extrinsics, None))
    assert verdict is not None
    assert verdict.doubt is None
    wrong = change(extrinsics, intrinsics, views.original_sizes.astype(float))[0]
    with pytest.warns(ReconWarning, match=said):
        check_given_cameras(with_cameras(views, wrong, None))


def test_cameras_of_other_photos_are_doubted(views_of: Callable[[str], Views]) -> None:
    views = views_of("courtyard").window(slice(5))
    extrinsics, intrinsics = known(views)
    with pytest.warns(ReconWarning, match="no usual convention .* in their order"):
        check_given_cameras(with_cameras(views, extrinsics[[3, 0, 4, 1, 2]], intrinsics))


def test_a_principal_point_outside_the_photo_is_refused(views_of: Callable[[str], Views]) -> None:
    views = views_of("table").window(slice(3))
    extrinsics, intrinsics = known(views)
    outside = intrinsics.copy()
    outside[1, 0, 2] = views.original_sizes[1, 0] + 1
    name = views.names[1]
    with pytest.raises(InputError, match=rf"intrinsics of '{name}': the principal point .* outside the photo"):
        check_given_cameras(with_cameras(views, extrinsics, outside))
    with pytest.raises(InputError, match=r"outside the photo .* images 4 times the size of the photos"):
        check_given_cameras(with_cameras(views, extrinsics, intrinsics * [[4], [4], [1]]))


def test_where_photos_tell_nothing_the_numbers_do() -> None:
    sizes = np.array([[640, 480]] * 2)
    matrix = np.array([[500.0, 0, 320], [0, 500, 240], [0, 0, 1]])
    for factor, said in ((1, None), (0.5, None), (0.25, "0.25 times"), (2, "2 times"), (1 / 640, "normalised")):
        found = another_size(np.tile(matrix * [[factor], [factor], [1]], (2, 1, 1)), sizes)
        assert found is None if said is None else said in str(found)
    off_centre = matrix.copy()
    off_centre[:2, 2] = 90, 400  # a crop: near one border each, at other shares
    assert another_size(np.tile(off_centre, (2, 1, 1)), sizes) is None


def test_plain_photos_say_nothing(views_of: Callable[[str], Views]) -> None:
    views = views_of("table").window(slice(3))
    assert judge_cameras(replace(views, pixels=np.full_like(views.pixels, 128))) is None


def test_a_watermark_that_never_moves_is_no_evidence(views_of: Callable[[str], Views]) -> None:
    views = views_of("table").window(slice(3))
    pixels = views.pixels.copy()
    pixels[:, :90] = numpy_random(0).integers(0, 255, pixels[:1, :90].shape, np.uint8)
    verdict = judge_cameras(replace(views, pixels=pixels))
    assert verdict is not None
    assert verdict.agreement > 0.95


def panorama(turns: Matrices, focal: float = 700.0) -> Views:
    """Views (378 × 504) from one place away from the origin, each turned by so many degrees about y."""
    photo = open_source(scenes_folder() / "courtyard" / "images").read(0).pixels
    size, target = (504, 378), np.array([[focal, 0, 252], [0, focal, 189], [0, 0, 1]])
    height, width = photo.shape[:2]
    lens = np.array([[0.67 * width, 0, width / 2], [0, 0.67 * width, height / 2], [0, 0, 1]])
    photos, extrinsics = [], np.tile(np.eye(4), (len(turns), 1, 1))
    half = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])  # OpenCV's first pixel centre is (0, 0)
    for index, angle in enumerate(turns):
        rotation = cv2.Rodrigues(np.array([0.003 * angle, np.radians(angle), 0.002 * angle]))[0]
        extrinsics[index, :3, :3], extrinsics[index, :3, 3] = rotation, -rotation @ (3, -2, 7)
        map_ = np.linalg.inv(half) @ target @ rotation @ np.linalg.inv(lens) @ half
        photos.append(fit_photo(Photo(str(index), cv2.warpPerspective(photo, map_, size)), 504))
    cameras = Cameras(extrinsics, np.tile(target, (len(turns), 1, 1)))
    return combine(photos).with_cameras(cameras)


def test_cameras_in_one_place_are_judged_by_where_they_look() -> None:
    views = panorama(np.array([-12.0, -6, 0, 6, 12]))
    verdict = judge_cameras(views)
    assert verdict is not None
    assert verdict.agreement > 0.95
    assert verdict.doubt is None
    for mistake in ("opengl", "camera-to-world"):
        change, said = MISTAKES[mistake]
        wrong = with_cameras(views, *change(*known(views), views.original_sizes.astype(float)))
        with pytest.warns(ReconWarning, match=said):
            check_given_cameras(wrong)
    exchanged = with_cameras(views, known(views)[0][[2, 0, 4, 1, 3]], known(views)[1])
    with pytest.warns(ReconWarning, match="in their order"):
        check_given_cameras(exchanged)


@pytest.mark.parametrize("quarters", [1, -1])
def test_cameras_of_photos_before_exif_turns_them_are_named(quarters: int, views_of: Callable[[str], Views]) -> None:
    """The photos as they lie in their files are what other programs give cameras of."""
    stored = views_of("table").window(slice(4))
    photos = [
        fit_photo(Photo(name, np.ascontiguousarray(np.rot90(pixels, quarters))), 392)
        for name, pixels in zip(stored.names, stored.pixels, strict=True)
    ]
    assert stored.cameras.intrinsics is not None
    wrong = combine(photos).with_cameras(Cameras(known(stored)[0], stored.cameras.intrinsics))
    with pytest.warns(ReconWarning, match="they are of the photos before EXIF turns them"):
        check_given_cameras(wrong)
