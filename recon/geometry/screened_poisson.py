"""Screened Poisson problems on the pixels of a picture, with a weight for each pixel and for each pair of neighbours.

The minimum over u (H, W) of

    Σ_p data_p · (u_p − target_p)² + Σ_(p,q) smooth_pq · (u_p − u_q − step_pq)²

over pixels p and neighbours q to the right and below (Bhat et al., "Fourier analysis of the 2D screened Poisson
equation for gradient domain problems", ECCV 2008; here with weights). Solved by conjugate gradients, preconditioned
with one V-cycle of multigrid: aggregates of 2 × 2 pixels, red-black Gauss-Seidel in an order that keeps the cycle
symmetric (Tatebe, "The multigrid preconditioned conjugate gradient method", 1993).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from recon.geometry.compiled import FUSED, compiled

_COARSEST = 4
"""Pixels of the shorter side at which the hierarchy ends."""
_COARSEST_SWEEPS = 8
_MOST_STEPS = 40
_STIFFNESS = 0.5
"""Of the pairs of coarse pixels: twice as far apart, two fine pairs each, so half of their sum."""


def solve(
    data: NDArray[np.float32],
    target: NDArray[np.float32],
    right: NDArray[np.float32],
    down: NDArray[np.float32],
    step_right: NDArray[np.float32],
    step_down: NDArray[np.float32],
    start: NDArray[np.float32],
    tolerance: float = 1e-3,
) -> NDArray[np.float32]:
    """The minimum (H, W) of the energy above.

    Args:
        data: (H, W) weight of each pixel's target, 0 or more, some above; target: (H, W) finite where that is above 0.
        right, down: (H, W) weight of the pair of each pixel with the one to its right and below; the last column and
            row count as 0.
        step_right, step_down: (H, W) by how much the pixel is to exceed that neighbour.
        start: (H, W) where the search begins; the nearer, the faster.
        tolerance: of the error that is left, in the energy's norm, relative to that of zero or of the start.
    """
    height, width = data.shape
    levels = _sizes(height, width)
    offsets = np.cumsum([0, *(h * w for h, w in levels)])
    shapes = np.array(levels, np.int64)
    total = int(offsets[-1])
    diagonal, rights, downs = (np.zeros(total, np.float32) for _ in range(3))
    first = slice(0, height * width)
    rights[first], downs[first] = right.ravel(), down.ravel()
    rights[first].reshape(height, width)[:, -1] = 0
    downs[first].reshape(height, width)[-1] = 0
    screens = np.zeros(total, np.float32)
    screens[first] = data.ravel()
    solution = np.ascontiguousarray(start, np.float32).copy()
    target = np.where(data > 0, target, np.float32(0)).astype(np.float32)
    _solve(
        shapes, offsets, screens, rights, downs, diagonal, target, step_right, step_down, solution,
        np.float64(tolerance), _MOST_STEPS,
    )  # fmt: skip
    return solution


def _sizes(height: int, width: int) -> list[tuple[int, int]]:
    sizes = [(height, width)]
    while min(sizes[-1]) > _COARSEST:
        sizes.append((-(-sizes[-1][0] // 2), -(-sizes[-1][1] // 2)))
    return sizes


@compiled(fastmath=FUSED)
def _coarsen(screen: Any, right: Any, down: Any, screen2: Any, right2: Any, down2: Any) -> None:
    """Weights of 2 × 2 aggregates from those of pixels."""
    height, width = screen.shape
    screen2[:] = 0
    right2[:] = 0
    down2[:] = 0
    for y in range(height):
        for x in range(width):
            screen2[y // 2, x // 2] += screen[y, x]
            if x % 2 == 1 and x + 1 < width:
                right2[y // 2, x // 2] += np.float32(_STIFFNESS) * right[y, x]
            if y % 2 == 1 and y + 1 < height:
                down2[y // 2, x // 2] += np.float32(_STIFFNESS) * down[y, x]


@compiled(fastmath=FUSED)
def _set_diagonal(screen: Any, right: Any, down: Any, diagonal: Any) -> None:
    """1 over the diagonal of the matrix; 0 for a pixel that nothing holds."""
    height, width = screen.shape
    for y in range(height):
        for x in range(width):
            total = screen[y, x] + right[y, x] + down[y, x]
            if x > 0:
                total += right[y, x - 1]
            if y > 0:
                total += down[y - 1, x]
            diagonal[y, x] = np.float32(1) / total if total > 0 else np.float32(0)


@compiled(fastmath=FUSED)
def _sweep(u: Any, b: Any, inverse: Any, right: Any, down: Any, colour: Any) -> None:
    """Gauss-Seidel on the pixels of one colour of the chessboard, in place."""
    height, width = u.shape
    for y in range(height):
        for x in range((y + colour) % 2, width, 2):
            total = b[y, x]
            if x > 0:
                total += right[y, x - 1] * u[y, x - 1]
            if x + 1 < width:
                total += right[y, x] * u[y, x + 1]
            if y > 0:
                total += down[y - 1, x] * u[y - 1, x]
            if y + 1 < height:
                total += down[y, x] * u[y + 1, x]
            u[y, x] = total * inverse[y, x]


@compiled(fastmath=FUSED)
def _apply(u: Any, screen: Any, right: Any, down: Any, out: Any) -> None:
    """The matrix times u."""
    height, width = u.shape
    for y in range(height):
        for x in range(width):
            here = u[y, x]
            total = screen[y, x] * here
            if x > 0:
                total += right[y, x - 1] * (here - u[y, x - 1])
            if x + 1 < width:
                total += right[y, x] * (here - u[y, x + 1])
            if y > 0:
                total += down[y - 1, x] * (here - u[y - 1, x])
            if y + 1 < height:
                total += down[y, x] * (here - u[y + 1, x])
            out[y, x] = total


@compiled(fastmath=FUSED)
def _restrict_residual(u: Any, b: Any, screen: Any, right: Any, down: Any, out: Any) -> None:
    """Sums over aggregates of what b exceeds the matrix times u by."""
    height, width = u.shape
    out[:] = 0
    for y in range(height):
        for x in range(width):
            here = u[y, x]
            total = b[y, x] - screen[y, x] * here
            if x > 0:
                total -= right[y, x - 1] * (here - u[y, x - 1])
            if x + 1 < width:
                total -= right[y, x] * (here - u[y, x + 1])
            if y > 0:
                total -= down[y - 1, x] * (here - u[y - 1, x])
            if y + 1 < height:
                total -= down[y, x] * (here - u[y + 1, x])
            out[y // 2, x // 2] += total


@compiled(fastmath=FUSED)
def _add_coarse(u: Any, coarse: Any) -> None:
    height, width = u.shape
    for y in range(height):
        for x in range(width):
            u[y, x] += coarse[y // 2, x // 2]


@compiled(fastmath=FUSED)
def _v_cycle(
    shapes: Any, offsets: Any, screens: Any, rights: Any, downs: Any, inverses: Any, values: Any, sides: Any
) -> None:
    """Of all levels' `values`, set those of the first to about what solves for `sides` there; symmetric."""
    count = len(shapes)
    for level in range(count):
        h, w = shapes[level]
        at, end = offsets[level], offsets[level + 1]
        u = values[at:end].reshape(h, w)
        b = sides[at:end].reshape(h, w)
        right, down = rights[at:end].reshape(h, w), downs[at:end].reshape(h, w)
        inverse = inverses[at:end].reshape(h, w)
        u[:] = 0
        if level == count - 1:
            for _ in range(_COARSEST_SWEEPS):
                _sweep(u, b, inverse, right, down, 0)
                _sweep(u, b, inverse, right, down, 1)
            for _ in range(_COARSEST_SWEEPS):
                _sweep(u, b, inverse, right, down, 1)
                _sweep(u, b, inverse, right, down, 0)
            break
        _sweep(u, b, inverse, right, down, 0)
        _sweep(u, b, inverse, right, down, 1)
        h2, w2 = shapes[level + 1]
        coarse_side = sides[end : offsets[level + 2]].reshape(h2, w2)
        _restrict_residual(u, b, screens[at:end].reshape(h, w), right, down, coarse_side)
    for level in range(count - 2, -1, -1):
        h, w = shapes[level]
        at, end = offsets[level], offsets[level + 1]
        u = values[at:end].reshape(h, w)
        h2, w2 = shapes[level + 1]
        _add_coarse(u, values[end : offsets[level + 2]].reshape(h2, w2))
        b = sides[at:end].reshape(h, w)
        right, down = rights[at:end].reshape(h, w), downs[at:end].reshape(h, w)
        inverse = inverses[at:end].reshape(h, w)
        _sweep(u, b, inverse, right, down, 1)
        _sweep(u, b, inverse, right, down, 0)


