"""Layers of the page beside points and splats, as quantised arrays: a mesh, sparse points, and depth in numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recon.errors import InputError
from recon.export.mesh import MeshOptions, make_mesh
from recon.export.mesh_depth import depth_to_fuse
from recon.export.packing import Packed, quantise
from recon.export.page_file import text_size
from recon.export.pictures import encode_jpeg
from recon.export.points import PixelOptions
from recon.geometry.mesh import Mesh
from recon.geometry.sparse_points import SparsePoints
from recon.types import Prediction

MESH_COARSENESS = 2.0
"""Voxels of the page's mesh, in those of the format `mesh`."""
_MOST_TRIES = 3
_DEPTH_COLUMNS = 128
"""Depth in numbers has at most this many columns, and rows."""
_UNSEEN_COLOR = 128
_TEXTURE_QUALITY = 85
"""Of its JPEG."""


def page_mesh(prediction: Prediction, options: PixelOptions, room: int) -> dict[str, Packed] | None:
    """The surface that the depth of a prediction with cameras describes, in at most `room` bytes of the page.

    Coarser than the format `mesh` makes it, and more so where it would not fit. None: there is none, or none that fits.
    """
    chosen = {one.name: getattr(options, one.name) for one in fields(PixelOptions)}
    try:
        voxel = depth_to_fuse(prediction, options, "cpu").voxel * MESH_COARSENESS
        for _ in range(_MOST_TRIES):
            mesh, _ = make_mesh(prediction, MeshOptions(voxel=voxel, small_parts=100, **chosen))
            packed = pack_mesh(mesh)
            taken = layer_size(packed)
            if taken <= room:
                return packed
            voxel *= 1.1 * (taken / max(room, 1)) ** 0.5  # a surface has triangles as one over the square of the voxel
    except InputError:  # no pixel, no surface, or voxels that memory does not hold
        return None
    return None


def pack_mesh(mesh: Mesh) -> dict[str, Packed]:
    """`position` of each vertex, `color` (sRGB), and `face`: three vertices of each triangle.

    Of a mesh with a texture, `texture` (a JPEG file, byte by byte) and `place` in it instead of the colours; a vertex
    is there once for each of its places.
    """
    if mesh.texture is None:
        colors = np.full((len(mesh.vertices), 3), _UNSEEN_COLOR, np.uint8) if mesh.colors is None else mesh.colors
        shown, faces, looks = mesh.vertices, mesh.faces, {"color": quantise(colors, 8, 0, 255)}
    else:
        shown, faces = mesh.vertices[mesh.texture.vertices(mesh.faces)], mesh.texture.faces
        file = np.frombuffer(encode_jpeg(mesh.texture.pixels, _TEXTURE_QUALITY), np.uint8)
        looks = {
            "place": quantise(mesh.texture.uv, 16, 0, 1),
            "texture": quantise(file[:, None], 8, 0, 255),
        }
    return {"position": quantise(shown, 24), "face": quantise(faces, 24, 0, 2**24 - 1), **looks}


def pack_sparse(sparse: SparsePoints, colors: NDArray[np.uint8]) -> dict[str, Packed]:
    """`position`, `color` (P, 3), `length`: how many views see each point, and `view`: these, point after point."""
    points = np.concatenate([np.zeros(0, np.intp), *sparse.observed])
    views = np.repeat(np.arange(len(sparse.observed)), [len(seen) for seen in sparse.observed])
    order = np.argsort(points, kind="stable")
    return {
        "position": quantise(sparse.points, 24),
        "color": quantise(colors, 8, 0, 255),
        "length": quantise(sparse.track_lengths[:, None], 16, 0, 65535),
        "view": quantise(views[order][:, None], 16, 0, 65535),
    }


def sparse_colors(prediction: Prediction) -> NDArray[np.uint8]:
    """(P, 3) sRGB of the sparse points of a prediction with cameras: means of what the views that see each show there.

    Grey where no processed photo shows it.
    """
    assert prediction.sparse is not None
    assert prediction.extrinsics is not None
    assert prediction.intrinsics is not None
    sums, counts = np.zeros((len(prediction.sparse), 3)), np.zeros(len(prediction.sparse))
    for view, seen in enumerate(prediction.sparse.observed):
        rows, columns = prediction.photo_area(view)
        camera = prediction.sparse.in_camera(view, prediction.extrinsics)
        in_front = camera[:, 2] > 0
        camera, seen = camera[in_front], seen[in_front]
        pixels = camera @ prediction.intrinsics[view].astype(np.float64).T
        places = np.floor(pixels[:, :2] / pixels[:, 2:])
        inside = (places >= (columns.start, rows.start)) & (places < (columns.stop, rows.stop))
        shown = inside.all(axis=1)
        x, y = places[shown].astype(np.intp).T
        sums[seen[shown]] += prediction.processed_images[view, y, x]
        counts[seen[shown]] += 1
    means = sums / np.maximum(counts, 1)[:, None]
    return np.where(counts[:, None] > 0, np.rint(means), _UNSEEN_COLOR).astype(np.uint8)


def pack_depth(prediction: Prediction, view: int, step: int) -> tuple[Packed, dict[str, Any]]:
    """Depth of every `step`-th pixel of a photo, for the page to tell what a view sees; and `columns`, `rows`, `step`.

    Natural logarithms of z-depth, 16 bits, row by row; 0 of the integers where there is none.
    """
    rows, columns = prediction.photo_area(view)
    sampled = (
        view,
        slice(rows.start + _first(rows, step), rows.stop, step),
        slice(columns.start + _first(columns, step), columns.stop, step),
    )
    depth, usable = prediction.depth[sampled], prediction.valid_or_filled[sampled]
    logarithms = np.zeros(depth.shape)
    logarithms[usable] = np.log(depth[usable].astype(np.float64))
    low, high = (logarithms[usable].min(), logarithms[usable].max()) if usable.any() else (0.0, 1.0)
    width = max(high - low, 1e-6)
    lowest = low - width / 65534  # so that 0 stands for no depth
    values = np.where(usable, logarithms, lowest)
    packed = quantise(values.reshape(-1, 1), 16, lowest, low + width)
    return packed, {"columns": depth.shape[1], "rows": depth.shape[0], "step": step}


def page_sparse(prediction: Prediction, room: int) -> dict[str, Packed] | None:
    """The sparse points of a prediction with cameras; None where they take more than `room` bytes of the page."""
    assert prediction.sparse is not None
    packed = pack_sparse(prediction.sparse, sparse_colors(prediction))
    return packed if layer_size(packed) <= room else None


def depth_step(size: tuple[int, int]) -> int:
    """Pixels from one to the next of those whose depth is put into the page, of a photo of that width and height."""
    return -(-max(size) // _DEPTH_COLUMNS)


def layer_size(packed: Mapping[str, Packed]) -> int:
    """Bytes that quantised arrays take in the page."""
    return sum(text_size(one.data) for one in packed.values())


def _first(side: slice, step: int) -> int:
    """The middle of the first cell, inside of a side that may be shorter."""
    return min(step // 2, side.stop - side.start - 1)
