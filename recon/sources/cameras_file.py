"""Known cameras from a `.json` or `.npz` file, and back to `.json`.

JSON holds one entry per image, found by the image's name; either matrix may be absent, but then from every entry used:

    {"frames": [{"image": "0000.jpg", "width": 1208, "height": 680,
                 "world_to_camera": [[…], […], […], […]], "intrinsics": [[…], […], […]]}]}

NPZ holds `extrinsics` (N, 4, 4) or (N, 3, 4) and `intrinsics` (N, 3, 3), or `exts` and `ixts`, in the order of the
images unless `image_names` says otherwise. Extrinsics map world to camera; intrinsics are in pixels of the original
upright image.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from recon.errors import InputError
from recon.geometry.cameras import to_4x4
from recon.sources.fitting import unmap_intrinsics

CameraArrays: TypeAlias = tuple[NDArray[np.float64] | None, NDArray[np.float64] | None]

_BULKY = frozenset({"depth", "conf", "sky", "image"})
"""Arrays of a run's results that say nothing about cameras."""


@dataclass(frozen=True)
class RenderCameras:
    """M cameras to render from."""

    extrinsics: NDArray[np.float64]
    """(M, 4, 4) world-to-camera."""
    intrinsics: NDArray[np.float64] | None
    """(M, 3, 3) in pixels of the rendered size; None where the file has none."""
    size: tuple[int, int] | None
    """Height and width to render at; None where nothing tells."""


def read_cameras(
    path: Path,
    image_names: Sequence[str],
    image_sizes: ArrayLike | None = None,
    kept: Sequence[int] | None = None,
) -> CameraArrays:
    """Read the cameras of the images kept, in their order.

    A run's own results.npz is accepted where it holds the map from processed to original pixels: its intrinsics, which
    are of the processed images, are mapped back.

    Args:
        path: `.json` or `.npz`; see the module.
        image_names: names of all images, which matrices without names are one each for.
        image_sizes: (N, 2) width and height of the upright images kept, checked against those a JSON file states.
        kept: indices of the N images whose cameras are wanted; all by default.

    Returns:
        extrinsics: (N, 4, 4) world-to-camera, or None.
        intrinsics: (N, 3, 3) in pixels of the originals, or None; not both are None.

    Raises:
        InputError: no such file, damaged, of another layout, without one of the images, or for images of another size.
    """
    reader = _reader(path)
    sizes = None if image_sizes is None else np.asarray(image_sizes)
    wanted = list(range(len(image_names))) if kept is None else list(kept)
    extrinsics, intrinsics = reader(path, list(image_names), wanted, sizes)
    if extrinsics is None and intrinsics is None:
        raise InputError(f"'{path}' holds neither extrinsics (world_to_camera) nor intrinsics")
    return extrinsics, intrinsics


def read_render_cameras(path: Path, size: tuple[int, int] | None = None) -> RenderCameras:
    """Read every camera of a file, in its order, to render from: their images need not exist.

    Args:
        path: `.json` or `.npz`; see the module.
        size: height and width to render at, which intrinsics are scaled to; that of the file's images by default.

    Raises:
        InputError: as `read_cameras`; no extrinsics; or images of several sizes.
    """
    reader = _reader(path)
    names, sizes = _names_and_sizes(path)
    extrinsics, intrinsics = reader(path, names, list(range(len(names))), None)
    if extrinsics is None or not len(extrinsics):
        raise InputError(f"'{path}' holds no extrinsics (world_to_camera) to render from")
    if sizes is None:
        return RenderCameras(extrinsics, intrinsics, size)
    if (sizes != sizes[0]).any():
        raise InputError(f"'{path}' has cameras of images of several sizes; to render from it they must be one")
    width, height = sizes[0].tolist()
    size = (height, width) if size is None else size
    if intrinsics is not None:
        intrinsics = np.diag([size[1] / width, size[0] / height, 1]) @ intrinsics
    return RenderCameras(extrinsics, intrinsics, size)


