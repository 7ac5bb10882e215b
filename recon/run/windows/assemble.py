"""The whole of a long input: every view from one of its windows, moved to where it belongs, written as it comes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recon.errors import InputError
from recon.geometry.cameras import to_3x4, to_4x4
from recon.geometry.similarity import Similarity
from recon.run.found_depth import FoundDepth
from recon.run.joined_windows import JoinedWindows
from recon.run.windows.window import Window
from recon.types import NOBODY, MadeBy, Prediction
from recon.types.cameras import Cameras
from recon.types.mapped import Streamed
from recon.types.pieces import release_maps
from recon.types.prediction import MAPS

Streams = list[tuple[NDArray[Any], Streamed]]
_WITHOUT = {"sky": False, "mask": True, "filled": False, "kept": True}
"""What maps say that some windows have and others lack."""
_VIEWS_AT_ONCE = 8


@dataclass(frozen=True)
class Share:
    """What the whole takes from one window."""

    window: Window
    photos: tuple[int, ...]
    """Numbers of the photos whose views it takes."""
    similarities: tuple[Similarity, ...]
    """Of each of these views, the map from the window's world to that of the whole."""
    depth_factor: float = 1.0
    """What depth is multiplied by beside: of windows whose scale the known cameras did not tell."""

    @property
    def views(self) -> list[int]:
        """Which views of the window these are."""
        return self.window.views_of(self.photos)


def assemble(shares: Sequence[Share], joined: JoinedWindows) -> tuple[FoundDepth, Streams]:
    """The outcome of all windows, in which arrays without content stand for those that are made as they are written.

    Raises InputError where windows have views of different sizes.
    """
    shares = [share for share in shares if share.photos]
    parts = [_without_maps(share) for share in shares]
    predictions = [part.prediction for part in parts]
    _check_sizes(predictions)
    count = sum(len(share.photos) for share in shares)
    first = predictions[0]
    made_by, renumbered = _made_by(predictions)
    streams: Streams = []
    maps: dict[str, Any] = {}
    for name in MAPS:
        examples = [getattr(one, name) for one in predictions]
        known = next((one for one in examples if one is not None), None)
        if known is None or (name not in _WITHOUT and any(one is None for one in examples)):
            maps[name] = None
            continue
        shape = (count, *known.shape[1:])
        stands_for = np.broadcast_to(np.zeros((), known.dtype), shape)
        pieces = _pieces(shares, name, known.dtype, known.shape[1:], renumbered)
        streams.append((stands_for, Streamed(shape, known.dtype, pieces)))
        maps[name] = stands_for
    units = {one.units for one in predictions}
    prediction = Prediction(
        **maps,
        made_by=made_by,
        extrinsics=_joined([one.extrinsics for one in predictions]),
        intrinsics=_joined([one.intrinsics for one in predictions]),
        units=units.pop() if len(units) == 1 else _units(units),
        scale_factor=_same([one.scale_factor for one in predictions]),
        image_names=tuple(name for one in predictions for name in one.image_names),
        original_sizes=_joined([one.original_sizes for one in predictions]),
        processed_to_original=_joined([one.processed_to_original for one in predictions]),
        photo_boxes=_photo_boxes(predictions),
        lenses=_cameras([one.lenses for one in predictions]),
        extrinsics_origin=first.extrinsics_origin,
        ref_view=first.ref_view if len(predictions) == 1 else None,
        extrinsics_origins=tuple(origin for one in predictions for origin in one.extrinsics_origins),
    )
    dropped = dict.fromkeys(entry for share in shares for entry in share.window.open().depth.dropped)
    cameras = _cameras([part.cameras for part in parts]) or Cameras()
    return FoundDepth(prediction, cameras, tuple(dropped), None, joined), streams


def _without_maps(share: Share) -> FoundDepth:
    """The views of one share, moved, with maps of a single pixel's memory."""
    outcome = share.window.open().depth
    chosen = share.views
    prediction = outcome.prediction
    maps: dict[str, Any] = {
        name: None if (found := getattr(prediction, name)) is None else
        np.broadcast_to(np.zeros((), found.dtype), (len(chosen), *found.shape[1:]))
        for name in MAPS
    }  # fmt: skip
    extrinsics = prediction.extrinsics
    if extrinsics is not None:
        extrinsics = np.stack([_moved(extrinsics[v], s) for v, s in zip(chosen, share.similarities, strict=True)])

    def take(array: Any) -> Any:
        return None if array is None else np.array(array[chosen])

    moved = replace(
        prediction,
        **maps,
        extrinsics=extrinsics,
        intrinsics=take(prediction.intrinsics),
        original_sizes=take(prediction.original_sizes),
        processed_to_original=take(prediction.processed_to_original),
        photo_boxes=take(prediction.photo_boxes),
        image_names=tuple(prediction.image_names[view] for view in chosen),
        lenses=None if prediction.lenses is None else prediction.lenses[chosen],
        extrinsics_origins=tuple(np.array(prediction.extrinsics_origins)[chosen].tolist())
        if prediction.extrinsics_origins
        else (),
        ref_view=chosen.index(prediction.ref_view) if prediction.ref_view in chosen else None,
        features={},
        sparse=None,
    )
    return FoundDepth(moved, outcome.cameras[chosen] if len(outcome.cameras) else outcome.cameras, ())


