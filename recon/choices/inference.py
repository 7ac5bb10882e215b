"""All that `inference()` takes beside photos and cameras."""

from __future__ import annotations

from dataclasses import dataclass

from recon.choices.files import ExportChoices
from recon.choices.models import PriorOptions
from recon.choices.sources import CameraOptions, FitOptions, SourceOptions, WindowOptions
from recon.choices.splats import SplatOptimisation
from recon.choices.words import ANY_VIEW, NETWORK, MixedSizes, RefViewStrategy
from recon.options import option


@dataclass(frozen=True, kw_only=True)
class InferenceOptions(
    PriorOptions, ExportChoices, SplatOptimisation, FitOptions, CameraOptions, WindowOptions, SourceOptions
):
    """How photos become a prediction and files."""

    align_to_input_ext_scale: bool = option(
        True,
        help="With given extrinsics: bring depth to their scale, return them exactly. Off: move them to the model's "
        "frame.",
        used_by=(ANY_VIEW,),
    )
    infer_gs: bool = option(
        False,
        help="Also return 3D Gaussians when no format asks for them; of the Gaussian head unless gaussians is depth.",
    )
    use_ray_pose: bool = option(
        False, help="Take cameras from the ray map instead of the camera token: slower.", used_by=(ANY_VIEW,)
    )
    ref_view_strategy: RefViewStrategy = option(
        "saddle_balanced",
        help="How the reference view is chosen, from 3 views on and without given extrinsics.",
        used_by=(ANY_VIEW,),
    )
    mixed_sizes: MixedSizes = option(
        "own",
        help="Photos of different shapes: each at its own (own), all cropped around the middle to the smallest width "
        "and height (crop), or refused (error).",
    )
    export_feat_layers: tuple[int, ...] = option(
        (),
        help="Encoder block whose features are returned (and drawn by feat_vis); may be given several times.",
        least=0,
        metavar="BLOCK",
        used_by=(NETWORK,),
    )
