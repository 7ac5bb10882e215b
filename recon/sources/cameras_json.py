"""recon's own files of cameras in JSON: `cameras.json`, and the record of a run."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from recon.errors import InputError
from recon.files import atomic_write
from recon.sources.camera_entries import SCALE_OF_UNITS, SHAPES, CamerasFile, origin_and_scale, refuse_repeated
from recon.sources.names import normalise_name
from recon.sources.photo_change import PhotoChange, with_change
from recon.sources.scene_json import read_scene_json
from recon.types.cameras import Cameras


def read_json_cameras(path: Path) -> CamerasFile:
    """The cameras of a `cameras.json` or `run.json`. Raises InputError: unreadable, or of another layout."""
    content = read_scene_json(path)
    if not isinstance(content, dict):
        content = {}
    frames = content.get("frames")
    if frames is None and "versions" in content:
        frames, content = _frames_of_run(content, path)
    if not isinstance(frames, list) or not all(isinstance(f, dict) and isinstance(f.get("image"), str) for f in frames):
        raise InputError(f'\'{path}\' must hold {{"frames": [{{"image": name, …}}, …]}}')
    names = tuple(normalise_name(frame["image"]) for frame in frames)
    refuse_repeated(names, path)
    return CamerasFile(path, names, frames, *origin_and_scale(content, path))


def _frames_of_run(record: Mapping[str, Any], path: Path) -> tuple[list[dict[str, Any]], Mapping[str, Any]]:
    """The cameras in a `run.json`: entries as a cameras file has them, and where they come from."""
    frames = []
    images: Any = record.get("images") or record.get("photos")
    origins: Any = record.get("cameras") or {}
    for image in images if isinstance(images, list) else [None]:
        entry = image if isinstance(image, dict) else {}
        camera, size, name = entry.get("camera"), entry.get("original_size"), entry.get("name")
        if not isinstance(camera, dict) or not isinstance(name, str) or not isinstance(origins, dict):
            raise InputError(f"'{path}' is the record of a run that says no cameras of its photos; give another file")
        width, height = size if isinstance(size, list) and len(size) == 2 else (None, None)
        change = PhotoChange.of_entry(camera.get("photo_change"), f"'{path}': '{name}'")
        frames.append(with_change({**camera, "image": name, "width": width, "height": height}, change))
    return frames, {"origin": origins.get("extrinsics"), "scale": SCALE_OF_UNITS.get(str(record.get("units")))}


def write_cameras(path: Path, image_names: Sequence[str], cameras: Cameras) -> None:
    """Write a `.json` file that `read_cameras` reads back exactly.

    Args:
        path: the file, written whole or not at all.
        image_names: N different names.
        cameras: of the N upright originals; what is None is left out.

    Raises:
        InputError: counts that differ, repeated names, numbers that are not finite, or a place that cannot be written
            to.
    """
    names = [normalise_name(name) for name in image_names]
    refuse_repeated(names, path)
    columns: dict[str, Any] = {"image": names}
    if cameras.sizes is not None:
        columns["width"], columns["height"] = np.asarray(cameras.sizes).T.tolist()
    for key in SHAPES:
        values = getattr(cameras, key)
        if values is None:
            continue
        bad = ~np.isfinite(values).reshape(len(values), -1).all(axis=1)
        if bad.any():
            name = names[int(np.argmax(bad))] if len(values) == len(names) else f"number {int(np.argmax(bad))}"
            raise InputError(f"{key} of '{name}' for '{path}' must be finite: it holds NaN or infinity")
        columns[key] = values.tolist()
    if any(len(column) != len(names) for column in columns.values()):
        counts = ", ".join(f"{name} {len(column)}" for name, column in columns.items())
        raise InputError(f"cameras for '{path}' must be as many as the images: {counts}")
    frames = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    said = {"origin": cameras.origin, "scale": cameras.scale}
    content = {"frames": frames} | {key: value for key, value in said.items() if value != "given"}
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")
