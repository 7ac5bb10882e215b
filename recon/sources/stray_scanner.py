"""Stray Scanner's data sets, as https://github.com/strayrobots/scanner/blob/main/docs/format.md describes them.

A folder with `rgb.mp4`, `camera_matrix.csv`, `odometry.csv`, `depth/*.png` in millimetres and `confidence/*.png`. Poses
are from the camera, in OpenCV's axes, to the world, in metres; all are of the frames as the video stores them.
"""

from __future__ import annotations

import csv
import io
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recon.choices import SourceOptions
from recon.errors import InputError
from recon.geometry.quaternions import normalise, to_matrix
from recon.messages import warn
from recon.sources.capture_files import CaptureFiles, open_capture, read_grey
from recon.sources.capture_marks import STRAY_SCANNER_MARKS
from recon.sources.captures import CaptureFrame, captured, usable_depth
from recon.sources.source import Source
from recon.sources.video import VideoSource

_LOW_CONFIDENCE = 0.0
"""Of 0, 1 and 2."""
_COLUMNS = ("frame", "x", "y", "z", "qx", "qy", "qz", "qw")
_OWN_INTRINSICS = ("fx", "fy", "cx", "cy")
"""Columns that newer versions of the app add."""


def open_stray_scanner(path: Path, options: SourceOptions) -> Source:
    """Some frames of its video, in order; depth of low confidence does not count.

    Frames without a pose are left out and named. Raises InputError: tables that are missing or damaged, no frame with a
    pose, with `strict` any without.
    """
    files = open_capture(path, STRAY_SCANNER_MARKS)
    matrix = _camera_matrix(files)
    poses = _odometry(files)
    video = VideoSource(path / "rgb.mp4", options, upright=False)
    known = [index for index, frame in enumerate(video.frames) if frame.number in poses]
    if len(known) < len(video.frames):
        missing = [frame.name for frame in video.frames if frame.number not in poses]
        said = f"{len(missing)} frames of '{path}' have no pose in odometry.csv: {', '.join(missing[:3])}"
        if options.strict or not known:
            raise InputError(f"{said}; record it again" if not known else f"{said}; without strict they are left out")
        warn(f"left out: {said}")
    frames = []
    for index in known:
        number = video.frames[index].number
        to_world, own = poses[number]
        depth, confidence = (f"{folder}/{number:06d}.png" for folder in ("depth", "confidence"))
        load = partial(_depth, files, depth, confidence) if depth in files.names else None
        frames.append(CaptureFrame(to_world, matrix if own is None else own, video.stored_size, load))
    return captured(video, frames, str(path), known)


def _camera_matrix(files: CaptureFiles) -> NDArray[np.float64]:
    try:
        rows = [[float(value) for value in row] for row in csv.reader(_lines(files, "camera_matrix.csv")) if row]
        return np.array(rows).reshape(3, 3)
    except ValueError as error:
        raise InputError(f"'{files.label('camera_matrix.csv')}' must be a table of 3 × 3 numbers: {error}") from error


def _odometry(files: CaptureFiles) -> dict[int, tuple[NDArray[np.float64], NDArray[np.float64] | None]]:
    """By number of the frame: camera to world (4, 4), and intrinsics (3, 3) where there are some of each frame."""
    label = files.label("odometry.csv")
    poses: dict[int, tuple[NDArray[np.float64], NDArray[np.float64] | None]] = {}
    reader = csv.DictReader(_lines(files, "odometry.csv"), skipinitialspace=True)
    missing = [name for name in _COLUMNS if name not in (reader.fieldnames or ())]
    if missing:
        raise InputError(f"'{label}' has no column {missing[0]}: it must begin with a line of names")
    for row in reader:
        try:
            number, *values = (float(row[name]) for name in _COLUMNS)
            own = [float(row[name] or "nan") for name in _OWN_INTRINSICS if name in row]
        except (TypeError, ValueError) as error:
            raise InputError(f"'{label}', line {reader.line_num}: {error}") from error
        to_world = np.eye(4)
        to_world[:3, 3] = values[:3]
        to_world[:3, :3] = to_matrix(normalise(np.array([values[6], *values[3:6]])))
        intrinsics = None
        if len(own) == 4 and np.isfinite(own).all() and own[0] > 0:
            intrinsics = np.array([[own[0], 0, own[2]], [0, own[1], own[3]], [0, 0, 1]])
        poses[int(number)] = (to_world, intrinsics)
    return poses


def _lines(files: CaptureFiles, name: str) -> io.StringIO:
    if name not in files.names:
        raise InputError(f"'{files.label(name)}' is missing: copy the whole folder of the data set")
    return io.StringIO(files.read(name).decode("utf-8-sig", errors="replace"), newline="")


def _depth(files: CaptureFiles, depth: str, confidence: str) -> NDArray[np.float32]:
    levels = read_grey(files, confidence) if confidence in files.names else None
    return usable_depth(read_grey(files, depth), levels, _LOW_CONFIDENCE)