def _moved(extrinsics: NDArray[Any], similarity: Similarity) -> NDArray[np.float32]:
    """(3, 4) the camera in the other world; unchanged to the bit where that is the same."""
    if _is_same(similarity):
        return np.array(extrinsics, np.float32)
    return to_3x4(similarity.apply_to_extrinsics(to_4x4(extrinsics.astype(np.float64)))).astype(np.float32)


def _is_same(similarity: Similarity) -> bool:
    return similarity.scale == 1 and not similarity.translation.any() and bool((similarity.rotation == np.eye(3)).all())


def _pieces(
    shares: Sequence[Share],
    name: str,
    dtype: np.dtype[Any],
    shape: tuple[int, ...],
    renumbered: Sequence[NDArray[np.uint8] | None],
) -> Callable[[], Iterator[NDArray[Any]]]:
    """Gives the map of that name, some views at a time."""

    def make() -> Iterator[NDArray[Any]]:
        for share, numbers in zip(shares, renumbered, strict=True):
            prediction = share.window.open().depth.prediction
            array = getattr(prediction, name)
            chosen = share.views
            for start in range(0, len(chosen), _VIEWS_AT_ONCE):
                views = chosen[start : start + _VIEWS_AT_ONCE]
                if array is None:
                    yield np.full((len(views), *shape), _WITHOUT[name], dtype)
                    continue
                piece = np.array(array[views])
                if name == "depth":
                    factors = [s.scale * share.depth_factor for s in share.similarities[start : start + len(views)]]
                    if any(factor != 1 for factor in factors):
                        piece *= np.array(factors, piece.dtype)[:, None, None]
                elif name == "made_by_pixel" and numbers is not None:
                    piece = numbers[piece]
                yield piece
                release_maps(prediction)

    return make


def _made_by(predictions: Sequence[Prediction]) -> tuple[MadeBy | None, list[NDArray[np.uint8] | None]]:
    """What made them all, with the parts of all; and for each the number that each number of a part has there."""
    first = predictions[0].made_by
    if first is None or not any(one.made_by is not None and one.made_by.parts for one in predictions):
        return first, [None] * len(predictions)
    parts = tuple(dict.fromkeys(part for one in predictions if one.made_by is not None for part in one.made_by.parts))
    numbers: list[NDArray[np.uint8] | None] = []
    for one in predictions:
        table = np.full(256, NOBODY, np.uint8)
        own = () if one.made_by is None else one.made_by.parts
        table[: len(own)] = [parts.index(part) for part in own]
        numbers.append(table)
    return replace(first, parts=parts), numbers


def _check_sizes(predictions: Sequence[Prediction]) -> None:
    sizes = [one.depth.shape[2:0:-1] for one in predictions]
    for size, one in zip(sizes, predictions, strict=True):
        if size != sizes[0]:
            raise InputError(
                f"'{one.image_names[0]}' and what follows is worked on at {size[0]}×{size[1]} pixels, what is before "
                f"at {sizes[0][0]}×{sizes[0][1]}: with window all photos must be of one size; bring them to one, or "
                "leave window out"
            )


def _joined(arrays: Sequence[Any]) -> Any:
    return None if any(array is None for array in arrays) else np.concatenate(arrays)


def _same(values: Sequence[Any]) -> Any:
    """The value that all have; None where they differ."""
    return values[0] if all(value == values[0] for value in values) else None


def _units(units: set[Any]) -> Any:
    """Of windows that differ: the least that is said of any."""
    return "relative" if "relative" in units else "aligned"


def _photo_boxes(predictions: Sequence[Prediction]) -> NDArray[np.int64] | None:
    if all(one.photo_boxes is None for one in predictions):
        return None
    found = []
    for one in predictions:
        count, height, width = one.depth.shape
        whole = np.tile(np.array([0, 0, width, height], np.int64), (count, 1))
        found.append(whole if one.photo_boxes is None else one.photo_boxes)
    return np.concatenate(found)


def _cameras(parts: Sequence[Cameras | None]) -> Cameras | None:
    """All of them; None where some are not known."""
    known = [part for part in parts if part is not None]
    if len(known) < len(parts) or not known:
        return None
    arrays = {
        field.name: _joined([getattr(one, field.name) for one in known])
        for field in fields(Cameras)
        if field.name in ("world_to_camera", "intrinsics", "sizes")
    }
    distortion = None
    if any(one.distortion is not None for one in known):
        bent = next(one.distortion for one in known if one.distortion is not None)
        distortion = np.concatenate(
            [np.zeros((len(one), bent.shape[1])) if one.distortion is None else one.distortion for one in known]
        )
    origins = None
    if all(one.origins is not None for one in known):
        origins = tuple(origin for one in known for origin in one.origins or ())
    return replace(known[0], **arrays, distortion=distortion, origins=origins)
