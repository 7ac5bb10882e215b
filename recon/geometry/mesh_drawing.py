"""Triangle meshes as a camera sees them: which triangle each pixel shows, and how far away it is."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from recon.geometry.compiled import compiled
from recon.geometry.mesh import Mesh
from recon.types import FloatArray


class Drawing(NamedTuple):
    """What the pixels of a view show of a mesh."""

    depth: NDArray[np.float32]
    """(H, W) z-depth at the pixel centres; infinite where there is no surface."""
    face: NDArray[np.int32]
    """(H, W) the triangle that is nearest; -1 where there is none."""


def draw(mesh: Mesh, intrinsics: FloatArray, world_to_camera: FloatArray, size: tuple[int, int]) -> Drawing:
    """The triangles nearest to the camera, from either side. Those that reach behind the camera are left out.

    Args:
        mesh: of any number of triangles.
        intrinsics: (3, 3) in pixels of the view.
        world_to_camera: (3, 4) or (4, 4).
        size: height and width.
    """
    drawing = Drawing(np.full(size, np.inf, np.float32), np.full(size, -1, np.int32))
    draw_triangles(project(mesh.vertices, intrinsics, world_to_camera), mesh.faces, *drawing)
    return drawing


def project(points: NDArray[np.float32], intrinsics: FloatArray, world_to_camera: FloatArray) -> NDArray[np.float64]:
    """(P, 3) column, row and z-depth of points (P, 3); the pixel of one that is not before the camera is NaN."""
    camera = points.astype(np.float64) @ world_to_camera[:3, :3].T + world_to_camera[:3, 3]
    found = camera @ np.asarray(intrinsics, np.float64).T
    away = np.where(found[:, 2:] > 0, found[:, 2:], np.nan)
    return np.concatenate([found[:, :2] / away, found[:, 2:]], axis=1)


def weights_of_corners(
    pixels: NDArray[np.float64], corners: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """How much each of three projected corners (P, 3, 3) counts at pixels (P, 2) on a triangle; they sum up to 1.

    In space, not in the image: nearer corners count for more than their distance in pixels says.
    """
    (a, b, c), (x, y) = np.moveaxis(corners[..., :2], 1, 0), pixels.T
    areas = [
        (q[:, 0] - p[:, 0]) * (y - p[:, 1]) - (q[:, 1] - p[:, 1]) * (x - p[:, 0]) for p, q in ((b, c), (c, a), (a, b))
    ]
    first, second, third = (area / corners[:, corner, 2] for corner, area in enumerate(areas))
    total = first + second + third
    return first / total, second / total, third / total


@compiled()
def draw_triangles(
    pixels: NDArray[np.float64], faces: NDArray[np.int32], depth: NDArray[np.float32], face: NDArray[np.int32]
) -> None:
    """Draw triangles (F, 3) of points projected to columns, rows and depths (V, 3) into a `Drawing`, in place."""
    height, width = depth.shape
    for index in range(len(faces)):
        i, j, k = faces[index]
        if not (pixels[i, 2] > 0 and pixels[j, 2] > 0 and pixels[k, 2] > 0):
            continue
        ax, ay, bx, by = pixels[i, 0], pixels[i, 1], pixels[j, 0], pixels[j, 1]
        cx, cy = pixels[k, 0], pixels[k, 1]
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if area == 0:
            continue
        left, right = max(min(ax, min(bx, cx)), 0.0), min(max(ax, max(bx, cx)), float(width))
        top, bottom = max(min(ay, min(by, cy)), 0.0), min(max(ay, max(by, cy)), float(height))
        for row in range(int(top), int(np.ceil(bottom))):
            y = row + 0.5
            for column in range(int(left), int(np.ceil(right))):
                x = column + 0.5
                first = ((cx - bx) * (y - by) - (cy - by) * (x - bx)) / area
                second = ((ax - cx) * (y - cy) - (ay - cy) * (x - cx)) / area
                third = 1 - first - second
                if first < 0 or second < 0 or third < 0:
                    continue
                away = 1 / (first / pixels[i, 2] + second / pixels[j, 2] + third / pixels[k, 2])
                if away < depth[row, column]:
                    depth[row, column] = away
                    face[row, column] = index