def write_cameras(
    path: Path,
    image_names: Sequence[str],
    image_sizes: ArrayLike,
    extrinsics: ArrayLike | None,
    intrinsics: ArrayLike | None,
) -> None:
    """Write a `.json` file that `read_cameras` reads back exactly.

    Args:
        path: the file, written whole or not at all.
        image_names: N different names.
        image_sizes: (N, 2) width and height of the upright originals.
        extrinsics: (N, 4, 4) or (N, 3, 4) world-to-camera, or None.
        intrinsics: (N, 3, 3) in pixels of the originals, or None.

    Raises:
        InputError: counts that differ, repeated names, or a place that cannot be written to.
    """
    from recon.files import atomic_write

    _index_by_name(list(image_names), path)
    columns: dict[str, Any] = {"image": list(image_names)}
    columns["width"], columns["height"] = np.asarray(image_sizes, np.int64).reshape(-1, 2).T.tolist()
    if extrinsics is not None:
        columns["world_to_camera"] = _matrices(extrinsics, (4, 4), f"extrinsics for '{path}'").tolist()
    if intrinsics is not None:
        columns["intrinsics"] = _matrices(intrinsics, (3, 3), f"intrinsics for '{path}'").tolist()
    if any(len(column) != len(image_names) for column in columns.values()):
        counts = ", ".join(f"{name} {len(column)}" for name, column in columns.items())
        raise InputError(f"cameras for '{path}' must be as many as the images: {counts}")
    frames = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps({"frames": frames}, indent=1) + "\n", encoding="utf-8")


def _reader(path: Path) -> Callable[[Path, list[str], list[int], NDArray[Any] | None], CameraArrays]:
    readers = {".json": _read_json, ".npz": _read_npz}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise InputError(f"cameras are read from a .json or .npz file, not '{path}'")
    if not path.is_file():
        raise InputError(f"the cameras file '{path}' does not exist")
    return reader


def _names_and_sizes(path: Path) -> tuple[list[str], NDArray[Any] | None]:
    """The names of the images in a cameras file, made up where it has none, and their (M, 2) widths and heights."""
    if path.suffix.lower() == ".json":
        frames = _load_frames(path)
        sizes = [(frame.get("width"), frame.get("height")) for frame in frames]
        known = all(isinstance(side, int) and side > 0 for size in sizes for side in size)
        return [frame["image"] for frame in frames], np.array(sizes) if known and frames else None
    arrays, _ = _load_arrays(path)
    count = len(arrays.get("extrinsics", arrays.get("exts", ())))
    names = arrays["image_names"].tolist() if "image_names" in arrays else [str(i) for i in range(count)]
    return [str(name) for name in names], arrays.get("original_sizes")


def _load_frames(path: Path) -> list[dict[str, Any]]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise InputError(f"'{path}' is not a readable JSON file: {error}") from error
    frames = content.get("frames") if isinstance(content, dict) else None
    if not isinstance(frames, list) or not all(isinstance(f, dict) and isinstance(f.get("image"), str) for f in frames):
        raise InputError(f'\'{path}\' must hold {{"frames": [{{"image": name, …}}, …]}}')
    return frames


def _read_json(path: Path, image_names: list[str], kept: list[int], image_sizes: NDArray[Any] | None) -> CameraArrays:
    frames = _load_frames(path)
    index = _index_by_name([frame["image"] for frame in frames], path)
    chosen = [frames[i] for i in _find([image_names[i] for i in kept], index, path)]
    if image_sizes is not None:
        _check_image_sizes(chosen, image_sizes, path)
    return _stack(chosen, "world_to_camera", (4, 4), path), _stack(chosen, "intrinsics", (3, 3), path)


def _stack(frames: list[dict[str, Any]], key: str, shape: tuple[int, int], path: Path) -> NDArray[np.float64] | None:
    """One matrix per frame, or None where no frame has one."""
    missing = [frame["image"] for frame in frames if frame.get(key) is None]
    if len(missing) == len(frames):
        return None
    if missing:
        raise InputError(f"'{path}' has {key} for some images but not for '{missing[0]}'; give all or none")
    return np.concatenate([_matrices([f[key]], shape, f"{key} of '{f['image']}' in '{path}'") for f in frames])


