"""Matches that stand still in the picture while the scene moves: watermarks, logos, frames, dates, a turntable's room.

They are many, exact and alike in all photos, and say that the camera did not move. Structure from motion that believes
them places some photos wrongly, with small errors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from recon.sfm.features import read_keypoints
from recon.sfm.pairs import Pair
from recon.sfm.photos import SfmPhoto

if TYPE_CHECKING:
    import pycolmap

_EXACT = 1.0
"""Pixels of the small pictures: what is laid over photos lies at one place to within this."""
_STILL = 4.0
"""Pixels: matches that move less are left out, once it is known that something stands still (COLMAP's bound)."""
_EXACT_SHARE = 0.35
"""Of the matches within `_STILL`, that are exact where something stands still; 1/16 in scenes that just move little."""
_FEWEST_EXACT = 8
"""Exact matches of a pair, fewer of which cannot connect it, and per photo, fewer of which cannot mislead."""
_SCENE_SHARE = 0.25
"""Of the exact matches of a pair, whose features move in other pairs, from which on the pair is left as it is."""
_AGREES = 2.0
"""Pixels from the epipolar line: a still match so near moves as the rest of the scene does, as the horizon may."""
_FEWEST_INLIERS = 20
"""Of a pair whose motion judges its still matches."""
_FEW_EXPLAINED = 0.5
"""Share of the still matches that the motion of the others explains, from which on they belong to the scene."""


@dataclass
class StillMatches:
    """What was taken out of a database, and put back by `restore`."""

    count: int = 0
    """Matches left out."""
    total: int = 0
    """Matches of all pairs, with those left out."""
    originals: dict[Pair, NDArray[np.uint32]] = field(default_factory=dict)
    """(K, 2) matches, before, of each pair that lost some."""
    kept: dict[Pair, NDArray[np.bool_]] = field(default_factory=dict)
    """(K,) which of them stayed."""

    @property
    def share(self) -> float:
        """Of all matches."""
        return self.count / max(self.total, 1)


def take_out_still_matches(database_path: Path, photos: Sequence[SfmPhoto], pairs: Sequence[Pair]) -> StillMatches:
    """Remove matches that stand still in the picture from the database, if there are enough to mislead.

    A few features of any scene happen to stay at their place. Those of an overlay stay there exactly, in most pairs:
    so features are counted that do, and nothing is removed from a set that shows no more of them than chance puts
    there. Nor from a pair whose still features move in other pairs: a photo given twice, or frames of a slow camera.
    Photos of different sizes are compared by their corners, sides and centres, and as if scaled.
    """
    import pycolmap

    removed = StillMatches()
    with pycolmap.Database.open(database_path) as database:
        keypoints = [read_keypoints(database, index) for index in range(len(photos))]

        def pair_matches(pair: Pair) -> tuple[NDArray[np.uint32], NDArray[np.float64]]:
            matches = database.read_matches(pair[0] + 1, pair[1] + 1)
            return matches, _displacement(keypoints, photos, pair, matches)

        still = [np.zeros(len(points), np.int32) for points in keypoints]
        moving = [np.zeros(len(points), np.int32) for points in keypoints]
        exact, near = {}, {}  # matches of each pair
        for pair in pairs:
            matches, distance = pair_matches(pair)
            removed.total += len(matches)
            exact[pair], near[pair] = int((distance <= _EXACT).sum()), int((distance <= _STILL).sum())
            for votes, chosen in ((still, distance <= _EXACT), (moving, distance > _STILL)):
                for side, index in enumerate(pair):
                    np.add.at(votes[index], matches[chosen, side], 1)

        def stands_still() -> bool:
            found = sum(exact.values())
            return found >= _FEWEST_EXACT * len(photos) / 2 and found >= _EXACT_SHARE * sum(near.values())

        if not stands_still():
            return removed
        moves_elsewhere = [away >= np.maximum(at_place / 4, 1) for at_place, away in zip(still, moving, strict=True)]
        for i, j in [pair for pair in pairs if exact[pair]]:
            matches, distance = pair_matches((i, j))
            matches = matches[distance <= _EXACT]
            scene = moves_elsewhere[i][matches[:, 0]] | moves_elsewhere[j][matches[:, 1]]
            if scene.mean() > _SCENE_SHARE:
                del exact[i, j], near[i, j]
        if not stands_still():
            return removed
        # A letter of a watermark matches the same letter elsewhere in it too: it is known by its matches with itself.
        overlaid = [(at_place >= 2) & (at_place > away) for at_place, away in zip(still, moving, strict=True)]
        for i, j in exact:
            matches, distance = pair_matches((i, j))
            keep = (distance > _STILL) & ~overlaid[i][matches[:, 0]] & ~overlaid[j][matches[:, 1]]
            if keep.all():
                continue
            removed.count += int((~keep).sum())
            removed.originals[i, j], removed.kept[i, j] = matches, keep
            _replace(database, (i, j), matches[keep])
    return removed


def move_with_the_scene(database_path: Path, photos: Sequence[SfmPhoto], removed: StillMatches) -> bool:
    """Whether the motion of the verified matches explains those taken out too, or no pair is left to tell.

    A far background, seen by a camera that moves without turning, stands still as an overlay does.
    """
    import pycolmap

    explained, total = 0, 0
    with pycolmap.Database.open(database_path) as database:
        for (i, j), matches in removed.originals.items():
            if not database.exists_two_view_geometry(i + 1, j + 1):
                continue
            geometry = database.read_two_view_geometry(i + 1, j + 1)
            if len(geometry.inlier_matches) < _FEWEST_INLIERS or geometry.F is None:
                continue
            out = matches[~removed.kept[i, j]]
            first, second = read_keypoints(database, i)[out[:, 0]], read_keypoints(database, j)[out[:, 1]]
            squared = np.asarray(pycolmap.compute_squared_sampson_error(first, second, geometry.F))
            explained += int((squared <= _AGREES**2).sum())
            total += len(out)
    return explained >= _FEW_EXPLAINED * total


def restore(database_path: Path, removed: StillMatches) -> None:
    """Put back all that was taken out; the pairs are to be verified again."""
    import pycolmap

    with pycolmap.Database.open(database_path) as database:
        for pair, matches in removed.originals.items():
            _replace(database, pair, matches)
        database.clear_two_view_geometries()
    removed.originals.clear()
    removed.kept.clear()
    removed.count = 0


def _replace(database: pycolmap.Database, pair: Pair, matches: NDArray[np.uint32]) -> None:
    first, second = pair[0] + 1, pair[1] + 1
    database.delete_matches(first, second)
    database.write_matches(first, second, matches)


def _displacement(
    keypoints: Sequence[NDArray[np.float64]], photos: Sequence[SfmPhoto], pair: Pair, matches: NDArray[np.uint32]
) -> NDArray[np.float64]:
    """(K,) pixels that each match of a pair moves, relative to the place in the picture that keeps most still."""
    i, j = pair
    first, second = keypoints[i][matches[:, 0]], keypoints[j][matches[:, 1]]
    first_size, second_size = (np.array(photos[index].original_size) * photos[index].scale for index in pair)
    plain = np.linalg.norm(first - second, axis=1)
    if np.array_equal(first_size, second_size):
        return plain
    least = np.full(len(matches), np.inf)
    anchored = [first + np.array([x, y]) * (second_size - first_size) for x in (0, 0.5, 1) for y in (0, 0.5, 1)]
    for moved in (*anchored, first * (second_size / first_size)):
        distance = np.linalg.norm(moved - second, axis=1)
        if (distance <= _EXACT).sum() >= max(_FEWEST_EXACT, _EXACT_SHARE * (distance <= _STILL).sum()):
            least = np.minimum(least, distance)
    return least
