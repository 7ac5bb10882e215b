"""From what a network returns to what users are shown: depth from disparity, sky put far away, and metres.

Sky has no depth: what a map holds there is a placeholder, and no scale is taken from it.
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from recon.geometry.disparity import depth_from_disparity
from recon.messages import warn
from recon.models.outputs import GaussianTensors, NetworkOutput
from recon.models.single_view import CANONICAL_FOCAL, SKY_THRESHOLD

_FEW_PIXELS = 10
"""Up to this many pixels say nothing."""
_FAR_QUANTILE = 0.99
_NESTED_SKY_DEPTH = 200.0
"""Sky of metric scenes is never put farther than this, in metres."""
_MIN_DEPTH = 1e-3
_MIN_METRIC_DEPTH = 1e-2


def finish(output: NetworkOutput, intrinsics: Tensor | None = None) -> NetworkOutput:
    """What a network's raw `output` says, with a depth for every pixel.

    Disparity becomes depth, the sky of a single-view network goes to the far end of its scene, and an any-view network
    that came with a metric one is brought to metres. An output without any of these is what it was.

    Args:
        output: of any network of `recon.models.networks`.
        intrinsics: (B, V, 3, 3) known ones that the network was not given; metres go by them instead of by its own.
    """
    if output.disparity is not None:
        known = output.disparity.isfinite()
        nearest = torch.where(known, output.disparity, 0).amax(dim=(-2, -1), keepdim=True)
        depth = torch.where(known, depth_from_disparity(output.disparity, nearest), torch.nan)
        output = dataclasses.replace(output, depth=depth)
    if output.metric is not None:
        return _in_metres(output, output.metric, intrinsics)
    if output.sky is not None and output.extrinsics is None and output.depth is not None:
        return dataclasses.replace(output, depth=fill_single_view_sky(output.depth, output.sky))
    return output


def _in_metres(relative: NetworkOutput, metric: NetworkOutput, intrinsics: Tensor | None) -> NetworkOutput:
    """An any-view output at the scale, and with the sky, of a metric network's output of the same views.

    A scene that is all sky has no metric scale: its `scale_factor` is NaN, and its depth and cameras stay relative.
    """
    predicted = relative.intrinsics if intrinsics is None else intrinsics
    assert metric.depth is not None
    assert metric.sky is not None
    assert relative.depth is not None
    assert relative.depth_conf is not None
    assert relative.extrinsics is not None
    assert predicted is not None
    metres = metres_from_canonical(metric.depth, predicted)
    scale = metric_scale(relative.depth, relative.depth_conf, metric.sky, metres)  # (B,)
    known = ~scale.isnan()
    if not bool(known.all()):
        warn("too few pixels that are not sky: the metric scale is undetermined and depth stays relative")
    factor = torch.where(known, scale, 1.0)
    depth, conf = fill_metric_sky(relative.depth * factor[:, None, None, None], relative.depth_conf, metric.sky)
    is_known = known[:, None, None, None]
    return dataclasses.replace(
        relative,
        depth=torch.where(is_known, depth, relative.depth),
        depth_conf=torch.where(is_known, conf, relative.depth_conf),
        sky=metric.sky,
        extrinsics=_scale_translations(relative.extrinsics, factor),
        gaussians=_scale_gaussians(relative.gaussians, factor),
        scale_factor=scale,
        metric=None,
    )


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
        seen = scene_depth[~scene_sky & scene_depth.isfinite()]
        if int(scene_sky.sum()) > _FEW_PIXELS and len(seen) > _FEW_PIXELS:
            scene_depth = torch.where(scene_sky, quantile(seen, _FAR_QUANTILE), scene_depth)
        scenes.append(scene_depth)
    return torch.stack(scenes)


def fill_metric_sky(depth: Tensor, conf: Tensor, sky: Tensor) -> tuple[Tensor, Tensor]:
    """Metric depth and confidence (B, V, H, W) with sky at the far end of its scene, at most 200 m, confidence 1."""
    is_sky = sky >= SKY_THRESHOLD
    scenes = []
    for scene_depth, scene_sky in zip(depth, is_sky, strict=True):
        seen = scene_depth[~scene_sky & scene_depth.isfinite()]
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


def _scale_translations(extrinsics: Tensor, scale: Tensor) -> Tensor:
    return torch.cat([extrinsics[..., :3], extrinsics[..., 3:] * scale[:, None, None, None]], dim=-1)


def _scale_gaussians(gaussians: GaussianTensors | None, scale: Tensor) -> GaussianTensors | None:
    if gaussians is None:
        return None
    factor = scale[:, None, None]
    return dataclasses.replace(gaussians, means=gaussians.means * factor, scales=gaussians.scales * factor)
