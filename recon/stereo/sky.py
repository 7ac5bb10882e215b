"""Sky in views whose depth was found: what has none, looks like sky, lies above, and nothing is seen in front of.

A plain wall has no depth either. Sky is told from it region by region: it goes up to the border of the picture and not
below the horizon, is blue, or so bright that nothing that has depth is like it, no surface beside it has its colour, no
view has found a surface where it would be, and views agree on where it is, as it has no parallax. Where one of these
speaks against it, a region is left as what is not known.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from recon.stereo.images import warp_between
from recon.stereo.photos import Photos
from recon.stereo.view_selection import ViewPlan
from recon.types.cameras import Cameras

Mask = NDArray[np.bool_]

_SIDE = 1008
"""Pixels of the longest side of a view as it is looked at: larger ones are made smaller."""
_BLUR = 1.0
"""Standard deviation in pixels of the blur before colours are compared."""
_STEP = 24
"""Most grey or colour levels between the darkest and the brightest of 3 × 3 pixels in the sky."""
_WARMER = 12
"""Levels by which red or green may exceed blue."""
_DARKEST = 70
"""Grey level: night is not looked for."""
_BLUE = 8
"""Mean levels by which blue exceeds red in a sky that is taken for blue."""
_WHITE, _CONTRAST = 230, 40
"""Least median grey level of an overcast sky, and by how much it exceeds that of what lies around it."""
_BRIGHTER_THAN = 0.98
"""Share of the pixels with depth that an overcast sky exceeds."""
_SMALLEST = 1 / 200
"""Share of the picture that a region has at least."""
_BELOW, _BELOW_SHARE = -3.0, 0.05
"""Degrees of elevation under which a pixel lies below the horizon, and the most of a region that may."""
_RIM = 3
"""Pixels around a region that are looked at."""
_ALIKE, _ALIKE_SHARE = 20, 0.15
"""Levels up to which a surface beside a region has its colour, and the most of the surfaces around that may."""
_LEAST_BESIDE, _LARGE = 0.02, 0.03
"""Least share of the pixels around a region that are known surfaces, or else of the picture that it covers."""
_GOING_ON, _GOING_ON_SHARE = 30, 0.25
"""Levels up to which what lies `_RIM` to twice as many pixels outside a region goes on with its colour, and the most
that may: sky ends at something else, while parts of a facade are parted by lines."""
_SAMPLED, _HIT_SHARE = 3, 0.1
"""Every so many pixels of other views are sent into a view; most of a region's inside that they may hit."""
_DISTANCE = 25
"""Levels from the sky around it up to which a pixel beside the sky belongs to it."""
_GROWN = 3
"""Pixels from smooth sky to its edge."""
_ENCLOSED = 0.02
"""Most of the picture that something in the sky may cover and be sky, too, such as a cloud that was matched."""
_DARKER = 20
"""Levels by which such a thing may be darker than the sky around it; clouds seldom are."""
_CHECKED, _UNKNOWN_SHARE = 4, 0.5
"""Every so many pixels of the sky are looked for in other views; most that may be neither sky nor surface there."""


