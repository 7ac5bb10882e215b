"""A COLMAP model with its images, for splat trainers and bundle adjustment."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from recon.choices import ExportChoices
from recon.errors import InputError
from recon.export.colmap_files import ColmapCamera, ColmapScene, write_binary, write_text
from recon.export.exporter import Exported, Exporter, Needs
from recon.export.original_images import (
    IMAGES,
    MASKS,
    LensChoice,
    WrittenImages,
    shared_images,
    undistorted_pixels,
    write_images,
)
from recon.export.original_images import check_intrinsics as check_skew
from recon.export.points import PointOptions, check_cloud, kept_pixels, thinned
from recon.geometry import quaternions
from recon.geometry.located_depth import with_cameras
from recon.geometry.tracks import Tracks, find_tracks
from recon.geometry.unprojection import project_points
from recon.messages import warn
from recon.options import like, option
from recon.types import FloatArray, Prediction
from recon.types.lens import distort

MODEL = Path("sparse") / "0"
"""Below the folder of a run."""
MOST_POINTS = 200_000
ColmapPoints = Literal["depth", "sfm"]
"""Which points a model holds."""
_LENS_MODELS = (
    ("SIMPLE_RADIAL", (0,)),
    ("RADIAL", (0, 1)),
    ("OPENCV", (0, 1, 2, 3)),
    ("FULL_OPENCV", (0, 1, 2, 3, 4, 5, 6, 7)),
)
"""COLMAP's models, the simplest first, and which of k1, k2, p1, p2, k3, k4, k5, k6 each has."""
_ONE_FOCAL = ("SIMPLE_RADIAL", "RADIAL")
"""Those with one focal length for both directions."""


@dataclass(frozen=True, kw_only=True)
class ColmapOptions(PointOptions):
    """Which points the model holds, and whether the photos keep their lens."""

    num_max_points: int = like(
        ExportChoices,
        "num_max_points",
        default=MOST_POINTS,
        help="Keep at most this many points, spread evenly, and never more than 200 000.",
    )
    lens: LensChoice = option(
        "pinhole",
        help="pinhole: photos whose lens bends are undistorted; original: all photos as they were taken, with the "
        "camera model of their lens.",
    )
    points: ColmapPoints = option(
        "depth",
        help="depth: points of the depth, with tracks of the views that agree on them; sfm: those that structure from "
        "motion found, or that a COLMAP model brought, with theirs.",
    )
    text: bool = option(False, help="Write the model as text, too.")


def check(prediction: Prediction, options: ColmapOptions) -> None:
    """Raise InputError where no pixel can become a point, or a camera is none of COLMAP's."""
    check_cloud(prediction, options)
    if options.points == "sfm" and (prediction.sparse is None or not (prediction.sparse.track_lengths > 1).any()):
        raise InputError(
            "colmap.points=sfm: this prediction has no points of structure from motion: find its cameras with "
            "`--cameras sfm`, or leave the option out"
        )
    if prediction.intrinsics is not None:
        check_intrinsics(prediction.intrinsics, options)


def check_intrinsics(intrinsics: FloatArray, options: ColmapOptions) -> None:
    """Raise InputError where (N, 3, 3) intrinsics have skew."""
    check_skew("colmap", intrinsics)


def write(prediction: Prediction, folder: Path, options: ColmapOptions) -> Exported:
    """Write `images/`, and the model of them under `sparse/0/`; beside, `masks/` where photos are masked.

    Each point is observed by all views that agree on it, at its pixel in their image.
    """
    prediction = with_cameras(prediction)
    tracks = _sfm_tracks(prediction) if options.points == "sfm" else _tracks(prediction, options)
    images = write_images(prediction, folder, options.lens)
    scene = _scene(prediction, tracks, images)
    files = write_binary(scene, folder / MODEL)
    if options.text:
        files += write_text(scene, folder / MODEL)
    lengths = np.bincount(scene.seen, minlength=len(scene.points))
    return Exported(
        (*files, *images.files),
        {
            "points": len(scene.points),
            "observations": len(scene.views),
            "mean_track_length": float(lengths.mean()) if len(lengths) else None,
            "mean_reprojection_error": float(scene.errors.mean()) if len(lengths) else None,
            "of": options.points,
            "tolerance": tracks.tolerance,
            "cameras": len(scene.cameras),
            "lens": options.lens,
            **images.details,
            "units": prediction.units,
        },
    )


