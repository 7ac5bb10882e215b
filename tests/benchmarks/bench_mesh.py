"""A mesh from depth maps, beside Open3D's, on the same arrays in the same run; and the filter before it.

    python -m tests.benchmarks.bench_mesh [--views 24] [--resolution 512] [--repeats 3] [--open3d PYTHON]
        [--device cuda]

`--open3d` takes the Python of an environment with Open3D (`open3d-cpu`), whose VoxelBlockGrid then fuses the same views
with the same voxels and truncation, colours among them. The first run of each is not counted: it compiles, or warms up.
With `--device cuda`, the same is done on a GPU as well, and its field and colours are held against those of the CPU.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recon.export.mesh_fusion import Fusion, choose_fusion
from recon.geometry.marching_cubes import extract_surface
from recon.geometry.mesh import vertex_normals
from recon.geometry.tsdf import Field, fuse
from recon.geometry.view_agreement import contradicted, depth_maps, typical_difference
from recon.types import Prediction
from tests.refine.depth_scene import ROOM, make_prediction

HEIGHT, WIDTH = 378, 504
TRUNCATION = 5.0
"""Voxels."""

OPEN3D = """
import sys, time
import numpy as np, open3d as o3d
data = np.load(sys.argv[1])
voxel, repeats = float(data["voxel"]), int(data["repeats"])
best = {"fuse": 1e9, "surface": 1e9}
for repeat in range(repeats + 1):
    start = time.perf_counter()
    grid = o3d.t.geometry.VoxelBlockGrid(
        ("tsdf", "weight", "color"), (o3d.core.float32, o3d.core.float32, o3d.core.float32), ((1), (1), (3)),
        voxel, 8, 50000, o3d.core.Device("CPU:0"),
    )
    for depth, image, intrinsics, camera in zip(data["depth"], data["images"], data["intrinsics"], data["cameras"]):
        depth, image = o3d.t.geometry.Image(depth), o3d.t.geometry.Image(image.astype(np.float32) / 255)
        intrinsics, camera = o3d.core.Tensor(intrinsics), o3d.core.Tensor(camera)
        where = grid.compute_unique_block_coordinates(depth, intrinsics, camera, 1.0, 1e3, float(data["truncation"]))
        grid.integrate(where, depth, image, intrinsics, intrinsics, camera, 1.0, 1e3, float(data["truncation"]))
    middle = time.perf_counter()
    mesh = grid.extract_triangle_mesh(1.0)
    end = time.perf_counter()
    if repeat:
        best = {"fuse": min(best["fuse"], middle - start), "surface": min(best["surface"], end - middle)}
print(best["fuse"], best["surface"], len(mesh.triangle.indices))
"""


def best_of(repeats: int, work: Callable[[], object]) -> float:
    """Seconds of the fastest run but the first."""
    seconds = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return min(seconds[1:])


def open3d(python: Path, prediction: Prediction, voxel: float, repeats: int) -> None:
    cameras = np.tile(np.eye(4), (len(prediction.depth), 1, 1))
    cameras[:, :3] = prediction.extrinsics
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "views.npz"
        np.savez(
            file,
            depth=prediction.depth.astype(np.float32),
            images=prediction.processed_images,
            intrinsics=prediction.intrinsics.astype(np.float64),
            cameras=cameras,
            voxel=voxel,
            truncation=TRUNCATION,
            repeats=repeats,
        )
        found = subprocess.run([python, "-c", OPEN3D, file], check=True, capture_output=True, text=True).stdout
    fused, surface, triangles = found.split()[-3:]
    print(f"Open3D: fuse with colours {float(fused):.2f} s, surface {float(surface):.2f} s, {triangles} triangles")


def compare(one: tuple[Field, NDArray[np.uint8]], other: tuple[Field, NDArray[np.uint8]]) -> None:
    """Print how far the field and the colours of two devices are apart."""
    (field, colors), (other_field, other_colors) = one, other
    same = np.array_equal(field.blocks, other_field.blocks)
    print(f"the same blocks: {same}")
    if same:
        known = np.isnan(field.values) == np.isnan(other_field.values)
        apart = np.nanmax(np.abs(field.values - other_field.values))
        print(f"known to both or to none: {known.mean():.6%} of the voxels; at most {apart:.1e} truncations apart")
    print(f"colours at most {np.abs(colors.astype(int) - other_colors).max()} of 255 apart")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--views", type=int, default=24)
    parser.add_argument("--resolution", type=int, default=512, help="voxels along the longest side of the room")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--open3d", type=Path, help="Python of an environment with Open3D")
    arguments = parser.parse_args()
    prediction = make_prediction(arguments.views, HEIGHT, WIDTH)
    depth, cameras = prediction.depth, (prediction.intrinsics, prediction.extrinsics)
    print(f"{arguments.views} views of {WIDTH}×{HEIGHT} pixels, best of {arguments.repeats}")

    def agreement() -> object:
        maps = depth_maps(depth, np.ones(depth.shape, bool), *cameras)
        return contradicted(maps, 2, max(0.01, typical_difference(maps) or 0.0))

    print(f"agreement between views: {best_of(arguments.repeats, agreement):.2f} s")

    voxel = float((ROOM[1] - ROOM[0]).max()) / arguments.resolution
    truncation = TRUNCATION * voxel
    field = fuse(depth, *cameras, voxel, truncation)
    mesh = extract_surface(field)
    normals = vertex_normals(mesh)
    surface = best_of(arguments.repeats, lambda: extract_surface(field))
    print(f"surface {surface:.2f} s, {len(mesh.faces)} triangles, {len(field.blocks)} blocks, voxels {voxel:.4f} m")
    images, found = prediction.processed_images, {}
    for device in dict.fromkeys(("cpu", arguments.device)):
        fusion = choose_fusion(device)

        def fused(fusion: Fusion = fusion) -> Field:
            return fuse(depth, *cameras, voxel, truncation, integrator=fusion)

        def colored(fusion: Fusion = fusion) -> NDArray[np.uint8]:
            return fusion.colors(mesh.vertices, normals, images, depth, *cameras, truncation)

        print(
            f"recon on {device}: fuse {best_of(arguments.repeats, fused):.2f} s, "
            f"colours {best_of(arguments.repeats, colored):.2f} s"
        )
        found[device] = fused(), colored()
    if len(found) == 2:
        compare(*found.values())
    if arguments.open3d is not None:
        open3d(arguments.open3d, prediction, voxel, arguments.repeats)


if __name__ == "__main__":
    main()
