"""Structure from motion of recon against pycolmap called bare, on the same photos in the same run.

    python -m tests.benchmarks.bench_sfm ../shared/data/door/images [--repeats 3]

Bare is what a script of three calls does: extract_features, match_exhaustive, incremental_mapping, with pycolmap's own
options; and once more with the size of pictures and the first octave that recon searches features in. Recon's time
holds the reading and shrinking of the photos. With the same features it is to take at most 1.2 times as long. Times of
the processor, all threads together, tell more than those of the clock where something else runs too.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from recon.sfm.photos import MAX_FEATURE_SIDE
from recon.sfm.structure_from_motion import prepare_photo, structure_from_motion
from recon.sources.colmap_log import quiet_colmap
from recon.sources.loading import load_each

Outcome = tuple[int, int, float]
"""Photos registered, points, and mean reprojection error in pixels."""


def recon(folder: Path) -> Outcome:
    result = structure_from_motion(load_each(folder, prepare_photo).photos)
    return len(result.registered), len(result.sparse), float(result.reprojection_errors.mean())


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
    return largest.num_reg_images(), largest.num_points3D(), largest.compute_mean_reprojection_error()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", type=Path)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    sides: dict[str, Callable[[], Outcome]] = {
        "pycolmap, its own options": lambda: bare(arguments.images, same_features=False),
        "pycolmap, recon's features": lambda: bare(arguments.images, same_features=True),
        "recon": lambda: recon(arguments.images),
    }
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
    for name, (photos, points, error) in outcomes.items():
        columns = [
            f"{own:7.1f} {ours / own:8.2f}×" for own, ours in zip(best[name], best["recon"], strict=True)
        ]  # by the clock, by the processor
        print(f"{name:26} {' '.join(columns)} {photos:7} {points:7} {error:10.3f}")


if __name__ == "__main__":
    main()
