"""Multi-view stereo beside CPU PatchMatch: how much of the pictures gets depth, how right it is, and what it costs.

    python -m tests.benchmarks.bench_stereo_peer [--quick] [--sets fountain berlin door street plain_room] [--alone]
    python -m tests.benchmarks.bench_stereo_peer --full --sets door

Both sides get the same pictures, cameras, source views and depth ranges, on two threads. The peer is the PyPI package
`pyarchinit-photogrammetry-core` with its defaults, which gives one view's depth without a check by others: a pixel of
its maps counts when the maps of two of its own source views agree within 1 % there. Errors are given of what each side
keeps, and of what both keep. `--alone` does without the peer; so does `--full`, which takes photos at their own size.
Photo sets, from `../shared/data`, are held against the points of structure from motion (`door`: of COLMAP) that three
views or more see within half a pixel; rendered scenes against their true depth.
Rendered are a street driven through, where things are 1.3 times as large in the next picture, and a plain room.
"""

from __future__ import annotations

import argparse
import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recon.estimate.stereo import PROFILE
from recon.geometry.sparse_points import SparsePoints
from recon.geometry.unprojection import project_points
from recon.run.find_cameras import find_cameras, known_cameras
from recon.sources.open_source import open_source
from recon.sources.views import read_views
from recon.stereo.consistency import DepthMaps, agreement
from recon.stereo.images import to_grey, warp_back, warp_between
from recon.stereo.multi_view import StereoOptions, multi_view_depth
from recon.stereo.rough_points import rough_points
from recon.stereo.view_selection import ViewPlan, plan_view
from recon.types.cameras import Cameras

from ..synthetic.camera_paths import PathKind, camera_path, pinhole
from ..synthetic.render import render_views
from ..synthetic.scenes import make_scene

DATA = Path(__file__).parents[3] / "shared" / "data"
OPTIONS = StereoOptions(threads=2, device="cpu")
PHOTOS = ("fountain", "berlin", "door")
RENDERED: dict[str, PathKind] = {"street": "forward", "plain_room": "orbit"}
VIEWS = 8
"""Of a rendered scene."""
SURE_TRACK, SURE_PIXELS = 3, 0.5
"""Views that see a point, and its mean distance in pixels of the originals from where they see it."""
AGREE = 0.01
"""Relative difference of depth up to which the peer's maps agree, and up to which a pixel is called right."""


@dataclass(frozen=True)
class Pictures:
    """N pictures, their cameras, and what is known of their depth."""

    name: str
    images: NDArray[np.uint8]
    """(N, H, W, 3)."""
    cameras: Cameras
    sparse: SparsePoints | None
    truth: NDArray[np.float32]
    """(N, H, W), 0 where unknown."""
    countable: NDArray[np.bool_]
    """(N, H, W) the pixels that should get depth."""


def photographed(name: str, process_res: int) -> Pictures:
    """A set of photos; its truth is that of the sure points."""
    source = open_source(DATA / name if (DATA / name / "sparse").is_dir() else DATA / name / "images")
    if source.cameras is None or source.cameras.world_to_camera is None:
        source = known_cameras(source, find_cameras(source)).source
    views = read_views(source, lambda photo: PROFILE.fit.photo(photo, process_res), "crop", True).views
    assert views.points is not None
    height, width = views.pixels.shape[1:3]
    truth = np.zeros(views.pixels.shape[:3], np.float32)
    sure = views.points.track_lengths >= SURE_TRACK
    if views.points.errors is not None:
        sure &= views.points.errors <= SURE_PIXELS
    assert views.cameras.world_to_camera is not None
    assert views.cameras.intrinsics is not None
    for view, seen in enumerate(views.points.observed):
        points = views.points.points[seen[sure[seen]]]
        pixels, depth = project_points(
            points[None], views.cameras.intrinsics[[view]], views.cameras.world_to_camera[[view]]
        )
        inside = (depth[0] > 0) & (pixels[0] >= 0).all(axis=1) & (pixels[0] < (width, height)).all(axis=1)
        columns, rows = pixels[0][inside].astype(int).T
        truth[view, rows, columns] = depth[0][inside]
    return Pictures(name, views.pixels, views.cameras, views.points, truth, np.ones(truth.shape, np.bool_))


