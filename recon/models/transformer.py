"""The transformer block of DINOv2 (arXiv 2304.07193), as the encoder and the camera encoder use it.

Module names are those of the official checkpoints.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from recon.models.kernels import attention, linear
from recon.models.threads import computes_in_parts, in_parallel, token_parts

QueryKeyMap = Callable[[Tensor, slice], Tensor]
"""Turns queries or keys (B, H, N, D) by their positions, which are this slice of those of the whole sequence."""
WHOLE = slice(0, None)


class Linear(nn.Linear):
    """`nn.Linear` by the faster route of `recon.models.kernels`."""

    def forward(self, input: Tensor) -> Tensor:
        return linear(input, self.weight, self.bias)


class LayerScale(nn.Module):
    """A learned factor per channel on a residual branch (CaiT, arXiv 2103.17239)."""

    def __init__(self, dim: int, initial: float) -> None:
        super().__init__()
        self.initial = initial
        self.gamma = nn.Parameter(torch.full((dim,), initial))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gamma


class SelfAttention(nn.Module):
    """Multi-head self-attention, with normalised queries and keys where `qk_norm`."""

    def __init__(self, dim: int, heads: int, qk_norm: bool) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = Linear(dim, 3 * dim)
        self.q_norm = nn.LayerNorm(dim // heads) if qk_norm else nn.Identity()
        self.k_norm = nn.LayerNorm(dim // heads) if qk_norm else nn.Identity()
        self.proj = Linear(dim, dim)

    def forward(self, tokens_bnc: Tensor, turn: QueryKeyMap | None = None) -> Tensor:
        return self.proj(attention(*self.project(tokens_bnc, turn)))

    def project(
        self, tokens_bnc: Tensor, turn: QueryKeyMap | None = None, place: slice = WHOLE
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values (B, H, N, D) of tokens at this place of their sequence."""
        qkv = self.qkv(tokens_bnc).unflatten(-1, (3, self.heads, -1))  # (B, N, 3, H, D)
        queries, keys, values = qkv.permute(2, 0, 3, 1, 4)  # each (B, H, N, D)
        queries, keys = self.q_norm(queries), self.k_norm(keys)
        if turn is not None:
            queries, keys = turn(queries, place), turn(keys, place)
        return queries, keys, values


class Mlp(nn.Module):
    """Two linear layers with GELU between."""

    def __init__(self, dim: int, hidden: int, out: int) -> None:
        super().__init__()
        self.fc1 = Linear(dim, hidden)
        self.fc2 = Linear(hidden, out)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x)))


class SwiGLU(nn.Module):
    """Gated feed-forward layer (arXiv 2002.05202): SiLU(a) · b, with a and b from one linear layer."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        hidden = (int(4 * dim * 2 / 3) + 7) // 8 * 8
        self.w12 = Linear(dim, 2 * hidden)
        self.w3 = Linear(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        gate, value = self.w12(x).chunk(2, dim=-1)
        return self.w3(F.silu(gate) * value)


class TransformerBlock(nn.Module):
    """Pre-norm attention and feed-forward, each a scaled residual."""

    def __init__(
        self,
        dim: int,
        heads: int,
        *,
        feed_forward: Literal["mlp", "swiglu"] = "mlp",
        qk_norm: bool = False,
        norm_eps: float = 1e-6,
        initial_scale: float = 1.0,
    ) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=norm_eps)
        self.attn = SelfAttention(dim, heads, qk_norm)
        self.ls1 = LayerScale(dim, initial_scale)
        self.norm2 = nn.LayerNorm(dim, eps=norm_eps)
        self.mlp = SwiGLU(dim) if feed_forward == "swiglu" else Mlp(dim, 4 * dim, dim)
        self.ls2 = LayerScale(dim, initial_scale)
        self.recompute = False
        """Whether to compute again for gradients what the block would keep in memory for them; for training."""

    def forward(self, tokens_bnc: Tensor, turn: QueryKeyMap | None = None) -> Tensor:
        if computes_in_parts(tokens_bnc) and (parts := token_parts(*tokens_bnc.shape[:2])):
            return self._in_parts(tokens_bnc, turn, parts)
        if self.recompute and torch.is_grad_enabled():
            result: Tensor = checkpoint(self._whole, tokens_bnc, turn, use_reentrant=False, preserve_rng_state=False)
            return result
        return self._whole(tokens_bnc, turn)

    def _whole(self, tokens_bnc: Tensor, turn: QueryKeyMap | None) -> Tensor:
        return self._after_attention(tokens_bnc, self.attn(self.norm1(tokens_bnc), turn))

    def _after_attention(self, tokens_bnc: Tensor, attended_bnc: Tensor) -> Tensor:
        tokens_bnc = tokens_bnc + self.ls1(attended_bnc)
        return tokens_bnc + self.ls2(self.mlp(self.norm2(tokens_bnc)))

    def _in_parts(self, tokens_bnc: Tensor, turn: QueryKeyMap | None, parts: Sequence[tuple[int, slice]]) -> Tensor:
        """The same, one part of the tokens after the other: first what others attend to, then the rest."""
        b, n, c = tokens_bnc.shape
        heads = self.attn.heads
        queries, keys, values = tokens_bnc.new_empty(3, b, heads, n, c // heads)  # each (B, H, N, D)
        result = torch.empty_like(tokens_bnc)

        def project(part: tuple[int, slice]) -> None:
            sequence, place = part
            projected = self.attn.project(self.norm1(tokens_bnc[sequence, None, place]), turn, place)
            for whole, of_part in zip((queries, keys, values), projected, strict=True):
                whole[sequence, :, place] = of_part[0]

        def attend(part: tuple[int, slice]) -> None:
            sequence, place = part
            one = slice(sequence, sequence + 1)
            mixed = attention(queries[one, :, place], keys[one], values[one])
            result[one, place] = self._after_attention(tokens_bnc[one, place], self.attn.proj(mixed))

        in_parallel(project, parts)
        in_parallel(attend, parts)
        return result
