"""Structure from motion of recon against pycolmap called bare, on the same photos in the same run.

    python -m tests.benchmarks.bench_sfm ../shared/data/door/images [--repeats 3]
    python -m tests.benchmarks.bench_sfm --renders 300 --repeats 1

Bare is what a script of three calls does: extract_features, match_exhaustive, incremental_mapping, with pycolmap's own
options; and once more with the size of pictures and the first octave that recon searches features in. Recon's time
holds the reading and shrinking of the photos. With the same features it is to take at most 1.2 times as long. Times of
the processor, all threads together, tell more than those of the clock where something else runs too.

`--renders N` takes N photos of 640 × 480 of the courtyard, rendered into a temporary folder where they stay. Recon
searches pictures so poor in features at double size, as pycolmap does by its own options, so only those are run.
It prints how far camera centres are off, too: the root mean square, as a share of the diagonal of the box around them.
Recon is to take at most half as long, and 300 photos at most 6 minutes on two cores.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from recon.geometry.cameras import camera_centres
from recon.geometry.similarity import umeyama
from recon.sfm.photos import MAX_FEATURE_SIDE
from recon.sfm.structure_from_motion import prepare_photo, structure_from_motion
from recon.sources.colmap import world_to_camera
from recon.sources.colmap_log import quiet_colmap
from recon.sources.loading import load_each

from .court_photos import court_cameras, court_photos, name_of


class Outcome(NamedTuple):
    """Of one side."""

    photos: int
    """Registered."""
    points: int
    error: float
    """Mean reprojection error in pixels."""
    poses: dict[str, np.ndarray]
    """(4, 4) world-to-camera, by name of the photo."""


def recon(folder: Path) -> Outcome:
    result = structure_from_motion(load_each(folder, prepare_photo).photos)
    assert result.cameras.world_to_camera is not None
    names = [Path(name).name for name in result.registered_names]
    poses = dict(zip(names, result.cameras.world_to_camera, strict=True))
    return Outcome(len(names), len(result.sparse), float(np.nanmean(result.reprojection_errors)), poses)


def bare(folder: Path, same_features: bool) -> Outcome:
    import pycolmap

    options = pycolmap.FeatureExtractionOptions()
    if same_features:
        options.max_image_size = MAX_FEATURE_SIDE
        options.sift.first_octave = 0
    with quiet_colmap(), tempfile.TemporaryDirectory() as temporary:
        database = Path(temporary) / "database.db"
        pycolmap.extract_features(database, folder, extraction_options=options)
        pycolmap.match_exhaustive(database)
        models = pycolmap.incremental_mapping(database, folder, temporary)
    largest = max(models.values(), key=lambda model: model.num_reg_images())
    images = [largest.images[image_id] for image_id in largest.reg_image_ids()]
    poses = {Path(image.name).name: world_to_camera(image) for image in images}
    return Outcome(len(images), largest.num_points3D(), largest.compute_mean_reprojection_error(), poses)


def trajectory_error(poses: dict[str, np.ndarray], truth: dict[str, np.ndarray]) -> float:
    """Root mean square distance of camera centres from the true ones, in % of the diagonal of the box around these."""
    names = sorted(poses)
    target, found = (camera_centres(np.stack([cameras[name] for name in names])) for cameras in (truth, poses))
    apart = np.linalg.norm(umeyama(target, found).apply(found) - target, axis=1)
    return 100 * float(np.sqrt((apart**2).mean()) / np.linalg.norm(np.ptp(target, axis=0)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", type=Path, nargs="?")
    parser.add_argument("--renders", type=int, metavar="N")
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    if (arguments.images is None) == (arguments.renders is None):
        parser.error("give a folder of photos, or --renders N")
    folder, truth = arguments.images, {}
    if arguments.renders is not None:
        folder = court_photos(arguments.renders)
        truth = {name_of(index): camera for index, camera in enumerate(court_cameras(arguments.renders))}
    sides: dict[str, Callable[[], Outcome]] = {
        "pycolmap, its own options": lambda: bare(folder, same_features=False),
        "pycolmap, recon's features": lambda: bare(folder, same_features=True),
        "recon": lambda: recon(folder),
    }
    if arguments.renders is not None:
        del sides["pycolmap, recon's features"]
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in sides}
    outcomes: dict[str, Outcome] = {}
    for _ in range(arguments.repeats):
        for name, run in sides.items():
            start = time.perf_counter(), time.process_time()
            outcomes[name] = run()
            seconds[name].append((time.perf_counter() - start[0], time.process_time() - start[1]))
    best = {name: tuple(map(min, zip(*times, strict=True))) for name, times in seconds.items()}
    print(
        f"{'':26} {'s':>7} {'recon is':>9} {'CPU s':>7} {'recon is':>9} {'photos':>7} {'points':>7} {'error, px':>10}"
    )
    for name, outcome in outcomes.items():
        columns = [
            f"{own:7.1f} {ours / own:8.2f}×" for own, ours in zip(best[name], best["recon"], strict=True)
        ]  # by the clock, by the processor
        off = f"  centres off by {trajectory_error(outcome.poses, truth):.3f} %" if truth else ""
        print(f"{name:26} {' '.join(columns)} {outcome.photos:7} {outcome.points:7} {outcome.error:10.3f}{off}")


if __name__ == "__main__":
    main()
