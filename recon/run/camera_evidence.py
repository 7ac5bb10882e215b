"""Cameras by evidence: those of structure from motion where it finds some, those of the network for the other photos.

What both have places the one world in the other. Photos without detail, or that show too little in common with the
rest, so keep a place, if a rougher one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from recon.errors import InputError
from recon.estimate.estimate_views import estimate_views
from recon.estimate.estimator import Estimator, Wishes
from recon.geometry.cameras import camera_centres
from recon.geometry.similarity import Similarity, align_cameras
from recon.geometry.sparse_points import SparsePoints
from recon.geometry.view_alignment import align_views
from recon.messages import listed, warn
from recon.progress import tell
from recon.run.find_cameras import FoundCameras, KnownCameras, adjusted, leave_out, photos_as_found
from recon.run.load_views import load_views
from recon.run.plan import Plan
from recon.sources.calibrated import CalibratedSource
from recon.sources.source import Source
from recon.types.cameras import CameraOrigin, Cameras

_CONTRADICTION = 20.0
"""Degrees that the cameras of both are apart in the median, from which on the network's are of no use."""
_FAR_TURN, _LEAST_TURN = 4.0, 2.0
"""Times the usual error of the network, and at least degrees, that adjusting may turn a predicted camera."""
_ONE_LENS = 1.15
"""Factor up to which two focal lengths may be of one camera, one of them being a network's."""
_SAME_LENS = 1e-6


@dataclass(frozen=True)
class JoinedCameras:
    """Cameras of two origins in one world."""

    chosen: tuple[int, ...]
    """Of each photo that has one, its index in the source."""
    cameras: Cameras
    """Of these originals as they were taken."""
    points: SparsePoints
    """Of structure from motion, as these photos see them."""
    dropped: tuple[tuple[str, str], ...]
    """Name of each photo left out, and why."""


def needs_the_network(found: FoundCameras) -> bool:
    """Whether some photos have no camera by structure from motion."""
    return bool(found.result.unregistered_names)


def without_found_cameras(plan: Plan, name: str, reason: str) -> KnownCameras:
    """All photos for the network, called `name`, to place; says so, and why."""
    warn(f"the cameras are those that {name} predicts, for structure from motion finds none to be trusted: {reason}")
    return KnownCameras(plan.source)


def join_cameras(plan: Plan, estimator: Estimator, found: FoundCameras) -> JoinedCameras | None:
    """The network's cameras of the photos that structure from motion did not place, in its world.

    None, and a warning, where the network's cameras of the others contradict it.
    """
    photos = photos_as_found(plan.source, found)
    loaded = load_views(plan, estimator.profile, KnownCameras(photos))
    views = loaded.views
    wishes = Wishes(
        cameras_only=True,
        use_ray_pose=plan.wishes.use_ray_pose,
        ref_view_strategy=plan.wishes.ref_view_strategy,
        seed=plan.wishes.seed,
    )
    predicted = estimate_views(estimator, views, wishes).original_cameras
    place = {index: view for view, index in enumerate(loaded.kept)}
    row = {index: view for view, index in enumerate(found.chosen) if index in place}
    others = [index for index in loaded.kept if index not in row]
    if not others or predicted.world_to_camera is None or predicted.intrinsics is None:
        return None
    of_sfm = found.result.original_cameras
    assert of_sfm.world_to_camera is not None
    common = list(row)
    target, source = of_sfm.world_to_camera[list(row.values())], predicted.world_to_camera[[place[i] for i in common]]
    similarity = _between_worlds(target, source, found.result.sparse)
    apart = None if similarity is None else _degrees_apart(target, similarity.apply_to_extrinsics(source))
    if similarity is None or apart is None or apart > _CONTRADICTION:
        reason = "cannot be brought together" if apart is None else f"are {apart:.0f}° apart"
        warn(f"the cameras that {estimator.profile.name} predicts and those of structure from motion {reason}")
        return None
    moved = similarity.apply_to_extrinsics(predicted.world_to_camera)
    chosen = sorted(loaded.kept)
    names = [plan.source.names[index] for index in others]
    warn(
        f"structure from motion gives the cameras of {len(common)} photos; those of {listed(names)}, "
        f"which it cannot place, are predicted by {estimator.profile.name}, whose others are {apart:.1f}° off (median)"
    )
    origins: dict[int, CameraOrigin] = {index: "sfm" if index in row else "predicted" for index in chosen}
    lens = _shared_lens(of_sfm)
    intrinsics, distortion = np.empty((len(chosen), 3, 3)), np.zeros((len(chosen), 8))
    for at, index in enumerate(chosen):
        if index in row:
            intrinsics[at] = of_sfm.intrinsics[row[index]]  # type: ignore[index]  # complete
            if of_sfm.distortion is not None:
                distortion[at] = of_sfm.distortion[row[index]]
            continue
        own = predicted.intrinsics[place[index]]
        size = views.original_sizes[place[index]]
        shared = lens is not None and (lens.sizes == size).all() and _alike(lens.intrinsics, own)
        intrinsics[at] = lens.intrinsics[0] if shared else own  # type: ignore[union-attr, index]
        if shared and lens is not None and lens.distortion is not None:
            distortion[at] = lens.distortion[0]
    cameras = Cameras(
        world_to_camera=np.stack([of_sfm.world_to_camera[row[i]] if i in row else moved[place[i]] for i in chosen]),
        intrinsics=intrinsics,
        sizes=np.stack([views.original_sizes[place[index]] for index in chosen]),
        distortion=distortion if distortion.any() else None,
        origin="predicted",
        origins=tuple(origins[index] for index in chosen),
        scale=of_sfm.scale,
    )
    cameras = _adjusted(plan, photos, chosen, cameras, found.result.sparse, apart)
    return JoinedCameras(tuple(chosen), cameras, _points_seen(found.result.sparse, chosen, row), loaded.dropped)