def _check_image_sizes(frames: list[dict[str, Any]], image_sizes: NDArray[Any], path: Path) -> None:
    for frame, (width, height) in zip(frames, image_sizes.tolist(), strict=True):
        stated = (frame.get("width", width), frame.get("height", height))
        if stated != (width, height):
            raise InputError(
                f"'{path}' has cameras for '{frame['image']}' at {stated[0]}×{stated[1]} pixels, but the upright image "
                f"is {width}×{height}; give the cameras of the images as they are"
            )


def _load_arrays(path: Path) -> tuple[dict[str, NDArray[Any]], bool]:
    """The arrays that say something about cameras, and whether they are the results of a run."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return {key: file[key] for key in file.files if key not in _BULKY}, "depth" in file.files
    except Exception as error:  # zipfile, zlib and numpy each raise their own on a damaged file
        raise InputError(f"'{path}' is not a readable .npz file of plain arrays: {error}") from error


def _read_npz(path: Path, image_names: list[str], kept: list[int], image_sizes: NDArray[Any] | None) -> CameraArrays:
    arrays, is_result = _load_arrays(path)
    extrinsics = arrays.get("extrinsics", arrays.get("exts"))
    intrinsics = arrays.get("intrinsics", arrays.get("ixts"))
    if extrinsics is not None:
        extrinsics = _matrices(extrinsics, (4, 4), f"extrinsics in '{path}'")
    if intrinsics is not None:
        intrinsics = _matrices(intrinsics, (3, 3), f"intrinsics in '{path}'")
    if is_result and intrinsics is not None:
        to_original = arrays.get("processed_to_original")
        if to_original is None or to_original.shape != intrinsics.shape:
            raise InputError(
                f"'{path}' is the result of a run, with intrinsics of its resized images and no map back to the "
                "originals; give intrinsics of the original images"
            )
        intrinsics = unmap_intrinsics(intrinsics, to_original)
    names = [str(name) for name in arrays["image_names"].tolist()] if "image_names" in arrays else image_names
    for key, matrices in (("extrinsics", extrinsics), ("intrinsics", intrinsics)):
        if matrices is not None and len(matrices) != len(names):
            raise InputError(f"'{path}' has {len(matrices)} {key} for {len(names)} images; give one per image")
    wanted = [image_names[i] for i in kept]
    order = kept if names == image_names else _find(wanted, _index_by_name(names, path), path)
    return None if extrinsics is None else extrinsics[order], None if intrinsics is None else intrinsics[order]


def _index_by_name(names: list[str], path: Path) -> dict[str, int]:
    index = {name: i for i, name in enumerate(names)}
    if len(index) != len(names):
        repeated = next(name for i, name in enumerate(names) if index[name] != i)
        raise InputError(f"cameras in '{path}' need one entry per image, but '{repeated}' is named twice")
    return index


def _find(image_names: list[str], index: dict[str, int], path: Path) -> list[int]:
    for name in image_names:
        if name not in index:
            known = ", ".join(list(index)[:3]) + (", …" if len(index) > 3 else "")
            raise InputError(f"'{path}' has no camera for the image '{name}'; it has {len(index)}: {known}")
    return [index[name] for name in image_names]


def _matrices(values: Any, shape: tuple[int, int], label: str) -> NDArray[np.float64]:
    """(N, *shape) float64; (N, 3, 4) is completed to (N, 4, 4)."""
    try:
        matrices = np.asarray(values, np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{label} must be {shape[0]}×{shape[1]} numbers") from error
    if shape == (4, 4) and matrices.ndim == 3 and matrices.shape[1:] == (3, 4):
        matrices = to_4x4(matrices)
    if matrices.ndim != 3 or matrices.shape[1:] != shape:
        raise InputError(f"{label} must be {shape[0]}×{shape[1]} per image, got shape {matrices.shape[1:]}")
    return matrices
