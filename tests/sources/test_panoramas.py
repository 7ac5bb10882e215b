"""360° photos and videos become pinhole views that show what they ought to, and share the panorama's centre."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from recon.choices import SourceOptions
from recon.errors import InputError
from recon.geometry.equirectangular import directions, view_intrinsics, view_size
from recon.geometry.sparse_points import SparsePoints
from recon.sfm.lenses import Lenses
from recon.sfm.photos import prepare_photo
from recon.sfm.structure_from_motion import SfmResult, _on_rigs
from recon.sources.kinds import kind_of
from recon.sources.open_source import open_source
from recon.sources.panoramas import VIEWS, PanoramaSource
from recon.sources.pixels import focal_in_pixels
from recon.types.cameras import Cameras
from tests.seeds import numpy_random
from tests.sources.panorama_pictures import colour_of, coloured
from tests.sources.test_source import save
from tests.sources.video_files import write_video

WIDTH = 512


def panorama(path: Path, width: int = WIDTH) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(coloured(width)).save(path)
    return path


def test_views_show_what_is_in_their_direction(tmp_path: Path) -> None:
    source = open_source(panorama(tmp_path / "a.png"))
    assert isinstance(source, PanoramaSource)
    assert source.names == ("a_000", "a_060", "a_120", "a_180", "a_240", "a_300")
    side = view_size(WIDTH)
    rotations = directions(VIEWS)
    at = np.arange(side) + 0.5
    pixels = np.stack([*np.meshgrid(at, at), np.ones((side, side))], axis=-1)
    for index in range(VIEWS):
        photo = source.read(index)
        assert photo.pixels.shape == (side, side, 3)
        rays = pixels @ np.linalg.inv(view_intrinsics(side)).T @ rotations[index]
        rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
        assert np.abs(photo.pixels - colour_of(rays)).max() < 2.5
        assert photo.exif_focal_35mm is not None
        assert focal_in_pixels(photo.exif_focal_35mm, side, side) == pytest.approx(side / 2)
        assert photo.rig is not None
        np.testing.assert_array_equal(photo.rig.camera_from_rig, rotations[index])


def test_the_second_view_looks_to_the_right() -> None:
    np.testing.assert_allclose(directions(4)[1] @ [1, 0, 0], [0, 0, 1], atol=1e-12)


class TestRecognition:
    def test_by_what_the_picture_shows(self, tmp_path: Path) -> None:
        panorama(tmp_path / "all" / "b.png")
        panorama(tmp_path / "all" / "a.png")
        assert kind_of(tmp_path / "all").name == "panorama"
        source = open_source(tmp_path / "all", SourceOptions(limit=1))
        assert len(source.names) == VIEWS

    def test_a_photo_of_that_shape_is_none(self, tmp_path: Path) -> None:
        noise = numpy_random(1).integers(0, 255, (32, 64, 3), dtype=np.uint8)
        photo = Image.fromarray(noise).resize((WIDTH, WIDTH // 2))
        photo.save(tmp_path / "a.png")
        assert kind_of(tmp_path / "a.png").name == "photos"
        source = open_source(tmp_path / "a.png", SourceOptions(input_kind="panorama"))
        assert len(source.names) == VIEWS

    def test_by_metadata(self, tmp_path: Path) -> None:
        xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><GPano:ProjectionType>equirectangular</GPano:ProjectionType>'
        Image.new("RGB", (256, 128)).save(tmp_path / "a.jpg", xmp=xmp)
        assert kind_of(tmp_path / "a.jpg").name == "panorama"

    def test_a_video(self, tmp_path: Path) -> None:
        path = write_video(tmp_path / "a.mp4", [coloured(256)] * 4)
        assert kind_of(path).name == "panorama"
        source = open_source(path, SourceOptions(every=2))
        assert source.names[::VIEWS] == ("frame_000000_0ms_000", "frame_000002_200ms_000")
        assert source.read(VIEWS).pixels.shape == (81, 81, 3)

    def test_of_another_shape(self, tmp_path: Path) -> None:
        source = open_source(save(tmp_path / "a.png", (90, 60)), SourceOptions(input_kind="panorama"))
        with pytest.raises(InputError, match=r"a\.png' is 90×60.*twice as wide as high"):
            source.read(0)
        with pytest.raises(InputError, match="fps is for a video"):
            open_source(tmp_path / "a.png", SourceOptions(input_kind="panorama", fps=2))


@pytest.mark.parametrize("transparent", [False, True])
def test_masks_are_cut_as_the_photos_are(tmp_path: Path, transparent: bool) -> None:
    """What is to the right of the panorama's camera is left out: longitudes from 30 to 150 degrees."""
    longitude = 360 * ((np.arange(WIDTH) + 0.5) / WIDTH - 0.5)
    levels = np.tile(np.where((longitude > 30) & (longitude < 150), 0, 255), (WIDTH // 2, 1)).astype(np.uint8)
    photo = tmp_path / "all" / "a.png"
    panorama(photo)
    if transparent:
        Image.fromarray(np.dstack([coloured(WIDTH), levels])).save(photo)
        source = open_source(tmp_path / "all", SourceOptions(input_kind="panorama"))
    else:
        (tmp_path / "masks").mkdir()
        Image.fromarray(levels).save(tmp_path / "masks" / "a.png")
        options = SourceOptions(input_kind="panorama", masks=tmp_path / "masks")
        source = open_source(tmp_path / "all", options)
        assert open_source(source, options) is source
    side = view_size(WIDTH)
    x = (np.arange(side) + 0.5) / side * 2 - 1
    for index, turned in enumerate((0, 60, 120, 180, 240, 300)):
        seen = (np.degrees(np.arctan(x)) + turned + 180) % 360 - 180
        left_out = (seen > 30) & (seen < 150)
        near = (np.abs(seen - 30) < 1) | (np.abs(seen - 150) < 1)
        mask = source.read(index).mask
        assert mask is not None
        np.testing.assert_array_equal(mask[:, ~near], np.tile(~left_out[~near], (side, 1)))


def test_a_view_of_which_a_mask_leaves_nothing_is_none(tmp_path: Path) -> None:
    longitude = 360 * ((np.arange(WIDTH) + 0.5) / WIDTH - 0.5)
    levels = np.tile(np.where(np.abs(longitude) < 60, 0, 255), (WIDTH // 2, 1)).astype(np.uint8)
    Image.fromarray(levels).save(tmp_path / "mask.png")
    photo = panorama(tmp_path / "all" / "a.png")
    source = open_source(photo, SourceOptions(input_kind="panorama", masks=tmp_path / "mask.png"))
    with pytest.raises(InputError, match=r"mask of 'a\.png' leaves nothing of its view 'a_000'"):
        source.read(0)
    assert source.read(3).mask is not None


def test_views_of_a_rig_share_its_pose(tmp_path: Path) -> None:
    """One view was found in a wrong place, one not at all, the others a little off."""
    source = open_source(panorama(tmp_path / "a.png", 256), SourceOptions(input_kind="panorama"))
    photos = [prepare_photo(source.read(index)) for index in range(VIEWS)]
    side = photos[0].original_size[0]
    centre = np.array([0.3, -0.1, 2.0])
    rng = numpy_random(0)
    poses = np.tile(np.eye(4), (VIEWS - 1, 1, 1))
    for index in range(VIEWS - 1):
        poses[index, :3, :3] = directions(VIEWS)[index] @ _small_turn(rng.normal(size=3) * 1e-3)
        poses[index, :3, 3] = -poses[index, :3, :3] @ (centre + rng.normal(size=3) * 1e-3)
    poses[2, :3, :3] = _small_turn(np.array([0.5, 0.2, 0.1])) @ poses[2, :3, :3]
    count = VIEWS - 1
    intrinsics = np.tile(view_intrinsics(side) * [[1.01], [1.01], [1]], (count, 1, 1))
    lenses = Lenses(intrinsics, np.full((count, 8), 0.01), np.full((count, 2), side))
    points = SparsePoints(np.eye(3), tuple(np.arange(2) for _ in range(count)))
    found = SfmResult(
        tuple(photo.name for photo in photos),
        np.arange(count),
        Cameras(poses, intrinsics),
        lenses,
        points,
        np.zeros(count),
    )
    rigged = _on_rigs(found, photos)
    assert rigged.unregistered_names == ()
    extrinsics = rigged.cameras.world_to_camera
    assert extrinsics is not None
    centres = -np.einsum("nji,nj->ni", extrinsics[:, :3, :3], extrinsics[:, :3, 3])
    np.testing.assert_allclose(centres, np.tile(centres[0], (VIEWS, 1)), atol=1e-12)
    assert np.linalg.norm(centres[0] - centre) < 2e-3
    turns = np.einsum("nij,nkj->nik", extrinsics[:, :3, :3], directions(VIEWS))
    angles = np.degrees(np.arccos(np.clip((np.trace(turns, axis1=1, axis2=2) - 1) / 2, -1, 1)))
    assert angles.max() < 0.1
    np.testing.assert_allclose(rigged.lenses.intrinsics, np.tile(view_intrinsics(side), (VIEWS, 1, 1)))
    assert not rigged.lenses.distortion.any()
    assert [len(seen) for seen in rigged.sparse.observed] == [2] * count + [0]


def test_the_unit_is_not_the_distance_of_views_from_one_place(tmp_path: Path) -> None:
    for name in ("a", "b"):
        panorama(tmp_path / "all" / f"{name}.png", 256)
    source = open_source(tmp_path / "all", SourceOptions(input_kind="panorama"))
    photos = [prepare_photo(source.read(index)) for index in range(2 * VIEWS)]
    side, count = photos[0].original_size[0], 2 * VIEWS
    poses = np.tile(np.eye(4), (count, 1, 1))
    poses[:, :3, :3] = np.concatenate([directions(VIEWS)] * 2)
    poses[VIEWS:, :3, 3] = -poses[VIEWS:, :3, :3] @ [30000, 0, 0]
    intrinsics = np.tile(view_intrinsics(side), (count, 1, 1))
    points = SparsePoints(np.full((1, 3), 15000.0), tuple(np.arange(1) for _ in range(count)))
    lenses = Lenses(intrinsics, np.zeros((count, 8)), np.full((count, 2), side))
    names = tuple(photo.name for photo in photos)
    found = SfmResult(names, np.arange(count), Cameras(poses, intrinsics), lenses, points, np.zeros(count))
    rigged = _on_rigs(found, photos)
    assert rigged.cameras.world_to_camera is not None
    assert np.linalg.norm(rigged.cameras.world_to_camera[-1, :3, 3]) == pytest.approx(2)
    np.testing.assert_allclose(rigged.sparse.points, 1.0)


def _small_turn(axis: np.ndarray) -> np.ndarray:
    import cv2

    return np.asarray(cv2.Rodrigues(axis)[0])
