"""The COLMAP database of one run: cameras, photos and their SIFT features."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from recon.sfm.colmap import run_cancellable
from recon.sfm.lens_models import known_camera
from recon.sfm.photos import SfmPhoto

if TYPE_CHECKING:
    import pycolmap

_PHOTOS_ON_DISK = 64
"""COLMAP reads pictures from files: so many at a time are written, to the temporary folder."""
_FEW_FEATURES = 2500
"""Photos with fewer features are searched again at double size, which takes about four times as long."""


def file_name(index: int) -> str:
    """Name in the database of the photo at `index`; its id there is `index + 1`."""
    return f"{index:06d}.pgm"


def write_cameras(database_path: Path, photos: Sequence[SfmPhoto], camera_model: str, shared: bool) -> None:
    """Write photos and their cameras; with `shared`, photos that may be of one camera get one.

    Cameras are in pixels of the photos' small grey pictures, with the principal point at the centre of the photo where
    the lens is not known.
    """
    import pycolmap

    rigs: dict[object, tuple[int, int]] = {}  # ids of camera and rig
    with pycolmap.Database.open(database_path) as database:
        for index, photo in enumerate(photos):
            key = photo.camera_key if shared else index
            if key not in rigs:
                camera = _camera(photo, camera_model)
                camera.camera_id = database.write_camera(camera)
                rig = pycolmap.Rig()
                rig.add_ref_sensor(camera.sensor_id)
                rigs[key] = camera.camera_id, database.write_rig(rig)
            camera_id, rig_id = rigs[key]
            image = pycolmap.Image(name=file_name(index), camera_id=camera_id)
            image.image_id = index + 1
            database.write_image(image, use_image_id=True)
            frame = pycolmap.Frame()
            frame.rig_id = rig_id
            frame.add_data_id(image.data_id)
            database.write_frame(frame)


def _camera(photo: SfmPhoto, camera_model: str) -> pycolmap.Camera:
    import pycolmap

    height, width = photo.gray.shape
    if photo.intrinsics is not None:
        camera = known_camera(photo.intrinsics, photo.distortion, (width, height), photo.scale)
        camera.has_prior_focal_length = True
        return camera
    camera = pycolmap.Camera.create_from_model_name(
        camera_id=1, model_name=camera_model, focal_length=photo.focal_guess, width=width, height=height
    )
    camera.principal_point_x = photo.original_size[0] * photo.scale / 2
    camera.principal_point_y = photo.original_size[1] * photo.scale / 2
    camera.has_prior_focal_length = photo.exif_focal_35mm is not None
    return camera


def extract_features(
    database_path: Path,
    photos: Sequence[SfmPhoto],
    folder: Path,
    max_features: int,
    threads: int,
    report: Callable[[int], None],
) -> NDArray[np.int64]:
    """Find SIFT features in the photos, write them to the database, and return (N,) how many each photo has.

    `folder` holds pictures for a while; `report` is told how many photos are done.
    """
    furthest = 0

    def note(done: int) -> None:
        nonlocal furthest
        furthest = max(furthest, done)  # photos that are searched again are not taken back
        report(furthest)

    plain, upsampled = (_sift_options(max_features, threads, upsample) for upsample in (False, True))
    for first in range(0, len(photos), _PHOTOS_ON_DISK):
        batch = range(first, min(first + _PHOTOS_ON_DISK, len(photos)))
        for index in batch:
            _write_pgm(folder / file_name(index), photos[index].gray)
        masked = any(photos[index].mask is not None for index in batch)
        for index in batch if masked else ():  # COLMAP wants one for each photo, or none at all
            mask = photos[index].mask
            white = np.full(photos[index].gray.shape, 255, np.uint8)
            _write_png(_mask_path(folder, index), white if mask is None else white * mask)
        _extract(database_path, folder, batch, plain, masked, note, done_before=first)
        counts = feature_counts(database_path, len(photos))
        poor = [index for index in batch if counts[index] < _FEW_FEATURES]
        if poor:
            _forget_features(database_path, poor)
            _extract(database_path, folder, poor, upsampled, masked, note, done_before=batch.stop - len(poor))
        for index in batch:
            (folder / file_name(index)).unlink()
            _mask_path(folder, index).unlink(missing_ok=True)
    report(len(photos))
    return feature_counts(database_path, len(photos))


def _sift_options(max_features: int, threads: int, upsample: bool) -> pycolmap.FeatureExtractionOptions:
    import pycolmap

    options = pycolmap.FeatureExtractionOptions()
    options.use_gpu = False
    options.num_threads = threads
    options.sift.max_num_features = max_features
    options.sift.first_octave = -1 if upsample else 0
    return options


def _extract(
    database_path: Path,
    folder: Path,
    batch: Sequence[int],
    options: pycolmap.FeatureExtractionOptions,
    masked: bool,
    report: Callable[[int], None],
    done_before: int,
) -> None:
    import pycolmap

    names = [file_name(index) for index in batch]
    reader = pycolmap.ImageReaderOptions()
    if masked:
        reader.mask_path = folder
    # COLMAP has its own SQLite, and two copies in one process do not see each other's locks: while it works, only it
    # may look at the database.
    with pycolmap.Database.open(database_path) as database:
        run_cancellable(
            lambda token: pycolmap.extract_features(
                database_path,
                folder,
                image_names=names,
                reader_options=reader,
                extraction_options=options,
                device=pycolmap.Device.cpu,
                cancellation_token=token,
            ),
            watch=lambda: report(done_before + sum(database.exists_descriptors(index + 1) for index in batch)),
        )


def _mask_path(folder: Path, index: int) -> Path:
    """Where COLMAP looks for the mask of the photo at `index`: no features are found where it is black."""
    return folder / f"{file_name(index)}.png"


def _write_pgm(path: Path, gray: NDArray[np.uint8]) -> None:
    height, width = gray.shape
    path.write_bytes(b"P5\n%d %d\n255\n" % (width, height) + gray.tobytes())


def _write_png(path: Path, levels: NDArray[np.uint8]) -> None:
    path.write_bytes(cv2.imencode(".png", levels)[1].tobytes())


def feature_counts(database_path: Path, count: int) -> NDArray[np.int64]:
    """(count,) number of features of each photo; 0 for photos without."""
    counts = np.zeros(count, np.int64)
    with contextlib.closing(sqlite3.connect(database_path)) as connection:
        for image_id, rows in connection.execute("SELECT image_id, rows FROM keypoints"):
            counts[image_id - 1] = rows
    return counts


def read_keypoints(database: pycolmap.Database, index: int) -> NDArray[np.float64]:
    """(K, 2) pixel coordinates, in its small picture, of the features of the photo at `index`."""
    if not database.exists_keypoints(index + 1):
        return np.zeros((0, 2))
    return np.asarray(database.read_keypoints(index + 1), np.float64)[:, :2]


def _forget_features(database_path: Path, indices: Sequence[int]) -> None:
    with contextlib.closing(sqlite3.connect(database_path)) as connection, connection:
        for table in ("keypoints", "descriptors"):
            connection.executemany(f"DELETE FROM {table} WHERE image_id = ?", [(index + 1,) for index in indices])
