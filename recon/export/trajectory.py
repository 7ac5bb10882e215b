"""The camera of every frame of a long input: those of the views, and between them those of frames that were left out.

A frame between two views gets the camera between theirs: its place along a straight line, its turn along the shortest
arc, evenly by its number; so it needs no depth of its own. After the last view, and before a cut to another place, it
gets that of the view before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from recon.export.exporter import Exported, Exporter, Needs, NoOptions
from recon.geometry.cameras import camera_centres, invert_rigid
from recon.geometry.located_depth import with_cameras
from recon.geometry.rotation_vectors import from_rotation_vectors, rotation_vectors
from recon.sources.cameras_json import write_cameras
from recon.types import Prediction
from recon.types.cameras import Cameras

TRAJECTORY = "trajectory.json"
"""Below the folder of a run."""


def write(prediction: Prediction, folder: Path, options: NoOptions) -> Exported:
    """Write `trajectory.json`, a file of cameras as `--cameras` reads it, for the upright originals."""
    prediction = with_cameras(prediction)
    views = _names(prediction)
    names, cuts = _frames_of(prediction, views)
    cameras = cameras_of_frames(prediction.original_cameras, views, names, cuts)
    path = folder / TRAJECTORY
    write_cameras(path, names, cameras)
    return Exported((path,), {"frames": len(names), "interpolated": len(names) - len(views)})


def cameras_of_frames(
    cameras: Cameras, views: Sequence[str], frames: Sequence[str], cuts: Sequence[str] = ()
) -> Cameras:
    """Cameras (F) of all `frames`, by name and in order, some of which are the `views` that the (N) `cameras` are of.

    `cuts` are views that begin at another place than the frame before.
    """
    assert cameras.world_to_camera is not None
    number = {name: index for index, name in enumerate(frames)}
    at = np.array([number[name] for name in views])
    order = np.argsort(at)
    cameras, at = cameras[order], at[order]
    assert cameras.world_to_camera is not None
    begins = np.isin(np.array(views)[order], np.array(cuts, dtype=str)) if cuts else np.zeros(len(at), np.bool_)
    before = np.maximum(np.searchsorted(at, np.arange(len(frames)), side="right") - 1, 0)  # (F,)
    after = np.minimum(before + 1, len(at) - 1)
    after = np.where(begins[after], before, after)
    length = np.maximum(at[after] - at[before], 1)
    share = np.clip((np.arange(len(frames)) - at[before]) / length, 0, 1)
    centres = camera_centres(cameras.world_to_camera)
    turned = cameras.world_to_camera[:, :3, :3].swapaxes(1, 2)  # camera to world
    step = rotation_vectors(turned[before].swapaxes(1, 2) @ turned[after])
    placed = np.tile(np.eye(4), (len(frames), 1, 1))
    placed[:, :3, :3] = turned[before] @ from_rotation_vectors(share[:, None] * step)
    placed[:, :3, 3] = centres[before] + share[:, None] * (centres[after] - centres[before])
    found = cameras[before]
    exact = share == 0
    world_to_camera = np.where(exact[:, None, None], cameras.world_to_camera[before], invert_rigid(placed))
    return replace(found, world_to_camera=world_to_camera)


def _names(prediction: Prediction) -> tuple[str, ...]:
    """Of the views; numbers where they have none, or share some."""
    names, count = prediction.image_names, len(prediction.depth)
    return names if len(set(names)) == count else tuple(f"{view:04d}" for view in range(count))


def _frames_of(prediction: Prediction, views: Sequence[str]) -> tuple[Sequence[str], Sequence[str]]:
    """Names of all frames that the views were chosen from, and of those at which there is a cut."""
    keyframes = prediction.run.get("keyframes")
    if not isinstance(keyframes, dict) or not set(views) <= set(keyframes.get("frames", ())):
        return views, ()
    return keyframes["frames"], keyframes.get("cuts", ())


TRAJECTORY_FORMAT = Exporter("trajectory", NoOptions, write, (TRAJECTORY,), Needs(cameras=True), in_pieces=True)
