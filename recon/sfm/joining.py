"""Models of one set of photos that share a few matches, too few for any one pair: joined by all of them together.

Between two groups of photos, pairs may have some right matches each, fewer than it takes to verify a pair. But both
groups have models, so that one similarity must explain the matches of all pairs at once. A photo of one group is placed
by the points of the other, which says rotation and centre, and the depth of what it sees in its own model says the
scale; each such guess is judged by how many matches it explains, and the best is refined by them.

Things that repeat (two lamps alike) can be explained as well, by a similarity that is wrong. So joined models must not
contradict each other: where a photo sees a point of its own model, nothing of the other may stand in between.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from recon.geometry.similarity import Similarity
from recon.sfm.bundle import adjust
from recon.sfm.colmap import run_cancellable
from recon.sfm.features import read_keypoints
from recon.sfm.focal import copy_overlaps
from recon.sfm.merit import makes_sense, merit_of, photos_of
from recon.sfm.overlaps import Overlaps
from recon.sfm.pairs import match_pairs
from recon.sfm.placed import placed_photos, triangulated
from recon.sfm.retrieval import alike_between, read_features
from recon.sources.colmap import world_to_camera

if TYPE_CHECKING:
    import pycolmap

_EXPLAINED = 4.0
"""Pixels of the small pictures that a match may be off, as geometric verification allows."""
_GUESSED = 12.0
"""The same for a guess, before it is refined."""
_FEWEST_PLACED = 6
"""Matches that must place a photo of one group by points of the other, for a guess."""
_FEWEST_EXPLAINED = 16
"""Matches between the groups that a similarity must explain. By chance it explains none: a wrong match lies that near
to where it belongs in both photos once in a million times."""
_FEWEST_PAIRS = 2
_MATCHED_PER_PHOTO = 5
"""Pairs between two groups of a large set that are matched then, per photo of the smaller."""
_IN_FRONT = 0.85
"""Share of the depth of a photo's own points, nearer than which points of the other group stand in between."""
_NEARBY = 12.0
"""Pixels between an own point and one of the other group that are compared."""
_FEWEST_COMPARED = 20
_MOST_IN_FRONT = 0.2
"""Share of the points compared that may stand in between: edges of what is near, and wrong points."""
_FEWEST_LINKS = 3
"""Verified matches of a pair that make points of the joined model."""
_BOUNDS = (16.0, 4.0)
"""Pixels, as in `recon.sfm.refine_cameras`."""
_LOSS_PER_BOUND = 1 / 16
_STILL_CONFIRMED = 0.9
"""Share of the photos confirmed in either model that must be so in both joined."""


@dataclass(frozen=True)
class Join:
    """Two groups of photos, and whether their models are one now."""

    photos: tuple[int, ...]
    """Indices of the photos of the smaller."""
    matches: int
    """Between the groups, that one similarity explains."""
    tried: int
    """Between the groups, that see a point of either model."""
    in_front: float
    """Share of the points of one group that stand in between a photo and what it sees, if the groups are joined."""
    joined: bool
    why: str


class _Links(NamedTuple):
    """K matches between the photos of two models, the target's and the other's."""

    photos: NDArray[np.intp]
    """(K, 2) indices of the photos, that of the target first."""
    features: NDArray[np.intp]
    """(K, 2) numbers of the features."""
    pixels: NDArray[np.float64]
    """(K, 2, 2) their places."""
    points: NDArray[np.float64]
    """(K, 2, 3) the points they see, in the world of their own model; NaN where there is none."""

    def rows(self, chosen: NDArray[np.bool_]) -> _Links:
        """Those of the matches that are `chosen` (K,)."""
        return _Links(self.photos[chosen], self.features[chosen], self.pixels[chosen], self.points[chosen])


class _Part(NamedTuple):
    """A model as arrays."""

    cameras: Mapping[int, NDArray[np.float64]]
    """(4, 4) world-to-camera, by index of the photo."""
    lenses: Mapping[int, pycolmap.Camera]
    seen: Mapping[int, NDArray[np.float64]]
    """(F, 3) what each feature of a photo sees; NaN where that is not known."""


def _part(model: pycolmap.Reconstruction) -> _Part:
    images = {index: model.images[index + 1] for index in photos_of(model)}
    seen = {}
    for index, image in images.items():
        points = np.full((image.num_points2D(), 3), np.nan)
        for feature in image.get_observation_point2D_idxs():
            points[feature] = model.points3D[image.points2D[feature].point3D_id].xyz
        seen[index] = points
    return _Part(
        {index: world_to_camera(image) for index, image in images.items()},
        {index: model.cameras[image.camera_id] for index, image in images.items()},
        seen,
    )


