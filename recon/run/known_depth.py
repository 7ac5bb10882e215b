"""Whether depth that a run is to go by is there: what can be known before a model is loaded."""

from __future__ import annotations

from collections.abc import Sequence

from recon.choices import MEASURED, POINTS, InferenceOptions
from recon.errors import InputError
from recon.run.given_cameras import AUTO, SFM, WORDS, GivenCameras
from recon.sources.source import Source


def check_known_depth(
    source: Source, cameras: GivenCameras, options: InferenceOptions, model: Sequence[str] = ()
) -> None:
    """Raise InputError where `depth_prior`, or a part of the `model`, is depth that nothing brings.

    What a file of cameras brings is seen when it is read.
    """
    if cameras.source not in (None, *WORDS):
        return
    own = cameras.source is None and cameras.extrinsics is None
    named = [("depth_prior", word) for word in options.depth_prior] + [("model", word) for word in model[1:]]
    for option, word in named:
        if word == MEASURED and not (own and source.depths is not None):
            raise InputError(
                f"{option} measured: the input brings no depth with its cameras, as captures with LiDAR do; leave it "
                "out, or give a folder of depth images to depth_prior"
            )
        if word == POINTS and cameras.source not in (SFM, AUTO) and not (own and source.points is not None):
            raise InputError(
                f"{option} points: there are none to go by; a COLMAP model brings some, and cameras 'sfm' finds them"
            )
