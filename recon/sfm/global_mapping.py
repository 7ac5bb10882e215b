"""Mapping that places all photos at once, from the motions between all pairs together.

Incremental mapping grows from two photos. Where the motion between those two is estimated wrongly, as happens to a
camera that moves forward, all else is built on it, and the model is consistent and false. Here one wrong pair among
many is outvoted.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from recon.sfm.focal import copy_overlaps

if TYPE_CHECKING:
    import pycolmap

_TRACKS_PER_PHOTO = 300
"""That photos are placed by, the longest first; all others are triangulated afterwards. More take longer and place no
better."""
_TRIANGULATION_ROUNDS, _TRIANGULATION_ITERATIONS = 1, 5
"""Of moving new points, with all cameras held; whoever completes the model moves both."""


def global_models(
    database_path: Path, folder: Path, seed: int, threads: int, hold_lenses: bool = False, wide_bounds: bool = False
) -> list[pycolmap.Reconstruction]:
    """Models of the photos that connect; none where too few do.

    Rotations are averaged over the pairs, then positions and points are found together (Pan et al., Global
    Structure-from-Motion Revisited, ECCV 2024). `folder` is for temporary files. With `hold_lenses`, all lenses are
    known. With `wide_bounds`, which takes longer, points that fit badly stay, as they do where lenses are wrong.
    """
    import pycolmap

    graph = folder / "global.db"
    try:
        with pycolmap.Database.open(database_path) as database:
            copy_overlaps(database, graph)
        calibration = pycolmap.ViewGraphCalibrationOptions()
        calibration.random_seed = seed
        if not pycolmap.calibrate_view_graph(graph, calibration):
            return []
        if hold_lenses:  # calibration makes one focal length of two
            with pycolmap.Database.open(database_path) as database, pycolmap.Database.open(graph) as calibrated:
                for camera in database.read_all_cameras():
                    calibrated.update_camera(camera)
        options = pycolmap.GlobalPipelineOptions()
        options.random_seed = options.mapper.random_seed = seed
        options.num_threads = options.mapper.num_threads = threads
        options.mapper.track_required_tracks_per_view = _TRACKS_PER_PHOTO
        options.mapper.skip_retriangulation = not wide_bounds
        options.mapper.global_positioning.use_gpu = False
        adjustment = options.mapper.bundle_adjustment
        adjustment.ceres.use_gpu = False
        adjustment.refine_focal_length = adjustment.refine_extra_params = not hold_lenses
        pycolmap.set_random_seed(seed)
        return list(pycolmap.global_mapping(graph, folder, folder, options).values())
    finally:
        graph.unlink(missing_ok=True)


def with_all_points(
    model: pycolmap.Reconstruction, database_path: Path, folder: Path, mapping: pycolmap.IncrementalPipelineOptions
) -> pycolmap.Reconstruction:
    """`model` with points from all matches of its photos, not only from those that they were placed by.

    Args:
        model: what global mapping found.
        database_path: holds the matches.
        folder: for temporary files.
        mapping: threads, seed, and how points are made.
    """
    import pycolmap

    options = pycolmap.IncrementalPipelineOptions()
    options.num_threads, options.random_seed, options.extract_colors = mapping.num_threads, mapping.random_seed, False
    options.triangulation = mapping.triangulation
    options.ba_global_max_refinements = _TRIANGULATION_ROUNDS
    options.ba_global_max_num_iterations = _TRIANGULATION_ITERATIONS
    made = folder / "points"
    made.mkdir(exist_ok=True)
    return pycolmap.triangulate_points(model, database_path, folder, made, False, options, False)
