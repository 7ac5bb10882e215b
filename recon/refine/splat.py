"""Give a prediction its Gaussians, from the network's head or from its depth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from recon.errors import InputError
from recon.export import SPLAT_FORMATS
from recon.options import ExportChoices, InferenceOptions
from recon.refine.depth_splats import DepthSplatOptions, from_depth
from recon.types import GaussianSource, Prediction

if TYPE_CHECKING:
    from recon.models.presets import Preset


def gaussian_source(options: InferenceOptions, formats: Sequence[str], preset: Preset | None) -> GaussianSource | None:
    """Where the Gaussians of a run come from; None where neither a format nor an option asks for any.

    `preset` is None for multi-view stereo. Raises InputError where they are to come from a head that is not there.
    """
    asked = options.infer_gs or options.gaussians != "auto"
    if not asked and not any(name in SPLAT_FORMATS for name in formats):
        return None
    has_head = preset is not None and preset.has_gaussians
    if options.gaussians == "depth" or (options.gaussians == "auto" and not options.infer_gs and not has_head):
        return "depth"
    if not has_head:
        asked_by = "infer_gs" if options.infer_gs else "gaussians"
        name = "multi-view stereo" if preset is None else preset.name
        raise InputError(
            f"{asked_by}: {name} has no Gaussian head, da3-giant and da3nested-giant-large have one; "
            "gaussians 'depth' makes splats from the depth of any model"
        )
    return "head"


def add_gaussians(prediction: Prediction, choices: ExportChoices) -> Prediction:
    """The prediction with splats from its depth. Raises InputError as `recon.refine.from_depth`."""
    gaussians = from_depth(prediction, DepthSplatOptions(budget=choices.gs_budget))
    return replace(
        prediction, gaussians=gaussians, gaussian_source="depth", aux={**prediction.aux, "gaussians": gaussians}
    )


def with_gaussians(prediction: Prediction, choices: ExportChoices, formats: Sequence[str]) -> Prediction:
    """A stored prediction with the Gaussians that `formats` need: those it has, else from its depth.

    Raises InputError where those of a head are asked for and were not stored.
    """
    if not any(name in SPLAT_FORMATS for name in formats):
        return prediction
    if choices.gaussians == "head" and prediction.gaussian_source != "head":
        raise InputError("gaussians: this result holds no Gaussians of a head; 'depth' makes splats from its depth")
    if choices.gs_budget is not None and choices.gaussians != "depth" and prediction.gaussian_source == "head":
        raise InputError(
            "gs_budget: this result holds Gaussians of a head, which are not thinned; gaussians 'depth' makes others"
        )
    stored = prediction.gaussians is not None and choices.gaussians in ("auto", prediction.gaussian_source)
    if stored and (prediction.gaussian_source == "head" or choices.gs_budget is None):
        return prediction
    return add_gaussians(prediction, choices)