def join_models(
    models: Sequence[pycolmap.Reconstruction],
    database_path: Path,
    folder: Path,
    overlaps: Overlaps,
    seed: int,
    threads: int,
    watch: Callable[[], None],
    before: Sequence[Join] = (),
) -> tuple[pycolmap.Reconstruction, list[Join]]:
    """The first of `models` with those joined to it that its photos have enough in common with, and what was tried.

    Args:
        models: the best first; those that place two photos or more which the first does not are tried.
        database_path: what they are made from; pairs between groups of a large set are matched in it.
        folder: for temporary files.
        overlaps: of the photos.
        seed: of everything random.
        threads: of the CPU.
        watch: called a few times a second, to stop.
        before: what was tried before; groups that were refused are not tried again.
    """
    best, joins = models[0], list[Join]()
    if not _has_cameras_of(best, database_path):  # photos have got lenses of their own
        return best, joins
    for other in models[1:]:
        placed = set(photos_of(best))
        group = tuple(index for index in photos_of(other) if index not in placed)
        refused = [set(join.photos) for join in (*before, *joins) if not join.joined]
        if len(group) < 2 or any(set(group) <= photos for photos in refused):
            continue
        if not _has_cameras_of(other, database_path):
            continue
        found, join = _joined(best, other, group, database_path, folder, overlaps, seed, threads, watch)
        joins.append(join)
        best = found or best
    return best, joins


def _has_cameras_of(model: pycolmap.Reconstruction, database_path: Path) -> bool:
    import pycolmap

    with pycolmap.Database.open(database_path) as database:
        return all(
            database.read_image(index + 1).camera_id == model.images[index + 1].camera_id for index in photos_of(model)
        )


def _joined(
    target: pycolmap.Reconstruction,
    other: pycolmap.Reconstruction,
    group: tuple[int, ...],
    database_path: Path,
    folder: Path,
    overlaps: Overlaps,
    seed: int,
    threads: int,
    watch: Callable[[], None],
) -> tuple[pycolmap.Reconstruction | None, Join]:
    import pycolmap

    parts = _part(target), _part(other)
    _match_look_alikes(database_path, folder, sorted(parts[0].cameras), group, seed, threads, watch)
    links = _links(database_path, parts, group)
    known = np.isfinite(links.points[..., 0])
    tried = int(known.any(axis=1).sum())

    def refused(why: str, matches: int = 0, in_front: float = 0.0) -> tuple[None, Join]:
        return None, Join(group, matches, tried, in_front, False, why)

    found = _similarity(links, parts, seed)
    if found is None:
        return refused("no similarity explains matches between them")
    similarity, explained = found
    count, pairs = int(explained.sum()), len({tuple(pair) for pair in links.photos[explained].tolist()})
    if count < _FEWEST_EXPLAINED or pairs < _FEWEST_PAIRS:
        return refused(f"one similarity explains {count} matches of {pairs} pairs, too few to be sure", count)
    in_front = _share_in_front(similarity, parts, group)
    if in_front > _MOST_IN_FRONT:
        why = "they would stand in each other's way: what they have in common may be there twice"
        return refused(why, count, in_front)
    poses = dict(parts[0].cameras)
    moved = similarity.apply_to_extrinsics(np.stack([parts[1].cameras[index] for index in group]))
    poses |= dict(zip(group, moved, strict=True))
    own = {lens.camera_id: lens for part in (parts[1], parts[0]) for lens in part.lenses.values()}
    linked = folder / "linked.db"
    try:
        with pycolmap.Database.open(database_path) as database:
            copy_overlaps(database, linked)
        _verify(linked, links.rows(explained))
        model = placed_photos(linked, poses, own)
        for bound in _BOUNDS:
            model = triangulated(model, linked, folder, bound, seed, threads, _FEWEST_LINKS)
            if model.num_points3D() < _FEWEST_EXPLAINED:
                return refused("joined, they see next to no points", count, in_front)
            run_cancellable(_adjustment(model, bound, threads), watch)
    finally:
        linked.unlink(missing_ok=True)
    before = merit_of(target, overlaps).confirmed + len(group)
    if not makes_sense(model, overlaps) or merit_of(model, overlaps).confirmed < _STILL_CONFIRMED * before:
        return refused("joined, they do not explain their own matches any more", count, in_front)
    return model, Join(group, count, tried, in_front, True, "one similarity explains matches between them")


def _match_look_alikes(
    database_path: Path,
    folder: Path,
    target: Sequence[int],
    group: Sequence[int],
    seed: int,
    threads: int,
    watch: Callable[[], None],
) -> None:
    """Match photos of two groups that look most alike and are not matched yet, as those of large sets may not be."""
    import pycolmap

    with pycolmap.Database.open(database_path) as database:
        if database.read_descriptors(target[0] + 1).type != pycolmap.FeatureExtractorType.SIFT:
            return
        known = {(i - 1, j - 1) for i, j in map(pycolmap.pair_id_to_image_pair, database.read_all_matches()[0])}
    missing = {(min(i, j), max(i, j)) for i in target for j in group if i not in group} - known
    if not missing:
        return
    features = read_features(database_path, max(*target, *group) + 1)
    alike = [pair[:2] for pair in alike_between(features, target, group, _MATCHED_PER_PHOTO * len(group), seed)]
    pairs = sorted(set(alike) & missing)
    if pairs:
        match_pairs(database_path, pairs, folder, threads, lambda done: watch())


