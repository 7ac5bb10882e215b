"""How results are compared with ground truth; apart, so that the command line starts without the rest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from recon.options import Options, option

ShownAlignment = Literal["auto", "none", "median", "scale", "scale-and-shift"]
SurfaceFrom = Literal["tsdf", "cloud", "none"]


@dataclass(frozen=True, kw_only=True)
class EvalOptions(Options):
    """What is compared, and how.

    Wrong values raise `InputError` naming the field.
    """

    alignment: ShownAlignment = option(
        "auto",
        help="How depth is brought to the true scale: none, median, scale (least squares), scale-and-shift. auto: none "
        "for results in metric units or in those of the given cameras, else median.",
    )
    align_per_view: bool = option(
        False, help="Align the depth of each view by itself, for models that see one view at a time."
    )
    min_conf: float | None = option(None, help="Leave out pixels of lower confidence, from depth and surface.")
    surface: SurfaceFrom = option(
        "tsdf", help="Compare the surface after TSDF fusion, the cloud of all pixels as it is, or none."
    )
    threshold: float | None = option(
        None,
        help="Distance of precision and recall, in units of the ground truth [that of the data set's benchmark, else "
        "1 % of the median depth].",
        above=0,
    )
    voxel: float | None = option(
        None,
        help="Side of the TSDF's voxels, and of the cells in which points are thinned [as above, else 0.2 % of it].",
        above=0,
    )
    novel_views: int = option(
        8, help="Render splats at up to this many true views that the run was not given; 0: none.", least=0
    )
    fit_views: bool = option(
        True,
        help="Also compare after each of their cameras has been fitted to its picture: found cameras cannot be brought "
        "onto the true ones to the pixel.",
    )
