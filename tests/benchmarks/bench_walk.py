"""A walk of 600 frames around the courtyard in windows: how far off it is, joined and with loops closed.

    python -m tests.benchmarks.bench_walk [--windows 30 60 120] [--seed 0] [--frames FOLDER] [--to walk.png]

The estimator is `tests.drifting_network`: the truth, with noise, a scale that drifts by 1 % within a window, and a
world of its own for each. ATE is in percent of the diagonal of the box around the path, after the best similarity;
depth is the median, over every seventh frame, of the median relative error, in the unit of that similarity. `--to`
draws the first size from above: windows as they come, joined, and with loops closed, over the true path in grey.
`--frames` keeps the rendered frames, which take two minutes of the processor, for the next time.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from recon.eval.camera_metrics import trajectory_error
from recon.geometry.cameras import camera_centres, to_4x4
from recon.geometry.similarity import Similarity, umeyama
from recon.geometry.unprojection import unproject_depth
from recon.run.found_depth import FoundDepth
from recon.run.window_choice import WindowSizes, usual_overlap
from recon.run.windows.closing import close, unclosed
from recon.run.windows.joints import neighbour_edges
from recon.run.windows.loops import find_loops
from recon.run.windows.placing import owners, place
from recon.run.windows.window import Window, WindowDepth
from recon.sources.fitting import preprocess
from recon.sources.photo import Photo
from recon.types.cameras import Cameras
from tests.drifting_network import DriftingNetwork
from tests.synthetic.walk import Walk

ATE_OPEN, ATE_CLOSED, DEPTH = 1.0, 0.3, 1.0
"""Bars, in percent."""
_SIDE, _METRES = 420, 16.0
"""Pixels of a picture's side, and what they show of the world."""

Moves = Sequence[Sequence[Similarity]]


class Joined(NamedTuple):
    """What one size of windows ends in."""

    windows: list[Window]
    owned: list[list[int]]
    as_they_come: Moves
    neighbours: Moves
    loops: Moves


def main() -> int:
    """Print a line for each size; 1 where a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--windows", type=int, nargs="+", default=[30, 60, 120])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--frames", type=Path)
    parser.add_argument("--to", type=Path)
    settings = parser.parse_args()
    walk = Walk(600)
    missed = False
    with tempfile.TemporaryDirectory() as temporary:
        frames = walk.write(settings.frames or Path(temporary))
        print("window  windows  ATE joined  with loops  depth joined  with loops  loops  refused  CPU s")
        for size in settings.windows:
            joined, said, within = _measured(walk, frames, size, settings.seed)
            print(said)
            missed |= not within
            if settings.to is not None and size == settings.windows[0]:
                Image.fromarray(_pictures(walk, joined)).save(settings.to)
    return int(missed)


def _measured(walk: Walk, frames: Path, size: int, seed: int) -> tuple[Joined, str, bool]:
    windows = _estimated(walk, frames, size, DriftingNetwork(walk, seed=seed))
    began = time.process_time()
    edges, owned = neighbour_edges(windows, placed=False, keep_scale=False), owners(windows)
    open_ends = unclosed(windows, place(windows, edges), owned)
    loops = find_loops(windows, owned, size)
    closed = close(windows, edges, open_ends.placements, owned, loops, keep_scale=False)
    seconds = time.process_time() - began
    alone = [[Similarity(1.0, np.eye(3), np.zeros(3))] * len(own) for own in owned]
    joined = Joined(windows, owned, alone, open_ends.similarities, closed.similarities)
    (ate, depth), (closed_ate, closed_depth) = (_errors(walk, joined, m) for m in (joined.neighbours, joined.loops))
    said = (
        f"{size:6d}  {len(windows):7d}  {ate:9.3f}%  {closed_ate:9.3f}%  {depth:11.2f}%  {closed_depth:9.2f}%  "
        f"{len(closed.loops):5d}  {len(closed.refused):7d}  {seconds:5.1f}"
    )
    return joined, said, ate <= ATE_OPEN and closed_ate <= ATE_CLOSED and max(depth, closed_depth) <= DEPTH


def _estimated(walk: Walk, frames: Path, size: int, network: DriftingNetwork) -> list[Window]:
    windows = []
    for number, span in enumerate(WindowSizes(size, usual_overlap(size)).spans(walk.count)):
        photos = [Photo(walk.name(frame), np.asarray(Image.open(frames / walk.name(frame)))) for frame in span]
        prediction = network.estimate(preprocess(photos, max(walk.size)))
        outcome = WindowDepth(FoundDepth(prediction, Cameras(), ()), tuple(span))
        windows.append(Window(number, span, lambda outcome=outcome: outcome))
    return windows


def _cameras(joined: Joined, moves: Moves) -> NDArray[np.float64]:
    """(N, 4, 4) world-to-camera of all frames."""
    found = []
    for window, own, similarities in zip(joined.windows, joined.owned, moves, strict=True):
        extrinsics = window.open().depth.prediction.extrinsics
        for view, similarity in zip(window.views_of(own), similarities, strict=True):
            found.append(similarity.apply_to_extrinsics(to_4x4(extrinsics[view].astype(np.float64))))
    return np.stack(found)


def _errors(walk: Walk, joined: Joined, moves: Moves) -> tuple[float, float]:
    """Percent that cameras are off, of the path's extent, and depth."""
    cameras = _cameras(joined, moves)
    world = umeyama(camera_centres(walk.world_to_camera), camera_centres(cameras))
    off = []
    for window, own, similarities in zip(joined.windows, joined.owned, moves, strict=True):
        prediction = window.open().depth.prediction
        for photo, view, similarity in list(zip(own, window.views_of(own), similarities, strict=True))[::7]:
            truth = walk.depth([photo], prediction.intrinsics[view].astype(float), prediction.depth.shape[1:])[0]
            ratio = prediction.depth[view] * similarity.scale * world.scale / np.where(truth > 0, truth, np.nan)
            off.append(abs(np.nanmedian(ratio) - 1))
    return float(trajectory_error(cameras, walk.world_to_camera)[1]), 100 * float(np.median(off))


