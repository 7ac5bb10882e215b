"""The stages from photos to depth of an input that is too long to go through at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from recon.choices import SourceOptions
from recon.choices.sources import WindowOptions
from recon.errors import InputError
from recon.estimate.estimator import Estimator
from recon.messages import warn
from recon.options import options_of
from recon.progress import tell
from recon.run.decided_by import depth_decided_by
from recon.run.depth_of_views import depth_of_views
from recon.run.find_cameras import KnownCameras
from recon.run.found_depth import FoundDepth
from recon.run.joined_windows import JoinedWindows, WindowJoint, WindowLoop, stretch
from recon.run.plan import Plan
from recon.run.stages import Stages
from recon.run.store import Store
from recon.run.window_choice import WindowSizes
from recon.run.windows.assemble import Share, Streams, assemble
from recon.run.windows.closing import Closed, close, unclosed
from recon.run.windows.joints import WindowEdge, neighbour_edges
from recon.run.windows.loops import find_loops
from recon.run.windows.placing import SAME, Placement, owners, place
from recon.run.windows.turning import turns_on_the_spot
from recon.run.windows.window import Window, WindowDepth
from recon.sources.part import SourcePart

_STAGE = "window"
"""Of the store, followed by a number."""
_OF_THE_WHOLE = frozenset({*options_of(WindowOptions), *options_of(SourceOptions)})
"""Options that change nothing within a window but which photos it has, of which the content counts."""
PLACED = ("aligned", "metric")
"""Units of depth that was brought to the scale of known cameras."""


def depth_in_windows(
    plan: Plan,
    estimator: Estimator,
    known: KnownCameras,
    stages: Stages,
    store: Store,
    model: Any,
    decided_by: Any,
    reuse: bool,
) -> FoundDepth:
    """As `recon.run.depth_of_views.depth_of_views`, of any number of photos; its maps are on the disk.

    Each window is kept as soon as it is done, so that the same command goes on with the next one; once the whole is
    kept, windows are no longer.

    Args:
        plan: with windows.
        estimator, known, stages: as of `depth_of_views`.
        store: of the run.
        model: what the estimator says of itself.
        decided_by: what decides the whole.
        reuse: go on from what an earlier run kept.

    Raises:
        InputError: as `depth_of_views`; or the disk is full.
    """
    assert plan.windows is not None
    sizes = plan.windows
    shown: list[tuple[FoundDepth, Streams]] = []

    def make() -> FoundDepth:
        windows, kept = stages.run("predict", all_windows, plan, sizes, estimator, known, store, model, reuse)
        if kept:
            stages.notes.append(f"{kept} of {len(windows)} windows were there from before")
        whole, streams = stages.run("align", join_windows, plan, sizes, estimator, windows)
        shown.append((whole, streams))
        return whole

    found = stages.kept_on_disk(plan.depth_stages, decided_by, make, lambda outcome: shown.pop()[1], reuse)
    if not plan.options.keep_windows:
        store.keep_only(_STAGE, ())
    return found


def all_windows(
    plan: Plan,
    sizes: WindowSizes,
    estimator: Estimator,
    known: KnownCameras,
    store: Store,
    model: Any,
    reuse: bool,
) -> tuple[list[Window], int]:
    """Every window of the input, those that are kept already and the others made; and how many were kept."""
    names = known.source.names
    spans = sizes.spans(len(names), [number for number, name in enumerate(names) if name in sizes.cuts])
    contents: dict[int, str] = {}
    windows, kept = [], 0
    for number, span in enumerate(spans):
        tell("windows", number, len(spans))
        window, reused = _window(plan, estimator, known, store, model, number, span, contents, reuse)
        windows.append(window)
        kept += reused
    tell("windows", len(spans), len(spans))
    return windows, kept


def _window(
    plan: Plan,
    estimator: Estimator,
    known: KnownCameras,
    store: Store,
    model: Any,
    number: int,
    span: range,
    contents: dict[int, str],
    reuse: bool,
) -> tuple[Window, bool]:
    """One window, and whether it was kept already."""
    part = SourcePart(known.source, span)
    here = KnownCameras(part, (), known.found)
    stage = f"{_STAGE} {number:04d}"
    decided_by = _decided_by(plan, estimator, known, model, span, contents)

    def make() -> WindowDepth:
        depth, kept = depth_of_views(plan, estimator, here, _at_once)
        return WindowDepth(depth, tuple(span[index] for index in kept))

    kept = store.on_disk(stage, decided_by, make, reuse=reuse)
    return Window(number, span, lambda: store.reopen(stage, decided_by)), kept.reused


def _at_once(name: str, work: Callable[..., Any], *inputs: Any) -> Any:
    """Within a window, stages are no stages of the run."""
    return work(*inputs)


def _decided_by(
    plan: Plan, estimator: Estimator, known: KnownCameras, model: Any, span: range, contents: dict[int, str]
) -> Mapping[str, Any]:
    """What decides the outcome of the photos `span`; `contents` of photos by their numbers, as far as known."""
    source = known.source
    for photo in span:
        if photo not in contents:
            contents[photo] = source.content(photo)
    for photo in [one for one in contents if one < span.start]:
        del contents[photo]
    names, cameras, depths = source.names, source.cameras, source.depths
    photos = {
        "photos": [(names[photo], contents[photo]) for photo in span],
        "known": (cameras[list(span)] if cameras is not None else None, source.points),
        "depths": None if depths is None else [depths[photo] for photo in span],
    }
    by = depth_decided_by(plan, photos, None, estimator, model)
    options = {name: value for name, value in by["options"].items() if name not in _OF_THE_WHOLE}
    return {**by, "options": options}


def join_windows(
    plan: Plan, sizes: WindowSizes, estimator: Estimator, windows: Sequence[Window]
) -> tuple[FoundDepth, Streams]:
    """All windows in one world."""
    units = [window.open().depth.prediction.units for window in windows]
    prediction = windows[0].open().depth.prediction
    origin = prediction.extrinsics_origin
    placed = origin is not None and origin != "predicted" and plan.options.align_to_input_ext_scale
    keep_scale = all(unit == "metric" for unit in units)
    edges = neighbour_edges(windows, placed=placed, keep_scale=keep_scale)
    owned = owners(windows)
    if placed or prediction.extrinsics is None:
        closed = unclosed(windows, _placed(windows), owned)
    else:
        closed = unclosed(windows, place(windows, edges), owned)
        loops = find_loops(windows, owned, sizes.size) if plan.options.loops else []
        if loops:
            closed = close(windows, edges, closed.placements, owned, loops, keep_scale=keep_scale)
    factors = _depth_factors(units, edges) if placed else [1.0] * len(windows)
    shares = [
        Share(window, tuple(own), tuple(moves), factor)
        for window, own, moves, factor in zip(windows, owned, closed.similarities, factors, strict=True)
    ]
    joined = _report(sizes, windows, closed, edges)
    if len(joined.parts) > 1:
        where = ", ".join(stretch(first, last) for first, last in joined.parts)
        warn(
            f"there are {len(joined.parts)} parts whose views do not say how they lie to each other: {where}; "
            "each begins where the first view of the whole is"
        )
    whole, streams = assemble(shares, joined)
    if not whole.prediction.depth.size:
        raise InputError("no window holds a view that can be used")
    turning = turns_on_the_spot(whole.prediction.extrinsics, shares)
    if turning is not None:
        warn(turning)
    return whole, streams


def _placed(windows: Sequence[Window]) -> list[Placement]:
    """All where they are: in the world of known cameras, or each view by itself."""
    return [Placement(SAME, 0) for _ in windows]


def _depth_factors(units: Sequence[str], edges: Sequence[WindowEdge]) -> list[float]:
    """What the depth of each window is multiplied by where the known cameras did not tell its scale: what brings it to
    that of the nearest window whose scale they told, by the views in between."""
    known = [unit in PLACED for unit in units]
    factors = [1.0] * len(units)
    if not any(known) or all(known):
        return factors
    ratio = {edge.second: edge.joint.depth_ratio for edge in edges if edge.second == edge.first + 1}
    told = list(known)
    for number in range(1, len(units)):
        step = ratio.get(number)
        if not told[number] and told[number - 1] and step is not None:
            factors[number], told[number] = factors[number - 1] * step, True
    for number in range(len(units) - 2, -1, -1):
        step = ratio.get(number + 1)
        if not told[number] and told[number + 1] and step is not None:
            factors[number], told[number] = factors[number + 1] / step, True
    return factors


def _report(
    sizes: WindowSizes, windows: Sequence[Window], closed: Closed, edges: Sequence[WindowEdge]
) -> JoinedWindows:
    names: dict[int, str] = {}
    for window in windows:
        names |= dict(zip(window.photos, window.open().depth.prediction.image_names, strict=True))
    parts = []
    for part in sorted({placement.part for placement in closed.placements}):
        own = [
            photo
            for window, placement in zip(windows, closed.placements, strict=True)
            if placement.part == part
            for photo in window.photos
        ]
        if own:
            parts.append((names[min(own)], names[max(own)]))
    joints = tuple(
        WindowJoint(
            edge.first,
            edge.second,
            (names[edge.shared[0]], names[edge.shared[-1]]),
            edge.joint.views,
            edge.joint.points,
            edge.joint.residual,
            edge.joint.similarity.scale,
            edge.joint.rotation_from,
        )
        for edge in edges
    )
    loops = tuple(
        WindowLoop((names[loop.photos[0]], names[loop.photos[1]]), loop.matches, holds)
        for some, holds in ((closed.loops, True), (closed.refused, False))
        for loop in some
    )
    return JoinedWindows(sizes.size, sizes.overlap, len(windows), tuple(parts), joints, loops)
