"""Sky, where depth is a placeholder, and metric scale, which sky must not disturb."""

from __future__ import annotations

import torch
from torch import Tensor

from recon.models.single_view import CANONICAL_FOCAL, SKY_THRESHOLD

_FEW_PIXELS = 10
"""Up to this many pixels say nothing."""
_FAR_QUANTILE = 0.99
_NESTED_SKY_DEPTH = 200.0
"""Sky of metric scenes is never put farther than this, in metres."""
_MIN_DEPTH = 1e-3
_MIN_METRIC_DEPTH = 1e-2


def quantile(values: Tensor, q: float) -> Tensor:
    """The q-quantile of all `values`, interpolated linearly; exact and repeatable at any size."""
    flat = values.flatten()
    position = q * (flat.numel() - 1)
    low = int(position)
    low_value = flat.kthvalue(low + 1).values
    if position == low:
        return low_value
    return torch.lerp(low_value, flat.kthvalue(low + 2).values, position - low)


def fill_single_view_sky(depth: Tensor, sky: Tensor) -> Tensor:
    """Depth (B, V, H, W) with sky pixels put at the far end (99 %) of their scene's other depths.

    Scenes that are (nearly) all sky or (nearly) without it stay as they are.
    """
    is_sky = sky >= SKY_THRESHOLD
    scenes = []
    for scene_depth, scene_sky in zip(depth, is_sky, strict=True):
        count = int(scene_sky.sum())
        if _FEW_PIXELS < count < scene_sky.numel() - _FEW_PIXELS:
            far = quantile(scene_depth[~scene_sky], _FAR_QUANTILE)
            scene_depth = torch.where(scene_sky, far, scene_depth)
        scenes.append(scene_depth)
    return torch.stack(scenes)


def fill_metric_sky(depth: Tensor, conf: Tensor, sky: Tensor) -> tuple[Tensor, Tensor]:
    """Metric depth and confidence (B, V, H, W) with sky at the far end of its scene, at most 200 m, confidence 1."""
    is_sky = sky >= SKY_THRESHOLD
    scenes = []
    for scene_depth, scene_sky in zip(depth, is_sky, strict=True):
        seen = scene_depth[~scene_sky]
        far = quantile(seen, _FAR_QUANTILE).item() if len(seen) else _NESTED_SKY_DEPTH
        scenes.append(torch.where(scene_sky, min(far, _NESTED_SKY_DEPTH), scene_depth))
    return torch.stack(scenes), torch.where(is_sky, 1.0, conf)


def metres_from_canonical(depth: Tensor, intrinsics: Tensor) -> Tensor:
    """The metric network's depth (B, V, H, W) in metres, given intrinsics (B, V, 3, 3) of the processed images."""
    focal = (intrinsics[..., 0, 0] + intrinsics[..., 1, 1]) / 2  # (B, V)
    return depth * (focal / CANONICAL_FOCAL)[..., None, None]


def metric_scale(depth: Tensor, conf: Tensor, sky: Tensor, metres: Tensor) -> Tensor:
    """Least-squares factor (B,) from `depth` to `metres`, both (B, V, H, W), over confident pixels that are not sky.

    NaN for a scene with too few of them.
    """
    scales = []
    for d, c, s, m in zip(depth, conf, sky, metres, strict=True):
        seen = s < SKY_THRESHOLD
        if int(seen.sum()) <= _FEW_PIXELS:
            scales.append(d.new_tensor(torch.nan))
            continue
        used = seen & (c >= quantile(c[seen], 0.5)) & (m > _MIN_METRIC_DEPTH) & (d > _MIN_DEPTH)
        if int(used.sum()) <= _FEW_PIXELS:
            scales.append(d.new_tensor(torch.nan))
            continue
        d, m = d[used], m[used]
        scales.append((d * m).sum() / (d * d).sum())
    return torch.stack(scales)
