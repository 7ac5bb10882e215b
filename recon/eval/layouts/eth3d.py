"""ETH3D high-resolution multi-view (Schöps et al., CVPR 2017): photos registered to laser scans, in metres.

    SCENE/dslr_calibration_undistorted/  COLMAP text of images/dslr_images_undistorted/*.JPG (pinhole)
    SCENE/dslr_calibration_jpg/          COLMAP text of the originals, images/dslr_images/*.JPG (thin prism fisheye)
    SCENE/ground_truth_depth/dslr_images/NAME.JPG     raw float32 depth of the originals, infinite where there is none
    SCENE/masks_for_images/dslr_images/NAME.png       1 where the originals' depth is not to be used
    SCENE/dslr_scan_eval/scan_alignment.mlp, scan*.ply, or SCENE/combined_mesh.ply

The undistorted photos are read where their calibration is there, with the originals' depth looked up along the same
rays; name the folder `dslr_calibration_jpg` for the originals. Those are what the DA3 benchmark takes, which leaves
their distortion out.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from recon.errors import InputError
from recon.eval.layouts.layout import Layout, pinhole_part, read_png, to_distorted
from recon.eval.truth import DepthFile, GroundTruth, SurfaceDefaults, SurfaceFile
from recon.geometry.cameras import to_4x4
from recon.sources.colmap import open_colmap

if TYPE_CHECKING:
    import pycolmap

UNDISTORTED, ORIGINAL = "dslr_calibration_undistorted", "dslr_calibration_jpg"
DEFAULTS = SurfaceDefaults(threshold=0.25, voxel=5 * 4 / 512, truncation=0.2)
"""Of the DA3 benchmark. The data set's own evaluation reports F1 at 0.01, 0.02, 0.05, 0.1, 0.2 and 0.5 m."""


def find(folder: Path) -> Path | None:
    """The calibration to read, for a scene's folder or for the calibration itself."""
    candidates = [folder] if folder.name in (UNDISTORTED, ORIGINAL) else [folder / UNDISTORTED, folder / ORIGINAL]
    return next((f for f in candidates if (f / "cameras.txt").is_file()), None)


def read(calibration: Path) -> GroundTruth:
    """The photos of a calibration, with depth and scans where the scene's folder holds them."""
    scene = calibration.parent
    model = open_colmap(calibration)
    images = sorted(model.images.values(), key=lambda image: image.name)
    cameras = [model.cameras[image.camera_id] for image in images]
    intrinsics = np.array([pinhole_part(camera) for camera in cameras])
    undistorted = calibration.name == UNDISTORTED
    return GroundTruth(
        layout="ETH3D",
        path=calibration,
        units="m",
        image_names=tuple(image.name for image in images),
        image_paths=tuple(_photo(scene, image.name) for image in images),
        image_sizes=np.array([(camera.width, camera.height) for camera in cameras]),
        extrinsics=to_4x4(np.array([image.cam_from_world().matrix() for image in images])),
        intrinsics=intrinsics,
        depth_files=_depth_files(scene, model, [image.name for image in images], intrinsics if undistorted else None),
        surface_files=_surface(scene),
        surface_defaults=DEFAULTS,
    )


def _photo(scene: Path, name: str) -> Path:
    """Names carry the folder below images/ in the data set's archives, and not in all copies of it."""
    nested = scene / "images" / name
    return nested if nested.is_file() else scene / "images" / Path(name).name


def _depth_files(
    scene: Path,
    model: pycolmap.Reconstruction,
    names: list[str],
    undistorted_intrinsics: NDArray[np.float64] | None,
) -> tuple[DepthFile | None, ...]:
    """Depth exists for the originals only, so that undistorted photos need the originals' calibration as well."""
    folder = scene / "ground_truth_depth" / "dslr_images"
    originals_known = undistorted_intrinsics is None or (scene / ORIGINAL / "cameras.txt").is_file()
    if not folder.is_dir() or not originals_known:
        return ()
    originals = model if undistorted_intrinsics is None else open_colmap(scene / ORIGINAL)
    taken_by = {Path(i.name).name: originals.cameras[i.camera_id] for i in originals.images.values()}
    files: list[DepthFile | None] = []
    for view, name in enumerate(names):
        path, camera = folder / Path(name).name, taken_by.get(Path(name).name)
        if camera is None or not path.is_file():
            files.append(None)
            continue
        mask = scene / "masks_for_images" / "dslr_images" / Path(name).with_suffix(".png").name
        files.append(
            DepthFile(
                path,
                partial(_read_depth, path, mask, camera.width, camera.height),
                from_image=None
                if undistorted_intrinsics is None
                else to_distorted(undistorted_intrinsics[view], camera),
            )
        )
    return tuple(files) if any(files) else ()


def _read_depth(path: Path, mask: Path, width: int, height: int) -> NDArray[np.float32]:
    values = np.fromfile(path, "<f4")
    if values.size != width * height:
        raise InputError(f"{path}: expected {width}×{height} floats, got {values.size}")
    depth = values.reshape(height, width)
    depth[~np.isfinite(depth)] = 0
    if mask.is_file():
        depth[read_png(mask) == 1] = 0
    return depth


def _surface(scene: Path) -> tuple[SurfaceFile, ...]:
    project = scene / "dslr_scan_eval" / "scan_alignment.mlp"
    if project.is_file():
        try:
            meshes = list(ElementTree.parse(project).getroot().iter("MLMesh"))
            return tuple(
                SurfaceFile(
                    project.parent / mesh.attrib["filename"],
                    np.array(mesh.findtext("MLMatrix44", "").split(), np.float64).reshape(4, 4),
                )
                for mesh in meshes
            )
        except (ElementTree.ParseError, KeyError, ValueError) as error:
            raise InputError(f"{project}: not a MeshLab project with a matrix for each scan ({error})") from error
    mesh = scene / "combined_mesh.ply"
    return (SurfaceFile(mesh),) if mesh.is_file() else ()


LAYOUT = Layout("ETH3D", f"{UNDISTORTED}/ or {ORIGINAL}/", find, read)
