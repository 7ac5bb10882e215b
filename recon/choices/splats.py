"""How many splats, and how they are fitted to photos."""

from __future__ import annotations

from dataclasses import dataclass

from recon.choices.words import DEPTH_SPLATS, OPTIMISED_SPLATS, SPLATS, SplatDensification, SplatResolution
from recon.errors import InputError
from recon.options import Options, option


@dataclass(frozen=True, kw_only=True)
class SplatBudget(Options):
    """Splats."""

    gs_budget: int | None = option(
        None,
        help="Splats from depth are at most this many: the most important ones.",
        least=1,
        used_by=(DEPTH_SPLATS,),
    )


@dataclass(frozen=True, kw_only=True)
class SplatOptimisation(Options):
    """Splats that look like the photos."""

    gs_iterations: int | None = option(
        None,
        help="Make splats look like the photos, in this many steps; 0 leaves them as they are [where several photos "
        "have cameras that are known or found, as many as help the photos held out, at most 65 for each other photo; "
        "with predicted cameras 0, unless gs_seconds is given].",
        least=0,
        used_by=(SPLATS,),
    )
    gs_seconds: float | None = option(
        None,
        help="Make splats look like the photos, for this many seconds at most [no limit].",
        above=0,
        used_by=(OPTIMISED_SPLATS,),
    )
    gs_splats: int | None = option(
        None,
        help="Splats that are optimised are at most this many, the most important ones [as many as a photo has pixels, "
        "at the size that depth is found at].",
        least=1,
        used_by=(OPTIMISED_SPLATS,),
    )
    gs_prune_unseen: bool = option(
        False,
        help="Leave out the splats that no photo shows after the optimisation. Off: they fade.",
        used_by=(OPTIMISED_SPLATS,),
    )
    gs_holdout: int = option(
        10,
        help="With at least this many photos, one in as many is kept from the optimisation and tells when it has done "
        "enough; 0 keeps none.",
        least=0,
        used_by=(OPTIMISED_SPLATS,),
    )

    gs_resolution: SplatResolution | int = option(
        "process",
        help="Pixels of the longer side of the photos that splats are optimised at; process: those that depth is found "
        "at; full: those of the photos themselves. Photos larger than depth are looked at in random crops.",
        least=32,
        metavar="PIXELS|full",
        used_by=(OPTIMISED_SPLATS,),
    )
    gs_sh_degree: int | None = option(
        None,
        help="Degree of the spherical harmonics of optimised splats, to which it grows from 1 on [1, or that of the "
        "splats that the optimisation begins with].",
        least=0,
        most=3,
        used_by=(OPTIMISED_SPLATS,),
    )
    gs_densify: SplatDensification = option(
        "auto",
        help="How splats become more while they are optimised. mcmc: those that fade are moved to where others are, "
        "and some are added, up to gs_splats; auto: so where it begins with less than half as many, from sparse points "
        "or for photos larger than their depth.",
        used_by=(OPTIMISED_SPLATS,),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.gs_holdout == 1:
            raise InputError("gs_holdout must be 0, or at least 2: with 1, every photo would be held out")

    @property
    def asks_for_optimisation(self) -> bool:
        """Whether splats are to be optimised wherever that can be done at all."""
        return self.gs_iterations != 0 and (self.gs_iterations is not None or self.gs_seconds is not None)
