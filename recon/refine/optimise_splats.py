"""Splats that look like the photos: Gaussian splatting from dense depth instead of sparse points, on the CPU.

The loop of 3DGS (Kerbl et al. 2023) with its loss, started from splats that are nearly right: there is nothing to
densify, and some sixty looks at each photo are enough; more of them fit the photos and nothing else. Besides the splats
it finds a gain and an offset of each photo's colours, and where cameras were not given, small corrections of these.
The parts are in `recon.refine.optimisation`.
"""

from __future__ import annotations

import numpy as np

from recon.choices import RasterizerName, SplatOptimisation
from recon.errors import InputError
from recon.geometry.cameras import to_4x4
from recon.geometry.located_depth import with_cameras
from recon.messages import listed, warn
from recon.refine.depth_splats import DepthSplatOptions
from recon.refine.optimisation.camera_corrections import CorrectedCameras
from recon.refine.optimisation.exposures import Exposures
from recon.refine.optimisation.full_size_photos import FullSizePhotos
from recon.refine.optimisation.loop import fit
from recon.refine.optimisation.memory import check_memory, memory_for_splats
from recon.refine.optimisation.photos import Photos, ProcessedPhotos
from recon.refine.optimisation.relative_exposures import evenly_exposed, relative_exposures
from recon.refine.optimisation.schedule import Schedule
from recon.refine.optimisation.scoring import held_out_views, sample_of, score
from recon.refine.optimisation.snapshot_keeper import SnapshotKeeper
from recon.refine.optimisation.snapshots import Snapshots
from recon.refine.optimisation.start import cameras_extent, of_views, start_from_depth, typical_depth, views_with_pixels
from recon.refine.optimisation.state import AdamSplats, FitState
from recon.refine.optimisation.updaters import open_updater
from recon.refine.optimised_splats import OptimisedSplats
from recon.splats.coverage import coverage, without_masked, without_unseen
from recon.splats.parameters import check_gaussians
from recon.types import Gaussians, Prediction


