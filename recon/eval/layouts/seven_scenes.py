"""7-Scenes (Shotton et al., CVPR 2013): frames of a hand-held depth camera.

    SCENE/seq-01/frame-000000.color.png  .depth.png (16 bit, mm, 0 and 65535: none)  .pose.txt (camera to world, m)
    meshes/SCENE.ply                     beside the scenes, where it has been made

Focal length and principal point are those that the data set names for the depth camera; colour and depth are taken as
one camera, as in the DA3 benchmark. Of a whole scene, its sequence is read: seq-01, and seq-02 of `stairs`.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from recon.errors import InputError
from recon.eval.layouts.layout import Layout, image_size, read_matrix, read_millimetres
from recon.eval.truth import DepthFile, GroundTruth, SurfaceDefaults, SurfaceFile
from recon.geometry.cameras import invert_rigid

WIDTH, HEIGHT = 640, 480
FOCAL = 585.0
DEFAULTS = SurfaceDefaults(threshold=0.05, voxel=4 / 512, truncation=0.04)
"""Of the DA3 benchmark."""


def find(folder: Path) -> Path | None:
    """`folder` if it is a sequence, or the sequence to read if it is a scene."""
    sequence = folder / ("seq-02" if folder.name == "stairs" else "seq-01")
    return next((f for f in (folder, sequence) if any(f.glob("frame-*.pose.txt"))), None)


def read(sequence: Path) -> GroundTruth:
    """All frames that have a pose; those lost by the tracker, whose pose is not finite, are left out."""
    names, poses, depth_files = [], [], []
    for pose_file in sorted(sequence.glob("frame-*.pose.txt")):
        camera_to_world = read_matrix(pose_file, (4, 4))
        if not np.isfinite(camera_to_world).all():
            continue
        frame = pose_file.name.removesuffix(".pose.txt")
        depth = sequence / f"{frame}.depth.png"
        names.append(f"{frame}.color.png")
        poses.append(camera_to_world)
        depth_files.append(DepthFile(depth, partial(read_millimetres, depth)) if depth.is_file() else None)
    if not names:
        raise InputError(f"{sequence}: no frame has a finite pose")
    first = sequence / names[0]
    width, height = image_size(first) if first.is_file() else (WIDTH, HEIGHT)
    scale = np.diag([width / WIDTH, height / HEIGHT, 1])
    intrinsics = scale @ [[FOCAL, 0, WIDTH / 2], [0, FOCAL, HEIGHT / 2], [0, 0, 1]]
    mesh = sequence.resolve().parents[1] / "meshes" / f"{sequence.resolve().parent.name}.ply"
    return GroundTruth(
        layout="7-Scenes",
        path=sequence,
        units="m",
        image_names=tuple(names),
        image_paths=tuple(sequence / name for name in names),
        image_sizes=np.tile([width, height], (len(names), 1)),
        extrinsics=invert_rigid(np.stack(poses)),
        intrinsics=np.tile(intrinsics, (len(names), 1, 1)),
        depth_files=tuple(depth_files) if any(depth_files) else (),
        surface_files=(SurfaceFile(mesh),) if mesh.is_file() else (),
        surface_defaults=DEFAULTS,
    )


LAYOUT = Layout("7-Scenes", "frame-*.pose.txt, or seq-01/frame-*.pose.txt", find, read)
