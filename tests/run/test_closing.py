"""Windows of a made-up path with exact cameras, drifting worlds and loops that are known."""

from __future__ import annotations

import numpy as np

from recon.geometry.cameras import camera_centres, invert_rigid, to_3x4, to_4x4
from recon.geometry.frame_alignment import FrameAlignment
from recon.geometry.rotation_vectors import from_rotation_vectors
from recon.geometry.shared_views import Joint
from recon.geometry.similarity import Similarity, umeyama
from recon.run.found_depth import FoundDepth
from recon.run.windows.closing import Closed, close
from recon.run.windows.joints import WindowEdge
from recon.run.windows.loops import Loop
from recon.run.windows.placing import owners, place
from recon.run.windows.window import Window, WindowDepth
from recon.types import Prediction
from recon.types.cameras import Cameras
from tests.seeds import numpy_random
from tests.synthetic.camera_paths import look_at

COUNT, SIZE, SHARED = 90, 20, 4
SPANS = tuple(range(start, start + SIZE) for start in range(0, COUNT - SIZE + 1, SIZE - SHARED))
LAST = SPANS[-1].stop


def ring() -> np.ndarray:
    """(N, 4, 4) world-to-camera all around a circle of 5 m, that ends where it begins."""
    turn = 2 * np.pi * np.arange(LAST) / (LAST - 10)
    centres = 5 * np.stack([np.cos(turn), np.sin(turn), 0 * turn], axis=1)
    return look_at(centres, centres + np.stack([-np.sin(turn), np.cos(turn), 0 * turn], axis=1))


TRUTH = ring()


def worlds(seed: int, scale: float = 0.5) -> list[Similarity]:
    """From metres to the world of each window."""
    random = numpy_random(seed)
    return [
        Similarity(
            float(np.exp(random.normal(0, scale))),
            from_rotation_vectors(random.normal(0, 1, (1, 3)))[0],
            random.normal(0, 1, 3),
        )
        for _ in SPANS
    ]


def windows_in(own_worlds: list[Similarity]) -> list[Window]:
    made = []
    for number, (span, world) in enumerate(zip(SPANS, own_worlds, strict=True)):
        prediction = Prediction(
            depth=np.full((SIZE, 2, 2), 4 * world.scale, np.float32),
            processed_images=np.zeros((SIZE, 2, 2, 3), np.uint8),
            extrinsics=to_3x4(world.apply_to_extrinsics(TRUTH[list(span)])).astype(np.float32),
            intrinsics=np.tile(np.eye(3, dtype=np.float32), (SIZE, 1, 1)),
        )
        outcome = WindowDepth(FoundDepth(prediction, Cameras(), ()), tuple(span))
        made.append(Window(number, span, lambda outcome=outcome: outcome))
    return made


def joints(own_worlds: list[Similarity], off: Similarity | None = None, without: int | None = None) -> list[WindowEdge]:
    edges = []
    for first in range(len(SPANS) - 1):
        between = own_worlds[first].compose(own_worlds[first + 1].inverse())
        between = between if off is None else between.compose(off)
        shared = tuple(sorted(set(SPANS[first]) & set(SPANS[first + 1])))
        if first != without:
            edges.append(WindowEdge(first, first + 1, shared, Joint(between, SHARED, 99, 0.01, None, "points")))
    return edges


def loop(own_worlds: list[Similarity], first: int, second: int, off: Similarity | None = None) -> Loop:
    """Between two photos, in the first window that has each."""
    numbers = [next(n for n, span in enumerate(SPANS) if photo in span) for photo in (first, second)]
    cameras = [
        Similarity(1.0, placed[:3, :3], placed[:3, 3])
        for placed in (
            invert_rigid(own_worlds[n].apply_to_extrinsics(TRUTH[photo]))
            for n, photo in zip(numbers, (first, second), strict=True)
        )
    ]
    between = own_worlds[numbers[0]].compose(own_worlds[numbers[1]].inverse())
    to_first = cameras[0].inverse().compose(between).compose(cameras[1])
    to_first = to_first if off is None else to_first.compose(off)
    alignment = FrameAlignment(to_first, np.ones(50, bool), (1e-3, 1e-3, 1e-3))
    return Loop(numbers[0], numbers[1], (first, second), alignment)