def _adjustment(
    model: pycolmap.Reconstruction, bound: float, threads: int
) -> Callable[[pycolmap.CancellationToken], float]:
    """Adjusts `model` in place, lenses as they are."""
    return lambda token: adjust(
        model, focal=False, distortion=False, loss_scale=bound * _LOSS_PER_BOUND, threads=threads
    )


def _links(database_path: Path, parts: tuple[_Part, _Part], group: Sequence[int]) -> _Links:
    """All matches between photos of the first part and those of the second that are in `group`, verified or not."""
    import pycolmap

    photos, features, pixels, points = [], [], [], []
    with pycolmap.Database.open(database_path) as database:
        keypoints = {index: read_keypoints(database, index) for index in sorted({*parts[0].cameras, *parts[1].cameras})}
        for other in group:
            for own in parts[0].cameras:
                if not database.exists_matches(own + 1, other + 1):
                    continue
                matches = np.asarray(database.read_matches(own + 1, other + 1)).astype(np.intp)
                if len(matches) == 0:
                    continue
                photos.append(np.tile([own, other], (len(matches), 1)))
                features.append(matches)
                pixels.append(np.stack([keypoints[own][matches[:, 0]], keypoints[other][matches[:, 1]]], axis=1))
                seen = parts[0].seen[own][matches[:, 0]], parts[1].seen[other][matches[:, 1]]
                points.append(np.stack(seen, axis=1))
    if not photos:
        return _Links(np.zeros((0, 2), np.intp), np.zeros((0, 2), np.intp), np.zeros((0, 2, 2)), np.zeros((0, 2, 3)))
    return _Links(np.concatenate(photos), np.concatenate(features), np.concatenate(pixels), np.concatenate(points))


def _similarity(links: _Links, parts: tuple[_Part, _Part], seed: int) -> tuple[Similarity, NDArray[np.bool_]] | None:
    """What takes the second part to the first, and (K,) which matches it explains; None where nothing is guessed."""
    best, most = None, 0
    for guess in _guesses(links, parts, seed):
        for _ in range(3):
            explained = _errors(guess, links, parts) <= _GUESSED
            if explained.sum() < _FEWEST_PLACED:
                break
            guess = _refined(guess, links, parts, explained)
        count = int((_errors(guess, links, parts) <= _EXPLAINED).sum())
        if count > most:
            best, most = guess, count
    return None if best is None else (best, _errors(best, links, parts) <= _EXPLAINED)


def _guesses(links: _Links, parts: tuple[_Part, _Part], seed: int) -> list[Similarity]:
    """Similarities from the second part to the first, one for each photo that points of the other part place."""
    import pycolmap

    options = pycolmap.AbsolutePoseEstimationOptions()
    options.ransac.max_error = _EXPLAINED
    options.ransac.random_seed = seed
    known = np.isfinite(links.points[..., 0])
    guesses = []
    for side in (0, 1):  # of the photo that is placed, by points of the other part
        for photo in np.unique(links.photos[:, side]).tolist():
            rows = np.flatnonzero((links.photos[:, side] == photo) & known[:, 1 - side])
            if len(rows) < _FEWEST_PLACED:
                continue
            lens = parts[side].lenses[photo]
            placed = pycolmap.estimate_absolute_pose(
                links.pixels[rows, side], links.points[rows, 1 - side], lens, options
            )
            if placed is None or placed["num_inliers"] < _FEWEST_PLACED:
                continue
            rows = rows[np.asarray(placed["inlier_mask"], bool)]
            both = rows[known[rows, side]]
            if len(both) < 2:
                continue
            theirs = np.vstack([placed["cam_from_world"].matrix(), [0, 0, 0, 1]])  # camera in the other part's world
            own = parts[side].cameras[photo]
            depths = (
                _in_camera(own, links.points[both, side])[:, 2],
                _in_camera(theirs, links.points[both, 1 - side])[:, 2],
            )
            if (np.stack(depths) <= 0).any():
                continue
            scale = float(np.median(depths[0] / depths[1]))  # from the other part to the photo's own
            rotation = own[:3, :3].T @ theirs[:3, :3]
            move = Similarity(scale, rotation, own[:3, :3].T @ (scale * theirs[:3, 3] - own[:3, 3]))
            guesses.append(move.inverse() if side == 1 else move)
    return guesses


