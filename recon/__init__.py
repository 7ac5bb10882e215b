"""recon: photos to depth, cameras, point clouds and splats with Depth Anything 3.

The documented names are loaded on first use, so that `import recon` (and `recon --help`) stay light.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from recon.version import __version__

if TYPE_CHECKING:
    from recon.api import DepthAnything3
    from recon.run.load import load
    from recon.types import Prediction

__all__ = ["DepthAnything3", "Prediction", "__version__", "load"]


def __getattr__(name: str) -> Any:
    if name == "DepthAnything3":
        from recon.api import DepthAnything3

        return DepthAnything3
    if name == "Prediction":
        from recon.export import Prediction  # from there: with what shows predictions

        return Prediction
    if name == "load":
        from recon.run.load import load

        return load
    raise AttributeError(f"module 'recon' has no attribute {name!r}")
