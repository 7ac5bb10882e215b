"""The light of surfaces and sky, compiled: what the two loops need that Python calls.

`bake_samples` gathers the indirect light of surfaces, `render_rows` takes the picture.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from recon.geometry.compiled import compiled

from .intersection import FAR, Hit, cast, surface
from .noise import octaves, smooth_step, uniform
from .scene_arrays import BOX, CYLINDER, MESH, SPHERE, SceneArrays
from .texture_kernels import texture
from .vectors import (
    Vector,
    across,
    along,
    dot,
    inner,
    minus,
    mix,
    row,
    scaled,
    turned,
    turned_back,
    unit,
    weighted,
)

_ABOVE = 1e-5
"""Metres by which rays that leave a surface start above it."""
_ABOVE_MESH = 2e-3
"""The same for triangles, which lie below the round surface that their normals tell of: their shadows on each other
would be jagged."""
_GOLDEN_ANGLE = 2.399963229728653


@inner
def _sky_color(scene: SceneArrays, direction: Vector, with_clouds: bool) -> Vector:
    """Linear RGB in a unit direction."""
    sky = scene.sky
    zenith, horizon, ground = (sky[0], sky[1], sky[2]), (sky[3], sky[4], sky[5]), (sky[7], sky[8], sky[9])
    up = direction[2]
    color = mix(horizon, zenith, max(up, 0.0) ** 0.45)
    if with_clouds and sky[10] > 0 and up > 0:
        spread = 1 / (up + 0.18)
        cloud = octaves((direction[0] * spread, direction[1] * spread, 0.0), scene.seed + 900, 1.6, 5, 0.5, 0.004)
        cover = sky[10] * smooth_step(0.0, 0.6, cloud) * smooth_step(0.0, 0.25, up)
        color = mix(color, (0.95, 0.95, 0.96), cover)
    return mix(color, ground, smooth_step(0.0, 0.1, -up))


@inner
def _lamp_light(
    scene: SceneArrays,
    point: Vector,
    normal: Vector,
    turn: float,
    index: int,
    count: int,
    rays: int,
    stack: NDArray[np.int64],
) -> float:
    """What the lamp does for a point just above a surface, relative to the lamp's colour.

    The `rays` go to places on its disc that samples 0…count, of which this is `index`, share out between them.
    """
    lamp = scene.lamp
    is_sun = lamp[7] == 1
    towards = (lamp[0], lamp[1], lamp[2])
    if not is_sun:
        towards = minus(towards, point)
    distance = 1.0 if is_sun else math.sqrt(dot(towards, towards))
    towards = unit(towards)
    cosine = dot(normal, towards)
    if cosine <= 0:
        return 0.0
    first, second = across(towards)
    reach = FAR if is_sun else distance
    unblocked = 0
    for k in range(rays):
        # A sunflower over the disc: even for any number of places.
        place = k * count + index
        angle = turn + _GOLDEN_ANGLE * place
        radius = lamp[3] / distance * math.sqrt((place + 0.5) / (count * rays))
        ray = along(along(towards, radius * math.cos(angle), first), radius * math.sin(angle), second)
        unblocked += cast(scene, point, ray, reach, True, stack)[1] < 0
    return cosine * unblocked / rays / (distance * distance)


@inner
def _indirect_light(scene: SceneArrays, hit: Hit, local: Vector, normal: Vector) -> Vector:
    """Linear RGB of the indirect light at a point with a normal, both in the frame of the shape. Numbers the faces.

    Boxes: -x, +x, -y, +y, -z, +z. Cylinders: side, bottom, top. Spheres and rectangles have face 0 alone.
    """
    _, p, triangle, weights = hit
    if scene.kinds[p] == MESH:
        corners = scene.light_corners[triangle]
        return weighted(scene.light, (corners[0], corners[1], corners[2]), weights)
    kind, size = scene.kinds[p], row(scene.sizes, p)
    x, y, z = local[0] / size[0], local[1] / size[0], 0.0
    face, wraps = 0, False
    if kind != SPHERE:
        y = local[1] / size[1]
    if kind == BOX:
        z = local[2] / size[2]
        if abs(normal[0]) > 0.5:
            face, x, y = (1 if normal[0] > 0 else 0), y, z
        elif abs(normal[1]) > 0.5:
            face, y = (3 if normal[1] > 0 else 2), z
        else:
            face = 5 if normal[2] > 0 else 4
    elif kind == CYLINDER and abs(normal[2]) > 0.5:
        face, y = (2 if normal[2] > 0 else 1), local[1] / size[0]
    elif kind in (CYLINDER, SPHERE):
        wraps = True
        x = math.atan2(local[1], local[0]) / math.pi
        y = local[2] / size[1] if kind == CYLINDER else 2 * math.acos(min(max(normal[2], -1.0), 1.0)) / math.pi - 1
    start = scene.light_starts[p]
    for i in range(face):
        start += scene.light_grids[p, i, 0] * scene.light_grids[p, i, 1]
    return _between_samples(scene, start, scene.light_grids[p, face], 0.5 + 0.5 * x, 0.5 + 0.5 * y, wraps)


@inner
def _between_samples(
    scene: SceneArrays, start: int, grid: NDArray[np.int64], u: float, v: float, wraps: bool
) -> Vector:
    """Bilinear interpolation at fractions u, v of a face whose samples begin at `start`."""
    columns, rows = grid[0], grid[1]
    x, y = u * columns - 0.5, min(max(v * rows - 0.5, 0.0), rows - 1.0)
    if not wraps:
        x = min(max(x, 0.0), columns - 1.0)
    x0, y0 = math.floor(x), math.floor(y)
    right, down = x - x0, y - y0
    x1, y1 = x0 + 1, min(y0 + 1, rows - 1)
    x0, x1 = (x0 % columns, x1 % columns) if wraps else (x0, min(x1, columns - 1))
    above, below = start + y0 * columns, start + y1 * columns
    light = scene.light
    return mix(
        mix(row(light, above + x0), row(light, above + x1), right),
        mix(row(light, below + x0), row(light, below + x1), right),
        down,
    )


@inner
def _reflected(albedo: Vector, scene: SceneArrays, from_lamp: float, indirect: Vector) -> Vector:
    lamp = scene.lamp
    return (
        albedo[0] * (from_lamp * lamp[4] + indirect[0]),
        albedo[1] * (from_lamp * lamp[5] + indirect[1]),
        albedo[2] * (from_lamp * lamp[6] + indirect[2]),
    )


@compiled()
def bake_samples(
    scene: SceneArrays,
    points: NDArray[np.float64],
    normals: NDArray[np.float64],
    rays: int,
    first: int,
    last: int,
    out: NDArray[np.float32],
) -> None:
    """Indirect light at samples first…last.

    Rays leave by the cosine law; what they meet sends back its albedo's share of the lamp's light and of the indirect
    light known so far.

    Args:
        scene: with `light` as known so far.
        points, normals: (L, 3) in the world.
        rays: per sample.
        first, last: the samples to fill.
        out: (L, 3) linear RGB.
    """
    stack = np.empty(128, np.int64)
    for i in range(first, last):
        normal = row(normals, i)
        point = along(row(points, i), 1e-4, normal)
        x_axis, y_axis = across(normal)
        turn = uniform(i, 0, 0, scene.seed)
        total = (0.0, 0.0, 0.0)
        for k in range(rays):
            sine, cosine = math.sqrt((k + 0.5) / rays), math.sqrt(1 - (k + 0.5) / rays)
            angle = 2 * math.pi * turn + _GOLDEN_ANGLE * k
            ray = along(scaled(sine * math.cos(angle), x_axis), sine * math.sin(angle), y_axis)
            ray = along(ray, cosine, normal)
            hit = cast(scene, point, ray, FAR, False, stack)
            if hit[1] < 0:
                total = along(total, scene.sky[6], _sky_color(scene, ray, False))
                continue
            met = along(point, hit[0], ray)
            local, local_normal, _, _ = surface(scene, hit, met)
            met_normal = turned_back(scene.to_local[hit[1]], local_normal)
            if dot(met_normal, ray) >= 0:
                continue  # the inside of a solid is dark
            above = along(met, _ABOVE, met_normal)
            from_lamp = _lamp_light(scene, above, met_normal, 2 * math.pi * turn, k, rays, 1, stack)
            indirect = _indirect_light(scene, hit, local, local_normal)
            total = along(total, 1.0, _reflected(row(scene.albedo, hit[1]), scene, from_lamp, indirect))
        out[i, 0], out[i, 1], out[i, 2] = total[0] / rays, total[1] / rays, total[2] / rays


@inner
def _surface_color(
    scene: SceneArrays,
    hit: Hit,
    point: Vector,
    ray: Vector,
    footprint: float,
    turn: float,
    index: int,
    count: int,
    shadow_rays: int,
    stack: NDArray[np.int64],
) -> Vector:
    """Linear RGB that a world point sends everywhere, seen by sample `index` of the `count` of a pixel."""
    p = hit[1]
    local, local_normal, u, v = surface(scene, hit, point)
    values = scene.texture_values[p]
    albedo = texture(scene.patterns[p], scene.colors[p], values[0], values[1], int(values[2]), local, u, v, footprint)
    normal = turned_back(scene.to_local[p], local_normal)
    if dot(normal, ray) > 0:
        normal = scaled(-1.0, normal)
    above = along(point, _ABOVE_MESH if scene.kinds[p] == MESH else _ABOVE, normal)
    from_lamp = _lamp_light(scene, above, normal, turn, index, count, shadow_rays, stack)
    return _reflected(albedo, scene, from_lamp, _indirect_light(scene, hit, local, local_normal))


@compiled()
def render_rows(
    scene: SceneArrays,
    pixel_to_ray: NDArray[np.float64],
    centre: NDArray[np.float64],
    jitter: NDArray[np.float64],
    shadow_rays: int,
    pixel_angle: float,
    view_seed: int,
    first: int,
    last: int,
    color: NDArray[np.float32],
    depth: NDArray[np.float32],
    object_ids: NDArray[np.int32],
) -> None:
    """Fill rows first…last of one view.

    Args:
        scene: with its indirect light.
        pixel_to_ray: (3, 3) from (x, y, 1) to world directions of unit z in the camera.
        centre: (1, 3) of the camera in the world.
        jitter: (S, 2) sample positions in a pixel, 0…1.
        shadow_rays: per sample.
        pixel_angle: metres that a pixel covers at depth 1.
        view_seed: turns the pattern of shadow rays.
        first, last: the rows to fill.
        color: (H, W, 3) out, linear.
        depth: (H, W) out, of the pixel centres; 0 where nothing is hit.
        object_ids: (H, W) out, of the pixel centres; 0 where nothing is hit.
    """
    stack = np.empty(128, np.int64)
    origin, count = row(centre, 0), len(jitter)
    for y in range(first, last):
        for x in range(depth.shape[1]):
            turn = 2 * math.pi * uniform(x, y, view_seed, 77)
            total = (0.0, 0.0, 0.0)
            for s in range(-1, count):  # the pixel centre for depth, then samples for colour
                pixel = (x + 0.5, y + 0.5, 1.0) if s < 0 else (x + jitter[s, 0], y + jitter[s, 1], 1.0)
                ray = turned(pixel_to_ray, pixel)
                hit = cast(scene, origin, ray, FAR, False, stack)
                if s < 0:
                    depth[y, x] = hit[0] if hit[1] >= 0 else 0.0
                    object_ids[y, x] = scene.object_ids[hit[1]] if hit[1] >= 0 else 0
                elif hit[1] < 0:
                    total = along(total, 1.0, _sky_color(scene, unit(ray), True))
                else:
                    point, footprint = along(origin, hit[0], ray), pixel_angle * hit[0]
                    seen = _surface_color(scene, hit, point, ray, footprint, turn, s, count, shadow_rays, stack)
                    total = along(total, 1.0, seen)
            color[y, x, 0], color[y, x, 1], color[y, x, 2] = total[0] / count, total[1] / count, total[2] / count
