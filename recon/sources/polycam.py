"""Polycam's raw data: a folder or an archive with `keyframes/`, as https://github.com/PolyCam/polyform describes it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recon.choices import SourceOptions
from recon.errors import InputError
from recon.messages import warn
from recon.sources.capture_files import CaptureFiles, open_capture, read_grey, read_json
from recon.sources.capture_marks import POLYCAM_MARKS
from recon.sources.captures import OPENGL_TO_OPENCV, CaptureFrame, captured, usable_depth
from recon.sources.images import ImageSource
from recon.sources.names import natural_key
from recon.sources.source import Source

_PAIRS = (("corrected_images", "corrected_cameras"), ("images", "cameras"))
"""Folders of photos and of their cameras: those that Polycam undistorted and adjusted are better."""
_LOW_CONFIDENCE = 63.0
"""0 is low, 127 medium and 255 high."""
_SHOWN = 3


def open_polycam(path: Path, options: SourceOptions) -> Source:
    """Its keyframes in the order in which they were taken; depth of low confidence does not count.

    Photos without a camera, and cameras without a photo, are left out and named. Raises InputError where none has both,
    with `strict` also for these, and for cameras that are none.
    """
    files = open_capture(path, POLYCAM_MARKS)
    for images, cameras in _PAIRS:
        photos = _by_stem(files, images, (".jpg", ".jpeg", ".png", ".heic"))
        described = _by_stem(files, cameras, (".json",))
        stems = sorted(photos.keys() & described.keys(), key=natural_key)
        if stems:
            break
    else:
        raise InputError(
            f"'{path}' has no photos with cameras in keyframes/images and keyframes/cameras: export 'raw data' from "
            "Polycam, with its developer mode on"
        )
    alone = [f"photos without a camera: {_few(photos.keys() - described.keys())}"] if photos.keys() - described else []
    alone += [f"cameras without a photo: {_few(described.keys() - photos)}"] if described.keys() - photos.keys() else []
    if alone and options.strict:
        raise InputError(f"'{path}' has {' and '.join(alone)}; without strict they are left out")
    for line in alone:
        warn(f"left out of '{path}': {line}")
    depths, confidences = _by_stem(files, "depth", (".png",)), _by_stem(files, "confidence", (".png",))
    frames = []
    for stem in stems:
        load = partial(_depth, files, depths[stem], confidences.get(stem)) if stem in depths else None
        frames.append(_frame(files, described[stem], load))
    return captured(ImageSource.of([files.photo(photos[stem]) for stem in stems], ordered=True), frames, str(path))


def _frame(files: CaptureFiles, name: str, load: Any) -> CaptureFrame:
    content = read_json(files, name)
    try:
        matrix = np.eye(4)
        matrix[:3] = [[content[f"t_{row}{column}"] for column in range(4)] for row in range(3)]
        intrinsics = np.array([[content["fx"], 0, content["cx"]], [0, content["fy"], content["cy"]], [0, 0, 1]], float)
        size = (int(content["width"]), int(content["height"]))
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"'{files.label(name)}' is no camera of Polycam: {error!r}") from error
    return CaptureFrame(matrix @ OPENGL_TO_OPENCV, intrinsics, size, load)


def _depth(files: CaptureFiles, depth: str, confidence: str | None) -> NDArray[np.float32]:
    levels = None if confidence is None else read_grey(files, confidence)
    return usable_depth(read_grey(files, depth), levels, _LOW_CONFIDENCE)


def _by_stem(files: CaptureFiles, folder: str, suffixes: tuple[str, ...]) -> Mapping[str, str]:
    """Names of the files in a folder of the keyframes."""
    paths = [PurePosixPath(name) for name in files.names if name.startswith(f"keyframes/{folder}/")]
    return {path.stem: path.as_posix() for path in paths if path.suffix.lower() in suffixes and len(path.parts) == 3}


def _few(stems: Any) -> str:
    shown = sorted(stems, key=natural_key)
    return ", ".join(shown[:_SHOWN]) + (f" and {len(shown) - _SHOWN} more" if len(shown) > _SHOWN else "")
