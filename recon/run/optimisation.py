"""Whether a run makes its splats look like its photos: decided here alone, and said where it does not."""

from __future__ import annotations

from collections.abc import Sequence

from recon.choices import SplatOptimisation
from recon.estimate.estimator import Profile
from recon.export import formats_that_need
from recon.refine.splat_start import SplatStart

ASK = "--gs-iterations or --gs-seconds does so all the same"


def why_not(
    options: SplatOptimisation,
    profile: Profile,
    formats: Sequence[str],
    views: int,
    cameras_known: bool,
    start: SplatStart | None = None,
) -> str | None:
    """Why splats of a run stay as they were made; None where they are made to look like the photos.

    They are where that is asked for; and else where a format is to hold them, and several photos have cameras that were
    given or found, and depth of one scale to begin from. Cameras that a network predicts are not close enough.

    Args:
        options: `gs_iterations` 0 leaves splats as they are; another number, or `gs_seconds`, asks for it.
        profile: of what makes the depth.
        formats: of the files that are written.
        views: how many photos there are.
        cameras_known: whether their cameras were given, or found by structure from motion.
        start: what splats are to begin from, which asks for it; None where nobody says.
    """
    if options.gs_iterations == 0:
        return "gs_iterations is 0"
    if options.asks_for_optimisation or start is not None:
        return None
    if not formats_that_need("gaussians", formats):
        return f"no format of splats is asked for; {ASK}"
    if views < 2:
        return f"one photo shows nothing of the scene that they do not hold already; {ASK}"
    if not cameras_known:
        return f"the cameras are predicted; with --cameras sfm or known ones they are, and {ASK}"
    if not profile.abilities.several_views:
        return f"{profile.name} sees each photo alone, so that their depths do not fit together; {ASK}"
    return None