def find_sky(
    photos: Photos, inverse_depth: NDArray[np.float32], cameras: Cameras, plans: Sequence[ViewPlan | None]
) -> Mask:
    """Where (N, H, W) views show the sky; `inverse_depth` (N, H, W), 0 where unknown, is 0 there afterwards.

    Args:
        photos: the views.
        inverse_depth: of what the views have found and others confirm.
        cameras: complete, in pixels of the photos.
        plans: of the views; those without one get no sky.
    """
    assert cameras.world_to_camera is not None
    sky = np.zeros(inverse_depth.shape, np.bool_)
    up = _up(cameras.world_to_camera)
    for view, plan in enumerate(plans):
        own = photos.own(view)
        if plan is None or not (inverse_depth[own] <= 0).any():
            continue
        smaller = max(1, -(-int(photos.sizes[view].max()) // _SIDE))
        rows, columns = (
            np.minimum(np.arange(-(-side // smaller)) * smaller + smaller // 2, side - 1)
            for side in photos.sizes[view].tolist()[::-1]
        )
        grid = np.ix_(rows, columns)
        image, wanted = np.ascontiguousarray(photos.images[own]), photos.wanted(view)
        if smaller > 1:
            image = cv2.resize(image, (len(columns), len(rows)), interpolation=cv2.INTER_AREA).astype(np.uint8)
        seen = _in_view(
            image,
            inverse_depth[own][grid],
            None if wanted is None else wanted[grid],
            _elevation(cameras, view, up, rows, columns),
            _hits(view, photos, inverse_depth, cameras, plan, smaller),
        )
        sky[own] = seen if smaller == 1 else _enlarged(seen, smaller, inverse_depth[own])
    found = sky.copy()
    for view, plan in enumerate(plans):
        if (
            plan is not None
            and found[view].any()
            and not _others_agree(view, photos, found, inverse_depth, cameras, plan)
        ):
            sky[view] = False
    inverse_depth[sky] = 0
    return sky


def _up(world_to_camera: NDArray[np.float64]) -> NDArray[np.float64]:
    """Direction (3,) in the world that is up in the pictures on the whole; pictures are upright."""
    up = -world_to_camera[:, 1, :3].sum(axis=0)
    return np.asarray(up / max(float(np.linalg.norm(up)), 1e-12))


def _enlarged(sky: Mask, factor: int, inverse_depth: NDArray[np.float32]) -> Mask:
    """Sky of a view made smaller, for the view (h, w) itself; at its edges only where there is no depth."""
    height, width = inverse_depth.shape
    inner = cv2.erode(sky.astype(np.uint8), np.ones((3, 3), np.uint8), borderValue=1)
    sure = 2 * np.repeat(np.repeat(inner, factor, axis=0), factor, axis=1)[:height, :width]
    whole = np.repeat(np.repeat(sky, factor, axis=0), factor, axis=1)[:height, :width]
    return np.asarray((sure > 0) | (whole & (inverse_depth <= 0)))


def _elevation(
    cameras: Cameras, view: int, up: NDArray[np.float64], rows: NDArray[np.intp], columns: NDArray[np.intp]
) -> NDArray[np.float32]:
    """Degrees (h, w) above the horizon of the rays of pixels at these rows and columns."""
    assert cameras.world_to_camera is not None
    assert cameras.intrinsics is not None
    to_up = cameras.world_to_camera[view, :3, :3] @ up  # in the camera's frame
    inverse = np.linalg.inv(cameras.intrinsics[view])
    x, y = columns + 0.5, (rows + 0.5)[:, None]
    rays = [inverse[k, 0] * x + inverse[k, 1] * y + inverse[k, 2] for k in range(3)]
    length = np.sqrt(rays[0] ** 2 + rays[1] ** 2 + rays[2] ** 2)
    along = (rays[0] * to_up[0] + rays[1] * to_up[1] + rays[2] * to_up[2]) / length
    return np.degrees(np.arcsin(np.clip(along, -1, 1))).astype(np.float32)


def _hits(
    view: int, photos: Photos, inverse_depth: NDArray[np.float32], cameras: Cameras, plan: ViewPlan, smaller: int
) -> Mask:
    """Pixels (h, w) of a view made `smaller` where surfaces lie that its checking views have found."""
    width, height = photos.sizes[view].tolist()
    hit = np.zeros((-(-height // smaller), -(-width // smaller)), np.bool_)
    step = _SAMPLED * smaller
    for other in plan.checking_views.tolist():
        rows, columns = (step * part for part in np.nonzero(inverse_depth[other, ::step, ::step] > 0))
        to_view = warp_between(cameras, other, np.array([view]))
        pixels = np.stack([columns, rows, np.ones_like(rows)]).astype(np.float64)
        u, v, z = to_view.matrix[0] @ pixels + to_view.shift[0][:, None] * inverse_depth[other, rows, columns]
        ahead = z > 0
        u, v = u[ahead] / z[ahead], v[ahead] / z[ahead]
        inside = (u >= 0) & (v >= 0) & (u < width) & (v < height)
        hit[(v[inside] / smaller).astype(np.intp), (u[inside] / smaller).astype(np.intp)] = True
    return _grown(hit, _SAMPLED // 2)


def _in_view(
    image: NDArray[np.uint8],
    inverse_depth: NDArray[np.float32],
    wanted: Mask | None,
    elevation: NDArray[np.float32],
    hit: Mask,
) -> Mask:
    """Sky (h, w) of one view, as it alone tells."""
    height, width = inverse_depth.shape
    blurred = cv2.GaussianBlur(np.ascontiguousarray(image), (0, 0), _BLUR).astype(np.uint8, copy=False)
    grey = cv2.cvtColor(blurred, cv2.COLOR_RGB2GRAY).astype(np.uint8, copy=False)
    red, green, blue = (blurred[..., k].astype(np.int16) for k in range(3))
    like_sky = (blue >= red - _WARMER) & (blue >= green - _WARMER) & (grey >= _DARKEST)
    known = inverse_depth > 0
    open_ = like_sky & ~known if wanted is None else like_sky & ~known & wanted
    block = np.ones((3, 3), np.uint8)
    smooth = (cv2.dilate(blurred, block) - cv2.erode(blurred, block)).max(axis=2) <= _STEP
    count, labels, statistics, _ = cv2.connectedComponentsWithStats((open_ & smooth).astype(np.uint8))
    bright = float(np.quantile(grey[known], _BRIGHTER_THAN)) if known.any() else 255.0
    border = np.zeros((height, width), np.bool_)
    border[[0, -1]] = border[:, [0, -1]] = True
    border &= elevation >= np.median(elevation)
    sky = np.zeros((height, width), np.bool_)
    for label in range(1, count):
        left, top, wide, high, area = statistics[label].tolist()
        if area < max(30, _SMALLEST * height * width):
            continue
        margin = 2 * _RIM + 1
        box = (
            slice(max(top - margin, 0), top + high + margin),
            slice(max(left - margin, 0), left + wide + margin),
        )
        region = labels[box] == label
        if not (region & border[box]).any() or (elevation[box][region] < _BELOW).mean() > _BELOW_SHARE:
            continue
        around = _grown(region, _RIM) & ~region & _outside(region)
        if not _coloured_as_sky(region, around, red[box], blue[box], grey[box], bright):
            continue
        beside = around & known[box]
        off = np.abs(blurred[box].astype(np.int16) - _mean_around(blurred[box], region)).max(axis=2)
        alike = (off[beside] <= _ALIKE).mean() if beside.any() else 0.0
        inner = cv2.erode(region.astype(np.uint8), np.ones((2 * _RIM + 1,) * 2, np.uint8), borderValue=1) > 0
        hit_share = hit[box][inner].mean() if inner.any() else 1.0
        if alike > _ALIKE_SHARE or hit_share > _HIT_SHARE or _goes_on(region, blurred[box]):
            continue
        if beside.sum() >= _LEAST_BESIDE * around.sum() or area >= _LARGE * height * width:
            sky[box] |= region
    return _whole(sky, open_, known, like_sky, blurred) if sky.any() else sky


def _coloured_as_sky(
    region: Mask,
    around: Mask,
    red: NDArray[np.int16],
    blue: NDArray[np.int16],
    grey: NDArray[np.uint8],
    bright: float,
) -> bool:
    """Whether a region is blue, or white as an overcast sky beside which everything is dark."""
    if float((blue[region] - red[region]).mean()) >= _BLUE:
        return True
    level = float(np.median(grey[region]))
    if level < max(_WHITE, bright) or not around.any():
        return False
    return level - float(np.median(grey[around])) >= _CONTRAST


def _outside(region: Mask) -> Mask:
    """What is not enclosed by a region: of what it encloses, some may be clouds that were matched."""
    open_ = np.pad((~region).astype(np.uint8), 1, constant_values=1)
    _, labels = cv2.connectedComponents(open_, connectivity=4)
    return np.asarray(labels[1:-1, 1:-1] == labels[0, 0])


def _goes_on(region: Mask, blurred: NDArray[np.uint8]) -> bool:
    """Whether the picture looks like a region also beyond its edges."""
    ring = _grown(region, 2 * _RIM) & ~_grown(region, _RIM - 1)
    off = np.abs(blurred.astype(np.int16) - _mean_around(blurred, region, 2 * _RIM + 2)).max(axis=2)
    return bool(ring.any() and (off[ring] <= _GOING_ON).mean() > _GOING_ON_SHARE)


def _whole(sky: Mask, open_: Mask, known: Mask, like_sky: Mask, blurred: NDArray[np.uint8]) -> Mask:
    """The sky up to its edges, and with what it encloses and looks like it."""
    for _ in range(_GROWN):
        off = np.abs(blurred.astype(np.int16) - _mean_around(blurred, sky)).max(axis=2)
        sky = sky | (_grown(sky, 1) & open_ & (off <= _DISTANCE))
    count, labels, statistics, _ = cv2.connectedComponentsWithStats((~sky).astype(np.uint8), connectivity=4)
    height, width = sky.shape
    for label in range(1, count):
        left, top, wide, high, area = statistics[label].tolist()
        at_border = left == 0 or top == 0 or left + wide == width or top + high == height
        if at_border or area > _ENCLOSED * height * width:
            continue
        box = (slice(top - 1, top + high + 1), slice(left - 1, left + wide + 1))
        part = labels[box] == label
        rim = _grown(part, 1) & ~part
        off = blurred[box][part].mean(axis=0) - blurred[box][rim].mean(axis=0)
        if like_sky[box][part].mean() > 0.8 and off.min() > -_DARKER:
            sky[box] |= part
    return sky


def _grown(mask: Mask, pixels: int) -> Mask:
    return np.asarray(cv2.dilate(mask.astype(np.uint8), np.ones((2 * pixels + 1,) * 2, np.uint8)) > 0)


def _mean_around(image: NDArray[np.uint8], region: Mask, reach: int = _RIM + 1) -> NDArray[np.int16]:
    """(h, w, 3) mean colour of the pixels of a region within `reach` of each pixel; 0 where there are none."""
    side = (2 * reach + 1,) * 2
    share = cv2.boxFilter(region.astype(np.float32), -1, side, normalize=False)
    total = cv2.boxFilter(image.astype(np.float32) * region[..., None], -1, side, normalize=False)
    return (total / np.maximum(share, 1)[..., None]).astype(np.int16)


def _others_agree(
    view: int,
    photos: Photos,
    sky: Mask,
    inverse_depth: NDArray[np.float32],
    cameras: Cameras,
    plan: ViewPlan,
) -> bool:
    """Whether other views, where they look in the same directions, see the sky, or something that hides it."""
    rows, columns = (_CHECKED * part for part in np.nonzero(sky[view, ::_CHECKED, ::_CHECKED]))
    warp = warp_between(cameras, view, plan.checking_views)
    pixels = np.stack([columns, rows, np.ones_like(rows)]).astype(np.float64)
    seen = unknown = 0
    for other, matrix in zip(plan.checking_views.tolist(), warp.matrix, strict=True):
        width, height = photos.sizes[other].tolist()
        u, v, z = matrix @ pixels  # infinitely far away
        ahead = z > 0
        column, row = np.rint(u[ahead] / z[ahead]).astype(np.intp), np.rint(v[ahead] / z[ahead]).astype(np.intp)
        inside = (column >= 0) & (row >= 0) & (column < width) & (row < height)
        column, row = column[inside], row[inside]
        shown = sky[other, row, column] | (inverse_depth[other, row, column] > 0)
        if photos.masks is not None:
            shown |= ~photos.masks[other, row, column]
        seen += len(row)
        unknown += int((~shown).sum())
    return unknown <= _UNKNOWN_SHARE * seen
