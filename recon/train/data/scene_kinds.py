"""What becomes a scene to learn from, by its content: a recon run, true depth in a known layout, or any source.

A new kind is a function here or beside, and a line in `KINDS`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recon.digests import digest
from recon.errors import InputError
from recon.eval.ground_truth import is_ground_truth, read_ground_truth, sample_depth
from recon.eval.truth import DepthFile, GroundTruth
from recon.export.npz import MINI_NPZ_PATH, NPZ_PATH
from recon.geometry.unprojection import project_points
from recon.run.load import load
from recon.run.record import FILE_NAME
from recon.sources.images import ImageSource
from recon.sources.loading import load_one
from recon.sources.open_source import open_source
from recon.sources.source import Source
from recon.sources.views import undistorted
from recon.train.data.lookup import depth_at, nearest
from recon.train.data.read_cache import ReadCache
from recon.train.data.scene import Labels, Picture, Scene, Size
from recon.types import FloatArray, Prediction
from recon.types.cameras import Cameras


def open_scene(path: Path, cache: ReadCache) -> Scene:
    """The scene at a path, with depth where it brings some.

    Raises InputError where nothing is there that can be read, or it is damaged.
    """
    if not path.exists():
        raise InputError(f"'{path}' does not exist")
    for open_kind in KINDS:
        scene = open_kind(path, cache)
        if scene is not None:
            return scene
    raise InputError(f"'{path}' holds no photos")


def scene_of_run(path: Path, cache: ReadCache) -> Scene | None:
    """What a run found, at the size it worked at: depth that is neither filled in nor left out by cleaning."""
    places = (FILE_NAME, NPZ_PATH, NPZ_PATH.name, MINI_NPZ_PATH)
    if not (path.suffix == ".npz" or (path.is_dir() and any((path / place).is_file() for place in places))):
        return None
    return scene_of_prediction(load(path, needs_images=True), str(path))


def scene_of_prediction(prediction: Prediction, name: str) -> Scene:
    """The views of a prediction, each without what is around its photo."""
    usable = prediction.pixels_with_depth(cleaned=True)
    count = len(prediction.depth)
    areas = [prediction.photo_area(view) for view in range(count)]
    depth = np.where(usable, prediction.depth, np.nan).astype(np.float32)
    names = prediction.image_names or tuple(f"{view:04d}" for view in range(count))
    sizes = np.array([(columns.stop - columns.start, rows.stop - rows.start) for rows, columns in areas])
    corners = np.array([(columns.start, rows.start) for rows, columns in areas])
    to_view = np.tile(np.eye(3), (count, 1, 1))
    to_view[:, :2, 2] = corners
    cameras = prediction.cameras
    if cameras.intrinsics is not None:
        cameras = cameras.mapped(to_view, sizes)

    def read_picture(view: int) -> Picture:
        area = areas[view]
        mask = None if prediction.mask is None else prediction.mask[view][area]
        return Picture(prediction.processed_images[view][area], mask)

    def read_labels(view: int, size: Size, to_photo: FloatArray) -> Labels:
        sky = None if prediction.sky is None else nearest(prediction.sky[view][areas[view]], size, to_photo)
        return Labels(depth_at(depth[view][areas[view]], sizes[view], size, to_photo), sky)

    return Scene(
        name,
        names,
        read_picture,
        lambda view: digest(prediction.processed_images[view]),
        cameras if cameras.intrinsics is not None else None,
        read_labels,
        knows_sky=prediction.sky is not None,
        metric=prediction.is_metric,
    )


def scene_of_truth(path: Path, cache: ReadCache) -> Scene | None:
    """True depth in a layout that the evaluation knows, where that is dense."""
    if not is_ground_truth(path):
        return None
    truth = read_ground_truth(path)
    if not any(isinstance(one, DepthFile) for one in truth.depth_files):
        return None
    return _truth_with_files_kept(truth, cache)


def _truth_with_files_kept(truth: GroundTruth, cache: ReadCache) -> Scene:
    photos = ImageSource.of_files(truth.image_paths, truth.image_names)
    kept = tuple(one if not isinstance(one, DepthFile) else _kept_depth_file(one, cache) for one in truth.depth_files)
    truth = replace(truth, depth_files=kept)
    known = [isinstance(one, DepthFile) for one in kept]
    indices = [index for index, has_depth in enumerate(known) if has_depth]
    finite = bool(np.isfinite(truth.intrinsics).all())

    def read_labels(view: int, size: Size, to_photo: FloatArray) -> Labels:
        found = sample_depth(truth, view, size, to_photo)
        assert found is not None
        return Labels(*found)

    scene = Scene(
        str(truth.path),
        truth.image_names,
        partial(_picture_of_size, photos, truth.image_sizes, cache),
        photos.content,
        Cameras(
            truth.extrinsics,
            truth.intrinsics if finite else None,
            truth.image_sizes,
            scale="metric" if truth.units == "m" else "given",
        ),
        read_labels,
        knows_sky=all(one.read_sky is not None for one in kept if isinstance(one, DepthFile)),
        metric=truth.units == "m",
    )
    return scene if all(known) else scene.select(indices)


def _kept_depth_file(file: DepthFile, cache: ReadCache) -> DepthFile:
    def read() -> NDArray[np.float32]:
        return cache.get(("depth", file.path), file.read, lambda depth: depth.nbytes)

    read_sky = file.read_sky
    if read_sky is None:
        return replace(file, read=read)
    return replace(file, read=read, read_sky=lambda: cache.get(("sky", file.path), read_sky, lambda sky: sky.nbytes))


def _picture_of_size(photos: Source, sizes: NDArray[np.int64], cache: ReadCache, index: int) -> Picture:
    picture = _read_picture(photos, Cameras(), cache, index)
    height, width = picture.pixels.shape[:2]
    if [width, height] != sizes[index].tolist():
        raise InputError(
            f"'{photos.names[index]}' is {width}×{height} pixels, and its camera of {sizes[index][0]}×{sizes[index][1]}"
        )
    return picture


def scene_of_source(path: Path, cache: ReadCache) -> Scene:
    """Any source: with the depth that it brings, that of its points where it brings none, or without."""
    source = open_source(path)
    as_taken = Cameras() if source.cameras is None else source.cameras
    cameras = as_taken.pinhole()
    read_labels = None
    if source.depths is not None and cameras.sizes is not None:
        read_labels = partial(_measured, source.depths, as_taken, cache, str(path))
    elif source.points is not None and cameras.complete:
        read_labels = partial(_points, source, cameras)
    return Scene(
        str(path),
        source.names,
        partial(_read_picture, source, as_taken, cache),
        partial(_content, source, as_taken),
        cameras if cameras.intrinsics is not None and cameras.sizes is not None else None,
        read_labels,
        metric=cameras.scale == "metric",
    )


def _content(source: Source, cameras: Cameras, index: int) -> str:
    """Of a photo as it is read: undistorted by its camera, where that bends."""
    content = source.content(index)
    return (
        content
        if cameras.distortion is None
        else digest(content, cameras[[index]].intrinsics, cameras.distortion[index])
    )


def _read_picture(source: Source, cameras: Cameras, cache: ReadCache, index: int) -> Picture:
    def read() -> Picture:
        photo = load_one(source, index, lambda photo: undistorted(photo, cameras, index))
        return Picture(photo.pixels, photo.mask)

    return cache.get(("picture", id(source), index), read, lambda picture: picture.pixels.nbytes)


def _measured(
    depths: Sequence[NDArray[np.float32]],
    cameras: Cameras,
    cache: ReadCache,
    name: str,
    view: int,
    size: Size,
    to_photo: FloatArray,
) -> Labels:
    """Measured depth, which is of the photo as it was taken."""
    depth = cache.get(("measured", name, view), lambda: np.asarray(depths[view], np.float32), lambda one: one.nbytes)
    assert cameras.sizes is not None
    return Labels(depth_at(depth, cameras.sizes[view], size, to_photo, cameras[[view]]))


def _points(source: Source, cameras: Cameras, view: int, size: Size, to_photo: FloatArray) -> Labels:
    """Depth of the points seen, at the pixels that they fall into; the nearest where there are several."""
    assert source.points is not None
    assert cameras.world_to_camera is not None
    assert cameras.intrinsics is not None
    points = source.points.points[source.points.observed[view]]
    intrinsics = np.linalg.inv(to_photo) @ cameras.intrinsics[view]
    pixels, z = project_points(points[None], intrinsics[None], cameras.world_to_camera[[view]])
    depth = np.full(size, np.nan, np.float32)
    with np.errstate(invalid="ignore"):
        seen = (z[0] > 0) & (pixels[0] >= 0).all(axis=1) & (pixels[0] < size[::-1]).all(axis=1)
    columns, rows = np.floor(pixels[0][seen]).astype(np.intp).T
    order = np.argsort(-z[0][seen], kind="stable")
    depth[rows[order], columns[order]] = z[0][seen][order]
    return Labels(depth)


KINDS: tuple[Callable[[Path, ReadCache], Scene | None], ...] = (scene_of_run, scene_of_truth, scene_of_source)
"""In this order, the first that gives a scene counts."""
