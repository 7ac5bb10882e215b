"""One HTML file that shows the result in a browser: points, splats, and the photos in their cameras' frusta.

It opens from a disk and loads nothing else. Its size is bounded: what does not fit is left out, and said.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recon.errors import InputError
from recon.export.depth_vis import CLIPPED_PERCENT, DEPTH_COLORS, SKY_COLOR, color_depth
from recon.export.exporter import Exported, Exporter, Needs
from recon.export.packing import Packed, PackedSplats, pack_splats, quantise
from recon.export.page_facts import facts_of, in_words
from recon.export.page_file import make_page, page_size, text_size
from recon.export.page_layers import depth_step, layer_size, pack_depth, pack_sparse, page_mesh, sparse_colors
from recon.export.points import PointCloud, PointOptions, check_cloud, select_points
from recon.export.splats import SplatOptions, check_splats, select_splats
from recon.files import atomic_write
from recon.geometry.cameras import invert_rigid, to_4x4
from recon.geometry.located_depth import percentiles, with_cameras
from recon.messages import warn
from recon.options import option
from recon.types import FloatArray, Gaussians, Prediction

FILE_NAME = "view.html"
_PHOTO_SHARE = 0.3
"""Of the size, at most this is for photos and their depth."""
_POINT_SHARE = 0.25
"""At least this is for points, of what the photos leave, where there are splats as well."""
_MESH_SHARE = 0.2
_SPARSE_SHARE = 0.1
_DEPTH_SHARE = 0.05
"""Likewise for a mesh, sparse points, and depth in numbers, each of what is left."""
_PHOTO_QUALITY = 85
_UNITS = {"relative": "units", "aligned": "units", "metric": "m"}


@dataclass(frozen=True, kw_only=True)
class HtmlOptions(SplatOptions, PointOptions):
    """How large the file may be, and what is in it."""

    max_mb: float = option(
        30.0,
        help="Leave out photos' pixels, spherical harmonics, splats and points as needed for a file of at most this "
        "many megabytes.",
        least=1,
        most=500,
    )
    mesh: bool = option(True, help="Fuse the depth into a mesh as well, coarser than the format `mesh` makes it.")


@dataclass
class _Content:
    """What goes into the file."""

    scene: dict[str, Any]
    blocks: dict[str, bytes] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)

    def add(self, packed: Mapping[str, Packed], of: str) -> dict[str, Any]:
        """Take in quantised arrays; returns what the page needs to read them."""
        self.blocks |= {f"{of}-{name}": one.data for name, one in packed.items()}
        return {name: one.described(f"{of}-{name}") for name, one in packed.items()}


def check(prediction: Prediction, options: HtmlOptions) -> None:
    """Raise InputError where there is neither a point nor a splat to show."""
    if prediction.gaussians is not None:
        check_splats(prediction)
    else:
        check_cloud(prediction, options)


def write(prediction: Prediction, folder: Path, options: HtmlOptions) -> Exported:
    """Write `view.html`. What was left out to keep `max_mb` is in the details and a warning."""
    prediction = with_cameras(prediction)
    cloud = _points(prediction, options)
    splats = None if prediction.gaussians is None else select_splats(prediction, options).gaussians
    facts = facts_of(prediction, splats)
    content = _Content(describe(prediction, cloud, splats, facts))
    room = int(options.max_mb * 1e6) - page_size() - len(str(content.scene)) - len(str(facts)) - 20_000
    room -= _add_photos(content, prediction, int(room * _PHOTO_SHARE))
    room -= _add_depth(content, prediction, int(room * _DEPTH_SHARE))
    if options.mesh:
        room -= _add_mesh(content, prediction, options, int(room * _MESH_SHARE))
    room -= _add_sparse(content, prediction, int(room * _SPARSE_SHARE))
    packed = None if cloud is None else _pack_points(prediction, cloud)
    if splats is not None:
        needed = 0 if packed is None else sum(text_size(one.data) for one in packed.values())
        room -= _add_splats(content, splats, room - min(needed, int(room * _POINT_SHARE)))
    if cloud is not None and packed is not None:
        _add_points(content, prediction, cloud, packed, room, options.seed)
    content.scene["left_out"] = content.left_out
    path = folder / FILE_NAME
    page = make_page(content.scene, content.blocks, facts)
    with atomic_write(path) as temporary:
        temporary.write_bytes(page)
    if content.left_out:
        warn(f"{FILE_NAME} holds {' '.join(content.left_out)} html.max_mb={options.max_mb:g} is the limit")
    counts = {name: (content.scene[name] or {"count": 0})["count"] for name in ("points", "splats", "mesh", "sparse")}
    details = {**counts, "bytes": len(page), "left_out": content.left_out, "units": prediction.units}
    return Exported((path,), details)


def describe(
    prediction: Prediction, cloud: PointCloud | None, splats: Gaussians | None, facts: Mapping[str, Any]
) -> dict[str, Any]:
    """What the page shows, before its data; `facts` are those of `recon.export.page_facts`.

    Views, each with `world_to_camera` (3×4, row by row), `intrinsics` (fx, fy, cx, cy) in pixels of `size`, and the
    median depth there; `up`, `centre` and `size` of the scene in its world.
    """
    assert prediction.extrinsics is not None
    assert prediction.intrinsics is not None
    views = [_view(prediction, view) for view in range(len(prediction.depth))]
    centres = invert_rigid(to_4x4(prediction.extrinsics.astype(np.float64)))[:, :3, 3]
    shown = cloud.points if cloud is not None else splats.means if splats is not None else centres
    low, centre, high = percentiles(np.ascontiguousarray(shown.T), [5, 50, 95])
    size = float(np.linalg.norm(high.astype(np.float64) - low)) or 1.0
    usable = prediction.depth[prediction.valid]
    usable = usable[:: max(len(usable) // 100_000, 1)]
    near, far = np.percentile(usable, [CLIPPED_PERCENT, 100 - CLIPPED_PERCENT]) if len(usable) else (1.0, 2.0)
    return {
        "title": f"recon: {len(views)} {'photo' if len(views) == 1 else 'photos'}",
        "unit": _UNITS[prediction.units],
        "up": estimate_up(prediction.extrinsics).tolist(),
        "centre": centre.astype(float).tolist(),
        "size": size,
        "disparities": [1 / float(far), 1 / float(min(near, far * 0.999))],
        "depth_colors": (DEPTH_COLORS[np.linspace(0, 255, 10).round().astype(int)] / 255).round(4).tolist(),
        "first": 0,
        "views": views,
        "facts": in_words(
            facts,
            None if cloud is None else len(cloud.points),
            None if cloud is None else cloud.conf_threshold,
        ),
        "points": None,
        "splats": None,
        "mesh": None,
        "sparse": None,
        "left_out": [],
    }


def estimate_up(world_to_camera: FloatArray) -> NDArray[np.float64]:
    """(3,) unit vector of the world that cameras (N, 3, 4) were held upright by.

    Photos are held level more often than they look level: the direction most nearly perpendicular to the x axes of all
    cameras. Where those are all alike, the mean of the cameras' own up.
    """
    rotations = world_to_camera[:, :, :3].astype(np.float64)
    right, up = rotations[:, 0], -rotations[:, 1].mean(axis=0)
    values, vectors = np.linalg.eigh(right.T @ right / len(right))  # ascending
    found = vectors[:, 0] if values[1] > 0.01 else up
    found = found * (1 if found @ up >= 0 else -1)
    norm = np.linalg.norm(found)
    result: NDArray[np.float64] = found / norm if norm > 1e-6 else np.array([0.0, -1.0, 0.0])
    return result


def _view(prediction: Prediction, view: int) -> dict[str, Any]:
    assert prediction.extrinsics is not None
    assert prediction.intrinsics is not None
    rows, columns = prediction.photo_area(view)
    k = prediction.intrinsics[view].astype(float)
    depth = prediction.depth[view][prediction.valid_or_filled[view]]
    return {
        "name": prediction.image_names[view] if prediction.image_names else f"view {view}",
        "world_to_camera": prediction.extrinsics[view].astype(float).ravel().tolist(),
        "intrinsics": [k[0, 0], k[1, 1], k[0, 2] - columns.start, k[1, 2] - rows.start],
        "size": [columns.stop - columns.start, rows.stop - rows.start],
        "distance": float(np.median(depth)) if len(depth) else 1.0,
        "photo": None,
        "depth": None,
        "depths": None,
    }


def _add_photos(content: _Content, prediction: Prediction, room: int) -> int:
    """Put in photos and depth of each view, smaller where they do not fit; returns the bytes taken."""
    views = len(prediction.depth)
    for shrink in (1, 2, 4, 8):
        pictures = [
            {
                "photo": _jpeg(prediction.processed_images[view][prediction.photo_area(view)], shrink),
                "depth": _jpeg(_depth_picture(prediction, view), shrink),
            }
            for view in range(views)
        ]
        taken = sum(text_size(data) for each in pictures for data in each.values())
        if taken <= room:
            break
    else:
        content.left_out.append("no photos.")
        return 0
    if shrink > 1:
        content.left_out.append(f"photos at 1/{shrink} of their size.")
    for view, each in enumerate(pictures):
        for kind, data in each.items():
            content.blocks[f"{kind}-{view}"] = data
            content.scene["views"][view][kind] = f"{kind}-{view}"
    return taken


def _add_depth(content: _Content, prediction: Prediction, room: int) -> int:
    """Put in depth in numbers of each view, fewer of them where they do not fit; returns the bytes taken."""
    step = depth_step(prediction)
    while True:
        depths = [pack_depth(prediction, view, step) for view in range(len(prediction.depth))]
        taken = sum(text_size(packed.data) for packed, _ in depths)
        if taken <= room:
            break
        if step >= max(prediction.depth.shape[1:]):
            return 0
        step *= 2
    for view, (packed, grid) in enumerate(depths):
        content.scene["views"][view]["depths"] = content.add({str(view): packed}, "depths")[str(view)] | grid
    return taken


def _add_mesh(content: _Content, prediction: Prediction, options: HtmlOptions, room: int) -> int:
    """Put in a mesh of the depth, where there is one; returns the bytes taken."""
    packed = page_mesh(prediction, options, room)
    if packed is None:
        return 0
    content.scene["mesh"] = {"count": packed["face"].count, "blocks": content.add(packed, "mesh")}
    return layer_size(packed)


def _add_sparse(content: _Content, prediction: Prediction, room: int) -> int:
    """Put in the sparse points, where there are any; returns the bytes taken."""
    if prediction.sparse is None or not len(prediction.sparse):
        return 0
    packed = pack_sparse(prediction.sparse, sparse_colors(prediction))
    if layer_size(packed) > room:
        content.left_out.append("no sparse points.")
        return 0
    content.scene["sparse"] = {"count": len(prediction.sparse), "blocks": content.add(packed, "sparse")}
    return layer_size(packed)


def _depth_picture(prediction: Prediction, view: int) -> NDArray[np.uint8]:
    area = view, *prediction.photo_area(view)
    colored = color_depth(prediction.depth[area], prediction.valid_or_filled[area])
    if prediction.sky is not None:
        colored[prediction.sky[area]] = SKY_COLOR
    return colored


def _jpeg(pixels: NDArray[np.uint8], shrink: int) -> bytes:
    from PIL import Image

    image = Image.fromarray(pixels)
    if shrink > 1:
        image = image.reduce(shrink)
    encoded = io.BytesIO()
    image.save(encoded, format="JPEG", quality=_PHOTO_QUALITY)
    return encoded.getvalue()


def _add_splats(content: _Content, splats: Gaussians, room: int) -> int:
    """Put in splats, with spherical harmonics as far as they fit, then the most visible ones; returns bytes taken."""
    packed = pack_splats(splats)
    count, degree = len(splats), splats.sh_degree
    while _size(packed) > room:
        if packed.degree > 0:
            packed = packed.lowered(packed.degree - 1)
            continue
        kept = max(int(len(splats) * 0.97 * room / _size(packed)), 1)
        if kept == len(splats) or len(splats) == 1:
            break
        splats = _most_visible(splats, kept)
        packed = pack_splats(splats).lowered(0)
    if packed.degree < degree:
        content.left_out.append(f"spherical harmonics of degree {packed.degree} instead of {degree}.")
    if len(splats) < count:
        content.left_out.append(f"{len(splats):,} of {count:,} splats.")
    blocks = content.add(packed.blocks, "splats")
    content.scene["splats"] = {
        "count": len(splats),
        "degree": packed.degree,
        "limits": packed.limits,
        "blocks": blocks,
    }
    return _size(packed)


def _size(packed: PackedSplats) -> int:
    return sum(text_size(one.data) for one in packed.blocks.values())


def _most_visible(splats: Gaussians, count: int) -> Gaussians:
    """Those of the largest opacity times area, in their order, and of degree 0."""
    sides = np.sort(splats.scales, axis=1)[:, 1:].astype(np.float64)
    weight = splats.opacities * sides[:, 0] * sides[:, 1]
    kept = np.sort(np.argpartition(-weight, count - 1)[:count])
    return Gaussians(
        splats.means[kept],
        splats.scales[kept],
        splats.rotations[kept],
        splats.harmonics[kept][:, :, :1],
        splats.opacities[kept],
    )


def _points(prediction: Prediction, options: HtmlOptions) -> PointCloud | None:
    """The points to show; None where there are none beside the splats."""
    try:
        return select_points(prediction, options)
    except InputError:
        if prediction.gaussians is None:
            raise
        return None


def _pack_points(prediction: Prediction, cloud: PointCloud) -> dict[str, Packed]:
    """15 bytes each, before compression: position, colour, view, and rank of the confidence."""
    pixels = prediction.depth.shape[1] * prediction.depth.shape[2]
    packed = {
        "position": quantise(cloud.points, 24),
        "color": quantise(cloud.colors, 8, 0, 255),
        "view": quantise((cloud.pixels // pixels)[:, None], 16, 0, 65535),
    }
    if prediction.conf is not None:
        conf = prediction.conf.reshape(-1)[cloud.pixels]
        ranks = np.searchsorted(np.sort(conf), conf) / len(conf)
        packed["confidence"] = quantise(np.floor(ranks[:, None] * 255), 8, 0, 255)
    return packed


def _add_points(
    content: _Content, prediction: Prediction, cloud: PointCloud, packed: dict[str, Packed], room: int, seed: int
) -> None:
    """Put in the points, as many as fit."""
    all_points = len(cloud.points)
    size = sum(text_size(one.data) for one in packed.values())
    while size > room and len(cloud.points) > 1:
        kept = max(int(len(cloud.points) * 0.97 * max(room, 0) / size), 1)
        chosen = np.sort(np.random.default_rng(seed).permutation(len(cloud.points))[:kept])
        cloud = PointCloud(cloud.points[chosen], cloud.colors[chosen], cloud.pixels[chosen], cloud.conf_threshold)
        packed = _pack_points(prediction, cloud)
        size = sum(text_size(one.data) for one in packed.values())
    if len(cloud.points) < all_points:
        content.left_out.append(f"{len(cloud.points):,} of {all_points:,} points.")
    levels = None
    if prediction.conf is not None:
        conf = np.sort(prediction.conf.reshape(-1)[cloud.pixels]).astype(float)
        levels = conf[np.linspace(0, len(conf) - 1, 256).astype(int)].round(6).tolist()
    content.scene["points"] = {
        "count": len(cloud.points),
        "confidence_levels": levels,
        "blocks": content.add(packed, "points"),
    }


HTML = Exporter("html", HtmlOptions, write, (FILE_NAME,), Needs(cameras=True), check)
