"""The encoder: a DINOv2 vision transformer (arXiv 2304.07193) whose later blocks also look across views.

From block `cross_view_from` on, even blocks attend within each view and odd ones over the tokens of all views
together (Depth Anything 3, arXiv 2511.10647, section 3). At that block a camera token takes the class token's place:
one made from a given camera, or a learned one for the reference view and another for the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recon.models.position_grid import resized_by_products
from recon.models.presets import PATCH_SIZE, EncoderConfig
from recon.models.reference_view import MIN_VIEWS, choose_ref_view, order_with_first, take_views
from recon.models.rope import rotate, rotation_of_camera_tokens, rotation_within_view
from recon.models.transformer import QueryKeyMap, TransformerBlock

_POSITION_GRID = 37
"""Patches along a side of the 518-pixel images that the position embedding was trained for."""


@dataclass(frozen=True)
class EncoderOutput:
    """Tokens of B scenes with V views of h × w patches, P = h · w."""

    patch_tokens: list[Tensor]
    """One (B, V, P, F) per taken layer: F = C, or 2 C (within-view and cross-view tokens) where views meet."""
    camera_tokens: Tensor
    """(B, V, F) the first token of the last taken layer, not normalised."""
    features: dict[int, Tensor]
    """(B, V, h, w, C) normalised patch tokens of each layer asked for."""
    ref_view: Tensor | None
    """(B,) index of the reference view; None where none was chosen."""


class PatchEmbedding(nn.Module):
    """One linear map per 14 × 14 patch."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, dim, kernel_size=PATCH_SIZE, stride=PATCH_SIZE)

    def forward(self, images_bchw: Tensor) -> Tensor:
        return self.proj(images_bchw).flatten(2).mT  # (B, C, h, w) -> (B, P, C)