def _pictures(walk: Walk, joined: Joined) -> NDArray[np.uint8]:
    """From above, one beside the other: windows as they come, joined by neighbours, and by loops."""
    return np.concatenate(
        [_from_above(walk, joined, moves) for moves in (joined.as_they_come, joined.neighbours, joined.loops)], axis=1
    )


def _from_above(walk: Walk, joined: Joined, moves: Moves) -> NDArray[np.uint8]:
    cameras = _cameras(joined, moves)
    truth = camera_centres(walk.world_to_camera)
    world = umeyama(truth, camera_centres(cameras))
    if moves is joined.as_they_come:  # nothing tells how they lie: the first one is put where it belongs
        first = joined.owned[0]
        world = umeyama(truth[first], camera_centres(cameras[first]))
    picture = np.full((_SIDE, _SIDE, 3), 255, np.uint8)
    frame = 0
    for number, (window, own) in enumerate(zip(joined.windows, joined.owned, strict=True)):
        prediction = window.open().depth.prediction
        for photo, view in list(zip(own, window.views_of(own), strict=True))[::6]:
            placed = world.apply_to_extrinsics(cameras[frame + own.index(photo)])
            scale = moves[number][own.index(photo)].scale * world.scale
            grid = (slice(view, view + 1), slice(None, None, 3), slice(None, None, 3))
            lens = prediction.intrinsics[[view]].astype(np.float64).copy()
            lens[:, :2] /= 3
            points = unproject_depth(prediction.depth[grid] * np.float32(scale), lens, placed[None, :3])[0]
            shown = prediction.valid[grid][0] & (points[..., 2] > 0.1) & (points[..., 2] < 2.5)
            columns, rows = _pixels(points[shown]).T
            inside = (columns >= 0) & (columns < _SIDE) & (rows >= 0) & (rows < _SIDE)
            picture[rows[inside], columns[inside]] = prediction.processed_images[grid][0][shown][inside]
        frame += len(own)
    cv2.polylines(picture, [_pixels(truth)], isClosed=False, color=(150, 150, 150), thickness=3, lineType=cv2.LINE_AA)
    frame = 0
    for number, own in enumerate(joined.owned):
        centres = world.apply(camera_centres(cameras[frame : frame + len(own)]))
        hue = np.array([[[number * 180 // len(joined.owned), 255, 200]]], np.uint8)
        colour = cv2.cvtColor(hue, cv2.COLOR_HSV2RGB)[0, 0].tolist()
        cv2.polylines(picture, [_pixels(centres)], isClosed=False, color=colour, thickness=2, lineType=cv2.LINE_AA)
        frame += len(own)
    return picture


def _pixels(points: NDArray[np.floating]) -> NDArray[np.int32]:
    """(..., 2) columns and rows of places seen from above, the middle of the courtyard in the middle."""
    places = (points[..., :2] - (0, -1)) * (1, -1) * _SIDE / _METRES + _SIDE / 2
    return np.clip(places, -1e4, 1e4).astype(np.int32)


if __name__ == "__main__":
    sys.exit(main())
