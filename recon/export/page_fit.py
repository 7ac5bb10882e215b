"""A page with everything inside, of a bounded size: what does not fit is left out, and said."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recon.export.packing import Packed, PackedSplats, pack_splats
from recon.export.page_content import PageContent, PageView, describe
from recon.export.page_file import make_page, page_size, text_size
from recon.export.page_layers import depth_step, layer_size
from recon.export.page_points import PointPacking
from recon.types import Gaussians

_PHOTO_SHARE = 0.3
"""Of the size, at most this is for photos and their depth."""
_DEPTH_SHARE = 0.05
"""Likewise for depth in numbers, of what the photos leave."""
_POINT_SHARE = 0.25
"""At least this is for points, of what photos and layers leave, where there are splats as well."""
_PHOTO_QUALITY = 85


@dataclass(frozen=True)
class FittedPage:
    """The file, and what is in it."""

    page: bytes
    counts: dict[str, int]
    """Of points, splats, the mesh's triangles and sparse points."""
    left_out: list[str]
    """Sentences."""


@dataclass
class _Blocks:
    """What goes into the file."""

    scene: dict[str, Any]
    blocks: dict[str, bytes] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)

    def add(self, packed: Mapping[str, Packed], of: str) -> dict[str, Any]:
        """Take in quantised arrays; returns what the page needs to read them."""
        self.blocks |= {f"{of}-{name}": one.data for name, one in packed.items()}
        return {name: one.described(f"{of}-{name}") for name, one in packed.items()}


def fitted_page(content: PageContent, most_bytes: int, seed: int = 0) -> FittedPage:
    """The page of at most that many bytes; `seed` draws the points where not all fit."""
    into = _Blocks(describe(content))
    room = most_bytes - page_size() - len(str(into.scene)) - len(str(content.facts)) - 20_000
    room -= _add_photos(into, content.views, int(room * _PHOTO_SHARE))
    room -= _add_depths(into, content.views, int(room * _DEPTH_SHARE))
    for name, layer in content.layers.items():
        packed_layer = layer.make(int(room * layer.share))
        if packed_layer is not None:
            count = packed_layer[layer.counted].count
            into.scene[name] = {"count": count, "blocks": into.add(packed_layer, name)}
            room -= layer_size(packed_layer)
        elif layer.missed is not None:
            into.left_out.append(layer.missed)
    packing = None if content.points is None else PointPacking(content.points)
    packed = None if packing is None else packing.all_packed()
    if content.splats is not None:
        needed = 0 if packed is None else layer_size(packed)
        room -= _add_splats(into, content.splats, room - min(needed, int(room * _POINT_SHARE)))
    if packing is not None and packed is not None:
        _add_points(into, packing, packed, room, seed)
    into.scene["left_out"] = into.left_out
    counts = {name: (into.scene[name] or {"count": 0})["count"] for name in ("points", "splats", "mesh", "sparse")}
    return FittedPage(make_page(into.scene, into.blocks, content.facts), counts, into.left_out)


def _add_photos(into: _Blocks, views: tuple[PageView, ...], room: int) -> int:
    """Put in pictures of each view, smaller where they do not fit; returns the bytes taken."""
    for shrink in (1, 2, 4, 8):
        pictures = [{name: jpeg(pixels(), shrink) for name, pixels in view.pictures.items()} for view in views]
        taken = sum(text_size(data) for each in pictures for data in each.values())
        if taken <= room:
            break
    else:
        into.left_out.append("no photos.")
        return 0
    if shrink > 1:
        into.left_out.append(f"photos at 1/{shrink} of their size.")
    for view, each in enumerate(pictures):
        for kind, data in each.items():
            into.blocks[f"{kind}-{view}"] = data
            into.scene["views"][view][kind] = f"{kind}-{view}"
    return taken


def _add_depths(into: _Blocks, views: tuple[PageView, ...], room: int) -> int:
    """Put in depth in numbers of each view, fewer of them where they do not fit; returns the bytes taken."""
    step = max((depth_step(view.size) for view in views), default=1)
    largest = max((max(view.size) for view in views), default=1)
    while step <= 2 * largest:
        depths = {number: view.depths(step) for number, view in enumerate(views) if view.depths is not None}
        taken = sum(text_size(packed.data) for packed, _ in depths.values())
        if taken <= room:
            for number, (packed, grid) in depths.items():
                described = into.add({str(number): packed}, "depths")[str(number)]
                into.scene["views"][number]["depths"] = described | grid
            return taken
        step *= 2
    return 0


def jpeg(pixels: NDArray[np.uint8], shrink: int = 1) -> bytes:
    """(H, W, 3) RGB, a `shrink`-th of its size, as a file."""
    from PIL import Image

    image = Image.fromarray(pixels)
    if shrink > 1:
        image = image.reduce(shrink)
    encoded = io.BytesIO()
    image.save(encoded, format="JPEG", quality=_PHOTO_QUALITY)
    return encoded.getvalue()


def _add_splats(into: _Blocks, splats: Gaussians, room: int) -> int:
    """Put in splats, with spherical harmonics as far as they fit, then the most visible ones; returns bytes taken."""
    packed = pack_splats(splats)
    count, degree = len(splats), splats.sh_degree
    while _size(packed) > room:
        if packed.degree > 0:
            packed = packed.lowered(packed.degree - 1)
            continue
        kept = max(int(len(splats) * 0.97 * room / _size(packed)), 1)
        if kept >= len(splats):
            break
        splats = plain(some(splats, most_visible(splats, kept)))
        packed = pack_splats(splats)
    if packed.degree < degree:
        into.left_out.append(f"spherical harmonics of degree {packed.degree} instead of {degree}.")
    if len(splats) < count:
        into.left_out.append(f"{len(splats):,} of {count:,} splats.")
    into.scene["splats"] = {
        "count": len(splats),
        "degree": packed.degree,
        "limits": packed.limits,
        "blocks": into.add(packed.blocks, "splats"),
    }
    return _size(packed)


def _size(packed: PackedSplats) -> int:
    return layer_size(packed.blocks)


def most_visible(splats: Gaussians, count: int) -> NDArray[np.intp]:
    """Ascending indices of the `count` Gaussians of the largest opacity times area."""
    sides = np.sort(splats.scales, axis=1)[:, 1:].astype(np.float64)
    weight = splats.opacities * sides[:, 0] * sides[:, 1]
    return np.sort(np.argpartition(-weight, count - 1)[:count])


def some(splats: Gaussians, rows: NDArray[np.intp]) -> Gaussians:
    """Those of these indices."""
    return Gaussians(
        splats.means[rows], splats.scales[rows], splats.rotations[rows], splats.harmonics[rows], splats.opacities[rows]
    )


def plain(splats: Gaussians) -> Gaussians:
    """With one colour from everywhere."""
    return Gaussians(splats.means, splats.scales, splats.rotations, splats.harmonics[:, :, :1], splats.opacities)


def _add_points(into: _Blocks, packing: PointPacking, packed: dict[str, Packed], room: int, seed: int) -> None:
    """Put in the points, as many as fit."""
    count = all_points = packed["position"].count
    order = None
    size = layer_size(packed)
    while size > room and count > 1:
        count = max(int(count * 0.97 * max(room, 0) / size), 1)
        order = np.random.default_rng(seed).permutation(all_points) if order is None else order
        packed = packing.all_packed(np.sort(order[:count]))
        size = layer_size(packed)
    if count < all_points:
        into.left_out.append(f"{count:,} of {all_points:,} points.")
    into.scene["points"] = {
        "count": count,
        "confidence_levels": packing.levels,
        "blocks": into.add(packed, "points"),
    }
