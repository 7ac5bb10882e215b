"""Captures of a wall as the apps write them, with cameras and depth that are known."""

from __future__ import annotations

import io
import json
import struct
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from recon.geometry.quaternions import from_matrix
from tests.sources.video_files import numbered, write_video

SIZE = (128, 96)
"""Of the photos: width and height."""
DEPTH_SIZE = (32, 24)
WALL = -2.5
"""The wall is the plane z = WALL of the world, whose y axis points up; cameras look towards it from z near 0."""
INTRINSICS = np.array([[110.0, 0, 66], [0, 112, 46], [0, 0, 1]])
GL = np.diag([1.0, -1, -1, 1])


@dataclass(frozen=True)
class Truth:
    """Of F frames."""

    to_world: NDArray[np.float64]
    """(F, 4, 4) in OpenGL's axes."""
    depth: NDArray[np.float32]
    """(F, h, w) metres."""
    confidence: NDArray[np.uint8]
    """(F, h, w) 0, 1 or 2."""

    @property
    def world_to_camera(self) -> NDArray[np.float64]:
        """(F, 4, 4) in OpenCV's axes."""
        return np.linalg.inv(self.to_world @ GL)


def truth(count: int = 6) -> Truth:
    """Cameras beside each other, each turned a little; the left edge of the depth is of low confidence."""
    to_world = np.tile(np.eye(4), (count, 1, 1))
    for index in range(count):
        angles = np.array([0.04 * np.sin(index), 0.1 * np.cos(1.3 * index), 0.05 * np.sin(2 * index)])
        to_world[index, :3, :3] = cv2.Rodrigues(angles)[0]
        to_world[index, :3, 3] = [0.15 * index, 0.02 * index, 0.03 * np.cos(index)]
    width, height = DEPTH_SIZE
    columns, rows = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    pixels = np.stack([columns * SIZE[0] / width, rows * SIZE[1] / height, np.ones_like(rows)], axis=-1)
    rays = pixels @ np.linalg.inv(INTRINSICS).T  # z is 1
    depth = []
    for one in to_world @ GL:
        depth.append((WALL - one[2, 3]) / (rays @ one[2, :3]))
    confidence = np.full((count, height, width), 2, np.uint8)
    confidence[:, :, 0], confidence[:, :, 1] = 0, 1
    return Truth(to_world, np.array(depth, np.float32), confidence)


def picture(index: int) -> bytes:
    """A JPEG."""
    buffer = io.BytesIO()
    Image.fromarray(numbered(index, *SIZE)).save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


def png(values: NDArray[Any]) -> bytes:
    """Of one channel."""
    return bytes(cv2.imencode(".png", values)[1])


def millimetres(depth: NDArray[np.float32]) -> NDArray[np.uint16]:
    """As the apps store it."""
    return np.rint(depth * 1000).astype(np.uint16)


def polycam(known: Truth, corrected: bool = True, depth: bool = True) -> dict[str, bytes]:
    """Files of a raw export; the cameras that were not corrected are off."""
    files: dict[str, bytes] = {"mesh_info.json": b"{}", "thumbnail.jpg": picture(0)}
    for index, to_world in enumerate(known.to_world):
        stem = str(7_000_000 + 500_000 * index)
        entry = {f"t_{row}{column}": to_world[row, column] for row in range(3) for column in range(4)}
        entry |= {"width": SIZE[0], "height": SIZE[1], "blur_score": 50.0}
        entry |= {"fx": INTRINSICS[0, 0], "fy": INTRINSICS[1, 1], "cx": INTRINSICS[0, 2], "cy": INTRINSICS[1, 2]}
        if corrected:
            files[f"keyframes/corrected_images/{stem}.jpg"] = picture(index)
            files[f"keyframes/corrected_cameras/{stem}.json"] = json.dumps(entry).encode()
            entry["t_03"] += 1
        files[f"keyframes/images/{stem}.jpg"] = picture(index)
        files[f"keyframes/cameras/{stem}.json"] = json.dumps(entry).encode()
        if depth:
            files[f"keyframes/depth/{stem}.png"] = png(millimetres(known.depth[index]))
            levels = np.array([0, 127, 255], np.uint8)[known.confidence[index]]
            files[f"keyframes/confidence/{stem}.png"] = png(levels)
    return files


def record3d(known: Truth, depth: bool = True, **more: Any) -> dict[str, bytes]:
    """Files of a recording, ten frames a second; metadata are of photos of twice the size."""
    poses = [
        [*from_matrix(to_world[:3, :3])[[1, 2, 3, 0]].tolist(), *to_world[:3, 3].tolist()]
        for to_world in known.to_world
    ]
    matrix = INTRINSICS * [[2], [2], [1]]
    metadata = {"w": 2 * SIZE[0], "h": 2 * SIZE[1], "dw": DEPTH_SIZE[0], "dh": DEPTH_SIZE[1], "fps": 10, "poses": poses}
    metadata |= {"K": matrix.T.ravel().tolist(), "initPose": poses[0], **more}
    files = {"metadata": json.dumps(metadata).encode(), "icon": b""}
    for index in range(len(poses)):
        files[f"rgbd/{index}.jpg"] = picture(index)
        if depth:
            files[f"rgbd/{index}.depth"] = lzfse(known.depth[index].tobytes())
            files[f"rgbd/{index}.conf"] = lzfse(known.confidence[index].tobytes())
    return files


def lzfse(content: bytes) -> bytes:
    """A stream of one block that is not compressed, as LZFSE has it for small contents."""
    return b"bvx-" + struct.pack("<I", len(content)) + content + b"bvx$"


def stray_scanner(known: Truth, folder: Path, depth: bool = True) -> dict[str, bytes]:
    """Files of a data set, ten frames a second; the video is made in `folder`, and says that it is to be turned."""
    lines = ["timestamp, frame, x, y, z, qx, qy, qz, qw"]
    for index, to_world in enumerate(known.to_world @ GL):
        w, x, y, z = from_matrix(to_world[:3, :3]).tolist()
        lines.append(", ".join(map(str, [index / 10, f"{index:06d}", *to_world[:3, 3].tolist(), x, y, z, w])))
    matrix = "\n".join(", ".join(map(str, row)) for row in INTRINSICS.tolist())
    files = {"odometry.csv": "\n".join(lines).encode(), "camera_matrix.csv": matrix.encode(), "imu.csv": b""}
    frames = (numbered(index, *SIZE) for index in range(len(known.depth)))
    video = write_video(folder / "made.mp4", frames, rotation=90)
    files["rgb.mp4"] = video.read_bytes()
    video.unlink()
    for index in range(len(known.depth) if depth else 0):
        files[f"depth/{index:06d}.png"] = png(millimetres(known.depth[index]))
        files[f"confidence/{index:06d}.png"] = png(known.confidence[index])
    return files


def written(folder: Path, files: dict[str, bytes]) -> Path:
    """As a folder."""
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def packed(path: Path, files: dict[str, bytes], top: str = "") -> Path:
    """As an archive."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(f"{top}{name}", content)
    return path
