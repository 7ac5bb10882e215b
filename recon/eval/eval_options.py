"""How results are compared with ground truth; apart, so that the command line starts without the rest."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

from recon.errors import InputError

ShownAlignment = Literal["auto", "none", "median", "scale", "scale-and-shift"]
SurfaceFrom = Literal["tsdf", "cloud", "none"]


@dataclass(frozen=True)
class EvalOptions:
    """What is compared, and how. Wrong values raise `InputError` naming the field."""

    alignment: ShownAlignment = "auto"
    """How depth is brought to the true scale: none, median, scale (least squares), scale-and-shift. auto: none for
    results in metric units or in those of the given cameras, else median."""
    align_per_view: bool = False
    """Align the depth of each view by itself, for models that see one view at a time."""
    min_conf: float | None = None
    """Leave out pixels of lower confidence, from depth and surface."""
    surface: SurfaceFrom = "tsdf"
    """Compare the surface after TSDF fusion, the cloud of all pixels as it is, or none."""
    threshold: float | None = None
    """Distance of precision and recall, in units of the ground truth [that of the data set's benchmark, else 1 % of
    the median depth]."""
    voxel: float | None = None
    """Side of the TSDF's voxels, and of the cells in which points are thinned [as above, else 0.2 % of it]."""
    novel_views: int = 8
    """Render splats at up to this many true views that the run was not given; 0: none."""

    def __post_init__(self) -> None:
        for name, allowed in (("alignment", get_args(ShownAlignment)), ("surface", get_args(SurfaceFrom))):
            if getattr(self, name) not in allowed:
                raise InputError(f"{name} must be one of {', '.join(allowed)}, got {getattr(self, name)!r}")
        for name in ("threshold", "voxel"):
            value = getattr(self, name)
            if value is not None and not (value > 0 and math.isfinite(value)):
                raise InputError(f"{name} must be above 0, got {value}")
        if self.novel_views < 0:
            raise InputError(f"novel_views must be 0 or more, got {self.novel_views}")
