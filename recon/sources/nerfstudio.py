"""nerfstudio's `transforms.json`, and what Instant-NGP and Blender's exporters write under that name.

Cameras are `transform_matrix`, camera-to-world in OpenGL's axes (x right, y up, z backward), and `fl_x`, `fl_y`, `cx`,
`cy`, `w`, `h` in pixels with half-integer centres, of all frames or of each; or `camera_angle_x`, the horizontal field
of view in radians. Lenses: https://docs.nerf.studio/quickstart/data_conventions.html. `applied_transform` and
`applied_scale` say what the scene went through; they are undone, so that cameras and points are where they were before.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recon.errors import InputError
from recon.geometry.cameras import to_4x4
from recon.sources.camera_entries import CamerasFile, refuse_repeated
from recon.sources.formats import PHOTO_SUFFIXES
from recon.sources.lenses import Lens, lens_entry
from recon.sources.matrix_convention import MatrixConvention, check_invertible
from recon.sources.names import normalise_name
from recon.sources.photo_folder import common_folder
from recon.sources.scene_json import is_nerfstudio, read_scene_json

_CONVENTION = MatrixConvention(camera_to_world=True, opengl=True)
_POLYNOMIAL = ("k1", "k2", "p1", "p2", "k3", "k4", "k5", "k6")
_PERSPECTIVE = frozenset({"SIMPLE_PINHOLE", "PINHOLE", "SIMPLE_RADIAL", "RADIAL", "OPENCV", "PERSPECTIVE"})
"""Camera models whose coefficients nerfstudio reads as OpenCV's first five: k1, k2, p1, p2, k3."""
_FISHEYE = frozenset({"OPENCV_FISHEYE", "FISHEYE"})


@dataclass(frozen=True)
class NerfstudioScene:
    """What a `transforms.json` says of its N photos."""

    path: Path
    root: str
    """The folder, with `/` behind it, that all photos are in, relative to that of the file; empty for that itself."""
    cameras: CamerasFile
    """Of the N photos, called by their paths in `root`."""
    masks: tuple[str | None, ...]
    """Of each photo, its `mask_path`."""
    depths: tuple[str | None, ...]
    """Of each photo, its `depth_file_path`."""
    points: Path | None
    """The file of its points."""
    to_original: NDArray[np.float64]
    """(4, 4) from the world of the file to that before `applied_transform` and `applied_scale`: a similarity."""


def read_nerfstudio(path: Path) -> NerfstudioScene:
    """Read a scene; of a photo without a size in the file the header of the photo is read.

    Raises:
        InputError: no such file, damaged, of another layout, a frame without a path or a matrix, or with one that is no
            camera-to-world matrix, intrinsics that are none, a lens that is not known.
    """
    content = read_scene_json(path)
    if not is_nerfstudio(content):
        raise InputError(
            f"'{path}' is no scene of nerfstudio: it has no frames with transform_matrix; `frames` must be a list of "
            '{"file_path": …, "transform_matrix": 4×4 camera-to-world}'
        )
    frames = content["frames"]
    labels = []
    for index, frame in enumerate(frames):
        if not isinstance(frame, dict) or not isinstance(frame.get("file_path"), str) or not frame["file_path"]:
            raise InputError(f"'{path}': frame {index} has no file_path")
        labels.append(f"'{path}': frame '{frame['file_path']}'")
    paths = tuple(_photo_name(frame["file_path"], path.parent) for frame in frames)
    refuse_repeated(paths, path)
    root = common_folder(paths)
    matrices = np.stack([_matrix(frame, label) for frame, label in zip(frames, labels, strict=True)])
    check_invertible(matrices, lambda index: f"{labels[index]}: transform_matrix")
    to_original = _to_original(content, path)
    matrices = to_original @ matrices
    matrices[:, :3, :3] /= np.cbrt(np.linalg.det(to_original[:3, :3]))
    world_to_camera = _CONVENTION.world_to_camera(matrices, f"'{path}'")
    entries = []
    for frame, name, label, pose in zip(frames, paths, labels, world_to_camera, strict=True):
        lens = _lens({**content, **frame}, path.parent / name, label)
        entries.append({**({} if lens is None else lens_entry(lens, label)), "world_to_camera": pose})
    points = content.get("ply_file_path")
    return NerfstudioScene(
        path,
        root,
        CamerasFile(path, tuple(name.removeprefix(root) for name in paths), entries),
        tuple(_text(frame, "mask_path") for frame in frames),
        tuple(_text(frame, "depth_file_path") for frame in frames),
        path.parent / points if isinstance(points, str) and points else None,
        to_original,
    )


def _text(frame: Mapping[str, Any], key: str) -> str | None:
    value = frame.get(key)
    return value if isinstance(value, str) and value else None


def _photo_name(text: str, folder: Path) -> str:
    """The path with its suffix, which Blender's files leave out."""
    name = normalise_name(text.replace("\\", "/"))
    while name.startswith("./"):
        name = name[2:]
    if (folder / name).is_file() or Path(name).suffix.lower() in PHOTO_SUFFIXES:
        return name
    found = sorted(
        one.name
        for one in (folder / name).parent.glob("*")
        if one.suffix.lower() in PHOTO_SUFFIXES and normalise_name(one.stem) == Path(name).name
    )
    return name if not found else normalise_name((Path(name).parent / found[0]).as_posix())


