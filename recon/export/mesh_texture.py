"""A texture for a mesh, of the photos at their own resolution.

Each triangle takes one photo (`recon.geometry.mesh_views`). Connected triangles of one photo are a chart, whose shape
in the texture is that in the photo: pixels are copied, not interpolated, as long as the texture has room for them.
`xatlas` packs the charts, and `recon.geometry.mesh_seams` brings together what photos of different exposure show.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from recon.errors import MissingExtraError
from recon.export.view_photos import ViewPhotos
from recon.geometry.mesh import Mesh, Texture
from recon.geometry.mesh_drawing import project
from recon.geometry.mesh_seams import Corners, corners_of, exposure_factors, level_seams
from recon.geometry.mesh_views import SeenBy, adjacent_faces, choose_views, connected_charts, views_of_faces
from recon.types import Prediction

TOLERANCE = 3.0
"""Voxels that something may be before a triangle, and does not hide it."""
_PADDING = 4
"""Texels between charts."""
_MARGIN = 2
"""Of these, what belongs to each."""
_FULL = 0.7
"""Share of a texture that charts fill, about."""
_CELL = 4
"""Texels along a side of the square for a triangle that no photo shows."""
_CELLS_SHARE = 0.25
"""Of the texture at most is for such squares."""
_TRIES = 8
_SAMPLES = 20_000
"""Triangles whose colours tell the photos' exposures, about."""


class _Packed(NamedTuple):
    """Charts in a texture of one size."""

    texels: NDArray[np.float64]
    """(P, 2) column and row of each chart's vertices."""
    sources: NDArray[np.intp]
    """(P,) which of the vertices that were packed each is."""
    faces: NDArray[np.int64]
    """(G, 3) of the triangles that were packed."""
    shifts: NDArray[np.int64]
    """(P, 2) whole texels from a vertex's pixel in the scaled photo to its place in the texture."""
    placed: NDArray[np.bool_]
    """(G,) False for triangles without area, which have no place."""
    size: tuple[int, int]
    """Width and height."""


class _Cells(NamedTuple):
    """Squares in a texture for triangles that keep the colours of their corners."""

    places: NDArray[np.float64]
    """(U, 3, 2) column and row of each corner."""
    side: int
    """Of a square, in texels; 1 for one colour a triangle."""
    size: tuple[int, int]
    """Width and height of the whole texture."""


def check_texture() -> None:
    """Raise MissingExtraError where textures cannot be made."""
    _xatlas()


def make_texture(mesh: Mesh, prediction: Prediction, voxel: float, largest: int) -> tuple[Texture, dict[str, Any]]:
    """The texture of a mesh, and what details say of it.

    Args:
        mesh: with colours, which triangles keep that no photo shows.
        prediction: with cameras.
        voxel: side of a voxel that it was made with.
        largest: texels along a side of the texture.
    """
    assert prediction.extrinsics is not None
    assert prediction.intrinsics is not None
    photos = ViewPhotos(prediction)
    depth = np.where(prediction.valid, prediction.depth, 0).astype(np.float32)
    usable = prediction.photo_pixels if prediction.mask is None else prediction.photo_pixels & prediction.mask
    seen = views_of_faces(
        mesh, depth, usable, prediction.intrinsics, prediction.extrinsics, photos.scales, TOLERANCE * voxel
    )
    chosen = choose_views(mesh, seen)
    charts = connected_charts(adjacent_faces(mesh.faces), chosen)
    shown = np.flatnonzero(chosen >= 0)
    keys = charts[shown, None].astype(np.int64) * len(mesh.vertices) + mesh.faces[shown]
    keys, corners_in_charts = np.unique(keys, return_inverse=True)
    vertices = keys % max(len(mesh.vertices), 1)
    views = np.full(len(keys), -1, np.int32)
    views[corners_in_charts.ravel()] = np.repeat(chosen[shown], 3)
    pixels = np.empty((len(keys), 2))
    for view in np.unique(views):
        mine = views == view
        found = project(mesh.vertices[vertices[mine]], prediction.intrinsics[view], prediction.extrinsics[view])
        pixels[mine] = found[:, :2] @ photos.to_photo[view, :2, :2].T + photos.to_photo[view, :2, 2]
    packed, cells, scale = _packed(pixels, corners_in_charts.reshape(-1, 3), len(mesh.faces) - len(shown), largest)
    chosen[shown[~packed.placed]] = -1
    corners = corners_of(mesh.faces, chosen)
    factors = _factors(mesh, seen, prediction)
    offsets = level_seams(corners, _colors(mesh, corners, factors, prediction))

    unseen = np.flatnonzero(chosen < 0)
    width, height = cells.size
    texture, state = np.zeros((height, width, 3), np.uint8), np.zeros((height, width), np.uint8)
    faces = packed.faces[packed.placed]
    _fill(texture, state, photos, scale, packed, faces, shown[packed.placed], chosen, factors, offsets[corners.faces])
    assert mesh.colors is not None
    _paint(texture, state, cells, mesh.colors[mesh.faces[unseen]].astype(np.float32))
    _spread(texture, state > 0)

    texels = np.concatenate([packed.texels, cells.places.reshape(-1, 2)]) / (width, height)
    places = np.empty(mesh.faces.shape, np.int32)
    places[shown[packed.placed]] = faces
    places[unseen] = np.arange(3 * len(unseen)).reshape(-1, 3) + len(packed.texels)
    details = {
        "texture": [width, height],
        "texture_charts": len(np.unique(charts[shown])),
        "texels_per_pixel": scale,
        "triangles_without_photo": len(unseen),
        "photos_enlarged": len(photos.enlarged),
    }
    return Texture(texels.astype(np.float32), places, texture), details


