"""Photos with something that stands still in the picture: text, logos, frames, and a turntable before its room."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from recon.errors import InputError
from recon.sfm.structure_from_motion import prepare_photo, structure_from_motion
from recon.sources.photo import Photo
from tests.seeds import numpy_random

from .cards import SIZE, arc, largest_angle, photograph, prepared, shifted, stage, turned

SCENES = Path(__file__).parents[2] / "scenes"

Overlay = Callable[[np.ndarray], np.ndarray]


def text(
    words: str = "(c) 2026 STOCK PHOTO AGENCY sample", height: float = 0.06, x: float = 0.02, y: float = 0.92, alpha=255
) -> Overlay:
    """White words with their top left corner at (x, y) of the photo, `height` of its height."""

    def draw(image: np.ndarray) -> np.ndarray:
        photo = Image.fromarray(image).convert("RGBA")
        layer = Image.new("RGBA", photo.size)
        font = ImageFont.load_default(size=height * photo.height)
        ImageDraw.Draw(layer).text((x * photo.width, y * photo.height), words, (255, 255, 255, alpha), font)
        return np.asarray(Image.alpha_composite(photo, layer).convert("RGB"))

    return draw


def logo(corner: tuple[int, int] = (8, 8), side: int = 64) -> Overlay:
    pattern = numpy_random(3).integers(0, 256, (side // 8, side // 8, 3), np.uint8)

    def draw(image: np.ndarray) -> np.ndarray:
        image, (x, y) = image.copy(), corner
        image[y : y + side, x : x + side] = cv2.resize(pattern, (side, side), interpolation=cv2.INTER_CUBIC)
        return image

    return draw


def frame(width: int = 24) -> Overlay:
    def draw(image: np.ndarray) -> np.ndarray:
        rows, columns = image.shape[:2]
        pattern = numpy_random(4).integers(0, 256, (rows // 6, columns // 6, 3), np.uint8)
        framed = cv2.resize(pattern, (columns, rows), interpolation=cv2.INTER_CUBIC)
        framed[width:-width, width:-width] = image[width:-width, width:-width]
        return framed

    return draw


def recompressed(overlay: Overlay) -> Overlay:
    def draw(image: np.ndarray) -> np.ndarray:
        file = io.BytesIO()
        Image.fromarray(overlay(image)).save(file, "JPEG", quality=85)
        return np.asarray(Image.open(file))

    return draw


@pytest.fixture(scope="module")
def truth() -> np.ndarray:
    return arc(6)


@pytest.fixture(scope="module")
def images(truth: np.ndarray) -> np.ndarray:
    return photograph(stage(), truth)


@pytest.mark.parametrize("overlay", [logo(side=96), recompressed(text("SAMPLE 2026", 0.2, y=0.1)), frame()])
def test_overlays_do_not_move_the_cameras(overlay: Overlay, images: np.ndarray, truth: np.ndarray):
    found = structure_from_motion(prepared(np.stack([overlay(image) for image in images])))
    assert found.registered.tolist() == list(range(6))
    assert largest_angle(found, truth) < 0.2
    assert found.still_matches > 0.01
    assert "stands still in the pictures" in found.warnings()[0]


def test_a_logo_in_a_corner_of_photos_of_two_shapes(images: np.ndarray, truth: np.ndarray):
    """The lower right corner is at another place in each."""
    marked = []
    for index, image in enumerate(images):
        photo = image[:, 40:-40] if index % 2 else image
        marked.append(logo((photo.shape[1] - 104, photo.shape[0] - 100), 96)(np.ascontiguousarray(photo)))
    found = structure_from_motion([prepare_photo(Photo(str(i), image)) for i, image in enumerate(marked)])
    assert found.registered.tolist() == list(range(6))
    assert largest_angle(found, truth) < 0.2
    assert found.still_matches > 0.01


def turntable(truth: np.ndarray) -> np.ndarray:
    """Photos of the nearer cards by cameras `truth`, before a background that is the same in all."""
    room, *cards = stage()
    behind = photograph([room], np.eye(4)[None])[0]
    cut_out = photograph([(np.zeros_like(texture), place) for texture, place in [room]] + cards, truth)
    alone = photograph([(np.full_like(texture, 255), place) for texture, place in cards], truth) > 127
    return np.where(alone, cut_out, behind)


def test_a_turntable_before_a_still_background(truth: np.ndarray):
    found = structure_from_motion(prepared(turntable(truth)))
    assert found.registered.tolist() == list(range(6))
    assert largest_angle(found, truth) < 0.3
    assert found.still_matches > 0.2


def test_a_photo_given_twice_is_no_overlay(images: np.ndarray, truth: np.ndarray):
    order = [0, 1, 2, 2, 3, 3, 4, 5]
    found = structure_from_motion(prepared(images[order]))
    assert found.registered.tolist() == list(range(8))
    assert found.still_matches == 0
    assert largest_angle(found, truth[order]) < 0.1


def test_a_background_at_infinity_is_no_overlay():
    """A camera on a slider, which moves without turning: the horizon stands still, and is part of the scene."""
    room, *cards = stage()
    far = (room[0], room[1] * [[1e4], [1e4], [1e4], [1]])
    truth = np.stack([shifted(np.array([x, 0.0, 0])) for x in np.linspace(-0.6, 0.6, 5)])
    found = structure_from_motion(prepared(photograph([far, *cards], truth), 32.45))
    assert found.registered.tolist() == list(range(5))
    assert found.still_matches == 0
    assert largest_angle(found, truth) < 0.6


def test_small_steps_are_no_overlay():
    """Frames of a slow camera: most matches move by less than a pixel from one to the next."""
    truth = np.stack([turned(0.002 * i) @ shifted(np.array([-0.02 * i, 0.003 * i * i, 0])) for i in range(10)])
    found = structure_from_motion(prepared(photograph(stage(), truth)))
    assert found.still_matches == 0
    assert len(found.registered) == 10


def test_a_camera_that_stands_still_is_said_to(images: np.ndarray):
    noise = numpy_random(0).normal(scale=3, size=(4, *SIZE, 3))
    standing = (images[:1] + noise).clip(0, 255).astype(np.uint8)
    with pytest.raises(InputError, match="as if the camera had stood still or only turned on the spot; move it"):
        structure_from_motion(prepared(standing))


def sample_images(name: str) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
    """Photos of a sample scene, their true cameras (N, 4, 4), and the intrinsics (3, 3) of all."""
    frames = json.loads((SCENES / name / "cameras.json").read_text())["frames"]
    images = [np.asarray(Image.open(SCENES / name / "images" / item["image"])) for item in frames]
    return images, np.array([item["world_to_camera"] for item in frames]), np.array(frames[0]["intrinsics"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("scene", "exif", "overlay"),
    [
        pytest.param("table", True, text(), id="text"),
        pytest.param("table", False, recompressed(text(height=0.03, x=0.6, y=0.95)), id="small text"),
        pytest.param(
            "courtyard",
            False,
            recompressed(text("SAMPLE 2026", 0.22, 0.06, 0.36, alpha=120)),
            id="large text half transparent",
        ),
        pytest.param("courtyard", True, recompressed(logo((560, 12), 96)), id="logo"),
        pytest.param("table", True, recompressed(frame(32)), id="frame"),
    ],
)
def test_overlays_on_the_sample_scenes(scene: str, exif: bool, overlay: Overlay):
    images, truth, _ = sample_images(scene)
    found = structure_from_motion(prepared(np.stack([overlay(image) for image in images]), 30.0 if exif else None))
    assert found.registered.tolist() == list(range(12))
    assert largest_angle(found, truth) <= 0.1
    assert found.lenses.intrinsics[0, 0, 0] == pytest.approx(582.435, rel=0.005)
