"""Sizes, pixels and intrinsics equal the reference's; where it goes wrong, ours does not."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from recon.messages import ReconWarning
from recon.sources.fitting import PROCESS_RES_METHODS, map_intrinsics, normalise, preprocess
from recon.sources.loading import load_photos
from recon.sources.photo import Photo
from tests.reference.stubs import EMPTY_STAND_INS, import_reference_api, reference_available
from tests.seeds import numpy_random

pytestmark = [
    pytest.mark.reference,
    pytest.mark.skipif(not reference_available(), reason="depth-anything-3 is not installed"),
]

FULL_SIZES = [(1208, 680), (1296, 1936), (504, 378), (1920, 1080), (4032, 3024), (503, 505), (14, 14), (97, 1003)]


@pytest.fixture(scope="module")
def api() -> ModuleType:
    return import_reference_api()


def random_photo(width: int, height: int, seed: int = 0) -> Photo:
    """Noise over a gradient: neither smooth enough nor random enough to hide another interpolation."""
    rng = numpy_random(seed)
    ramp = np.linspace(0, 160, width)[None, :, None] + np.linspace(0, 60, height)[:, None, None]
    return Photo(f"{width}×{height}", (ramp + rng.integers(0, 36, (height, width, 3))).astype(np.uint8))


def assert_same(api: ModuleType, photos: list[Photo], process_res: int, method: str) -> None:
    """Compare all the reference's input processor returns with ours."""
    rng = numpy_random(1)
    intrinsics = np.tile(np.eye(3), (len(photos), 1, 1))
    for matrix, photo in zip(intrinsics, photos, strict=True):
        matrix[[0, 1], [0, 1]] = rng.uniform(0.5, 2, 2) * photo.width
        matrix[:2, 2] = rng.uniform(0.3, 0.7, 2) * (photo.width, photo.height)
    theirs, _, their_intrinsics = api.InputProcessor()(
        [photo.pixels for photo in photos], None, intrinsics.copy(), process_res, method, sequential=True
    )
    views = preprocess(photos, process_res, method)
    ours = normalise(views.pixels)
    assert ours.shape == tuple(theirs.shape)
    # One grey level is 0.017 here.
    np.testing.assert_allclose(ours, theirs.numpy(), rtol=0, atol=1e-6)
    np.testing.assert_allclose(map_intrinsics(intrinsics, views.processed_to_original), their_intrinsics, rtol=1e-6)


@pytest.mark.parametrize("method", PROCESS_RES_METHODS)
@pytest.mark.parametrize("size", FULL_SIZES)
def test_full_size_parity(api: ModuleType, size: tuple[int, int], method: str) -> None:
    if size == (97, 1003) and method == "lower_bound_resize":
        assert_same(api, [random_photo(*size)], 126, method)
    else:
        assert_same(api, [random_photo(*size)], 504, method)


@pytest.mark.parametrize("method", PROCESS_RES_METHODS)
def test_parity_over_many_sizes(api: ModuleType, method: str) -> None:
    rng = numpy_random(2)
    for trial in range(80):
        width, height = rng.integers(40, 420, 2).tolist()
        process_res = int(rng.choice([140, 154, 161, 200, 252, int(rng.integers(140, 300)), max(width, height)]))
        assert_same(api, [random_photo(width, height, trial)], process_res, method)


@pytest.mark.parametrize("method", PROCESS_RES_METHODS)
@pytest.mark.filterwarnings("ignore::recon.messages.ReconWarning")
def test_parity_with_mixed_sizes(api: ModuleType, method: str) -> None:
    photos = [random_photo(*size, seed) for seed, size in enumerate([(640, 480), (480, 641), (601, 599), (77, 400)])]
    assert_same(api, photos, 252, method)


def test_parity_on_real_photos(api: ModuleType, shared_data: Path) -> None:
    for folder in ["opera_house", "door/images"]:
        paths = sorted(str(path) for path in (shared_data / folder).iterdir())[:3]
        theirs, _, _ = api.InputProcessor()(list(paths), sequential=True)
        ours = normalise(preprocess(load_photos(paths).photos).pixels)
        np.testing.assert_allclose(ours, theirs.numpy(), rtol=0, atol=1e-6)


def test_reference_leaves_a_rotated_photo_lying_and_ours_turns_it(api: ModuleType, tmp_path: Path) -> None:
    upright = random_photo(378, 504).pixels
    exif = Image.Exif()
    exif[0x0112] = 6
    path = tmp_path / "phone.png"
    Image.fromarray(np.ascontiguousarray(upright.transpose(1, 0, 2)[::-1])).save(path, exif=exif)
    theirs, _, _ = api.InputProcessor()([str(path)], sequential=True)
    views = preprocess(load_photos(path).photos)
    assert theirs.shape[-2:] == (378, 504)
    np.testing.assert_array_equal(views.pixels[0], upright)
    # Intrinsics are of the upright photo: its centre stays the centre.
    intrinsics = np.array([[[500.0, 0, 189], [0, 500.0, 252], [0, 0, 1]]])
    assert views.original_sizes.tolist() == [[378, 504]]
    np.testing.assert_allclose(map_intrinsics(intrinsics, views.processed_to_original), intrinsics)


def test_reference_crops_mixed_sizes_without_a_warning_and_ours_warns(api: ModuleType) -> None:
    photos = [random_photo(640, 480), random_photo(480, 640)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        theirs, _, _ = api.InputProcessor()([photo.pixels for photo in photos], sequential=True)
    assert theirs.shape[-2:] == (378, 378)
    with pytest.warns(ReconWarning, match=r"640×480 .* 25% of"):
        preprocess(photos)


def test_api_imports_and_builds_and_leaves_no_stand_ins(api: ModuleType) -> None:
    network = api.DepthAnything3("da3-small")
    assert sum(parameter.numel() for parameter in network.parameters()) > 30e6
    assert isinstance(network.input_processor, api.InputProcessor)
    for name in [*EMPTY_STAND_INS, "torchvision", "torchvision.transforms"]:
        module = sys.modules.get(name)
        assert module is None or module.__file__ is not None
