"""How near a mesh is to the true surface of a sample scene, and how much its texture shows.

    python -m tests.benchmarks.bench_mesh_quality SCENE [RESULT]

SCENE is `scenes/courtyard` or another with true depth and cameras; RESULT the folder of a run of its photos with
`--cameras SCENE/cameras.json`, by default a mesh of the true depth itself. Precision is the share of the mesh within a
voxel of the true surface, recall the share of the true surface within a voxel of the mesh; and once more of the surface
that some depth of the result shows, for no mesh can hold what was not seen. Pictures of the mesh from the cameras are
held against the photos at their own resolution, with the texture and with colours of vertices.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

import recon
from recon.choices import CleanChoices
from recon.eval.ground_truth import GroundTruth, read_ground_truth, sample_depth
from recon.eval.surface_metrics import nearest_distances, thin
from recon.export.mesh import MeshOptions, make_mesh
from recon.export.mesh_texture import make_texture
from recon.export.points import kept_pixels
from recon.geometry.mesh import Mesh
from recon.geometry.unprojection import unproject_depth
from recon.refine.clean import clean
from recon.types import FloatArray, Prediction
from tests.export.mesh_pictures import picture
from tests.seeds import numpy_random

SAMPLES = 400_000
"""Points drawn on the mesh."""


def true_prediction(truth: GroundTruth) -> Prediction:
    """The photos with their true depth and cameras."""
    depth = []
    for view in used(truth):
        found = sample_depth(truth, view, size_of(truth, view), np.eye(3))
        assert found is not None
        depth.append(found[0])
    return Prediction(
        depth=np.stack(depth).astype(np.float32),
        processed_images=np.stack([photo(truth, view) for view in used(truth)]),
        extrinsics=truth.extrinsics[used(truth), :3].astype(np.float32),
        intrinsics=truth.intrinsics[used(truth)].astype(np.float32),
        units="metric",
    )


def used(truth: GroundTruth) -> list[int]:
    """Views that are not held out."""
    return [view for view, path in enumerate(truth.image_paths) if path.parent.name == "images"]


def size_of(truth: GroundTruth, view: int) -> tuple[int, int]:
    """Height and width."""
    return int(truth.image_sizes[view, 1]), int(truth.image_sizes[view, 0])


def photo(truth: GroundTruth, view: int) -> NDArray[np.uint8]:
    return np.ascontiguousarray(cv2.imread(str(truth.image_paths[view]))[..., ::-1])


def points_on(mesh: Mesh) -> FloatArray:
    """Drawn evenly by area."""
    random = numpy_random(0)
    corners = mesh.vertices[mesh.faces].astype(np.float64)
    areas = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    chosen = corners[random.choice(len(areas), SAMPLES, p=areas / areas.sum())]
    a, b = random.random((2, SAMPLES, 1))
    a, b = np.where(a + b > 1, 1 - a, a), np.where(a + b > 1, 1 - b, b)
    return chosen[:, 0] + a * (chosen[:, 1] - chosen[:, 0]) + b * (chosen[:, 2] - chosen[:, 0])


def decibels(mesh: Mesh, truth: GroundTruth) -> float:
    """Of the pictures beside the photos, where there is a surface."""
    errors = []
    for view in used(truth):
        shown, seen = picture(mesh, truth.intrinsics[view], truth.extrinsics[view], size_of(truth, view))
        errors.append(((shown - photo(truth, view))[seen] ** 2).ravel())
    return float(10 * np.log10(255**2 / np.concatenate(errors).mean()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scene", type=Path)
    parser.add_argument("result", type=Path, nargs="?")
    arguments = parser.parse_args()
    truth = read_ground_truth(arguments.scene)
    true = true_prediction(truth)
    prediction = true if arguments.result is None else recon.load(arguments.result, needs_images=True)
    prediction = replace(prediction, kept=clean(prediction, CleanChoices()).kept)
    options = MeshOptions(device="cpu")
    mesh, details = make_mesh(prediction, options)
    voxel = details["voxel"]
    pixels, _ = kept_pixels(prediction, options)
    assert true.extrinsics is not None
    assert true.intrinsics is not None
    assert prediction.extrinsics is not None
    assert prediction.intrinsics is not None
    surface = thin(unproject_depth(true.depth, true.intrinsics, true.extrinsics)[true.valid], voxel / 2)
    seen = unproject_depth(prediction.depth, prediction.intrinsics, prediction.extrinsics)[pixels]
    shown = nearest_distances(surface, thin(seen, voxel / 2)) < voxel
    samples = points_on(mesh)
    precision = (nearest_distances(samples, surface) < voxel).mean()
    found = nearest_distances(surface, samples) < voxel
    print(f"{len(mesh.faces)} triangles of voxels of {voxel:.4f}; {shown.mean():.3f} of the surface was seen")
    for what, recall in (("all", found.mean()), ("seen", found[shown].mean())):
        score = 2 * precision * recall / (precision + recall)
        print(f"of what is {what}: precision {precision:.3f}, recall {recall:.3f}, F-score {score:.3f}")
    texture, _ = make_texture(mesh, prediction, voxel, options.texture_size)
    textured = decibels(replace(mesh, texture=texture), truth)
    print(f"pictures beside the photos: texture {textured:.2f} dB, colours of vertices {decibels(mesh, truth):.2f} dB")


if __name__ == "__main__":
    main()
