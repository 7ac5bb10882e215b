"""A page whose data come in pieces from the server it comes from, the coarsest first.

Points are drawn at random into pieces that grow: the first shows the whole scene thinly, each further one fills it.
Splats come as the most visible ones, then all. Pieces are made when they are asked for, so that a server keeps one copy
of the data.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recon.export.packing import Bounds, SplatPacking
from recon.export.page_content import PageContent, describe
from recon.export.page_file import make_page
from recon.export.page_fit import jpeg, most_visible, some
from recon.export.page_layers import depth_step
from recon.export.page_points import PointPacking
from recon.types import Gaussians

MOST_POINTS = 20_000_000
"""In a browser, whose processes together take about 60 bytes for each."""
MOST_SPLATS = 2_000_000
"""Likewise, which takes about 200 bytes for each, and has to sort them."""
_MOST_LAYER_BYTES = 400_000_000
_FIRST_POINTS = 100_000
_FIRST_SPLATS = 60_000
"""In the first piece."""
_GROWTH = 4
"""Each piece of points is this many times the one before, up to the largest."""
_LARGEST_PIECE = 1_000_000
_LEVEL = 0
"""Of zlib: nothing is sent further than to this machine."""

Piece = Callable[[], bytes]


@dataclass(frozen=True)
class StreamedPage:
    """The page, and what it asks its server for."""

    page: bytes
    pieces: Mapping[str, Piece] = field(default_factory=dict)
    """By name: makes the bytes."""
    left_out: tuple[str, ...] = ()
    """Sentences."""


def streamed_page(
    content: PageContent, *, most_points: int = MOST_POINTS, most_splats: int = MOST_SPLATS, seed: int = 0
) -> StreamedPage:
    """The page of a content of any size. Of more points or splats than the limits it shows some, and says so."""
    scene = describe(content)
    pieces: dict[str, Piece] = {}
    left_out: list[str] = []
    for number, view in enumerate(content.views):
        for name, pixels in view.pictures.items():
            scene["views"][number][name] = f"{name}-{number}"
            pieces[f"{name}-{number}"] = partial(_picture, pixels)
        if view.depths is not None:
            packed, grid = view.depths(depth_step(view.size))
            scene["views"][number]["depths"] = packed.described(f"depths-{number}") | grid
            pieces[f"depths-{number}"] = partial(bytes, packed.data)
    for name, layer in content.layers.items():
        arrays = layer.make(_MOST_LAYER_BYTES)
        if arrays is None:
            left_out += [] if layer.missed is None else [layer.missed]
            continue
        scene[name] = {
            "count": arrays[layer.counted].count,
            "blocks": {key: one.described(f"{name}-{key}") for key, one in arrays.items()},
        }
        pieces |= {f"{name}-{key}": partial(bytes, one.data) for key, one in arrays.items()}
    if content.splats is not None and len(content.splats):
        scene["splats"] = _splats(content.splats, most_splats, pieces, left_out)
    if content.points is not None and len(content.points):
        order = np.random.default_rng(seed).permutation(len(content.points))[:most_points]
        if len(order) < len(content.points):
            left_out.append(f"{len(order):,} of {len(content.points):,} points.")
        packing = PointPacking(content.points)
        ends = _ends(len(order))
        rows = [np.sort(order[start:end]) for start, end in zip([0, *ends], ends, strict=False)]
        described = _in_pieces("points", packing.bounds, packing.packed, rows, pieces)
        scene["points"] = {"confidence_levels": packing.levels} | described
    scene["left_out"] = left_out
    return StreamedPage(make_page(scene, {}, content.facts, from_server=True), pieces, tuple(left_out))


def _splats(splats: Gaussians, most: int, pieces: dict[str, Piece], left_out: list[str]) -> dict[str, Any]:
    if len(splats) > most:
        left_out.append(f"{most:,} of {len(splats):,} splats, the most visible ones.")
        splats = some(splats, most_visible(splats, most))
    rows = [slice(0, len(splats))]
    if len(splats) > 2 * _FIRST_SPLATS:
        first = most_visible(splats, _FIRST_SPLATS)
        rest = np.ones(len(splats), bool)
        rest[first] = False
        splats = some(splats, np.concatenate([first, np.flatnonzero(rest)]))
        rows = [slice(0, _FIRST_SPLATS), slice(_FIRST_SPLATS, len(splats))]
    packing = SplatPacking(splats)
    described = _in_pieces("splats", packing.bounds, packing.packed, rows, pieces)
    return {"degree": splats.sh_degree, "limits": packing.limits} | described


def _in_pieces(
    of: str,
    bounds: Mapping[str, Bounds],
    packed: Callable[..., Any],
    rows: list[Any],
    pieces: dict[str, Piece],
) -> dict[str, Any]:
    """Note what makes each array of each piece; returns the pieces as the page reads them: the first, and more."""

    def make(name: str, chosen: NDArray[np.intp] | slice) -> bytes:
        data: bytes = packed(name, chosen, _LEVEL).data
        return data

    described = []
    for number, chosen in enumerate(rows):
        count = chosen.stop - chosen.start if isinstance(chosen, slice) else len(chosen)
        blocks = {name: one.described(f"{of}-{number}-{name}", count) for name, one in bounds.items()}
        pieces |= {f"{of}-{number}-{name}": partial(make, name, chosen) for name in bounds}
        described.append({"count": count, "blocks": blocks})
    return {
        "count": sum(one["count"] for one in described),
        "blocks": described[0]["blocks"],
        "more": described[1:],
    }


def _ends(count: int) -> list[int]:
    """Where pieces of `count` points end."""
    ends, size = [min(_FIRST_POINTS, count)], _FIRST_POINTS
    while ends[-1] < count:
        size = min(size * _GROWTH, _LARGEST_PIECE)
        ends.append(min(ends[-1] + size, count))
    return ends


def _picture(pixels: Callable[[], NDArray[np.uint8]]) -> bytes:
    return jpeg(pixels())