def _tracks(prediction: Prediction, options: ColmapOptions) -> Tracks:
    """Tracks of several views; of one each only where no two views agree anywhere."""
    assert prediction.extrinsics is not None
    assert prediction.intrinsics is not None
    kept, _ = kept_pixels(prediction, options)
    most = min(options.num_max_points, MOST_POINTS)
    cameras = (prediction.intrinsics, prediction.extrinsics)
    candidates = thinned(prediction, kept, options)
    found = find_tracks(prediction.depth, kept, *cameras, candidates, most=most, seed=options.seed)
    if len(found.points):
        return found
    if len(prediction.depth) > 1:
        warn(
            "colmap: no two views agree on the depth of a single point, so each point is observed by one view only; "
            "such points start a splat trainer, and are of no use to bundle adjustment"
        )
    return find_tracks(prediction.depth, kept, *cameras, candidates, most=most, seed=options.seed, least_views=1)


def _sfm_tracks(prediction: Prediction) -> Tracks:
    """Those of structure from motion that two views see or more, in pixels of the views."""
    sparse = prediction.sparse
    assert sparse is not None
    assert prediction.extrinsics is not None
    assert prediction.intrinsics is not None
    kept = sparse.track_lengths > 1
    renumbered = np.cumsum(kept) - 1
    views, seen, places = [], [], []
    for view, indices in enumerate(sparse.observed):
        chosen = kept[indices]
        this = slice(view, view + 1)
        if sparse.pixels is None or prediction.processed_to_original is None:
            points = sparse.points[indices[chosen]][None]
            places.append(project_points(points, prediction.intrinsics[this], prediction.extrinsics[this])[0][0])
        else:
            straight = undistorted_pixels(sparse.pixels[view][chosen], prediction.original_cameras[[view]])
            to_view = np.linalg.inv(prediction.processed_to_original[view].astype(np.float64))
            places.append(straight @ to_view[:2, :2].T + to_view[:2, 2])
        views.append(np.full(int(chosen.sum()), view, np.intp))
        seen.append(renumbered[indices[chosen]])
    all_views, all_seen, all_places = np.concatenate(views), np.concatenate(seen), np.concatenate(places)
    _, height, width = prediction.depth.shape
    columns, rows = np.clip(all_places.astype(np.int64), 0, (width - 1, height - 1)).T
    pixels = np.zeros(int(kept.sum()), np.int64)
    pixels[all_seen] = all_views * (height * width) + rows * width + columns
    return Tracks(sparse.points[kept], pixels, all_views, all_seen, all_places)


def _scene(prediction: Prediction, tracks: Tracks, images: WrittenImages) -> ColmapScene:
    """The model, in pixels of the images that were written."""
    world_to_camera = prediction.cameras.world_to_camera
    assert world_to_camera is not None
    cameras, camera_of = _cameras(images)
    observed = _on_images(tracks.views, _pinhole_pixels(tracks, images), images)
    points = tracks.points[tracks.seen]
    projected = np.empty_like(observed)
    ends = np.searchsorted(tracks.views, np.arange(len(images.names) + 1))
    for view in range(len(images.names)):
        these, this = slice(ends[view], ends[view + 1]), slice(view, view + 1)
        projected[these] = project_points(points[None, these], images.pinhole_intrinsics[this], world_to_camera[this])[
            0
        ][0]
    projected = _on_images(tracks.views, projected, images)
    misses = np.linalg.norm(projected - observed, axis=1)
    count = len(tracks.points)
    lengths = np.bincount(tracks.seen, minlength=count)
    errors = np.bincount(tracks.seen, weights=misses, minlength=count) / np.maximum(lengths, 1)
    rotations = world_to_camera[:, :3, :3]
    return ColmapScene(
        cameras=cameras,
        names=images.names,
        camera_of=camera_of,
        quaternions=quaternions.normalise(quaternions.from_matrix(rotations)).astype(np.float64),
        translations=world_to_camera[:, :3, 3],
        points=tracks.points,
        colors=prediction.processed_images.reshape(-1, 3)[tracks.pixels],
        errors=errors,
        views=tracks.views,
        seen=tracks.seen,
        pixels=observed,
    )


