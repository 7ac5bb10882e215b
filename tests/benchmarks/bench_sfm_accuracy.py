"""Accuracy of structure from motion beside pycolmap called bare, over several seeds, where cameras are known.

    python -m tests.benchmarks.bench_sfm_accuracy [fountain door courtyard table] [--seeds 5] [--intrinsics]

For each set: the median angle between relative rotations, the mean distance of camera centres after the best
similarity (in the unit of the truth, and as a share of their mean distance from their middle), and how far the focal
length is off. Bare is extract_features, match_exhaustive and incremental_mapping with pycolmap's own options. Each
number is the mean over the seeds ± their standard deviation; the third line of a set is the mean of recon's less
pycolmap's, seed by seed, ± its standard error (of the size of the error, for the focal length): below 0, recon is
nearer. Pycolmap's features and matches are found once, for they do not depend on the seed. The truth of `door` is a
COLMAP model, whose principal point is in the middle: it says how near recon is to that, not to the door. With
`--intrinsics`, recon is given the true ones.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from recon.geometry.cameras import camera_centres
from recon.geometry.similarity import umeyama
from recon.sfm.photos import prepare_photo
from recon.sfm.structure_from_motion import SfmOptions, structure_from_motion
from recon.sources.colmap import read_colmap
from recon.sources.colmap_log import quiet_colmap
from recon.sources.loading import load_each

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT.parent / "shared" / "data"
SCENES = ("fountain", "door", "courtyard", "table")


@dataclass(frozen=True)
class Truth:
    """Cameras of a folder of photos, by name."""

    images: Path
    poses: dict[str, np.ndarray]
    """(4, 4) world-to-camera."""
    intrinsics: dict[str, np.ndarray]
    """(3, 3)"""


class Found(NamedTuple):
    """Cameras that were found, by name of the photo."""

    poses: dict[str, np.ndarray]
    focal: float
    """Mean over the photos, in pixels of the originals."""


class Errors(NamedTuple):
    """Of the cameras found."""

    photos: float
    degrees: float
    distance: float
    share: float
    """Of the distance, in units of the mean distance of the centres from their middle, in %."""
    focal: float
    """In %, longer is above 0."""


def truth_of(scene: str) -> Truth:
    """Of a sample scene, or of a set beside the project."""
    folder = ROOT / "scenes" / scene if (ROOT / "scenes" / scene).is_dir() else DATA / scene
    if (folder / "sparse").is_dir():
        model = read_colmap(folder / "sparse" / "0")
        poses = dict(zip(model.names, model.world_to_camera, strict=True))
        return Truth(
            folder / "images", poses, {n: lens.intrinsics for n, lens in zip(model.names, model.lenses, strict=True)}
        )
    frames = json.loads((folder / "cameras.json").read_text())["frames"]
    names = [Path(frame["image"]).name for frame in frames]
    return Truth(
        folder / "images",
        {name: np.array(frame["world_to_camera"]) for name, frame in zip(names, frames, strict=True)},
        {name: np.array(frame["intrinsics"]) for name, frame in zip(names, frames, strict=True)},
    )


def recon(truth: Truth, seed: int, known: bool) -> Found:
    """Cameras by recon."""
    photos = load_each(truth.images, prepare_photo).photos
    if known:
        photos = [replace(photo, intrinsics=truth.intrinsics[Path(photo.name).name]) for photo in photos]
    result = structure_from_motion(photos, SfmOptions(seed=seed))
    assert result.cameras.world_to_camera is not None
    names = [Path(name).name for name in result.registered_names]
    focal = float(result.lenses.intrinsics[:, [0, 1], [0, 1]].mean())
    return Found(dict(zip(names, result.cameras.world_to_camera, strict=True)), focal)


def bare(truth: Truth, seed: int, database: Path) -> Found:
    """Cameras by pycolmap called bare; features and matches are found once, in the folder of `database`."""
    import pycolmap

    with quiet_colmap(), tempfile.TemporaryDirectory() as temporary:
        pycolmap.set_random_seed(seed)
        if not database.exists():
            pycolmap.extract_features(database, truth.images)
            pycolmap.match_exhaustive(database)
        options = pycolmap.IncrementalPipelineOptions(random_seed=seed)
        models = pycolmap.incremental_mapping(database, truth.images, temporary, options)
    largest = max(models.values(), key=lambda model: model.num_reg_images())
    images = [largest.images[image_id] for image_id in largest.reg_image_ids()]
    poses = {Path(image.name).name: np.vstack([image.cam_from_world().matrix(), [0, 0, 0, 1]]) for image in images}
    return Found(poses, float(np.mean([largest.cameras[image.camera_id].mean_focal_length() for image in images])))


def errors_of(found: Found, truth: Truth) -> Errors:
    """Of the cameras found against the truth."""
    names = sorted(found.poses)
    ours, theirs = (np.stack([poses[name] for name in names]) for poses in (found.poses, truth.poses))
    first, second = np.triu_indices(len(names), 1)
    turns = [poses[second, :3, :3] @ poses[first, :3, :3].swapaxes(1, 2) for poses in (ours, theirs)]
    chords = np.linalg.norm(turns[0] - turns[1], axis=(1, 2)) / 8**0.5
    centres = camera_centres(theirs)
    distances = np.linalg.norm(umeyama(centres, camera_centres(ours)).apply(camera_centres(ours)) - centres, axis=1)
    extent = np.linalg.norm(centres - centres.mean(axis=0), axis=1).mean()
    focal = float(np.mean([truth.intrinsics[name][[0, 1], [0, 1]].mean() for name in names]))
    return Errors(
        len(names),
        float(np.degrees(2 * np.arcsin(np.median(chords)))),
        float(distances.mean()),
        100 * float(distances.mean() / extent),
        100 * (found.focal / focal - 1),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenes", nargs="*", default=list(SCENES))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--intrinsics", action="store_true")
    arguments = parser.parse_args()
    heads = ("photos", "rotation °", "centres", "share %", "focal %")
    print(f"{'':10} {'':10}", *(f"{head:>19}" for head in heads))
    for scene in arguments.scenes:
        truth = truth_of(scene)
        with tempfile.TemporaryDirectory() as folder:
            sides: dict[str, Callable[[int], Found]] = {
                "recon": lambda seed, truth=truth: recon(truth, seed, arguments.intrinsics),
                "pycolmap": lambda seed, truth=truth, folder=folder: bare(truth, seed, Path(folder) / "database.db"),
            }
            found: dict[str, np.ndarray] = {}
            for name, find in sides.items():
                rows = found[name] = np.array([errors_of(find(seed), truth) for seed in range(arguments.seeds)])
                print_line(scene, name, rows.mean(axis=0), rows.std(axis=0))
            ours, theirs = (found[name] * [1, 1, 1, 1, np.nan] for name in sides)
            ours[:, 4], theirs[:, 4] = (np.abs(found[name][:, 4]) for name in sides)
            apart = ours - theirs
            if len(apart) > 1:
                print_line(scene, "difference", apart.mean(axis=0), apart.std(axis=0, ddof=1) / len(apart) ** 0.5)


def print_line(scene: str, name: str, values: np.ndarray, spreads: np.ndarray) -> None:
    """One line of the table."""
    columns = [f"{value:10.4f} ± {spread:6.4f}" for value, spread in zip(values, spreads, strict=True)]
    print(f"{scene:10} {name:10}", *columns, flush=True)


if __name__ == "__main__":
    main()