def known_by_evidence(plan: Plan, found: FoundCameras, joined: JoinedCameras | None) -> KnownCameras:
    """The photos with the cameras that were joined; without, those that structure from motion placed."""
    if joined is None:
        return leave_out(plan.source, found, plan.options.strict)
    source = CalibratedSource(photos_as_found(plan.source, found), joined.chosen, joined.cameras, joined.points)
    return KnownCameras(source, joined.dropped, found.result)


def _adjusted(
    plan: Plan, photos: Source, chosen: Sequence[int], cameras: Cameras, sparse: SparsePoints, usual: float
) -> Cameras:
    """With those predicted cameras that have matches adjusted to them; the found ones stay.

    Where a camera is turned by far more than the `usual` degrees that the network is off by, matches mislead.
    """
    assert cameras.world_to_camera is not None
    assert cameras.origins is not None
    try:
        found = adjusted(CalibratedSource(photos, tuple(chosen), cameras), plan.options, tell).result
    except InputError:
        return cameras
    poses, changes = found.cameras.world_to_camera, found.changes
    fixed = np.array([origin == "sfm" for origin in cameras.origins])
    if poses is None or changes is None or len(poses) != len(fixed):
        return cameras
    back = _between_worlds(cameras.world_to_camera[fixed], poses[fixed], sparse)
    if back is None:
        return cameras
    poses = back.apply_to_extrinsics(poses)
    world_to_camera, origins = cameras.world_to_camera.copy(), list(cameras.origins)
    taken = []
    for view in np.flatnonzero(~fixed).tolist():
        name = plan.source.names[chosen[view]]
        turned = _degrees_apart(poses[[view]], world_to_camera[[view]])
        weak = found.certainty is not None and view in found.certainty.weak
        if name not in changes.kept and not weak and turned <= max(_FAR_TURN * usual, _LEAST_TURN):
            world_to_camera[view], origins[view] = poses[view], "sfm"
            taken.append(name)
    if taken:
        warn(f"of the predicted cameras, those of {listed(taken)} are adjusted to matches with others")
    origin: CameraOrigin = "sfm" if all(one == "sfm" for one in origins) else "predicted"
    return replace(cameras, world_to_camera=world_to_camera, origin=origin, origins=tuple(origins))


def _between_worlds(
    target: NDArray[np.float64], source: NDArray[np.float64], sparse: SparsePoints
) -> Similarity | None:
    """From the network's world to that of structure from motion, by all cameras (N, 4, 4) that both have."""
    rough = align_cameras(target, source)
    if rough is None:
        return None
    centres = camera_centres(target)
    if len(sparse):
        away = np.linalg.norm(sparse.points[:, None] - centres[: min(len(centres), 8)], axis=2)
        distance = float(np.median(away))
    else:
        distance = 2 * float(np.linalg.norm(centres - centres.mean(axis=0), axis=1).mean())
    return align_views(target, source, rough, distance)


def _degrees_apart(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Median angle between the cameras (N, 4, 4) of one world."""
    turn = one[:, :3, :3] @ other[:, :3, :3].swapaxes(1, 2)
    cosine = (np.trace(turn, axis1=1, axis2=2) - 1) / 2
    return float(np.median(np.degrees(np.arccos(np.clip(cosine, -1, 1)))))


def _shared_lens(cameras: Cameras) -> Cameras | None:
    """The lens of all cameras, where they have one."""
    assert cameras.intrinsics is not None
    same = np.abs(cameras.intrinsics - cameras.intrinsics[0]).max() <= _SAME_LENS * cameras.intrinsics[0, 0, 0]
    sizes_alike = cameras.sizes is not None and (cameras.sizes == cameras.sizes[0]).all()
    return cameras[[0]] if same and sizes_alike else None


def _alike(lens: NDArray[np.float64] | None, own: NDArray[np.float64]) -> bool:
    if lens is None:
        return False
    ratio = float(lens[0, 0, 0] / own[0, 0])
    return max(ratio, 1 / ratio) <= _ONE_LENS


def _points_seen(sparse: SparsePoints, chosen: Sequence[int], row: dict[int, int]) -> SparsePoints:
    none = np.zeros(0, np.intp)
    observed = tuple(sparse.observed[row[index]] if index in row else none for index in chosen)
    pixels = None
    if sparse.pixels is not None:
        pixels = tuple(sparse.pixels[row[index]] if index in row else np.zeros((0, 2)) for index in chosen)
    return SparsePoints(sparse.points, observed, sparse.errors, pixels)