def _factors(mesh: Mesh, seen: SeenBy, prediction: Prediction) -> NDArray[np.float32]:
    """(N, 3) of `exposure_factors`, from some of the triangles."""
    chosen = np.arange(0, len(mesh.faces), max(len(mesh.faces) // _SAMPLES, 1))
    colors = np.full((len(prediction.depth), len(chosen), 3), np.nan, np.float32)
    for view in range(len(colors)):
        mine = (seen.views[chosen] == view).any(axis=1)
        colors[view, mine] = _shown(mesh.vertices[mesh.faces[chosen[mine], 0]], view, prediction)
    return exposure_factors(colors)


def _colors(mesh: Mesh, corners: Corners, factors: NDArray[np.float32], prediction: Prediction) -> NDArray[np.float32]:
    """(C, 3) what the processed image of each corner's view shows around it, times its factors; the mesh's colours
    where there is none."""
    assert mesh.colors is not None
    colors = mesh.colors[corners.vertex].astype(np.float32)
    for view in np.unique(corners.view[corners.view >= 0]):
        mine = corners.view == view
        colors[mine] = _shown(mesh.vertices[corners.vertex[mine]], view, prediction) * factors[view]
    return colors


def _shown(points: NDArray[np.float32], view: int, prediction: Prediction) -> NDArray[np.float32]:
    """(P, 3) colours around points (P, 3) in a processed image."""
    import cv2

    assert prediction.extrinsics is not None
    assert prediction.intrinsics is not None
    pixels = project(points, prediction.intrinsics[view], prediction.extrinsics[view])[:, :2]
    image = cv2.GaussianBlur(prediction.processed_images[view].astype(np.float32), (0, 0), 1.0)
    last = np.array(image.shape[1::-1]) - 1
    places = np.clip(pixels - 0.5, 0, last)
    low = np.minimum(places.astype(np.intp), np.maximum(last - 1, 0))
    (x, y), (right, down) = low.T, (places - low).T[..., None]
    next_x, next_y = np.minimum(x + 1, last[0]), np.minimum(y + 1, last[1])
    above = (1 - right) * image[y, x] + right * image[y, next_x]
    below = (1 - right) * image[next_y, x] + right * image[next_y, next_x]
    return np.asarray((1 - down) * above + down * below, np.float32)


def _packed(
    pixels: NDArray[np.float64], faces: NDArray[np.intp], unseen: int, largest: int
) -> tuple[_Packed, _Cells, float]:
    """Charts, triangles (G, 3) of pixels (P, 2) in photos, in a texture; places for the triangles that no photo shows,
    `unseen` and those without area; and how many texels a pixel has along a line, at most 1."""
    a, b, c = (pixels[faces[:, corner]] for corner in range(3))
    area = 0.5 * np.abs((b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])).sum()
    scale = min(1.0, largest * float(np.sqrt(_FULL / max(area, 1e-9))))
    for _ in range(_TRIES):
        packed = _pack(pixels * scale, faces)
        cells = _cells(unseen + int((~packed.placed).sum()), packed.size, largest)
        longest = max(cells.size)
        if longest <= largest:
            break
        scale *= 0.97 * largest / longest
    return packed, cells, scale


def _pack(pixels: NDArray[np.float64], faces: NDArray[np.intp]) -> _Packed:
    if not len(faces):
        none = np.zeros((0, 2))
        return _Packed(
            none, np.zeros(0, np.intp), np.zeros((0, 3), np.int64), none.astype(np.int64), np.zeros(0, bool), (0, 0)
        )
    xatlas = _xatlas()
    options = xatlas.PackOptions()
    options.texels_per_unit, options.padding, options.bilinear, options.create_image = 1.0, _PADDING, True, False
    options.rotate_charts = options.rotate_charts_to_axis = False
    atlas = xatlas.Atlas()
    atlas.add_uv_mesh(pixels.astype(np.float32), faces.astype(np.uint32))
    atlas.generate(xatlas.ChartOptions(), options)
    sources, indices, uv = atlas.get_mesh(0)
    _, chart = atlas.get_mesh_vertex_assignment(0)
    sources, size = sources.astype(np.intp), (int(atlas.width), int(atlas.height))
    placed_vertices = chart < atlas.chart_count
    # Each chart is moved by whole texels, so that they lie on the pixels of the photo.
    found = uv.astype(np.float64) * size - pixels[sources]
    numbers = np.where(placed_vertices, chart, atlas.chart_count).astype(np.intp)
    _, firsts, inverse = np.unique(numbers, return_index=True, return_inverse=True)
    shifts = np.rint(found[firsts])[inverse].astype(np.int64)
    faces = indices.astype(np.int64).reshape(-1, 3)
    return _Packed(pixels[sources] + shifts, sources, faces, shifts, placed_vertices[faces].all(axis=1), size)


def _cells(count: int, charts: tuple[int, int], largest: int) -> _Cells:
    """Squares for `count` triangles below charts of that width and height; single texels where squares take too much
    of a texture with sides of `largest`."""
    side = _CELL if count * _CELL**2 <= _CELLS_SHARE * largest**2 else 1
    width = max(charts[0], side * int(np.ceil(np.sqrt(count))) if not charts[0] else 0, side)
    rows, columns = np.divmod(np.arange(count), width // side)
    corner = np.stack([columns * side, charts[1] + rows * side], axis=1)
    shape = [[1, 1], [side - 1, 1], [1, side - 1]] if side > 1 else [[0.5, 0.5]] * 3
    places = corner[:, None] + np.array(shape, np.float64)
    return _Cells(places, side, (width, max(charts[1] + side * (int(rows[-1]) + 1 if count else 0), 1)))


def _fill(
    texture: NDArray[np.uint8],
    state: NDArray[np.uint8],
    photos: ViewPhotos,
    scale: float,
    packed: _Packed,
    faces: NDArray[np.int64],
    numbers: NDArray[np.intp],
    chosen: NDArray[np.int32],
    factors: NDArray[np.float32],
    offsets: NDArray[np.float32],
) -> None:
    """Copy the photos to the charts; `numbers` (G,) says which triangle of the mesh each of `faces` is."""
    import cv2

    from recon.geometry.mesh_atlas import copy_triangles

    views = chosen[numbers]
    for view in np.unique(views):
        photo = photos.read(int(view))
        if scale < 1:
            width, height = (max(round(scale * side), 1) for side in (photo.shape[1], photo.shape[0]))
            photo = np.asarray(cv2.resize(photo, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
        mine = views == view
        triangles = faces[mine]
        copy_triangles(
            packed.texels[triangles],
            -packed.shifts[triangles[:, 0]],
            factors[view],
            np.ascontiguousarray(offsets[numbers[mine]]),
            np.ascontiguousarray(photo),
            texture,
            state,
            _MARGIN,
        )


def _paint(texture: NDArray[np.uint8], state: NDArray[np.uint8], cells: _Cells, colors: NDArray[np.float32]) -> None:
    """Give the triangles of the cells the colours (U, 3, 3) of their corners."""
    from recon.geometry.mesh_atlas import copy_triangles

    black, unmoved = np.zeros((1, 1, 3), np.uint8), np.zeros((len(colors), 2), np.int64)
    margin = 1 if cells.side > 1 else 0
    copy_triangles(cells.places, unmoved, np.ones(3, np.float32), colors, black, texture, state, margin)


def _spread(texture: NDArray[np.uint8], filled: NDArray[np.bool_]) -> None:
    """Give texels that nothing shows the colours around them, so that smaller copies of the texture show no seams.

    Means of what is filled, at half the size again and again, seen from the full size.
    """
    import cv2

    levels: list[tuple[NDArray[np.float32], NDArray[np.float32]]] = [
        (texture.astype(np.float32) * filled[..., None], filled.astype(np.float32))
    ]
    while max(levels[-1][1].shape) > 1:
        colors, weight = levels[-1]
        half = tuple(max(side // 2, 1) for side in weight.shape[::-1])
        smaller, lighter = (cv2.resize(one, half, interpolation=cv2.INTER_AREA) for one in (colors, weight))
        levels.append((np.asarray(smaller, np.float32), np.asarray(lighter, np.float32)))
    below = np.zeros((1, 1, 3), np.float32)
    for colors, weight in reversed(levels[1:]):
        colors = colors.reshape(*weight.shape, 3)
        from_below = cv2.resize(below, weight.shape[::-1], interpolation=cv2.INTER_LINEAR).reshape(colors.shape)
        known = weight[..., None] > 1e-3
        below = np.where(known, colors / np.maximum(weight, 1e-3)[..., None], from_below)
    everywhere = cv2.resize(below, filled.shape[::-1], interpolation=cv2.INTER_LINEAR).reshape(texture.shape)
    texture[~filled] = np.clip(np.rint(everywhere[~filled]), 0, 255).astype(np.uint8)


def _xatlas() -> Any:
    try:
        import xatlas
    except ModuleNotFoundError:
        raise MissingExtraError("mesh.texture", "xatlas", "mesh") from None
    return xatlas
