"""Pseudo-labels: the map of any model of clean photos, made once for each photo and kept on disk.

A file is named by a hash of the photo's content and of all that decides the model's answer, so that another photo,
other weights or another size make another file, and a photo that lies in two folders is labeled once.
"""

from __future__ import annotations

import threading
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recon.choices import EstimatorOptions, OutputKind
from recon.digests import digest
from recon.errors import InputError
from recon.estimate.choice import choose
from recon.estimate.estimate_views import estimate_views
from recon.estimate.estimator import Estimator
from recon.files import atomic_write
from recon.sources.fitting import combine
from recon.sources.photo import Photo
from recon.train.data.lookup import depth_at, nearest
from recon.train.data.read_cache import ReadCache
from recon.train.data.scene import Labels, Picture, Scene, Size
from recon.types import FloatArray

_ANSWERS = 1
"""Counts up when the files hold something else."""


@dataclass(frozen=True)
class Teacher:
    """A model that labels photos, each by itself."""

    options: EstimatorOptions
    """Which model."""
    folder: Path
    """Where its answers are kept."""
    cache: ReadCache
    opened: Callable[[], Estimator] | None = None
    """Gives a model that is open already, for which `options` do not count."""
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    @cached_property
    def _estimator(self) -> Estimator:
        """Opened when the first label is missing."""
        return choose(self.options).open(lambda what: None) if self.opened is None else self.opened()

    @cached_property
    def kind(self) -> OutputKind:
        """What its maps hold."""
        return (choose(self.options).profile if self.opened is None else self._estimator.profile).output_kind

    @cached_property
    def _decided_by(self) -> str:
        described = self._estimator.describe()
        weights = described.get("weights") or {}
        facts = {name: weights.get(name) for name in ("sha256", "source", "seed")}
        return digest(_ANSWERS, self._estimator.profile.name, facts, self.kind)

    def labels(self, scene: Scene, view: int, picture: Picture, size: Size, to_photo: FloatArray) -> Labels:
        """At the pixel centres of a part of a photo; see `recon.train.data.scene.ReadLabels`.

        `depth` holds what `kind` says, NaN where the teacher gives nothing. Raises InputError naming the photo where
        it gives nothing at all.
        """
        with self._lock:  # one model, and one answer to one photo
            whole = self.cache.get(
                ("teacher", scene.name, view),
                lambda: self._of_photo(scene, view, picture),
                lambda one: one.depth.nbytes,
            )
        photo_size = np.array(picture.pixels.shape[1::-1], np.int64)
        depth = depth_at(whole.depth, photo_size, size, to_photo)
        sky = None
        if whole.sky is not None:
            scale = np.diag([*np.array(whole.sky.shape[::-1]) / photo_size, 1.0])
            sky = nearest(whole.sky, size, scale @ to_photo)
        if not np.isfinite(depth).any():
            raise InputError(f"{scene.label(view)}: {self._estimator.profile.name} gives no depth for it")
        return Labels(depth, sky)

    def _of_photo(self, scene: Scene, view: int, picture: Picture) -> Labels:
        """Of the whole photo, at the teacher's resolution: kept, or made now."""
        name = digest(self._decided_by, scene.content(view))
        path = self.folder / name[:2] / f"{name}.npz"
        kept = _read(path)
        if kept is not None:
            return kept
        labels = self._ask(scene.label(view), picture)
        arrays = {"map": labels.depth, **({} if labels.sky is None else {"sky": labels.sky})}
        with atomic_write(path) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
        return labels

    def _ask(self, label: str, picture: Picture) -> Labels:
        estimator = self._estimator
        fitted = estimator.profile.fit.photo(Photo(label, picture.pixels))
        prediction = estimate_views(estimator, combine([fitted]))
        depth = np.where(prediction.pixels_with_depth(sky=True), prediction.depth, np.nan)[0].astype(np.float32)
        sky = None if prediction.sky is None else prediction.sky[0]
        if self.kind == "disparity":
            depth = 1 / depth
        if sky is not None:
            depth[sky] = np.nan
        return Labels(depth, sky)


def teacher_of(model: str, weights: str | None, folder: Path, cache: ReadCache) -> Teacher:
    """The teacher that goes by the name of a preset, or is an ONNX file, with weights as `recon run` takes them."""
    named = Path(model).expanduser()
    options = EstimatorOptions(onnx=named) if named.suffix == ".onnx" else EstimatorOptions(model=model)
    options = options if weights is None else replace(options, weights=weights)
    profile = choose(options).profile
    if profile.needs.cameras or profile.needs.depths or profile.needs.least_views > 1:
        raise InputError(f"teacher {model!r} needs more than one photo; give a network or an ONNX file")
    return Teacher(options, folder, cache)


def _read(path: Path) -> Labels | None:
    """What a file holds; None where there is none, or it is damaged."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            depth: NDArray[np.float32] = np.asarray(arrays["map"], np.float32)
            return Labels(depth, np.asarray(arrays["sky"], np.bool_) if "sky" in arrays else None)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