def _pinhole_pixels(tracks: Tracks, images: WrittenImages) -> NDArray[np.float64]:
    """(K, 2) where the images without distortion show each observation."""
    affine = images.processed_to_pinhole[tracks.views]  # (K, 3, 3)
    return (affine[:, :2, :2] @ tracks.places[:, :, None])[:, :, 0] + affine[:, :2, 2]


def _on_images(
    views: NDArray[np.intp], pinhole_pixels: NDArray[np.float64], images: WrittenImages
) -> NDArray[np.float64]:
    """(K, 2) pixels of the images as they were written, lens included, of those of the images without distortion."""
    distortion, intrinsics = images.cameras.distortion, images.cameras.intrinsics
    if distortion is None:
        return pinhole_pixels
    assert intrinsics is not None
    placed = np.empty_like(pinhole_pixels)
    ends = np.searchsorted(views, np.arange(len(images.names) + 1))
    for view in range(len(images.names)):
        these = slice(ends[view], ends[view + 1])
        pinhole, lens = images.pinhole_intrinsics[view], intrinsics[view]
        rays = (pinhole_pixels[these] - pinhole[:2, 2]) / pinhole[[0, 1], [0, 1]]
        placed[these] = distort(rays, distortion[view]) * lens[[0, 1], [0, 1]] + lens[:2, 2]
    return placed


def _cameras(images: WrittenImages) -> tuple[tuple[ColmapCamera, ...], NDArray[np.intp]]:
    """The different cameras, in the order of the images; and (N,) which one each image was taken by."""
    intrinsics, sizes, distortion = images.cameras.intrinsics, images.cameras.sizes, images.cameras.distortion
    assert intrinsics is not None
    assert sizes is not None
    none = np.zeros(8)
    each = [
        colmap_camera(intrinsics[view], none if distortion is None else distortion[view], sizes[view])
        for view in range(len(images.names))
    ]
    places = {camera: place for place, camera in enumerate(dict.fromkeys(each))}
    return tuple(places), np.array([places[camera] for camera in each], np.intp)


def colmap_camera(
    intrinsics: NDArray[np.float64], distortion: NDArray[np.float64], size: NDArray[np.int64]
) -> ColmapCamera:
    """The simplest of COLMAP's models that has just these (3, 3) intrinsics and (8,) coefficients of OpenCV's.

    COLMAP's pixel centres are at half-integers, too.
    """
    fx, fy, cx, cy = (float(intrinsics[at]) for at in ((0, 0), (1, 1), (0, 2), (1, 2)))
    width, height = int(size[0]), int(size[1])
    if not distortion.any():
        return ColmapCamera("PINHOLE", width, height, (fx, fy, cx, cy))
    for model, has in _LENS_MODELS:
        others = [place for place in range(len(distortion)) if place not in has]
        if distortion[others].any() or (model in _ONE_FOCAL and fx != fy):
            continue
        focal = (fx,) if model in _ONE_FOCAL else (fx, fy)
        return ColmapCamera(model, width, height, (*focal, cx, cy, *distortion[list(has)].tolist()))
    raise AssertionError("the last model has all coefficients")


COLMAP = Exporter(
    "colmap",
    ColmapOptions,
    write,
    ("sparse", IMAGES, MASKS),
    Needs(cameras=True),
    check,
    check_intrinsics=check_intrinsics,
    shared=lambda options: shared_images(options.lens),
)
