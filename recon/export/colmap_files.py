"""COLMAP's model files, binary and text, as COLMAP 4 writes them (colmap/scene/reconstruction_io).

Each camera is a rig of its own, and each image a frame of its own, as COLMAP makes of photos that no rig took.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recon.files import atomic_write

MODEL_IDS = {"SIMPLE_PINHOLE": 0, "PINHOLE": 1, "SIMPLE_RADIAL": 2, "RADIAL": 3, "OPENCV": 4, "FULL_OPENCV": 6}
"""Of the camera models that are written, by COLMAP's name."""
_CAMERA_SENSOR = 0
"""COLMAP's `SensorType::CAMERA`."""
_POINT_HEAD = [("id", "<u8"), ("xyz", "<f8", 3), ("rgb", "u1", 3), ("error", "<f8"), ("length", "<u8")]
_ELEMENT = np.dtype([("image", "<u4"), ("place", "<u4")])
_POINT2D = np.dtype([("xy", "<f8", 2), ("point", "<i8")])


@dataclass(frozen=True)
class ColmapCamera:
    """A camera, as COLMAP describes it."""

    model: str
    width: int
    height: int
    params: tuple[float, ...]


@dataclass(frozen=True)
class ColmapScene:
    """N images by C cameras, and P points that K observations hold together. Ids in files count from 1."""

    cameras: tuple[ColmapCamera, ...]
    names: tuple[str, ...]
    """N paths below the folder of images."""
    camera_of: NDArray[np.intp]
    """(N,) index of each image's camera."""
    quaternions: NDArray[np.float64]
    """(N, 4) w, x, y, z of the rotations from world to camera."""
    translations: NDArray[np.float64]
    """(N, 3) likewise."""
    points: NDArray[np.float64]
    """(P, 3) positions in the world."""
    colors: NDArray[np.uint8]
    """(P, 3) RGB."""
    errors: NDArray[np.float64]
    """(P,) mean reprojection error in pixels."""
    views: NDArray[np.intp]
    """(K,) image of each observation; ascending."""
    seen: NDArray[np.intp]
    """(K,) point of each observation."""
    pixels: NDArray[np.float64]
    """(K, 2) where the image shows it; half-integer pixel centres."""

    def __post_init__(self) -> None:
        if len(self.views) > 1 and (np.diff(self.views) < 0).any():
            raise ValueError("observations must be in the order of images")


def write_binary(scene: ColmapScene, folder: Path) -> list[Path]:
    """Write `cameras.bin`, `images.bin`, `points3D.bin`, `rigs.bin` and `frames.bin`; returns their paths."""
    contents = {
        "cameras": _cameras(scene),
        "images": _images(scene),
        "points3D": _points(scene),
        "rigs": _rigs(scene),
        "frames": _frames(scene),
    }
    return [_write(folder / f"{name}.bin", parts) for name, parts in contents.items()]


def write_text(scene: ColmapScene, folder: Path) -> list[Path]:
    """Write the same as `cameras.txt` and so on; returns their paths."""
    contents = {
        "cameras": _cameras_text(scene),
        "images": _images_text(scene),
        "points3D": _points_text(scene),
        "rigs": _rigs_text(scene),
        "frames": _frames_text(scene),
    }
    return [_write(folder / f"{name}.txt", ["\n".join(lines).encode() + b"\n"]) for name, lines in contents.items()]


def _write(path: Path, parts: Iterable[Any]) -> Path:
    with atomic_write(path) as temporary, temporary.open("wb") as file:
        for part in parts:
            file.write(part)
    return path


def _places(scene: ColmapScene) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """(N + 1,) where each image's observations begin; and (K,) the place of each among those of its image."""
    starts = np.searchsorted(scene.views, np.arange(len(scene.names) + 1))
    return starts, np.arange(len(scene.views)) - starts[scene.views]


def _cameras(scene: ColmapScene) -> list[bytes]:
    parts = [struct.pack("<Q", len(scene.cameras))]
    for index, camera in enumerate(scene.cameras):
        head = struct.pack("<IiQQ", index + 1, MODEL_IDS[camera.model], camera.width, camera.height)
        parts.append(head + struct.pack(f"<{len(camera.params)}d", *camera.params))
    return parts


def _images(scene: ColmapScene) -> list[Any]:
    starts, _ = _places(scene)
    parts: list[Any] = [struct.pack("<Q", len(scene.names))]
    for view, name in enumerate(scene.names):
        motion = (*scene.quaternions[view].tolist(), *scene.translations[view].tolist())
        camera = int(scene.camera_of[view]) + 1
        these = slice(int(starts[view]), int(starts[view + 1]))
        observations = np.empty(these.stop - these.start, _POINT2D)
        observations["xy"] = scene.pixels[these]
        observations["point"] = scene.seen[these] + 1
        parts += [
            struct.pack("<I7dI", view + 1, *motion, camera) + name.encode() + b"\0",
            struct.pack("<Q", len(observations)),
            observations.tobytes(),
        ]
    return parts