@compiled(fastmath=FUSED)
def _dot(a: Any, b: Any) -> Any:
    total = 0.0
    for i in range(len(a)):
        total += a[i] * b[i]
    return total


@compiled(fastmath=FUSED)
def _right_side(screen: Any, right: Any, down: Any, target: Any, step_right: Any, step_down: Any, out: Any) -> None:
    height, width = screen.shape
    for y in range(height):
        for x in range(width):
            total = screen[y, x] * target[y, x]
            if x > 0:
                total -= right[y, x - 1] * step_right[y, x - 1]
            if x + 1 < width:
                total += right[y, x] * step_right[y, x]
            if y > 0:
                total -= down[y - 1, x] * step_down[y - 1, x]
            if y + 1 < height:
                total += down[y, x] * step_down[y, x]
            out[y, x] = total


@compiled(fastmath=FUSED)
def _solve(
    shapes: Any,
    offsets: Any,
    screens: Any,
    rights: Any,
    downs: Any,
    inverses: Any,
    target: Any,
    step_right: Any,
    step_down: Any,
    solution: Any,
    tolerance: Any,
    most_steps: Any,
) -> Any:
    """Preconditioned conjugate gradients; `solution` (H, W) is where they begin and end. Returns the steps taken."""
    count = len(shapes)
    for level in range(count):
        h, w = shapes[level]
        at, end = offsets[level], offsets[level + 1]
        screen = screens[at:end].reshape(h, w)
        right, down = rights[at:end].reshape(h, w), downs[at:end].reshape(h, w)
        _set_diagonal(screen, right, down, inverses[at:end].reshape(h, w))
        if level + 1 < count:
            h2, w2 = shapes[level + 1]
            end2 = offsets[level + 2]
            _coarsen(
                screen,
                right,
                down,
                screens[end:end2].reshape(h2, w2),
                rights[end:end2].reshape(h2, w2),
                downs[end:end2].reshape(h2, w2),
            )
    h, w = shapes[0]
    pixels = offsets[1]
    screen, right, down = screens[:pixels].reshape(h, w), rights[:pixels].reshape(h, w), downs[:pixels].reshape(h, w)
    values, sides = np.zeros(offsets[-1], np.float32), np.zeros(offsets[-1], np.float32)
    b = np.empty((h, w), np.float32)
    _right_side(screen, right, down, target, step_right, step_down, b)
    product = np.empty((h, w), np.float32)
    u = solution.reshape(-1)

    sides[:pixels] = b.reshape(-1)
    _v_cycle(shapes, offsets, screens, rights, downs, inverses, values, sides)
    of_zero = _dot(b.reshape(-1), values[:pixels])
    _apply(solution, screen, right, down, product)
    residual = b.reshape(-1) - product.reshape(-1)
    sides[:pixels] = residual
    _v_cycle(shapes, offsets, screens, rights, downs, inverses, values, sides)
    direction = values[:pixels].copy()
    energy = _dot(residual, values[:pixels])
    enough = tolerance * tolerance * max(of_zero, energy)
    steps = 0
    while steps < most_steps and energy > enough:
        _apply(direction.reshape(h, w), screen, right, down, product)
        curvature = _dot(direction, product.reshape(-1))
        if not curvature > 0:
            break
        along = np.float32(energy / curvature)
        flat = product.reshape(-1)
        for i in range(pixels):
            u[i] += along * direction[i]
            residual[i] -= along * flat[i]
        sides[:pixels] = residual
        _v_cycle(shapes, offsets, screens, rights, downs, inverses, values, sides)
        before, energy = energy, _dot(residual, values[:pixels])
        mix = np.float32(energy / before)
        for i in range(pixels):
            direction[i] = values[i] + mix * direction[i]
        steps += 1
    return steps
