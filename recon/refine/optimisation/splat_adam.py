"""Adam for splats, joined with the last step of their derivatives, which are never stored.

Only splats that pixels took colour from move, and each counts its own steps (as gsplat's SelectiveAdam). Scales move by
their logarithms and opacities by their logits, but are kept as what they are.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from recon.geometry.compiled import FUSED, compiled
from recon.splats.cpu_projection import CONSTANT_BASIS
from recon.splats.cpu_projection_gradients import HARMONICS, MEAN, OPACITY, ROTATION, SCALE, gaussian_gradient

BETA_1, BETA_2 = 0.9, 0.999
_KEEP_1, _TAKE_1 = np.float32(BETA_1), np.float32(1 - BETA_1)
_KEEP_2, _TAKE_2 = np.float32(BETA_2), np.float32(1 - BETA_2)
EPSILON = 1e-15
OPACITY_BOUNDS = (1e-6, 1 - 1e-6)
_EPSILON = np.float32(EPSILON)


@compiled(fastmath=FUSED)
def update_splats(
    means: NDArray[np.float32],
    scales: NDArray[np.float32],
    rotations: NDArray[np.float32],
    harmonics: NDArray[np.float32],
    opacities: NDArray[np.float32],
    indices: NDArray[np.int32],
    first: int,
    last: int,
    splats: NDArray[np.float64],
    colors: NDArray[np.float32],
    splat_slots: NDArray[np.int64],
    slot_rows: NDArray[np.float32],
    world_to_camera: NDArray[np.float64],
    camera_centre: NDArray[np.float64],
    intrinsics: NDArray[np.float64],
    height: int,
    width: int,
    of_camera: NDArray[np.float64],
    moments: NDArray[np.float32],
    steps: NDArray[np.int32],
    rates: NDArray[np.float32],
    corrections: NDArray[np.float32],
    penalties: NDArray[np.float64],
) -> None:
    """Move the Gaussians of the splats from `first` to before `last`, in place.

    Args: up to `of_camera` as of `gaussian_gradients`, and
        moments: (G, 2 D) first and second moments of the D = 11 + 3 (degree + 1)² derivatives, side by side.
        steps: (G,) how often each has moved.
        rates: (D,) learning rates.
        corrections: (S, 2) what the moments are multiplied by after 0, 1, ... steps.
        penalties: (2,) derivatives of the loss by every opacity and by every scale, beside those that pixels say.
    """
    coefficients = harmonics.shape[2]
    basis = np.full(coefficients, CONSTANT_BASIS)
    count = HARMONICS + 3 * coefficients
    row, change = np.empty(count), np.empty(count, np.float32)
    for s in range(first, last):
        g = int(indices[s])
        taken = gaussian_gradient(
            means,
            scales,
            rotations,
            harmonics,
            opacities,
            g,
            splats,
            colors,
            s,
            slot_rows,
            splat_slots[s, 0],
            splat_slots[s, 1],
            world_to_camera,
            camera_centre,
            intrinsics,
            height,
            width,
            row,
            basis,
            of_camera,
        )
        if taken == 0.0:
            continue
        opacity = np.float64(opacities[g])
        for k in range(3):
            row[SCALE + k] = (row[SCALE + k] + penalties[1]) * scales[g, k]
        row[OPACITY] = (row[OPACITY] + penalties[0]) * opacity * (1 - opacity)
        step = min(int(steps[g]), len(corrections) - 1)
        steps[g] = step + 1
        of_first, of_second = corrections[step, 0], corrections[step, 1]
        first_moments, second_moments = moments[g, :count], moments[g, count:]
        for k in range(count):
            change[k] = row[k]
        for k in range(count):  # in float32, so that several fit into one instruction
            slope = change[k]
            mean = _KEEP_1 * first_moments[k] + _TAKE_1 * slope
            square = _KEEP_2 * second_moments[k] + _TAKE_2 * slope * slope
            first_moments[k] = mean
            second_moments[k] = square
            change[k] = rates[k] * (mean * of_first) / (math.sqrt(square * of_second) + _EPSILON)
        for k in range(3):
            means[g, k] -= change[MEAN + k]
            scales[g, k] *= math.exp(-change[SCALE + k])
        for k in range(4):
            rotations[g, k] -= change[ROTATION + k]
        moved = 1 / (1 + (1 - opacity) / opacity * math.exp(np.float64(change[OPACITY])))
        opacities[g] = min(max(moved, OPACITY_BOUNDS[0]), OPACITY_BOUNDS[1])
        for channel in range(3):
            for k in range(coefficients):
                harmonics[g, channel, k] -= change[HARMONICS + channel * coefficients + k]


def bias_corrections(count: int) -> NDArray[np.float32]:
    """(count, 2) factors of Adam's moments after 0, 1, ... steps; the last stands for all later ones."""
    steps = np.arange(1, count + 1)
    factors = np.stack([1 / (1 - BETA_1**steps), 1 / (1 - BETA_2**steps)], axis=1)
    return factors.astype(np.float32)