def _points(scene: ColmapScene) -> list[bytes]:
    """Points of one track length are equal records: the file has them in that order."""
    _, places = _places(scene)
    lengths = np.bincount(scene.seen, minlength=len(scene.points))
    by_point = np.argsort(scene.seen, kind="stable")
    elements = np.empty(len(by_point), _ELEMENT)
    elements["image"], elements["place"] = scene.views[by_point] + 1, places[by_point]
    starts = np.concatenate([[0], np.cumsum(lengths)])
    parts = [struct.pack("<Q", len(scene.points))]
    for length in np.unique(lengths).tolist():
        chosen = np.flatnonzero(lengths == length)
        records = np.empty(len(chosen), np.dtype([*_POINT_HEAD, ("track", _ELEMENT, (length,))]))
        records["id"], records["xyz"], records["rgb"] = chosen + 1, scene.points[chosen], scene.colors[chosen]
        records["error"], records["length"] = scene.errors[chosen], length
        records["track"] = elements[starts[chosen][:, None] + np.arange(length)]
        parts.append(records.tobytes())
    return parts


def _rigs(scene: ColmapScene) -> list[bytes]:
    rigs = [struct.pack("<IIiI", index + 1, 1, _CAMERA_SENSOR, index + 1) for index in range(len(scene.cameras))]
    return [struct.pack("<Q", len(rigs)), *rigs]


def _frames(scene: ColmapScene) -> list[bytes]:
    parts = [struct.pack("<Q", len(scene.names))]
    for view in range(len(scene.names)):
        camera = int(scene.camera_of[view]) + 1
        motion = (*scene.quaternions[view].tolist(), *scene.translations[view].tolist())
        parts.append(struct.pack("<II7dIiIQ", view + 1, camera, *motion, 1, _CAMERA_SENSOR, camera, view + 1))
    return parts


def _numbers(values: Iterable[float]) -> str:
    return " ".join(f"{value:.17g}" for value in values)


def _cameras_text(scene: ColmapScene) -> Sequence[str]:
    return [
        "# Camera list with one line of data per camera:",
        "#   CAMERA_ID, MODEL, WIDTH, HEIGHT, PARAMS[]",
        f"# Number of cameras: {len(scene.cameras)}",
        *(
            f"{index + 1} {camera.model} {camera.width} {camera.height} {_numbers(camera.params)}"
            for index, camera in enumerate(scene.cameras)
        ),
    ]


def _images_text(scene: ColmapScene) -> Sequence[str]:
    starts, _ = _places(scene)
    mean = len(scene.views) / max(len(scene.names), 1)
    lines = [
        "# Image list with two lines of data per image:",
        "#   IMAGE_ID, QW, QX, QY, QZ, TX, TY, TZ, CAMERA_ID, NAME",
        "#   POINTS2D[] as (X, Y, POINT3D_ID)",
        f"# Number of images: {len(scene.names)}, mean observations per image: {mean:g}",
    ]
    for view, name in enumerate(scene.names):
        motion = _numbers((*scene.quaternions[view].tolist(), *scene.translations[view].tolist()))
        lines.append(f"{view + 1} {motion} {int(scene.camera_of[view]) + 1} {name}")
        these = slice(int(starts[view]), int(starts[view + 1]))
        triples = zip(scene.pixels[these].tolist(), (scene.seen[these] + 1).tolist(), strict=True)
        lines.append(" ".join(f"{x:.17g} {y:.17g} {point}" for (x, y), point in triples))
    return lines


def _points_text(scene: ColmapScene) -> Sequence[str]:
    _, places = _places(scene)
    by_point = np.argsort(scene.seen, kind="stable")
    elements = np.stack([scene.views[by_point] + 1, places[by_point]], axis=1).tolist()
    ends = np.cumsum(np.bincount(scene.seen, minlength=len(scene.points))).tolist()
    lines = [
        "# 3D point list with one line of data per point:",
        "#   POINT3D_ID, X, Y, Z, R, G, B, ERROR, TRACK[] as (IMAGE_ID, POINT2D_IDX)",
        f"# Number of points: {len(scene.points)}, mean track length: {len(scene.views) / max(len(scene.points), 1):g}",
    ]
    start = 0
    for index, (xyz, rgb, error) in enumerate(
        zip(scene.points.tolist(), scene.colors.tolist(), scene.errors.tolist(), strict=True)
    ):
        track = " ".join(f"{image} {place}" for image, place in elements[start : ends[index]])
        start = ends[index]
        lines.append(f"{index + 1} {_numbers(xyz)} {rgb[0]} {rgb[1]} {rgb[2]} {error:.17g} {track}")
    return lines


def _rigs_text(scene: ColmapScene) -> Sequence[str]:
    return [
        "# Rig calib list with one line of data per calib:",
        "#   RIG_ID, NUM_SENSORS, REF_SENSOR_TYPE, REF_SENSOR_ID, SENSORS[] as "
        "(SENSOR_TYPE, SENSOR_ID, HAS_POSE, [QW, QX, QY, QZ, TX, TY, TZ])",
        f"# Number of rigs: {len(scene.cameras)}",
        *(f"{index + 1} 1 CAMERA {index + 1}" for index in range(len(scene.cameras))),
    ]


def _frames_text(scene: ColmapScene) -> Sequence[str]:
    lines = [
        "# Frame list with one line of data per frame:",
        "#   FRAME_ID, RIG_ID, RIG_FROM_WORLD[QW, QX, QY, QZ, TX, TY, TZ], NUM_DATA_IDS, DATA_IDS[] as "
        "(SENSOR_TYPE, SENSOR_ID, DATA_ID)",
        f"# Number of frames: {len(scene.names)}",
    ]
    for view in range(len(scene.names)):
        camera = int(scene.camera_of[view]) + 1
        motion = _numbers((*scene.quaternions[view].tolist(), *scene.translations[view].tolist()))
        lines.append(f"{view + 1} {camera} {motion} 1 CAMERA {camera} {view + 1}")
    return lines