class Encoder(nn.Module):
    """Images to tokens. Module names are those of the official checkpoints."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        dim, start = config.dim, config.cross_view_from
        self.config = config
        self.patch_embed = PatchEmbedding(dim)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, dim))
        if start is not None:
            self.camera_token = nn.Parameter(torch.zeros(1, 2, dim))
        if config.has_mask_token:
            self.mask_token = nn.Parameter(torch.zeros(1, dim))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + _POSITION_GRID**2, dim))
        self.blocks = nn.ModuleList(
            TransformerBlock(
                dim,
                config.heads,
                feed_forward=config.feed_forward,
                qk_norm=start is not None and index >= start,
            )
            for index in range(config.depth)
        )
        self.norm = nn.LayerNorm(dim)

    def forward(
        self,
        images_bvchw: Tensor,
        camera_tokens_bvc: Tensor | None = None,
        feature_layers: Sequence[int] = (),
        ref_view_strategy: str = "saddle_balanced",
    ) -> EncoderOutput:
        """Encode B scenes of V views; `camera_tokens_bvc` come from given cameras."""
        b, v, _, height, width = images_bvchw.shape
        rows, columns = height // PATCH_SIZE, width // PATCH_SIZE
        start = self.config.cross_view_from
        tokens = self._embed(images_bvchw.flatten(0, 1), rows, columns).unflatten(0, (b, v))  # (B, V, 1 + P, C)
        within_view, across_views = self._turns(rows, columns, tokens.device)

        ref_view: Tensor | None = None
        original_order: Tensor | None = None
        local_tokens = tokens
        taken: list[Tensor] = []
        features: dict[int, Tensor] = {}
        camera_tokens = tokens[:, :, 0]
        for index, block in enumerate(self.blocks):
            if start is not None and index == start - 1 and camera_tokens_bvc is None and _enough_views(v):
                ref_view = choose_ref_view(tokens[:, :, 0], ref_view_strategy)
                if isinstance(v, torch.SymInt):
                    ref_view = ref_view * (torch.full_like(ref_view, v) >= MIN_VIEWS)
                order = order_with_first(ref_view, v)
                original_order = order.argsort(dim=1)
                tokens = take_views(tokens, order)
            if start is not None and index == start:
                tokens = self._with_camera_tokens(tokens, camera_tokens_bvc)

            meets = start is not None and index >= start
            if meets and index % 2 == 1:
                tokens = block(tokens.flatten(1, 2), across_views).unflatten(1, (v, -1))
            else:
                tokens = block(tokens.flatten(0, 1), within_view if meets else None).unflatten(0, (b, v))
                local_tokens = tokens

            if index in self.config.taken_layers:
                ordered = _restore(tokens, original_order)
                normalised = self.norm(ordered)
                camera_tokens = ordered[:, :, 0]
                if start is not None:
                    ordered_local = _restore(local_tokens, original_order)
                    normalised = torch.cat([ordered_local, normalised], dim=-1)
                    camera_tokens = torch.cat([ordered_local[:, :, 0], camera_tokens], dim=-1)
                taken.append(normalised[:, :, 1:])
            if index in feature_layers:
                patches = self.norm(_restore(tokens, original_order))[:, :, 1:]
                features[index] = patches.unflatten(2, (rows, columns))
        return EncoderOutput(taken, camera_tokens, features, ref_view)

    def _embed(self, images_nchw: Tensor, rows: int, columns: int) -> Tensor:
        """Patch and class tokens with their position embedding, (N, 1 + P, C)."""
        patches = self.patch_embed(images_nchw)
        class_tokens = self.cls_token.expand(patches.shape[0], -1, -1)
        return torch.cat([class_tokens, patches], dim=1) + self._position_embedding(rows, columns)

    def _position_embedding(self, rows: int, columns: int) -> Tensor:
        """The trained grid resized to the image's, (1, 1 + P, C)."""
        grid = _POSITION_GRID
        if torch.onnx.is_in_onnx_export():
            return resized_by_products(self.pos_embed, grid, rows, columns)
        if rows == columns == grid:
            return self.pos_embed
        pos_embed = self.pos_embed.float()
        patches = pos_embed[:, 1:].unflatten(1, (grid, grid)).permute(0, 3, 1, 2)  # (1, C, 37, 37)
        # DINOv2 was trained with scale factors nudged by 0.1 patch against rounding; the sampling points depend on it.
        scale = ((rows + 0.1) / grid, (columns + 0.1) / grid)
        resized = F.interpolate(patches, scale_factor=scale, mode="bicubic")  # (1, C, rows, columns)
        return torch.cat([pos_embed[:, :1], resized.flatten(2).mT], dim=1)

    def _turns(self, rows: int, columns: int, device: torch.device) -> tuple[QueryKeyMap, QueryKeyMap]:
        """Position maps of queries and keys for attention within a view and across views."""
        head_dim = self.config.dim // self.config.heads
        within = rotation_within_view(rows, columns, head_dim, device)
        camera = rotation_of_camera_tokens(head_dim, device)
        tokens_per_view = 1 + rows * columns

        def within_view(x_bhnd: Tensor, place: slice) -> Tensor:
            return rotate(x_bhnd, within[place])

        def across_views(x_bhnd: Tensor, place: slice) -> Tensor:
            if torch.onnx.is_in_onnx_export():  # a step through the tokens cannot be a symbol
                per_view = x_bhnd.unflatten(2, (-1, tokens_per_view))  # (B, H, V, 1 + P, D)
                turned = rotate(per_view[:, :, :, :1], camera)
                return torch.cat([turned, per_view[:, :, :, 1:]], dim=3).flatten(2, 3)
            first = -place.start % tokens_per_view
            if first >= x_bhnd.shape[2]:  # no camera token at this place
                return x_bhnd
            turned = rotate(x_bhnd[:, :, first::tokens_per_view, None], camera)[..., 0, :]  # (B, H, V, D)
            x_bhnd = x_bhnd.clone(memory_format=torch.contiguous_format)
            x_bhnd[:, :, first::tokens_per_view] = turned
            return x_bhnd

        return within_view, across_views

    def _with_camera_tokens(self, tokens: Tensor, given_bvc: Tensor | None) -> Tensor:
        """The tokens (B, V, 1 + P, C) with camera tokens in the class tokens' place."""
        b, v = tokens.shape[:2]
        if given_bvc is None:
            given_bvc = torch.cat([self.camera_token[:, :1], self.camera_token[:, 1:].expand(-1, v - 1, -1)], dim=1)
        cameras = given_bvc.to(tokens.dtype).expand(b, -1, -1)[:, :, None]
        return torch.cat([cameras, tokens[:, :, 1:]], dim=2)


def _enough_views(views: int) -> bool:
    """Whether a reference view is chosen; in an export for any number of views, the graph decides on its effect."""
    return isinstance(views, torch.SymInt) or views >= MIN_VIEWS


def _restore(tokens: Tensor, original_order: Tensor | None) -> Tensor:
    """Tokens (B, V, ...) with the views back in the order they were given."""
    return tokens if original_order is None else take_views(tokens, original_order)
