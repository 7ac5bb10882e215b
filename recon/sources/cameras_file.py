"""Known cameras from a file or a folder, whatever holds them.

| file | holds |
| --- | --- |
| cameras `.json` | one entry per image, found by its name; any part else may be absent, from every entry used: |
| | `{"frames": [{"image": "0000.jpg", "width": 1208, "height": 680, "world_to_camera": [[…], […], […], […]],` |
| | `"intrinsics": [[…], […], […]], "distortion": [k1, k2, p1, p2, k3, k4, k5, k6]}], "origin": …, "scale": …}` |
| `run.json` | the cameras of a run, as its `images` (or `photos`, of `recon mono`) have them |
| `transforms.json` | of nerfstudio, Instant-NGP or Blender (`recon.sources.nerfstudio`) |
| `.npz` | `extrinsics` (N, 4, 4) or (N, 3, 4), `intrinsics` (N, 3, 3), `distortion` (N, 8), `original_sizes` (N, 2); |
| | in the order of the images unless `image_names` says otherwise. `exts` and `ixts` are the first two as well |
| `results.npz` | of a run: as `recon.export.npz` has it; a mini_npz file with the `run.json` that was written with it |
| `.npy`, text | plain matrices and trajectories (`recon.sources.trajectories`) |
| a folder | a COLMAP model, or one with a `transforms.json` or `cameras.json` in it |

Extrinsics map world to camera, unless the format has another convention or one is given; intrinsics and distortion
(OpenCV's) are of the original upright image.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from numpy.typing import ArrayLike

from recon.errors import InputError
from recon.sources.camera_entries import CamerasFile
from recon.sources.cameras_json import read_json_cameras, write_cameras
from recon.sources.cameras_npz import read_npz_cameras
from recon.sources.colmap import read_colmap_cameras
from recon.sources.given_lens import GivenLens
from recon.sources.model_files import has_model, model_folder
from recon.sources.nerfstudio import read_nerfstudio
from recon.sources.scene_json import is_nerfstudio, read_scene_json
from recon.sources.trajectories import read_matrices, read_trajectory
from recon.types.cameras import Cameras

__all__ = ["CameraReading", "check_place", "read_cameras", "read_cameras_file", "write_cameras"]

_TRANSFORMS = ("transforms.json", "transforms_train.json")
_IN_FOLDERS = (*_TRANSFORMS, "cameras.json")
_SUFFIXES = (".json", ".npz", ".npy", "", ".txt", ".tum", ".kitti", ".csv", ".traj")
"""Of files of cameras; those behind .npy are text."""


@dataclass(frozen=True)
class CameraReading:
    """What the user says of cameras beside where they are."""

    convention: str | None = None
    """Of plain matrices, as `recon.sources.matrix_convention.MatrixConvention.of` reads it."""
    lens: GivenLens | None = None
    """Intrinsics of cameras that come without."""


def read_cameras_file(path: Path, reading: CameraReading = CameraReading()) -> CamerasFile:
    """Read the cameras in a file or folder; see the module.

    Raises InputError: nothing there, damaged, of another layout; a convention for a format that has its own;
    intrinsics for cameras that have some.
    """
    file, is_plain = _read(path, reading.convention)
    if reading.convention is not None and not is_plain:
        raise InputError(f"convention is for plain matrices; '{path}' says itself what its cameras mean: leave it out")
    if reading.lens is None:
        return file
    if any(entry.get("intrinsics") is not None for entry in file.entries):
        raise InputError(f"'{path}' holds intrinsics; leave out those given apart")
    matrices, distortion = reading.lens.for_images(len(file.entries))
    entries = [
        {**entry, "intrinsics": matrices[index], "distortion": None if distortion is None else distortion[index]}
        for index, entry in enumerate(file.entries)
    ]
    return replace(file, entries=entries)


def check_place(path: Path) -> None:
    """Raise InputError where there is nothing that cameras are read from; nothing is read."""
    if path.is_dir():
        if not has_model(path) and _scene_in(path) is None:
            raise InputError(
                f"'{path}' holds no cameras: a COLMAP model (cameras, images, points3D) or {' or '.join(_IN_FOLDERS)}"
            )
    elif not has_model(path):
        if path.suffix.lower() not in _SUFFIXES:
            raise InputError(
                f"cameras are read from a .json, .npz, .npy or .txt file, or the folder of a COLMAP model, not '{path}'"
            )
        if not path.is_file():
            raise InputError(f"the cameras file '{path}' does not exist")


def _scene_in(folder: Path) -> Path | None:
    return next((folder / name for name in _IN_FOLDERS if (folder / name).is_file()), None)


def _read(path: Path, convention: str | None) -> tuple[CamerasFile, bool]:
    """The cameras, and whether they are plain matrices."""
    check_place(path)
    inside = _scene_in(path) if path.is_dir() else None
    if has_model(path) and (inside is None or inside.name not in _TRANSFORMS):
        return read_colmap_cameras(model_folder(path)), False
    file = path if inside is None else inside
    suffix = file.suffix.lower()
    if suffix == ".json":
        return _read_any_json(file), False
    if suffix == ".npz":
        return read_npz_cameras(file, convention)
    return (read_matrices if suffix == ".npy" else read_trajectory)(file, convention), True


def _read_any_json(path: Path) -> CamerasFile:
    if is_nerfstudio(read_scene_json(path)):
        return read_nerfstudio(path).cameras
    return read_json_cameras(path)


def read_cameras(
    path: Path,
    image_names: Sequence[str],
    image_sizes: ArrayLike | None = None,
    kept: Sequence[int] | None = None,
) -> Cameras:
    """Read the cameras of the images kept, in their order, for the originals as they were taken.

    Args:
        path: see the module.
        image_names: names of all images, which matrices without names are one each for.
        image_sizes: (N, 2) width and height of the upright images kept, checked against those the file states.
        kept: indices of the N images whose cameras are wanted; all by default.

    Returns:
        Extrinsics, intrinsics, or both; sizes where they are known, and distortion where there is any.

    Raises:
        InputError: no such file, damaged, of another layout, without one of the images, or for images of another size.
    """
    return read_cameras_file(path).of(image_names, image_sizes, kept)
