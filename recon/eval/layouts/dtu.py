"""DTU (Jensen et al., CVPR 2014) as MVSNet (Yao et al., ECCV 2018) arranged it, in millimetres.

    Cameras/00000000_cam.txt          `extrinsic` and 4×4 world to camera, `intrinsic` and 3×3, of 1600×1200 pixels
    Rectified/scan1/rect_001_3_r5000.png              49 positions, counted from 1, under 7 lights
    Depths_raw/scan1/depth_map_0000.pfm, depth_visual_0000.png (0 where the depth is not to be used);
                                      or the same under depth_raw/Depths/ or Depths/
    Points/stl/stl001_total.ply       the scan

    Cameras/train/, Rectified/scan1_train/, Depths/scan1_train/   the same, of 640×512 pixels; these cameras' intrinsics
                                                                  are of a quarter of that
    scan1/image/00000000.png          the variant with 64 positions, without depth

Name the folder with the images of a scan. MVSNet's pixel centres are at integers; intrinsics are moved by half a pixel.
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recon.eval.layouts.layout import Layout, image_size, read_pfm, read_png
from recon.eval.layouts.mvsnet import read_camera
from recon.eval.truth import DepthFile, GroundTruth, SurfaceDefaults, SurfaceFile

FULL_WIDTH = 1600
TRAIN_WIDTH = 160
"""Width of the images that the intrinsics in Cameras/train are of."""
DEFAULTS = SurfaceDefaults(threshold=1.0, voxel=0.2, truncation=1.0, outlier_distance=20.0)
"""Thinning and outliers are those of the data set's evaluation, which knows no F1: its threshold was chosen here."""
_RECTIFIED = re.compile(r"rect_(\d+)_.*\.(png|jpg)", re.IGNORECASE)
_NUMBERED = re.compile(r"(\d{8})\.(png|jpg)", re.IGNORECASE)


def find(folder: Path) -> Path | None:
    """The folder with a scan's images, if `folder` is that or holds it as `image`, and has Cameras/ above it."""
    for candidate in (folder, folder / "image"):
        if candidate.is_dir() and _cameras_folder(candidate) is not None and _positions(candidate):
            return candidate
    return None


def read(images: Path) -> GroundTruth:
    """All images of a scan: every position under every light."""
    cameras = _cameras_folder(images)
    assert cameras is not None
    root = cameras.parent
    scan = images.parent.name if images.name == "image" else images.name
    positions = _positions(images)
    names = sorted(positions)
    width, height = image_size(images / names[0])
    train = scan.endswith("_train")
    scale = width / (TRAIN_WIDTH if train else FULL_WIDTH)
    matrices = {p: read_camera(cameras / ("train" if train else "") / f"{p:08d}_cam.txt") for p in positions.values()}
    depth = {p: _depth_file(root, scan, p) for p in matrices}
    points = root / "Points" / "stl" / f"stl{_scan_number(scan):03d}_total.ply"
    return GroundTruth(
        layout="DTU",
        path=images,
        units="mm",
        image_names=tuple(names),
        image_paths=tuple(images / name for name in names),
        image_sizes=np.tile([width, height], (len(names), 1)),
        extrinsics=np.array([matrices[positions[name]][0] for name in names]),
        intrinsics=np.array([_rescaled(matrices[positions[name]][1], scale) for name in names]),
        depth_files=tuple(depth[positions[name]] for name in names) if any(depth.values()) else (),
        surface_files=(SurfaceFile(points),) if points.is_file() else (),
        surface_defaults=DEFAULTS,
    )


def _cameras_folder(images: Path) -> Path | None:
    above = (folder / "Cameras" for folder in images.resolve().parents[:3])
    return next((cameras for cameras in above if cameras.is_dir()), None)


def _positions(images: Path) -> dict[str, int]:
    """Index of the camera by file name."""
    found = {}
    for path in images.iterdir():
        if match := _RECTIFIED.fullmatch(path.name):
            found[path.name] = int(match[1]) - 1
        elif match := _NUMBERED.fullmatch(path.name):
            found[path.name] = int(match[1])
    return found


def _rescaled(intrinsics: NDArray[np.float64], scale: float) -> NDArray[np.float64]:
    """Of images `scale` times as wide."""
    return np.diag([scale, scale, 1.0]) @ intrinsics


def _depth_file(root: Path, scan: str, position: int) -> DepthFile | None:
    folders = (root / "Depths_raw" / scan, root / "depth_raw" / "Depths" / scan, root / "Depths" / scan)
    files = (folder / f"depth_map_{position:04d}.pfm" for folder in folders)
    path = next((file for file in files if file.is_file()), None)
    return None if path is None else DepthFile(path, partial(_read_depth, path))


def _read_depth(path: Path) -> NDArray[np.float32]:
    depth = np.where(np.isfinite(depth := read_pfm(path)), depth, 0)
    mask = path.with_name(path.name.replace("depth_map", "depth_visual")).with_suffix(".png")
    if mask.is_file() and (visible := read_png(mask)).shape == depth.shape:
        depth[visible <= 10] = 0  # the mask is stored with rounding, as in the DA3 benchmark
    return depth


def _scan_number(scan: str) -> int:
    match = re.match(r"scan(\d+)", scan)
    return int(match[1]) if match else 0


LAYOUT = Layout("DTU", "rect_*.png or image/00000000.png, with Cameras/ above", find, read)
