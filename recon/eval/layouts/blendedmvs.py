"""BlendedMVS (Yao et al., CVPR 2020): photos blended with renderings of textured meshes; the unit of length is free.

    PID/blended_images/00000000.jpg         768 × 576, or 2048 × 1536; 00000000_masked.jpg beside it is left aside
    PID/cams/00000000_cam.txt               `recon.eval.layouts.mvsnet`; pair.txt beside it is not needed
    PID/rendered_depth_maps/00000000.pfm    z-depth; 0 where the mesh has a hole

After README.md of github.com/YoYo000/BlendedMVS. Its maps are empty where its meshes are.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recon.eval.layouts.layout import Layout, image_size, read_pfm
from recon.eval.layouts.mvsnet import read_camera
from recon.eval.truth import DepthFile, GroundTruth


def find(folder: Path) -> Path | None:
    """`folder` itself."""
    return folder if (folder / "blended_images").is_dir() and (folder / "cams").is_dir() else None


def read(folder: Path) -> GroundTruth:
    """The images that have a camera."""
    images = sorted(path for path in (folder / "blended_images").glob("*.jpg") if not path.stem.endswith("_masked"))
    files = {path: folder / "cams" / f"{path.stem}_cam.txt" for path in images}
    images = [path for path in images if files[path].is_file()]
    cameras = [read_camera(files[path]) for path in images]
    depth = [_depth_file(folder / "rendered_depth_maps" / f"{path.stem}.pfm") for path in images]
    return GroundTruth(
        layout="BlendedMVS",
        path=folder,
        units="units",
        image_names=tuple(path.relative_to(folder).as_posix() for path in images),
        image_paths=tuple(images),
        image_sizes=np.array([image_size(path) for path in images]),
        extrinsics=np.array([extrinsics for extrinsics, _ in cameras]),
        intrinsics=np.array([intrinsics for _, intrinsics in cameras]),
        depth_files=tuple(depth) if any(depth) else (),
    )


def _depth_file(path: Path) -> DepthFile | None:
    return DepthFile(path, partial(_read_depth, path)) if path.is_file() else None


def _read_depth(path: Path) -> NDArray[np.float32]:
    depth = read_pfm(path)
    return np.where(np.isfinite(depth) & (depth > 0), depth, np.float32(0))


LAYOUT = Layout("BlendedMVS", "blended_images/, cams/ and rendered_depth_maps/", find, read)
