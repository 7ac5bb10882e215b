"""Depth at the resolution of the photo: where things are, and what the files hold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from recon.errors import InputError
from recon.export.photo_depth import depth_on_photo, write_photo_depth
from recon.sources.fitting import fit_photo
from recon.sources.photo import Photo
from recon.types import Prediction
from tests.seeds import numpy_random

NEAR, FAR = 1.0, 3.0


def seen(pixels: np.ndarray, process_res: int, method: str, **fields: object) -> Prediction:
    """A network that takes brightness for depth: black is at `NEAR`, white at `FAR`."""
    fitted = fit_photo(Photo("a", pixels), process_res, method)
    depth = NEAR + (FAR - NEAR) * fitted.pixels[..., 0].astype(np.float32) / 255
    prediction = {
        "depth": depth[None],
        "processed_images": fitted.pixels[None],
        "original_sizes": np.array([fitted.original_size]),
        "processed_to_original": fitted.processed_to_original[None],
    }
    return Prediction(**{**prediction, **fields})


def crossing(values: np.ndarray) -> float:
    """Where a line of depth passes the middle between near and far, in pixels with centres at half-integers."""
    (index,) = np.flatnonzero(np.diff(values > (NEAR + FAR) / 2) & (values[:-1] > 0) & (values[1:] > 0))
    before, after = values[index], values[index + 1]
    return index + 0.5 + ((NEAR + FAR) / 2 - before) / (after - before)


class TestEdges:
    @pytest.mark.parametrize("size", [(1208, 680), (680, 1208), (517, 389), (300, 301), (150, 90)])
    @pytest.mark.parametrize("process_res", [252, 518])
    @pytest.mark.parametrize("method", ["upper_bound_resize", "lower_bound_resize", "upper_bound_crop"])
    @pytest.mark.parametrize("place", [0.3, 0.5, 0.62])
    def test_a_step_stays_at_its_column_and_row(
        self, size: tuple[int, int], process_res: int, method: str, place: float
    ) -> None:
        width, height = size
        column, row = round(place * width), round(place * height)
        pixels = np.zeros((height, width, 3), np.uint8)
        pixels[:, column:] = 255
        across = depth_on_photo(seen(pixels, process_res, method), 0)
        pixels = np.zeros((height, width, 3), np.uint8)
        pixels[row:] = 255
        down = depth_on_photo(seen(pixels, process_res, method), 0)
        assert across.shape == down.shape == (height, width)
        assert crossing(across[height // 2]) == pytest.approx(column, abs=0.5)
        assert crossing(down[:, width // 2]) == pytest.approx(row, abs=0.5)

    def test_a_slope_is_exact(self) -> None:
        """Bilinear interpolation leaves what is linear as it is, away from the border."""
        prediction = seen(np.zeros((200, 400, 3), np.uint8), 126, "upper_bound_resize")
        height, width = prediction.depth.shape[1:]
        affine = prediction.processed_to_original[0]
        x, y = affine[0, 0] * (np.arange(width) + 0.5), affine[1, 1] * (np.arange(height) + 0.5)
        slope = (1 + 0.01 * x + 0.02 * y[:, None]).astype(np.float32)
        full = depth_on_photo(seen(np.zeros((200, 400, 3), np.uint8), 126, "upper_bound_resize", depth=slope[None]), 0)
        expected = 1 + 0.01 * (np.arange(400) + 0.5) + 0.02 * (np.arange(200) + 0.5)[:, None]
        np.testing.assert_allclose(full[3:-3, 3:-3], expected[3:-3, 3:-3], rtol=1e-5)

    def test_what_a_crop_cut_off_has_no_depth(self) -> None:
        prediction = seen(np.zeros((300, 400, 3), np.uint8), 130, "upper_bound_crop")
        assert prediction.depth.shape == (1, 98, 126)  # of 98 × 130
        full = depth_on_photo(prediction, 0)
        scale = 400 / 130
        there = np.flatnonzero(full[150] > 0)
        assert there[0] + 0.5 == pytest.approx(2 * scale, abs=1)
        assert there[-1] + 0.5 == pytest.approx(128 * scale, abs=1)
        assert full[full > 0] == pytest.approx(NEAR)

    def test_no_depth_does_not_mix_with_depth(self) -> None:
        prediction = seen(np.zeros((200, 400, 3), np.uint8), 126, "upper_bound_resize")
        depth = prediction.depth.copy()
        depth[0, :, :50] = 0
        depth[0, :, 50:60] = np.nan
        depth[0, :, 60:70] = -2
        full = depth_on_photo(seen(np.zeros((200, 400, 3), np.uint8), 126, "upper_bound_resize", depth=depth), 0)
        np.testing.assert_allclose(full[full > 0], NEAR, rtol=1e-6)
        assert np.flatnonzero(full[100] > 0)[0] == pytest.approx(70 * 400 / 126, abs=1)

    def test_needs_to_know_the_photo(self) -> None:
        with pytest.raises(InputError, match="original_sizes"):
            depth_on_photo(seen(np.zeros((28, 28, 3), np.uint8), 28, "upper_bound_resize", original_sizes=None), 0)


class TestFiles:
    def test_hold_the_depth(self, tmp_path: Path) -> None:
        pixels = numpy_random(0).integers(0, 256, (100, 150, 3), np.uint8)
        prediction = seen(pixels, 84, "upper_bound_resize")
        exported = write_photo_depth(prediction, 0, tmp_path / "a.b")
        assert exported.files == (tmp_path / "a.b.png", tmp_path / "a.b.npy")
        stored = np.load(tmp_path / "a.b.npy")
        assert (stored.shape, stored.dtype) == ((100, 150), np.float32)
        np.testing.assert_array_equal(stored, depth_on_photo(prediction, 0))
        values = np.asarray(Image.open(tmp_path / "a.b.png"))
        scale = exported.details["depth_png"]["a.b.png"]["scale"]
        assert values.dtype == np.uint16
        assert values.max() == 65535
        np.testing.assert_allclose(values * scale, stored, atol=0.501 * scale)

    def test_sky_is_zero_in_the_png(self, tmp_path: Path) -> None:
        prediction = seen(np.zeros((100, 150, 3), np.uint8), 84, "upper_bound_resize")
        sky = np.zeros(prediction.depth.shape, bool)
        sky[:, :28] = True
        prediction = seen(np.zeros((100, 150, 3), np.uint8), 84, "upper_bound_resize", sky=sky)
        write_photo_depth(prediction, 0, tmp_path / "depth")
        values = np.asarray(Image.open(tmp_path / "depth.png"))
        np.testing.assert_array_equal(values[:49], 0)
        np.testing.assert_array_equal(values[51:], 65535)
        assert np.load(tmp_path / "depth.npy").min() > 0

    @pytest.mark.parametrize("kind", ["png", "npy"])
    def test_only_what_is_asked_for(self, kind: str, tmp_path: Path) -> None:
        prediction = seen(np.zeros((100, 150, 3), np.uint8), 84, "upper_bound_resize")
        write_photo_depth(prediction, 0, tmp_path / "depth", (kind,))
        assert [path.name for path in tmp_path.iterdir()] == [f"depth.{kind}"]


def test_no_space_for_a_file_is_said_as_such(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    prediction = seen(np.zeros((400, 600, 3), np.uint8), 252, "upper_bound_resize")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))
    try:
        with pytest.raises(InputError, match=r"depth\.npy: File too large"):
            write_photo_depth(prediction, 0, tmp_path / "depth", ("npy",))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not list(tmp_path.iterdir())
