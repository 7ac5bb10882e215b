"""Sparse points of a scene, and which of its views see them."""

from __future__ import annotations

from recon.types.sparse_points import SparsePoints

__all__ = ["SparsePoints"]