def _in_camera(camera: NDArray[np.float64], points: NDArray[np.float64]) -> NDArray[np.float64]:
    """(K, 3) points of the world, as a camera (4, 4) has them."""
    return points @ camera[:3, :3].T + camera[:3, 3]


def _residuals(similarity: Similarity, links: _Links, parts: tuple[_Part, _Part]) -> NDArray[np.float64]:
    """(K, 2, 2) pixels between the features in either photo and the other part's points; NaN where there is none."""
    found = np.full((len(links.photos), 2, 2), np.nan)
    back = similarity.inverse()
    for side, move in ((0, similarity), (1, back)):  # of the photo
        for photo in np.unique(links.photos[:, side]).tolist():
            rows = np.flatnonzero((links.photos[:, side] == photo) & np.isfinite(links.points[:, 1 - side, 0]))
            if len(rows) == 0:
                continue
            points = _in_camera(parts[side].cameras[photo], move.apply(links.points[rows, 1 - side]))
            ahead = points[:, 2] > 0
            found[rows, side] = 1e6
            if ahead.any():
                seen = np.asarray(parts[side].lenses[photo].img_from_cam(points[ahead]))
                found[rows[ahead], side] = seen - links.pixels[rows[ahead], side]
    return found


def _errors(similarity: Similarity, links: _Links, parts: tuple[_Part, _Part]) -> NDArray[np.float64]:
    """(K,) the larger distance in pixels of a match's features from the points of the other part; infinite for none."""
    distance = np.linalg.norm(_residuals(similarity, links, parts), axis=2)  # (K, 2)
    return np.where(np.isnan(distance).all(axis=1), np.inf, np.fmax(distance[:, 0], distance[:, 1]))


def _refined(guess: Similarity, links: _Links, parts: tuple[_Part, _Part], chosen: NDArray[np.bool_]) -> Similarity:
    """`guess`, adjusted to the `chosen` (K,) matches, robustly."""
    few = links.rows(chosen)
    known = np.isfinite(_residuals(guess, few, parts))
    unit = float(np.linalg.norm(guess.translation)) + guess.scale

    def moved(change: NDArray[np.float64]) -> Similarity:
        turn = Rotation.from_rotvec(change[:3]).as_matrix()
        return Similarity(
            guess.scale * float(np.exp(change[3])), turn @ guess.rotation, guess.translation + unit * change[4:]
        )

    def cost(change: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.nan_to_num(_residuals(moved(change), few, parts)[known], nan=1e6)

    return moved(least_squares(cost, np.zeros(7), loss="soft_l1", f_scale=1.0, max_nfev=30).x)


def _share_in_front(similarity: Similarity, parts: tuple[_Part, _Part], group: Sequence[int]) -> float:
    """Share of the points of one part that stand between a photo of the other and what it sees there; 0 where too few
    can be compared."""
    compared = in_front = 0
    moves = (
        (parts[0], list(parts[0].cameras), parts[1], similarity),
        (parts[1], list(group), parts[0], similarity.inverse()),
    )
    for part, photos, other, move in moves:
        every = np.concatenate([points[np.isfinite(points[:, 0])] for points in other.seen.values()])
        strangers = move.apply(np.unique(every, axis=0))
        for photo in photos:
            camera, lens = part.cameras[photo], part.lenses[photo]
            own = _in_camera(camera, part.seen[photo][np.isfinite(part.seen[photo][:, 0])])
            theirs = _in_camera(camera, strangers)
            theirs = theirs[theirs[:, 2] > 0.05 * np.median(own[:, 2])] if len(own) else theirs[:0]
            if len(own) == 0 or len(theirs) == 0:
                continue
            places = np.nan_to_num(np.asarray(lens.img_from_cam(theirs)), nan=-1e9)
            distance, nearest = cKDTree(np.asarray(lens.img_from_cam(own))).query(places, distance_upper_bound=_NEARBY)
            near = np.isfinite(distance)
            compared += int(near.sum())
            in_front += int((theirs[near, 2] < _IN_FRONT * own[nearest[near], 2]).sum())
    return in_front / compared if compared >= _FEWEST_COMPARED else 0.0


def _verify(database_path: Path, links: _Links) -> None:
    """Write matches between the groups as verified."""
    import pycolmap

    with pycolmap.Database.open(database_path) as database:
        for own, other in sorted({tuple(pair) for pair in links.photos.tolist()}):
            rows = (links.photos == (own, other)).all(axis=1)
            geometry = pycolmap.TwoViewGeometry()
            geometry.config = int(pycolmap.TwoViewGeometryConfiguration.CALIBRATED)
            geometry.inlier_matches = links.features[rows].astype(np.uint32)
            if database.exists_two_view_geometry(own + 1, other + 1):
                database.delete_two_view_geometry(own + 1, other + 1)
            database.write_two_view_geometry(own + 1, other + 1, geometry)
