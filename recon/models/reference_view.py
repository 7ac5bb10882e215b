"""Choosing the view that the others are described relative to.

The network puts the reference view first and gives it a camera token of its own. Without given cameras, and from
three views on, the choice is made from the class tokens just before the views first meet.
"""

from __future__ import annotations

import torch
from torch import Tensor

from recon.errors import InputError

REF_VIEW_STRATEGIES = ("first", "middle", "saddle_balanced", "saddle_sim_range")
MIN_VIEWS = 3
"""With fewer views the first one is the reference."""


def check_ref_view_strategy(strategy: str) -> None:
    """InputError unless `strategy` is one of `REF_VIEW_STRATEGIES`."""
    if strategy not in REF_VIEW_STRATEGIES:
        raise InputError(f"ref_view_strategy must be one of {', '.join(REF_VIEW_STRATEGIES)}, got {strategy!r}")


def choose_ref_view(class_tokens_bvc: Tensor, strategy: str) -> Tensor:
    """Index of the reference view of each scene, (B,), from class tokens (B, V, C).

    `first`, `middle`: by position. `saddle_balanced`: the view whose mean similarity to the others, token length and
    token variance, each scaled to [0, 1] over the views, are nearest to the middle. `saddle_sim_range`: the view with
    the widest range of similarities.
    """
    check_ref_view_strategy(strategy)
    b, v, _ = class_tokens_bvc.shape
    if strategy in ("first", "middle"):
        index = 0 if strategy == "first" else v // 2
        return torch.full((b,), index, dtype=torch.long, device=class_tokens_bvc.device)

    with torch.autocast(class_tokens_bvc.device.type, enabled=False):
        tokens = class_tokens_bvc.float()
        lengths = tokens.norm(dim=-1)  # (B, V)
        directions = tokens / lengths[..., None]
        similarity = directions @ directions.mT  # (B, V, V)
    # A view's similarity to itself counts as 0. Exact symmetry lets two views that are most like each other tie
    # exactly, so that the earlier one is taken whatever the rounding.
    similarity = ((similarity + similarity.mT) / 2).masked_fill(torch.eye(v, device=tokens.device) == 1, 0)
    if strategy == "saddle_sim_range":
        return (similarity.amax(dim=-1) - similarity.amin(dim=-1)).argmax(dim=-1)

    metrics = torch.stack([similarity.sum(dim=-1) / (v - 1), lengths, directions.var(dim=-1)])  # (3, B, V)
    low, high = metrics.amin(dim=-1, keepdim=True), metrics.amax(dim=-1, keepdim=True)
    scaled = (metrics - low) / (high - low + 1e-8)
    return (scaled - 0.5).abs().sum(dim=0).argmin(dim=-1)


def order_with_first(ref_view: Tensor, views: int) -> Tensor:
    """View order (B, V) that puts each scene's `ref_view` (B,) first and keeps the others in sequence."""
    index = torch.arange(views, device=ref_view.device).expand(ref_view.shape[0], -1)
    keys = torch.where(index == ref_view[:, None], -1, index)
    return keys.argsort(dim=1)


def take_views(x: Tensor, order: Tensor) -> Tensor:
    """Views of x (B, V, ...) in the given order (B, V)."""
    scene = torch.arange(order.shape[0], device=order.device)[:, None]
    return x[scene, order]