def _matrix(frame: Mapping[str, Any], label: str) -> NDArray[np.float64]:
    """(4, 4) camera-to-world."""
    try:
        matrix = np.asarray(frame.get("transform_matrix"), np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{label}: transform_matrix must be 4×4 numbers") from error
    if matrix.shape not in ((4, 4), (3, 4)):
        raise InputError(f"{label}: transform_matrix must be 4×4 numbers, got shape {matrix.shape}")
    return to_4x4(matrix[:3])


def _to_original(content: Mapping[str, Any], path: Path) -> NDArray[np.float64]:
    transform = np.eye(4)
    if content.get("applied_transform") is not None:
        transform = _matrix({"transform_matrix": content["applied_transform"]}, f"'{path}': applied_transform")
        check_invertible(transform[None], lambda index: f"'{path}': applied_transform")
        rotation = transform[:3, :3] / np.cbrt(np.linalg.det(transform[:3, :3]))
        if np.abs(rotation @ rotation.T - np.eye(3)).max() > 1e-3:
            raise InputError(f"'{path}': applied_transform must be a rotation and a shift, which it is not")
    scale = _number(content, "applied_scale", f"'{path}'")
    if scale is not None and scale <= 0:
        raise InputError(f"'{path}': applied_scale must be positive, not {scale}")
    return np.asarray(np.linalg.inv(transform) @ np.diag([1 / (scale or 1.0)] * 3 + [1.0]), np.float64)


def _number(said: Mapping[str, Any], key: str, label: str) -> float | None:
    value = said.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise InputError(f"{label}: {key} must be a number, not {value!r}")
    return float(value)


def _lens(said: Mapping[str, Any], photo: Path, label: str) -> Lens | None:
    """The lens of one frame, by what the file says of it and of all; None where it says no focal length."""
    numbers = {
        key: _number(said, key, label)
        for key in ("fl_x", "fl_y", "cx", "cy", "w", "h", "camera_angle_x", "camera_angle_y", *_POLYNOMIAL)
    }
    if all(numbers[key] is None for key in ("fl_x", "fl_y", "camera_angle_x", "camera_angle_y")):
        return None
    width, height = _size(numbers, photo, label)

    def focal(length: str, angle: str, side: float) -> float | None:
        by_angle = numbers[angle]
        if numbers[length] is None and by_angle is not None and not 0 < by_angle < math.pi:
            raise InputError(f"{label}: {angle} must be between 0 and pi (radians), not {by_angle}")
        return numbers[length] if by_angle is None or numbers[length] is not None else side / 2 / math.tan(by_angle / 2)

    across, down = focal("fl_x", "camera_angle_x", width), focal("fl_y", "camera_angle_y", height)
    fx, fy = across if across is not None else down, down if down is not None else across
    cx, cy = numbers["cx"], numbers["cy"]
    assert fx is not None
    assert fy is not None
    own = (fx, fy, width / 2 if cx is None else cx, height / 2 if cy is None else cy)
    k = {key: numbers[key] or 0.0 for key in _POLYNOMIAL}
    model = said.get("camera_model") or ("OPENCV_FISHEYE" if said.get("is_fisheye") else "OPENCV")
    if model in _FISHEYE:
        lens = Lens("OPENCV_FISHEYE", (*own, k["k1"], k["k2"], k["k3"], k["k4"]), (width, height))
    elif model in _PERSPECTIVE:
        if k["k4"] or k["k5"] or k["k6"]:
            raise InputError(
                f"{label}: k4, k5 and k6 of the camera model {model} are not read, which nerfstudio and OpenCV mean "
                "differently; undistort the photos, or say FULL_OPENCV if they are OpenCV's"
            )
        lens = Lens("FULL_OPENCV", (*own, *(k[key] for key in _POLYNOMIAL)), (width, height))
    elif model == "FULL_OPENCV":
        lens = Lens("FULL_OPENCV", (*own, *(k[key] for key in _POLYNOMIAL)), (width, height))
    else:
        known = ", ".join(sorted({*_PERSPECTIVE, *_FISHEYE, "FULL_OPENCV"}))
        raise InputError(f"{label}: camera_model {model!r} is not read; {known} are")
    lens.check(label)
    return lens


def _size(numbers: Mapping[str, float | None], photo: Path, label: str) -> tuple[int, int]:
    """Width and height: those stated, else those of the photo."""
    from recon.sources.adapted_photos import stored_picture

    width, height = numbers["w"], numbers["h"]
    if width is None or height is None:
        stored = stored_picture(photo) if photo.is_file() else None
        if stored is None:
            raise InputError(f"{label}: neither w and h nor a photo '{photo}' says of what size its intrinsics are")
        return stored.upright_size
    if width != int(width) or height != int(height) or min(width, height) < 1:
        raise InputError(f"{label}: w and h must be whole numbers of pixels, not {width}, {height}")
    return int(width), int(height)
