from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from recon.errors import InputError
from recon.messages import ReconWarning
from recon.sources.depth_priors import check_priors, read_depth_image, with_priors
from recon.sources.fitting import Views, preprocess
from recon.sources.photo import Photo
from recon.types.cameras import Cameras

DEPTH = np.linspace(1.0, 9.0, 56 * 70).reshape(56, 70).astype(np.float32)


def write_exr(path: Path, depth: np.ndarray) -> None:
    OpenEXR = pytest.importorskip("OpenEXR")
    with OpenEXR.File({"type": OpenEXR.scanlineimage}, {"Z": depth}) as file:
        file.write(str(path))


WRITERS = {
    "png": lambda path, depth: Image.fromarray(np.rint(depth * 1000).astype(np.uint16)).save(path),
    "tiff": lambda path, depth: Image.fromarray(depth).save(path),
    "npy": lambda path, depth: np.save(path, depth.astype(np.float64)),
    "npz": lambda path, depth: np.savez(path, depth=depth[None], other=np.zeros(3)),
    "exr": write_exr,
}


def views(count: int = 1, names: tuple[str, ...] = ("a.jpg", "b.jpg")) -> Views:
    photos = [Photo(name, np.zeros((112, 140, 3), np.uint8)) for name in names[:count]]
    return preprocess(photos, process_res=70)


@pytest.mark.parametrize("suffix", WRITERS)
def test_every_kind_of_file_gives_the_same_depth(tmp_path: Path, suffix: str) -> None:
    WRITERS[suffix](tmp_path / f"a.{suffix}", DEPTH)
    unit = 0.001 if suffix == "png" else 1.0
    (prior,) = with_priors(views(), [tmp_path], unit).priors
    assert prior.in_metres
    np.testing.assert_allclose(prior.depth[0], DEPTH, atol=6e-4)


def test_what_is_no_depth_is_none(tmp_path: Path) -> None:
    depth = DEPTH.copy()
    depth[0, :4] = np.nan, np.inf, -1, 0
    np.save(tmp_path / "a.npy", depth)
    (prior,) = with_priors(views(), [tmp_path], None).priors
    assert not prior.in_metres
    assert not (prior.depth[0, 0, [0, 2, 3]] > 0).any()
    np.testing.assert_allclose(prior.depth[0, 1:], DEPTH[1:])
    saturated = np.full((4, 5), 65535, np.uint16)
    Image.fromarray(saturated).save(tmp_path / "far.png")
    assert not read_depth_image(tmp_path / "far.png").any()


def test_any_resolution_of_the_same_shape(tmp_path: Path) -> None:
    depth = (2 + np.add.outer(np.arange(56) * 0.02, np.arange(70) * 0.01)).astype(np.float32)
    np.save(tmp_path / "a.npy", cv2.resize(depth, (35, 28), interpolation=cv2.INTER_AREA))
    (prior,) = with_priors(views(), [tmp_path], None).priors
    np.testing.assert_allclose(prior.depth[0, 2:-2, 2:-2], depth[2:-2, 2:-2], atol=1e-4)


def test_a_lens_that_bends_the_photo_bends_its_depth(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", DEPTH)
    lens = Cameras(
        intrinsics=np.array([[[90.0, 0, 70], [0, 90, 56], [0, 0, 1]]]),
        sizes=np.array([[140, 112]]),
        distortion=np.array([[-0.4, 0, 0, 0, 0, 0, 0, 0]]),
    )
    bent = views().with_cameras(lens)
    (prior,) = with_priors(bent, [tmp_path], None).priors
    camera, pinhole = lens.intrinsics[0], lens.pinhole().intrinsics[0]
    at = np.array([20.5, 45.5])  # of the processed view, half the size of the photo
    ray = np.linalg.inv(pinhole) @ [*(2 * at), 1]
    seen, _ = cv2.projectPoints(ray[None], np.zeros(3), np.zeros(3), camera, lens.distortion[0])
    column, row = seen.ravel() / 2
    assert prior.depth[0, 45, 20] == pytest.approx(DEPTH[int(row), int(column)], rel=0.01)
    assert abs(row - 45.5) > 2


def test_a_photo_without_depth_is_named_and_goes_without(tmp_path: Path) -> None:
    np.save(tmp_path / "b.npy", DEPTH)
    with pytest.warns(ReconWarning, match=r"no depth image for 'a\.jpg'"):
        (prior,) = with_priors(views(2), [tmp_path], None).priors
    assert not (prior.depth[0] > 0).any()
    assert (prior.depth[1] > 0).all()


@pytest.mark.parametrize(
    ("file", "values", "said"),
    [
        ("a.npy", DEPTH.T, r"a\.npy.*56×70.*'a\.jpg' 140×112.*lies on its side"),
        ("a.npy", np.ones((30, 70), np.float32), r"a\.npy.*70×30.*one shape"),
        ("a.npy", np.ones((56, 70, 3), np.float32), r"a\.npy.*\(height, width\)"),
        ("a.npy", np.full((56, 70), np.nan, np.float32), "no depth"),
        ("a.npy", None, r"a\.npy.*cannot be read"),
        ("a.png", None, r"a\.png.*cannot be read"),
        ("a.npz", None, r"a\.npz.*cannot be read"),
        ("c.npy", DEPTH, r"named like a photo.*a\.png"),
    ],
)
@pytest.mark.filterwarnings("ignore:depth_prior")
def test_files_that_are_no_depth_of_the_photo(tmp_path: Path, file: str, values: np.ndarray | None, said: str) -> None:
    if values is None:
        (tmp_path / file).write_bytes(b"nothing of the kind")
    else:
        np.save(tmp_path / file, values)
    with pytest.raises(InputError, match=said):
        with_priors(views(), [tmp_path], None)


def test_pictures_of_depth_are_none(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((56, 70), np.uint8)).save(tmp_path / "a.png")
    with pytest.raises(InputError, match=r"a\.png.*8 bits"):
        with_priors(views(), [tmp_path], None)
    with pytest.raises(InputError, match="does not exist"):
        with_priors(views(), [tmp_path / "none"], None)


def test_one_photo_takes_one_file(tmp_path: Path) -> None:
    np.save(path := tmp_path / "of-any-name.npy", DEPTH)
    (prior,) = with_priors(views(), [path], 1.0).priors
    assert (prior.depth[0] > 0).all()
    with pytest.raises(InputError, match="is a file; give a folder"):
        check_priors([path], ["a.jpg", "b.jpg"])
    (other := tmp_path / "a.jpg").touch()
    with pytest.raises(InputError, match=r"a\.jpg.*\.npy"):
        check_priors([other], ["a.jpg"])
