"""Two groups of photos that share a few matches, too few for any one pair."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pycolmap
import pytest

from recon.geometry.similarity import align_cameras
from recon.sfm.features import read_keypoints
from recon.sfm.mapping import Mapped, build_models
from recon.sfm.matching import match_photos
from recon.sfm.merit import photos_of
from recon.sfm.options import SfmOptions
from recon.sfm.overlaps import read_overlaps
from recon.sfm.photos import SfmPhoto
from recon.sources.colmap import world_to_camera
from recon.sources.colmap_log import quiet_colmap
from tests.seeds import numpy_random

from .cards import arc, photograph, prepared, stage

Thin = Callable[[np.ndarray, np.random.Generator, tuple[int, int]], np.ndarray]

PART = 4
CAMERAS = arc(2 * PART)


def matched(photos: list[SfmPhoto], folder: Path) -> Path:
    with quiet_colmap():
        match_photos(folder / "database.db", photos, SfmOptions(), 2, lambda *_: None)
    return folder / "database.db"


@pytest.fixture(scope="module")
def photos() -> list[SfmPhoto]:
    return prepared(photograph(stage(), CAMERAS))


@pytest.fixture(scope="module")
def one_scene(photos: list[SfmPhoto], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return matched(photos, tmp_path_factory.mktemp("one"))


def mapped(database: Path, photos: list[SfmPhoto], folder: Path, thin: Thin) -> Mapped:
    """Models, where pairs between the two halves keep of their verified matches what `thin` says, unverified."""
    copy, generator = folder / "thin.db", numpy_random(3)
    shutil.copy(database, copy)
    with quiet_colmap():
        with pycolmap.Database.open(copy) as opened:
            for i in range(1, PART + 1):
                for j in range(PART + 1, 2 * PART + 1):
                    if not opened.exists_two_view_geometry(i, j):
                        continue
                    good = np.asarray(opened.read_two_view_geometry(i, j).inlier_matches)
                    counts = tuple(len(read_keypoints(opened, index - 1)) for index in (i, j))
                    opened.delete_two_view_geometry(i, j)
                    opened.delete_matches(i, j)
                    opened.write_matches(i, j, thin(good, generator, counts).astype(np.uint32))
        overlaps = read_overlaps(copy, photos)
        assert not any(i < PART <= j for i, j in overlaps.pairs)
        return build_models(copy, folder, overlaps, 2 * PART, 0, 1, lambda done: None)


def wrong(count: int, generator: np.random.Generator, counts: tuple[int, int]) -> np.ndarray:
    """(count, 2) features that have nothing to do with each other."""
    return np.stack([generator.choice(features, count, replace=False) for features in counts], axis=1)


def few_right(good: np.ndarray, generator: np.random.Generator, counts: tuple[int, int]) -> np.ndarray:
    return np.concatenate([generator.permutation(good)[:8], wrong(8, generator, counts)])


def test_a_few_matches_of_many_pairs_join_two_groups(one_scene: Path, photos: list[SfmPhoto], tmp_path: Path):
    found = mapped(one_scene, photos, tmp_path, few_right)
    assert photos_of(found.models[0]) == list(range(2 * PART))
    (join,) = found.joins
    assert join.joined
    assert len(join.photos) == PART
    assert 40 < join.matches <= 8 * PART**2
    assert join.tried > join.matches
    assert join.in_front < 0.1
    poses = np.stack([world_to_camera(found.models[0].images[index + 1]) for index in range(2 * PART)])
    similarity = align_cameras(CAMERAS, poses)
    assert similarity is not None
    moved = similarity.apply_to_extrinsics(poses)
    turns = moved[:, :3, :3] @ CAMERAS[:, :3, :3].swapaxes(1, 2)
    assert np.degrees(np.arccos(np.clip((np.trace(turns, axis1=1, axis2=2) - 1) / 2, -1, 1))).max() < 0.3


def test_wrong_matches_join_nothing(one_scene: Path, photos: list[SfmPhoto], tmp_path: Path):
    found = mapped(one_scene, photos, tmp_path, lambda good, generator, counts: wrong(16, generator, counts))
    assert len(photos_of(found.models[0])) == PART
    assert found.joins
    for join in found.joins:
        assert not join.joined
        assert join.matches < 16
        assert join.why


def test_the_same_poster_in_two_places_joins_nothing(tmp_path: Path):
    """A wall close behind the poster in one place, and a deep stage behind it in the other."""
    here, there = stage(), stage(7)
    wall, to_world = there[0]
    nearer = to_world * np.array([[5.4 / 9, 5.4 / 9, 1]]).repeat(4, 0)
    nearer[2, 2] = 5.4
    poster = here[3]
    scenes = [here, [(wall, nearer), poster]]
    pictures = [
        photograph(cards, CAMERAS[half]) for cards, half in zip(scenes, (slice(PART), slice(PART, None)), strict=True)
    ]
    photos = prepared(np.concatenate(pictures))
    database = matched(photos, tmp_path)
    found = mapped(database, photos, tmp_path, lambda good, generator, counts: generator.permutation(good)[:10])
    join = found.joins[0]
    assert join.matches >= 16
    assert not join.joined
    assert "twice" in join.why
    assert join.in_front > 0.25
    assert len(photos_of(found.models[0])) == PART
