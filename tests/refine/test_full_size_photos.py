"""Photos larger than their depth, looked at in crops."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import recon.refine.optimisation.full_size_photos as module
from recon.choices import SplatOptimisation
from recon.errors import InputError
from recon.refine.optimisation.full_size_photos import FullSizePhotos
from recon.refine.optimise_splats import optimise_splats
from recon.sources.undistortion import undistort
from recon.splats.rendering import render
from recon.splats.view_metrics import psnr
from recon.types import Prediction
from recon.types.cameras import Cameras
from tests.refine.depth_scene import make_prediction

ZOOM = 4
SIZE = (30, 40)


@dataclass(frozen=True)
class Photos:
    """Originals in memory; how often each is read."""

    pixels: np.ndarray
    masks: np.ndarray | None = None
    read_views: Sequence[int] = ()

    @property
    def paths(self) -> tuple[Path | None, ...]:
        return (None,) * len(self.pixels)

    @property
    def changes(self) -> tuple[None, ...]:
        return (None,) * len(self.pixels)

    def read(self, view: int) -> tuple[np.ndarray, Any]:
        self.read_views.append(view)  # type: ignore[attr-defined]
        return self.pixels[view], None if self.masks is None else self.masks[view]


def with_originals(
    small: Prediction, pixels: np.ndarray, masks: np.ndarray | None = None, place: tuple[float, float] = (0, 0)
) -> Prediction:
    """A prediction whose photos lie at `place` (x, y) in originals that are `ZOOM` times as large."""
    to_original = np.array([[ZOOM, 0, place[0]], [0, ZOOM, place[1]], [0, 0, 1]], np.float32)
    sizes = np.tile(np.array(pixels.shape[2:0:-1]), (len(pixels), 1))
    return replace(
        small,
        originals=Photos(pixels, masks, []),
        original_sizes=sizes,
        processed_to_original=np.tile(to_original, (len(pixels), 1, 1)),
    )


@pytest.fixture(scope="module")
def room() -> Prediction:
    return with_originals(make_prediction(4, *SIZE), make_prediction(4, 120, 160).processed_images)


def coordinates(height: int, width: int) -> np.ndarray:
    """(H, W, 3) a picture of its own columns and rows."""
    rows, columns = np.mgrid[:height, :width]
    return np.stack([columns, rows, np.zeros_like(rows)], axis=-1).astype(np.uint8)


@pytest.mark.parametrize(
    ("size", "place"), [((140, 180), (12.0, 8.0)), ((104, 128), (-16.0, -8.0))], ids=["cropped", "with margins"]
)
def test_looks_and_parts_say_where_they_are_in_the_photo(size: tuple[int, int], place: tuple[float, float]) -> None:
    pixels = np.stack([coordinates(*size)] * 2)
    photos = FullSizePhotos(with_originals(make_prediction(2, *SIZE), pixels, place=place), "full", [0, 1])
    assert photos.levels == 3

    def error(values: np.ndarray, from_processed: np.ndarray) -> float:
        """Of (H, W, 2) columns and rows that a picture shows, beside those that its map says, in original pixels."""
        rows, columns = np.mgrid[: values.shape[0], : values.shape[1]] + 0.5
        there = np.stack([columns, rows, np.ones_like(rows)], axis=-1) @ np.linalg.inv(from_processed).T
        return float(np.abs(there[..., :2] * ZOOM + place - 0.5 - values).max())

    seen = set()
    for level, step in ((1, 2), (2, 1)):
        for turn in range(5):
            look = photos.look(1, level, turn)
            assert look.size == SIZE
            shown = look.target.photo[:2].transpose(1, 2, 0) * 255
            assert error(shown, look.from_processed) <= 0.51  # of rounding what is shrunk
            assert look.from_processed[0, 0] == pytest.approx(ZOOM / step)
            seen.add((level, shown[0, 0, 0], shown[0, 0, 1]))
    assert len(seen) > 6  # at random places
    parts = photos.parts(0)
    assert len(parts) == 4
    assert all(error(part.pixels[..., :2].astype(float), part.from_processed) < 1e-6 for part in parts)
    assert photos.look(0, 0, 7).from_processed[0, 0] == 1  # the whole, as it was processed


def test_a_resolution_between_is_in_pixels_of_the_longer_side(room: Prediction) -> None:
    photos = FullSizePhotos(room, 80, range(4))
    assert photos.levels == 2
    assert photos.look(0, 1, 0).from_processed[0, 0] == pytest.approx(2)
    assert FullSizePhotos(room, 1000, range(4)).levels == FullSizePhotos(room, "full", range(4)).levels == 3
    small = FullSizePhotos(room, 32, range(4))
    assert small.levels == 1
    assert small.look(0, 0, 0).size == (24, 32)


def test_depth_and_masks_lie_where_the_photo_does() -> None:
    small = make_prediction(1, *SIZE)
    depth, mask = small.depth.copy(), np.ones(small.depth.shape, bool)
    depth[0, :, :20], depth[0, :, 20:] = 2, 4
    mask[0, :10] = False
    fine = np.ones((1, 120, 160), bool)
    fine[0, :, 150:] = False
    pixels = coordinates(120, 160)[None]
    photos = FullSizePhotos(with_originals(replace(small, depth=depth, mask=mask), pixels, fine), "full", [0])
    for turn in range(5):
        look = photos.look(0, 2, turn)
        columns, rows = (look.target.photo[:2] * 255).round().astype(int)
        np.testing.assert_array_equal(look.closeness, np.where(rows < 40, 0, np.where(columns < 80, 0.5, 0.25)))
        np.testing.assert_array_equal(look.target.counts, (rows >= 40) & (columns < 150))


def test_what_is_read_is_undistorted_once_and_kept_within_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    truth = make_prediction(2, 120, 160)
    assert truth.intrinsics is not None
    lens = np.tile(np.array([0.2, -0.05, 0.01, 0, 0, 0, 0, 0]), (2, 1))
    lenses = Cameras(None, truth.intrinsics.astype(np.float64), np.array([[160, 120]] * 2), lens)
    prediction = replace(with_originals(make_prediction(2, *SIZE), truth.processed_images), lenses=lenses)
    read = prediction.originals.read_views  # type: ignore[union-attr]
    photos = FullSizePhotos(prediction, "full", [0, 1])
    part = photos.parts(1)[0]
    whole = undistort(truth.processed_images[1], lenses[[1]])
    top, left = (round(-part.from_processed[i, 2]) for i in (1, 0))
    np.testing.assert_array_equal(part.pixels, whole[top : top + SIZE[0], left : left + SIZE[1]])
    assert read == [0, 1]
    monkeypatch.setattr(module, "_KEPT_BYTES", 120 * 160 * 3)
    less = FullSizePhotos(prediction, "full", [0, 1])
    for turn in (*range(20), 5):
        for view in (0, 1):
            of_less, of_all = less.look(view, 2, turn), photos.look(view, 2, turn)
            np.testing.assert_array_equal(of_less.target.photo, of_all.target.photo)
            np.testing.assert_array_equal(of_less.from_processed, of_all.from_processed)
    assert read[2:] == [0, 1, 1, 1, 1]  # sixteen crops of the one that is not kept at a time


def test_photos_that_are_not_there_or_are_others_are_refused(room: Prediction) -> None:
    options = SplatOptimisation(gs_resolution="full", gs_iterations=1)
    with pytest.raises(InputError, match="gs_resolution"):
        optimise_splats(replace(room, originals=None), options)
    other = replace(room, originals=Photos(room.originals.pixels[:, 1:], None, []))  # type: ignore[union-attr]
    with pytest.raises(InputError, match=r"photo 0.*160×119"):
        optimise_splats(other, options)
    with pytest.raises(InputError, match="gs_resolution must be at least 32"):
        SplatOptimisation(gs_resolution=31)
    with pytest.raises(InputError, match="gs_resolution must be"):
        SplatOptimisation(gs_resolution="half")  # type: ignore[arg-type]


def test_splats_fitted_to_large_photos_show_more_than_those_of_small_ones(room: Prediction) -> None:
    truth = make_prediction(4, 120, 160, between=True)

    def seen(resolution: Any, iterations: int) -> float:
        """Mean PSNR at the large size at cameras between the photos."""
        options = SplatOptimisation(gs_resolution=resolution, gs_iterations=iterations, gs_splats=4000)
        found = optimise_splats(room, options).gaussians
        views = np.clip(render(found, truth.cameras, (120, 160), rasterizer="cpu").color, 0, 1)
        return float(np.mean([psnr(view, photo) for view, photo in zip(views, truth.processed_images, strict=True)]))

    assert seen("full", 200) > seen("process", 200) + 1
