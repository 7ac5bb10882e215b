"""Give a prediction the Gaussians that are asked for, where it has none: from its depth."""

from __future__ import annotations

from dataclasses import replace

from recon.choices import ExportChoices, InferenceOptions, SplatOptimisation
from recon.errors import InputError
from recon.geometry.sparse_points import SparsePoints
from recon.messages import warn
from recon.options import part_of
from recon.refine.depth_splats import DepthSplatOptions, from_depth
from recon.refine.optimisation.snapshots import Snapshots
from recon.refine.optimised_splats import OptimisedSplats
from recon.refine.splat_start import DEPTH, SplatStart, splats_to_begin
from recon.types import Gaussians, Prediction


def depth_splat_options(choices: ExportChoices) -> DepthSplatOptions:
    """What `choices` say about splats from depth."""
    return DepthSplatOptions(budget=choices.gs_budget, include_filled=choices.include_filled)


def splats_from_depth(prediction: Prediction, choices: ExportChoices) -> Gaussians:
    """Splats from the depth of a prediction. Raises InputError as `recon.refine.from_depth`."""
    return from_depth(prediction, depth_splat_options(choices))


def fit_to_photos(
    prediction: Prediction,
    choices: InferenceOptions,
    snapshots: Snapshots | None = None,
    start: SplatStart = SplatStart(DEPTH),  # noqa: B008 (frozen)
    points: SparsePoints | None = None,
) -> OptimisedSplats:
    """Splats made to look like the photos of a prediction, going on from `snapshots`.

    Raises InputError as `splats_to_begin` and `recon.refine.optimise_splats.optimise_splats`.
    """
    from recon.refine.optimise_splats import optimise_splats

    if len(prediction.depth) == 1:
        warn("splats are fitted to one photo: none is held out to tell how they look from anywhere else")
    of_depth = depth_splat_options(choices)
    return optimise_splats(
        replace(prediction, gaussians=None, gaussian_source=None),
        part_of(choices, SplatOptimisation),
        start=splats_to_begin(start, prediction, points, choices, of_depth),
        from_depth_options=of_depth,
        seed=choices.seed,
        rasterizer=choices.rasterizer,
        snapshots=snapshots,
    )


def add_gaussians(prediction: Prediction, choices: ExportChoices) -> Prediction:
    """The prediction with splats from its depth. Raises InputError as `recon.refine.from_depth`."""
    return replace(prediction, gaussians=splats_from_depth(prediction, choices), gaussian_source="depth")


def with_gaussians(prediction: Prediction, choices: ExportChoices) -> Prediction:
    """A stored prediction with the Gaussians that are asked for: those it has, else from its depth.

    Raises InputError where those of a head are asked for and were not stored.
    """
    if choices.gaussians == "head" and prediction.gaussian_source != "head":
        raise InputError("gaussians: this result holds no Gaussians of a head; 'depth' makes splats from its depth")
    kinds = {"head": "Gaussians of a head", "optimised": "splats optimised to look like the photos"}
    kind = kinds.get(prediction.gaussian_source or "")
    if choices.gs_budget is not None and choices.gaussians != "depth" and kind is not None:
        raise InputError(
            f"gs_budget: this result holds {kind}, which are not thinned; gaussians 'depth' makes others from its depth"
        )
    stored = prediction.gaussians is not None and choices.gaussians in ("auto", prediction.gaussian_source)
    if stored and (kind is not None or choices.gs_budget is None):
        return prediction
    return add_gaussians(prediction, choices)
