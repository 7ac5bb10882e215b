"""What may be chosen of multi-view stereo."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from recon.errors import InputError
from recon.options import Options, option

Device = Literal["auto", "cpu", "cuda"]


@dataclass(frozen=True, kw_only=True)
class StereoOptions(Options):
    """How depth is looked for, and what of it is kept."""

    planes: int = option(
        96,
        help="Depths tried at each pixel, evenly spaced in inverse depth; what is found is refined between them.",
        least=8,
    )
    window: int = option(9, help="Odd diameter in pixels of the window that is matched.", least=3)
    sources: int = option(
        4,
        help="Views that each view is matched with; a pixel's score is the mean over the two that match it best.",
        least=1,
    )
    refinements: int = option(
        4,
        help="Passes in which pixels take over their neighbours' planes and fit their own.",
        least=1,
    )
    noise: float = option(
        0.5,
        help="Standard deviation of the images' noise in grey levels: fainter texture is not trusted.",
        above=0,
    )
    least_score: float = option(0.3, help="Least correlation of a pixel that is kept, -1 to 1.", least=-1, below=1)
    checking_views: int = option(6, help="Views whose depth maps each pixel is checked against.", least=1)
    agreeing: int = option(
        2,
        help="Of these that must agree; where no more have the pixel's point in their image, all but one of "
        "them, but at least one. Where a surface goes on beside pixels kept so, one is enough.",
        least=1,
    )
    tolerance: float = option(
        0.01,
        help="Largest relative difference of depth between views that agree; up to three times as much where views are "
        "so near to each other that it is less than a seventh of a pixel.",
        above=0,
    )
    pixel_tolerance: float = option(1.0, help="Largest distance in pixels after the way there and back.", above=0)
    smallest_patch: int = option(
        30,
        help="Pixels: smaller connected patches of depth are removed as speckle, and smaller holes show nothing "
        "behind.",
        least=0,
    )
    depth_range: tuple[float, float] | None = option(
        None,
        help="Nearest and farthest depth, in the units of the cameras; None takes it from the points, view by view.",
        above=0,
    )
    fill: bool = option(False, help="Complete the pixels without depth from the pixels around them, at confidence 1.")
    device: Device = option("auto", help="cuda needs torch with it; auto takes it where there is one.")
    threads: int | None = option(None, help="CPU threads; None takes all. The result is the same.", least=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.window % 2 == 0:
            raise InputError(f"window must be odd, got {self.window}")
        if self.depth_range is not None and self.depth_range[0] >= self.depth_range[1]:
            raise InputError(f"depth_range must be a nearest and a larger farthest depth, got {self.depth_range}")
