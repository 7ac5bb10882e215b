"""ScanNet++ (Yeshwanth et al., ICCV 2023): one scene by DSLR and iPhone, registered to laser scans, in metres.

    SCENE/dslr/nerfstudio/transforms_undistorted.json     pinhole cameras of dslr/resized_undistorted_images/ (or
                                                          dslr/undistorted_images/), as its toolkit writes them
    SCENE/dslr/colmap/                                    the fisheye cameras of dslr/resized_images/
    SCENE/dslr/render_depth/NAME.png                      16 bit, mm, of the fisheye images; looked up along rays
    SCENE/iphone/colmap/, iphone/rgb/, iphone/render_depth/
    SCENE/merge_dslr_iphone/colmap/sparse_render_rgb/, images/, render_depth/     as in the DA3 benchmark: iPhone only
    SCENE/scans/mesh_aligned_0.05.ply

Of a scene with several of these the first is read; name the folder `dslr`, `iphone` or `merge_dslr_iphone` for
another. The iPhone's slight distortion is left out.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recon.errors import InputError
from recon.eval.layouts.layout import Layout, pinhole_part, read_millimetres, to_distorted
from recon.eval.truth import DepthFile, GroundTruth, SurfaceDefaults, SurfaceFile
from recon.files import read_json
from recon.geometry.cameras import invert_rigid, to_4x4
from recon.sources.colmap import open_colmap

TRANSFORMS = Path("nerfstudio") / "transforms_undistorted.json"
DEFAULTS = SurfaceDefaults(threshold=0.05, voxel=0.02, truncation=0.15)
"""Of the DA3 benchmark."""
WORLD_FROM_NERFSTUDIO = np.array([[0.0, 1, 0, 0], [1, 0, 0, 0], [0, 0, -1, 0], [0, 0, 0, 1]])
"""The toolkit's nerfstudio files have x and y of the scan's world swapped and z turned over."""
_MODELS = {"iphone": Path("colmap"), "merge_dslr_iphone": Path("colmap") / "sparse_render_rgb"}
"""Where the COLMAP model lies in each of the other folders."""
_IMAGES = {"iphone": "rgb", "merge_dslr_iphone": "images"}


def find(folder: Path) -> Path | None:
    """The part to read, for a scene's folder or for the part itself."""
    parts = ("dslr", *_MODELS)
    candidates = [folder] if folder.name in parts else [folder / part for part in parts]
    return next((part for part in candidates if _is_part(part)), None)


def read(part: Path) -> GroundTruth:
    """The cameras of one part, with depth and mesh where they are there."""
    return _read_dslr(part) if part.name == "dslr" else _read_model(part)


def _is_part(part: Path) -> bool:
    if part.name == "dslr":
        return (part / TRANSFORMS).is_file()
    return any((part / _MODELS[part.name] / f"images{suffix}").is_file() for suffix in (".txt", ".bin"))


def _read_dslr(part: Path) -> GroundTruth:
    path = part / TRANSFORMS
    try:
        content: dict[str, Any] = read_json(path)
        frames = sorted([*content["frames"], *content.get("test_frames", [])], key=lambda f: str(f["file_path"]))
        names = [Path(frame["file_path"]).name for frame in frames]
        camera_to_nerfstudio = np.array([frame["transform_matrix"] for frame in frames], np.float64).reshape(-1, 4, 4)
        size = (int(content["w"]), int(content["h"]))
        intrinsics = np.array(
            [[content["fl_x"], 0, content["cx"]], [0, content["fl_y"], content["cy"]], [0, 0, 1]], np.float64
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: not the cameras of undistorted images: {error!r}") from error
    opengl_to_opencv = np.diag([1.0, -1, -1, 1])  # nerfstudio cameras have y up and z backward
    camera_to_world = WORLD_FROM_NERFSTUDIO @ camera_to_nerfstudio @ opengl_to_opencv
    images = next((f for f in (part / "resized_undistorted_images", part / "undistorted_images") if f.is_dir()), part)
    return GroundTruth(
        layout="ScanNet++",
        path=part,
        units="m",
        image_names=tuple(names),
        image_paths=tuple(images / name for name in names),
        image_sizes=np.tile(size, (len(names), 1)),
        extrinsics=invert_rigid(camera_to_world),
        intrinsics=np.tile(intrinsics, (len(names), 1, 1)),
        depth_files=_fisheye_depth(part, names, intrinsics),
        surface_files=_mesh(part),
        surface_defaults=DEFAULTS,
    )


def _fisheye_depth(part: Path, names: list[str], intrinsics: NDArray[np.float64]) -> tuple[DepthFile | None, ...]:
    files = [_depth_path(part, name) for name in names]
    if not any(files) or not (part / "colmap").is_dir():
        return ()
    model = open_colmap(part / "colmap")
    cameras = {Path(image.name).name: model.cameras[image.camera_id] for image in model.images.values()}
    return tuple(
        None
        if path is None or name not in cameras
        else DepthFile(path, partial(read_millimetres, path), from_image=to_distorted(intrinsics, cameras[name]))
        for name, path in zip(names, files, strict=True)
    )


def _read_model(part: Path) -> GroundTruth:
    model = open_colmap(part / _MODELS[part.name])
    images = sorted(model.images.values(), key=lambda image: image.name)
    if part.name == "merge_dslr_iphone":
        images = [image for image in images if "iphone" in image.name]
    if not images:
        raise InputError(f"{part / _MODELS[part.name]}: holds no iPhone image")
    cameras = [model.cameras[image.camera_id] for image in images]
    paths = [_depth_path(part, image.name) for image in images]
    depth = tuple(None if path is None else DepthFile(path, partial(read_millimetres, path)) for path in paths)
    return GroundTruth(
        layout="ScanNet++",
        path=part,
        units="m",
        image_names=tuple(image.name for image in images),
        image_paths=tuple(part / _IMAGES[part.name] / image.name for image in images),
        image_sizes=np.array([(camera.width, camera.height) for camera in cameras]),
        extrinsics=to_4x4(np.array([image.cam_from_world().matrix() for image in images])),
        intrinsics=np.array([pinhole_part(camera) for camera in cameras]),
        depth_files=depth if any(depth) else (),
        surface_files=_mesh(part),
        surface_defaults=DEFAULTS,
    )


def _depth_path(part: Path, name: str) -> Path | None:
    path = part / "render_depth" / Path(name).with_suffix(".png").name
    return path if path.is_file() else None


def _mesh(part: Path) -> tuple[SurfaceFile, ...]:
    mesh = part.parent / "scans" / "mesh_aligned_0.05.ply"
    return (SurfaceFile(mesh),) if mesh.is_file() else ()


LAYOUT = Layout(
    "ScanNet++",
    f"dslr/{TRANSFORMS.as_posix()}, iphone/colmap/ or merge_dslr_iphone/colmap/sparse_render_rgb/",
    find,
    read,
)