def rendered(name: str, process_res: int, count: int) -> Pictures:
    """A scene whose depth is known at every pixel; what it shows of the sky does not count."""
    scene = make_scene(name)
    size = (process_res * 3 // 4, process_res)
    path = camera_path(scene, RENDERED[name], VIEWS)[:count]
    views = render_views(scene, path, pinhole(size, scene.stage.field_of_view), size)
    return Pictures(name, views.images, views.cameras, None, views.depth, ~views.sky)


def plans_of(pictures: Pictures, sparse: SparsePoints) -> list[ViewPlan | None]:
    size = np.array(pictures.images.shape[2:0:-1])
    return [
        plan_view(view, pictures.cameras, sparse, size, OPTIONS.sources, OPTIONS.checking_views)
        for view in range(len(pictures.images))
    ]


def patchmatch(pictures: Pictures, plans: list[ViewPlan | None]) -> NDArray[np.float32]:
    """(N, H, W) depth by the peer, 0 where its own sources do not agree."""
    import ppg_core  # type: ignore[import-not-found]

    grey = to_grey(pictures.images)
    levels = grey.astype(np.float32) / 255
    extrinsics, intrinsics = pictures.cameras.world_to_camera, pictures.cameras.intrinsics
    assert extrinsics is not None
    assert intrinsics is not None
    inner = [(k[0, 0], k[1, 1], k[0, 2] - 0.5, k[1, 2] - 0.5) for k in intrinsics]
    found = np.zeros(grey.shape, np.float32)
    for view, plan in enumerate(plans):
        if plan is None or len(plan.sources) == 0:
            continue
        sources = []
        for other in plan.sources.tolist():
            there = extrinsics[other] @ np.linalg.inv(extrinsics[view])
            sources.append((levels[other], inner[other], there[:3, :3].copy(), there[:3, 3].copy()))
        far, near = plan.inverse_depths
        depth, _, _ = ppg_core.patchmatch_depth(levels[view], inner[view], sources, (1 / near, 1 / far))
        found[view] = depth
    inverse = np.divide(1, found, out=np.zeros_like(found), where=found > 0)
    kept = np.zeros_like(found)
    with ThreadPoolExecutor(2) as pool:
        for view, plan in enumerate(plans):
            if plan is None or len(plan.sources) == 0:
                continue
            there = warp_between(pictures.cameras, view, plan.sources)
            back = warp_back(pictures.cameras, view, plan.sources)
            agreed = agreement(inverse[view], DepthMaps(inverse), plan.sources, there, back, AGREE, 1e6, pool)
            kept[view] = np.where((agreed.with_each > 0).sum(axis=0) >= 2, found[view], 0)
    return kept


def report(pictures: Pictures, side: str, depth: NDArray[np.float32], seconds: float, cpu: float) -> None:
    count = len(depth)
    kept = (depth > 0) & pictures.countable
    both = kept & (pictures.truth > 0)
    errors = np.abs(depth[both] / pictures.truth[both] - 1)
    wrong = (depth > 0) & ~pictures.countable
    known, sky = max((pictures.truth > 0).sum(), 1), max((~pictures.countable).sum(), 1)
    median, mean, right = (np.median(errors), errors.mean(), (errors < AGREE).mean()) if len(errors) else (np.nan,) * 3
    print(
        f"{pictures.name:11}{depth.shape[2]:5}x{depth.shape[1]:<5}{side:12} "
        f"kept {kept.sum() / pictures.countable.sum():6.1%}   at known points {both.sum() / known:6.1%}   "
        f"median error {median:7.3%}   mean {mean:7.3%}   within 1 % {right:6.1%}   "
        f"in the sky {wrong.sum() / sky:6.1%}   {seconds / count:6.2f} s, {cpu / count:6.2f} core s a view",
        flush=True,
    )


def compare(pictures: Pictures, alone: bool) -> None:
    """Print what either side makes of the pictures."""
    sparse = pictures.sparse
    if sparse is None:
        with ThreadPoolExecutor(2) as pool:
            sparse = rough_points(to_grey(pictures.images), pictures.cameras, OPTIONS.noise, pool)
    start, start_cpu = time.perf_counter(), time.process_time()
    found = multi_view_depth(pictures.images, pictures.cameras, pictures.sparse, OPTIONS)
    report(pictures, "recon", found.depth, time.perf_counter() - start, time.process_time() - start_cpu)
    sky = ~pictures.countable
    print(
        f"{'':33} marked as sky: {found.sky[sky].mean() if sky.any() else 0:.1%} of the sky, "
        f"{found.sky[pictures.countable].mean():.2%} of the rest",
        flush=True,
    )
    if alone:
        return
    start, start_cpu = time.perf_counter(), time.process_time()
    depth = patchmatch(pictures, plans_of(pictures, sparse))
    report(pictures, "PatchMatch", depth, time.perf_counter() - start, time.process_time() - start_cpu)
    both = (found.depth > 0) & (depth > 0) & (pictures.truth > 0)
    ours, theirs = (np.median(np.abs(side[both] / pictures.truth[both] - 1)) for side in (found.depth, depth))
    print(f"{'':33} median error at known points that both keep: recon {ours:.3%}, PatchMatch {theirs:.3%}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="pictures of half the size, and four of a rendered scene")
    parser.add_argument("--sets", nargs="+", choices=(*PHOTOS, *RENDERED), default=(*PHOTOS, *RENDERED))
    parser.add_argument("--alone", action="store_true", help="without the peer")
    parser.add_argument("--full", action="store_true", help="photos at their own size, without the peer")
    arguments = parser.parse_args()
    os.environ["RAYON_NUM_THREADS"] = "2"
    process_res = 0 if arguments.full else 252 if arguments.quick else 504
    from recon.stereo.compile_ahead import compile_ahead

    compile_ahead(OPTIONS)
    for name in arguments.sets:
        if name in PHOTOS and not (DATA / name).is_dir():
            print(f"{name}: no such photos here")
            continue
        count = 4 if arguments.quick else VIEWS
        pictures = photographed(name, process_res) if name in PHOTOS else rendered(name, process_res or 504, count)
        compare(pictures, arguments.alone or arguments.full)


if __name__ == "__main__":
    main()