@memory_for_splats()
def optimise_splats(
    prediction: Prediction,
    options: SplatOptimisation = SplatOptimisation(),  # noqa: B008 (frozen)
    *,
    start: Gaussians | None = None,
    from_depth_options: DepthSplatOptions = DepthSplatOptions(),  # noqa: B008 (frozen)
    correct_cameras: bool | None = None,
    seed: int = 0,
    threads: int | None = None,
    rasterizer: RasterizerName = "cpu",
    snapshots: Snapshots | None = None,
) -> OptimisedSplats:
    """Fit splats to the photos of a prediction with cameras.

    The same arguments give the same bytes for any number of threads, unless `gs_seconds` or Ctrl-C ends it, which keeps
    what there is.

    Args:
        prediction: masks exclude pixels of photos; depth counts where it was found (`Prediction.valid`).
        options: see there.
        start: splats in the frame of the prediction, as `recon.refine.point_splats.splats_from_points` or a file gives
            them; by default made from its depth, and far ones where sky is known, by the photos that are not held out.
        from_depth_options: of the start from depth; `gs_splats` counts before its budget.
        correct_cameras: also find small corrections of cameras and focal lengths; by default of those not given.
        seed: of the order of the photos.
        threads: of the CPU, by default one per core.
        rasterizer: `cpu`; `gsplat`, with which steps are made on CUDA, not the same to the bit each time; or `auto`.
        snapshots: where the state is written now and then; if it is there already, of the same arguments and the same
            program, it goes on from there, to the same bytes. Whoever keeps what comes out calls its `remove`.

    Raises:
        InputError: cameras missing for several photos, no usable depth to start from, splats that are none or not
            finite, masks that leave nothing, photos that are not at hand for `gs_resolution`, or no memory for as many
            splats.
    """
    prediction = with_cameras(prediction)
    if prediction.extrinsics is None or prediction.intrinsics is None:
        raise InputError("splats are optimised with cameras, and these photos have none: give them, or find them")
    looked_at = _views_looked_at(prediction)
    held_out = [looked_at[place] for place in held_out_views(len(looked_at), options.gs_holdout)]
    fitted = views_with_pixels(prediction, [view for view in looked_at if view not in held_out])
    most = options.gs_splats or prediction.depth[0].size
    is_sparse = start is not None and len(start) < most / 2
    exposures = relative_exposures(prediction, fitted)
    if start is None:
        start = start_from_depth(evenly_exposed(prediction, exposures), fitted, options, from_depth_options)
    if len(start) == 0:
        raise InputError("there are no splats to begin the optimisation with")
    check_gaussians(start)
    if correct_cameras is None:
        correct_cameras = prediction.extrinsics_origin not in (None, "given")
    world_to_camera = to_4x4(prediction.extrinsics.astype(np.float64))
    seen = of_views(prediction, looked_at)
    extent = cameras_extent(world_to_camera[looked_at], seen)
    photos: Photos = ProcessedPhotos(prediction)
    if options.gs_resolution != "process":
        photos = FullSizePhotos(prediction, options.gs_resolution, [*fitted, *held_out], seed)
    number = len(fitted), len(held_out)
    schedule = Schedule.of(options, start, is_sparse, most, number, extent, photos.levels)
    check_memory(len(start) if schedule.densification is None else max(most, len(start)), schedule.sh_degrees[1])
    state = FitState(
        splats=AdamSplats.of(start, schedule.sh_degrees[0]),
        cameras=CorrectedCameras(
            world_to_camera,
            prediction.intrinsics.astype(np.float64),
            extent,
            typical_depth(seen) or extent,
            fitted,
        ),
        exposures=Exposures(exposures, fitted),
        rng=np.random.default_rng(seed),
    )
    updater = open_updater(rasterizer, state.splats, threads)
    sample = sample_of(fitted)
    before, held_out_before = (score(state, updater, photos, views) for views in (sample, held_out))
    keeper = SnapshotKeeper(snapshots, prediction, options, start, correct_cameras, seed)
    if keeper.restore(state):
        updater.push(state.splats)
    ended_by = fit(state, updater, photos, fitted, held_out, schedule, correct_cameras, keeper)
    after, held_out_after = (score(state, updater, photos, views) for views in (sample, held_out))
    updater.close()
    gaussians, lenses = state.splats.visible(), state.cameras.intrinsics
    shown = coverage(
        gaussians, state.cameras.world_to_camera[fitted], lenses[fitted], prediction.depth.shape[1:], threads
    )
    if state.done:
        gaussians, shown = without_unseen(gaussians, shown, options.gs_prune_unseen)
    gaussians = state.cameras.splats_in_given_world(gaussians)
    if state.done and prediction.mask is not None:
        cameras = prediction.intrinsics, prediction.extrinsics
        gaussians, shown = without_masked(gaussians, shown, prediction.mask, *cameras)
    return OptimisedSplats(
        gaussians=gaussians,
        coverage=shown,
        world_to_camera=state.cameras.in_given_world(),
        intrinsics=state.cameras.intrinsics,
        gains=state.exposures.gains,
        offsets=state.exposures.offsets,
        held_out=tuple(held_out),
        iterations=state.done,
        seconds=state.seconds,
        ended_by=ended_by,
        before=before,
        after=after,
        held_out_before=held_out_before,
        held_out_after=held_out_after,
    )


def _views_looked_at(prediction: Prediction) -> list[int]:
    """The views whose cameras were measured, where there are several; else all.

    A camera that a network predicts beside measured ones is some degrees off: what it sees would be drawn twice.
    """
    measured = prediction.measured_views
    if len(measured) < 2 or len(measured) == len(prediction.depth):
        return list(range(len(prediction.depth)))
    others = [view for view in range(len(prediction.depth)) if view not in measured]
    names = [prediction.image_names[view] if prediction.image_names else f"photo {view}" for view in others]
    warn(f"splats are fitted without {listed(names)}, whose cameras are predicted")
    return measured
