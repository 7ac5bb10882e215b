"""Running and writing ONNX files; nothing here is imported before it is used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from recon.onnx.monocular import MonocularModel

__all__ = ["MonocularModel"]


def __getattr__(name: str) -> Any:
    if name == "MonocularModel":
        from recon.onnx.monocular import MonocularModel

        return MonocularModel
    raise AttributeError(f"module 'recon.onnx' has no attribute {name!r}")
