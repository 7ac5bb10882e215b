"""The coloured point cloud and camera frusta as `scene.glb`, with a picture of the first view beside it."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recon.choices import ExportChoices
from recon.export import depth_vis
from recon.export.exporter import Exported, Exporter, Needs
from recon.export.gltf import LINES, POINTS, Primitive, write_glb
from recon.export.pictures import write_jpeg
from recon.export.points import PointOptions, check_cloud, select_points
from recon.files import atomic_write
from recon.geometry.cameras import invert_rigid, to_4x4
from recon.geometry.located_depth import percentiles, with_cameras
from recon.options import like, option
from recon.types import FloatArray, Prediction
from recon.version import __version__

CAMERA_TO_GLTF = np.diag([1.0, -1.0, -1.0, 1.0])
"""From camera axes (x right, y down, z forward) to glTF axes (x right, y up, z backward)."""
FRUSTUM_EDGES = np.array([[0, 1], [0, 2], [0, 3], [0, 4], [1, 2], [2, 3], [3, 4], [4, 1]])
"""Segments between the camera centre (0) and the image corners (1 to 4, around the image)."""


@dataclass(frozen=True, kw_only=True)
class GlbOptions(PointOptions):
    """Which pixels become points, and how the cameras are drawn."""

    show_cameras: bool = like(ExportChoices, "show_cameras")
    camera_size: float = option(0.03, help="Depth of the frusta as a share of the scene's diagonal.", above=0)


def write(prediction: Prediction, folder: Path, options: GlbOptions) -> Exported:
    """Write `scene.glb` and `scene.jpg`.

    The scene is in the first camera's frame with glTF axes, moved so that the median of the points is the origin. Its
    extras give the units, the number of points, and the 4×4 matrix from the prediction's world frame.
    """
    prediction = with_cameras(prediction)
    assert prediction.extrinsics is not None
    assert prediction.intrinsics is not None
    cloud = select_points(prediction, options)
    positions, world_to_gltf, diagonal = place_in_gltf(cloud.points, prediction.extrinsics[0])
    primitives = [Primitive("points", POINTS, positions, cloud.colors)]
    if options.show_cameras:
        views, height, width = prediction.depth.shape
        boxes = prediction.photo_boxes
        boxes = np.tile([0, 0, width, height], (views, 1)) if boxes is None else boxes
        lines = frustum_lines(
            prediction.intrinsics, prediction.extrinsics, boxes, options.camera_size * diagonal
        ).reshape(-1, 3)  # (N, 8, 2, 3) -> (N*16, 3)
        lines = lines @ world_to_gltf[:3, :3].T + world_to_gltf[:3, 3]
        colors = np.repeat(sequence_colors(views), 2 * len(FRUSTUM_EDGES), axis=0)
        primitives.append(Primitive("cameras", LINES, lines.astype(np.float32), colors))
    extras = {
        "units": prediction.units,
        "points": len(positions),
        "world_to_gltf": world_to_gltf.ravel().tolist(),
        "world_to_gltf_layout": "4x4, row-major, for column vectors",
    }
    scene_path, picture_path = folder / "scene.glb", folder / "scene.jpg"
    with atomic_write(scene_path) as temporary:
        write_glb(temporary, primitives, f"recon {__version__}", extras)
    write_jpeg(picture_path, depth_vis.render_view(prediction, 0))
    return Exported(
        (scene_path, picture_path), {"points": len(positions), "conf_threshold": cloud.conf_threshold, **extras}
    )


def place_in_gltf(
    points: NDArray[np.float32], first_world_to_camera: FloatArray
) -> tuple[NDArray[np.float32], NDArray[np.float64], float]:
    """Move (P, 3) world points to the first camera's frame in glTF axes, their median per axis at the origin.

    Returns the (P, 3) moved points, the (4, 4) matrix world_to_gltf that moved them, and the diagonal of the box
    between the 5th and the 95th percentile of each axis, or 1 where that box is a point.
    """
    world_to_gltf: NDArray[np.float64] = CAMERA_TO_GLTF @ to_4x4(first_world_to_camera.astype(np.float64))
    moved = world_to_gltf[:3, :3].astype(np.float32) @ points.T + world_to_gltf[:3, 3:].astype(np.float32)  # (3, P)
    low, centre, high = percentiles(moved, [5, 50, 95])  # each (3,)
    world_to_gltf[:3, 3] -= centre
    moved -= centre[:, None]
    diagonal = float(np.linalg.norm((high - low).astype(np.float64)))
    return np.ascontiguousarray(moved.T), world_to_gltf, diagonal if diagonal > 0 else 1.0


def frustum_lines(
    intrinsics: FloatArray,
    world_to_camera: FloatArray,
    boxes: NDArray[np.int64],
    depth: float,
) -> NDArray[np.float64]:
    """(N, 8, 2, 3) world segments from each camera's centre to the image corners at `depth`, and around the image.

    Takes (N, 3, 3) intrinsics, (N, 3, 4) extrinsics, and (N, 4) left, top, width and height of the images. The corners
    are those of the image, not the outermost pixel centres.
    """
    places = np.array([[0, 0], [1, 0], [1, 1], [0, 1]])
    corners = boxes[:, None, :2] + places * boxes[:, None, 2:]  # (N, 4, 2)
    corners = np.concatenate([corners, np.ones((len(boxes), 4, 1))], axis=2)
    rays = np.linalg.solve(intrinsics.astype(np.float64), corners.swapaxes(1, 2)).swapaxes(1, 2)  # (N, 4, 3), z = 1
    vertices = np.concatenate([np.zeros((len(rays), 1, 3)), rays * depth], axis=1)  # (N, 5, 3) in camera frames
    camera_to_world = invert_rigid(to_4x4(world_to_camera.astype(np.float64)))
    vertices = vertices @ camera_to_world[:, :3, :3].swapaxes(1, 2) + camera_to_world[:, None, :3, 3]
    return vertices[:, FRUSTUM_EDGES]


def sequence_colors(count: int) -> NDArray[np.uint8]:
    """(count, 3) RGB along the hue circle, so that neighbours in a sequence look alike."""
    hues = (np.arange(count) + 0.5) / max(count, 1)
    return np.array([[int(255 * c) for c in colorsys.hsv_to_rgb(hue, 0.85, 0.95)] for hue in hues], np.uint8)


GLB = Exporter("glb", GlbOptions, write, ("scene.glb", "scene.jpg"), Needs(cameras=True), check_cloud, in_pieces=True)
