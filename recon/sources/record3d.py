"""Record3D's recordings (.r3d): an archive with `metadata`, and a photo, depth and confidence of each frame in `rgbd/`.

Poses are (qx, qy, qz, qw, x, y, z) from the camera, in OpenGL's axes, to the world, in metres. Depth is float32 in
metres, confidence 0, 1 or 2; both are compressed with LZFSE.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from recon.choices import SourceOptions
from recon.errors import InputError, MissingExtraError
from recon.geometry.quaternions import normalise, to_matrix
from recon.messages import warn
from recon.sources.capture_files import CaptureFiles, open_capture, read_json
from recon.sources.capture_marks import RECORD3D_MARKS
from recon.sources.captures import OPENGL_TO_OPENCV, CaptureFrame, captured
from recon.sources.file_content import FileContent
from recon.sources.images import ImageSource
from recon.sources.names import natural_key
from recon.sources.source import Source
from recon.sources.video_choice import chosen_rows

_USUAL_RATE = 30.0


def open_record3d(path: Path, options: SourceOptions) -> Source:
    """Some of its frames, chosen as those of a video, in order; depth of low confidence does not count.

    Raises InputError: metadata that are missing or damaged, frames without a pose, options that leave no frame.
    """
    files = open_capture(path, RECORD3D_MARKS)
    metadata = read_json(files, "metadata")
    photos = sorted(
        (name for name in files.names if name.startswith("rgbd/") and name.endswith(".jpg")), key=natural_key
    )
    if not photos:
        raise InputError(f"'{path}' holds no photos (rgbd/0.jpg, …): record it again, or export it anew from Record3D")
    poses, intrinsics, stated, depth_shape, times = _described(metadata, files.label("metadata"))
    if len(poses) < len(photos):
        warn(f"'{path}' has {len(photos)} photos and {len(poses)} poses: the others are left out")
        photos = photos[: len(poses)]
    if len(times) < len(photos):
        times = np.arange(len(photos)) / float(metadata.get("fps") or _USUAL_RATE)
    rows = chosen_rows(times[: len(photos)] - times[0], options, f"'{path}'")
    size = _size(files, photos[rows[0]])
    to_photo = np.array([[size[0] / stated[0]], [size[1] / stated[1]], [1]])  # metadata are of the photo at any size
    with_depth = _depth_is_readable(files, photos, path)
    frames = []
    for row in rows:
        to_world = np.eye(4)
        to_world[:3, :3] = to_matrix(normalise(poses[row, [3, 0, 1, 2]]))
        to_world[:3, 3] = poses[row, 4:7]
        stem = photos[row].removesuffix(".jpg")
        has_depth = with_depth and f"{stem}.depth" in files.names
        load = partial(_depth, files, stem, depth_shape) if has_depth else None
        matrix = intrinsics[row if len(intrinsics) > 1 else 0] * to_photo
        frames.append(CaptureFrame(to_world @ OPENGL_TO_OPENCV, matrix, size, load))
    return captured(ImageSource.of([files.photo(photos[row]) for row in rows], ordered=True), frames, str(path))


def _described(metadata: Any, label: str) -> tuple[Any, Any, tuple[float, float], tuple[int, int], NDArray[np.float64]]:
    """Poses (T, 7), intrinsics (1 or T, 3, 3), width and height they go with, shape of the depth, times (any)."""
    try:
        poses = np.array(metadata["poses"], np.float64).reshape(-1, 7)
        size = (float(metadata["w"]), float(metadata["h"]))
        coefficients = np.array(metadata.get("perFrameIntrinsicCoeffs") or [], np.float64)
        if coefficients.ndim == 2 and coefficients.shape[1] >= 4 and len(coefficients) >= len(poses):
            intrinsics = np.tile(np.eye(3), (len(coefficients), 1, 1))
            intrinsics[:, [0, 1, 0, 1], [0, 1, 2, 2]] = coefficients[:, :4]
        else:
            intrinsics = np.array(metadata["K"], np.float64).reshape(1, 3, 3).swapaxes(1, 2)  # by columns
        shape = (int(metadata.get("dh") or 0), int(metadata.get("dw") or 0))
        times = np.array(metadata.get("frameTimestamps") or [], np.float64).reshape(-1)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"'{label}' is no description of a Record3D recording: {error!r}") from error
    return poses, intrinsics, size, shape, times


def _size(files: CaptureFiles, name: str) -> tuple[int, int]:
    try:
        with Image.open(FileContent(files.label(name), files.read(name)).open()) as image:
            return image.size
    except OSError as error:
        raise InputError(f"'{files.label(name)}' cannot be read: {error}") from error


def _depth_is_readable(files: CaptureFiles, photos: list[str], path: Path) -> bool:
    """Whether there is depth, and the package that it takes; warns where only the package is missing."""
    if not any(name.removesuffix(".jpg") + ".depth" in files.names for name in photos):
        return False
    try:
        import liblzfse  # noqa: F401
    except ImportError:
        missing = MissingExtraError(f"'{path}': its depth", "pyliblzfse", "record3d")
        warn(f"{missing}; without it depth is found from the photos")
        return False
    return True


def _depth(files: CaptureFiles, stem: str, shape: tuple[int, int]) -> NDArray[np.float32]:
    depth = np.frombuffer(_unpacked(files, f"{stem}.depth"), np.float32)
    if 0 in shape or depth.size != shape[0] * shape[1]:
        raise InputError(f"'{files.label(f'{stem}.depth')}' has {depth.size} values, not {shape[1]}×{shape[0]}")
    metres = depth.reshape(shape).copy()
    metres[~(metres > 0)] = np.nan
    if f"{stem}.conf" in files.names:
        levels = np.frombuffer(_unpacked(files, f"{stem}.conf"), np.uint8)
        if levels.size == metres.size:
            metres[levels.reshape(shape) == 0] = np.nan
    return metres


def _unpacked(files: CaptureFiles, name: str) -> bytes:
    import liblzfse

    try:
        return bytes(liblzfse.decompress(files.read(name)))
    except liblzfse.error as error:
        raise InputError(f"'{files.label(name)}' cannot be unpacked (LZFSE): {error}") from error
