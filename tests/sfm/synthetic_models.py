"""COLMAP models of points and cameras that are known, without photos: cheap, and their truth is exact."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pycolmap

from tests.seeds import numpy_random

SIZE = (800, 600)
SIMPLE = ("SIMPLE_RADIAL", (700.0, 400.0, 300.0, 0.0))


def looking(centres: np.ndarray, targets: np.ndarray, up: Sequence[float] = (0, -1, 0)) -> np.ndarray:
    """(N, 4, 4) world-to-camera of cameras at `centres` (N, 3) that look at `targets` (N, 3), image top towards up."""
    ahead = targets - centres
    ahead = ahead / np.linalg.norm(ahead, axis=1, keepdims=True)
    right = np.cross(ahead, np.broadcast_to(up, ahead.shape))
    right /= np.linalg.norm(right, axis=1, keepdims=True)
    poses = np.tile(np.eye(4), (len(centres), 1, 1))
    poses[:, :3, :3] = np.stack([right, np.cross(ahead, right), ahead], axis=1)
    poses[:, :3, 3] = -np.einsum("nij,nj->ni", poses[:, :3, :3], centres)
    return poses


def around(count: int, degrees: float = 100.0) -> np.ndarray:
    """Cameras on an arc about the origin, at changing heights."""
    angles = np.radians(np.linspace(-degrees / 2, degrees / 2, count))
    heights = 1.5 * np.sin(np.arange(count) * 1.9)
    centres = np.stack([6 * np.sin(angles), heights, -6 * np.cos(angles)], axis=1)
    return looking(centres, np.zeros((count, 3)))


def forward(count: int) -> np.ndarray:
    """Cameras that move along their view."""
    centres = np.stack([np.zeros(count), np.zeros(count), -8 + 0.35 * np.arange(count)], axis=1)
    return looking(centres, centres + (0, 0, 1))


def nadir(rows: int, columns: int) -> np.ndarray:
    """Cameras in a grid that look straight down, as a drone's, every second row flown back."""
    places = [(x if y % 2 == 0 else columns - 1 - x, y) for y in range(rows) for x in range(columns)]
    centres = np.array([(1.2 * x, 1.2 * y, -6.0) for x, y in places]) - (0.6 * columns, 0.6 * rows, 0)
    return looking(centres, centres + (0, 0, 1))


def synthetic_model(
    poses: np.ndarray,
    lens: tuple[str, Sequence[float]] = SIMPLE,
    noise: float = 0.3,
    points: int = 900,
    box: Sequence[float] = (3.0, 2.0, 2.0),
    seed: int = 1,
    bias: float = 0.0,
) -> pycolmap.Reconstruction:
    """The true model; features are off by `noise` pixels, and one in fifty by some more.

    Args:
        poses: (N, 4, 4) world-to-camera.
        lens: COLMAP's name and parameters, for images of `SIZE`.
        noise: standard deviation of each coordinate.
        points: that are spread evenly over a box.
        box: half its sides.
        seed: of points and noise.
        bias: pixels by which features are off in a way that differs between photos and over each photo.
    """
    random = numpy_random(seed)
    places = random.uniform(-1, 1, (points, 3)) * box
    model = pycolmap.Reconstruction()
    name, params = lens
    camera = pycolmap.Camera(model=name, width=SIZE[0], height=SIZE[1], params=list(params))
    camera.camera_id = 1
    model.add_camera_with_trivial_rig(camera)
    tracks = [pycolmap.Track() for _ in places]
    for image_id, pose in enumerate(poses, start=1):
        in_camera = places @ pose[:3, :3].T + pose[:3, 3]
        pixels = np.full((points, 2), np.nan)
        ahead = in_camera[:, 2] > 0.5
        pixels[ahead] = camera.img_from_cam(in_camera[ahead])
        slant = random.normal(size=(2, 2)) * bias
        seen = []
        for index in np.flatnonzero(((pixels >= 0) & (pixels <= SIZE)).all(axis=1)).tolist():
            off = random.normal(scale=noise * (8 if random.random() < 0.02 else 1), size=2)
            off += slant @ (2 * pixels[index] / SIZE - 1)
            tracks[index].add_element(image_id, len(seen))
            seen.append(pycolmap.Point2D(pixels[index] + off))
        image = pycolmap.Image(name=f"{image_id}", points2D=pycolmap.Point2DList(seen), camera_id=1, image_id=image_id)
        model.add_image_with_trivial_frame(image, pycolmap.Rigid3d(pose[:3]))
    for place, track in zip(places, tracks, strict=True):
        if track.length() >= 2:
            model.add_point3D(place, track, np.zeros(3, np.uint8))
    model.update_point_3d_errors()
    return model


def poses_of(model: pycolmap.Reconstruction) -> np.ndarray:
    """(N, 4, 4) world-to-camera, in the order of the photos."""
    poses = np.tile(np.eye(4), (model.num_reg_images(), 1, 1))
    poses[:, :3] = [model.images[image_id].cam_from_world().matrix() for image_id in sorted(model.reg_image_ids())]
    return poses


def relative_angle(found: np.ndarray, truth: np.ndarray) -> float:
    """Median angle, in degrees, between the relative rotations of poses (N, 4, 4)."""
    first, second = np.triu_indices(len(truth), 1)
    turns = [poses[second, :3, :3] @ poses[first, :3, :3].swapaxes(1, 2) for poses in (found, truth)]
    chords = np.linalg.norm(turns[0] - turns[1], axis=(1, 2)) / 8**0.5
    return float(np.degrees(2 * np.arcsin(np.median(chords))))