def closed(windows: list[Window], edges: list[WindowEdge], loops: list[Loop], keep_scale: bool = False) -> Closed:
    return close(windows, edges, place(windows, edges), owners(windows), loops, keep_scale=keep_scale)


def errors(result: Closed, windows: list[Window]) -> np.ndarray:
    """(N,) metres that each camera is off, the whole brought to the truth."""
    found = np.concatenate(
        [
            [
                similarity.apply_to_extrinsics(to_4x4(window.open().depth.prediction.extrinsics[view].astype(float)))
                for similarity, view in zip(moves, window.views_of(own), strict=True)
            ]
            for window, own, moves in zip(windows, owners(windows), result.similarities, strict=True)
            if own
        ]
    )
    centres, truth = camera_centres(found), camera_centres(TRUTH)
    return np.linalg.norm(umeyama(truth, centres).apply(centres) - truth, axis=1)


DRIFT = Similarity(1.03, from_rotation_vectors(np.array([[0.0, 0, 0.02]]))[0], np.array([0.02, 0.0, 0.01]))


def test_exact_windows_and_loops_change_nothing() -> None:
    own_worlds = worlds(1)
    windows = windows_in(own_worlds)
    result = closed(windows, joints(own_worlds), [loop(own_worlds, 2, LAST - 8)])
    assert errors(result, windows).max() < 1e-4
    assert len(result.loops) == 1
    assert [placement.part for placement in result.placements] == [0] * len(SPANS)
    first = result.similarities[0][0]
    np.testing.assert_allclose((first.scale, *first.translation), (1, 0, 0, 0), atol=1e-5)


def test_drift_is_taken_back_all_along_the_path() -> None:
    own_worlds = worlds(2, scale=0)
    windows = windows_in(own_worlds)
    edges = joints(own_worlds, DRIFT)
    loops = [loop(own_worlds, photo, LAST - 10 + photo) for photo in (1, 4, 7)]
    open_ends, result = closed(windows, edges, []), closed(windows, edges, loops)
    assert len(result.loops) == 3
    before, after = errors(open_ends, windows), errors(result, windows)
    assert np.sqrt((after**2).mean()) < 0.5 * np.sqrt((before**2).mean())
    assert np.abs(np.diff(after)).max() < 0.06  # without a step anywhere


def test_a_false_loop_is_refused_and_moves_nothing() -> None:
    own_worlds = worlds(3)
    windows = windows_in(own_worlds)
    edges = joints(own_worlds)
    false = loop(own_worlds, 3, 45, Similarity(1.0, np.eye(3), np.array([3.0, 0, 2]) * own_worlds[2].scale))
    result = closed(windows, edges, [false, loop(own_worlds, 2, LAST - 8)])
    assert result.refused == (false,)
    assert len(result.loops) == 1
    assert errors(result, windows).max() < 1e-3


def test_loops_connect_parts_where_enough_of_them_agree() -> None:
    own_worlds = worlds(4)
    windows = windows_in(own_worlds)
    edges = joints(own_worlds, without=1)
    pairs = [(photo, LAST - 10 + photo) for photo in (1, 4, 7)]
    two = closed(windows, edges, [loop(own_worlds, *pair) for pair in pairs[:2]])
    assert [placement.part for placement in two.placements] == [0, 0, *[1] * (len(SPANS) - 2)]
    three = closed(windows, edges, [loop(own_worlds, *pair) for pair in pairs])
    assert [placement.part for placement in three.placements] == [0] * len(SPANS)
    assert errors(three, windows).max() < 1e-3


def test_windows_in_metres_keep_their_unit() -> None:
    own_worlds = worlds(5, scale=0)
    windows = windows_in(own_worlds)
    rigid = Similarity(1.0, DRIFT.rotation, DRIFT.translation)
    loops = [loop(own_worlds, photo, LAST - 10 + photo, Similarity(1.02, np.eye(3), np.zeros(3))) for photo in (1, 4)]
    result = closed(windows, joints(own_worlds, rigid), loops, keep_scale=True)
    assert len(result.loops) == 2
    assert all(abs(one.scale - 1) < 1e-12 for moves in result.similarities for one in moves)
