"""Sets of scenes as batches of samples, each of which depends on the seed and its number alone."""

from __future__ import annotations

import glob
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recon.errors import InputError
from recon.messages import listed, warn
from recon.models.presets import PATCH_SIZE
from recon.progress import track
from recon.sources.names import natural_key
from recon.train.batches import Batch, Batches, Sample, collate
from recon.train.data.colours import Augment
from recon.train.data.crops import sample_size
from recon.train.data.overlap import Overlaps
from recon.train.data.read_cache import ReadCache
from recon.train.data.sampling import Changes, Contents, make_sample
from recon.train.data.scene import Scene
from recon.train.data.scene_kinds import open_scene
from recon.train.data.settings import DataOptions, DataSettings, SetOptions, read_settings
from recon.train.data.stream import Stream
from recon.train.data.teachers import Teacher, teacher_of

_GOLDEN = (5**0.5 - 1) / 2
"""Multiples of it, without their whole part, fill 0 to 1 more evenly than random numbers do."""
_TRIES = 20
"""Samples that are drawn for one place in a batch before it is given up."""
_EVALUATED_TOGETHER = 8
"""Photos in a batch of evaluation, at most."""


@dataclass(frozen=True)
class SceneSet:
    """Scenes whose samples may be in one batch."""

    label: str
    """In messages: where the configuration names it."""
    scenes: tuple[Scene, ...]
    contents: Contents
    weight: float
    augment: Augment
    overlaps: tuple[Overlaps | None, ...]
    """Of each scene; None where views cannot be chosen by overlap, so that each is a sample of its own."""
    left_out: Mapping[str, str]
    """By path, scenes that could not be used and why."""
    _photos: dict[int, NDArray[np.intp]] = field(default_factory=dict)

    @property
    def most_views(self) -> int:
        """Of a sample."""
        return max(1 if overlaps is None else len(overlaps.scene) for overlaps in self.overlaps)

    def photos(self, views: int) -> NDArray[np.intp]:
        """(P, 2) scene and photo of each that may be the first of so many views."""
        if views not in self._photos:
            self._photos[views] = self._first_photos(views)
        return self._photos[views]

    def _first_photos(self, views: int) -> NDArray[np.intp]:
        fitting = [
            (index, len(scene))
            for index, (scene, overlaps) in enumerate(zip(self.scenes, self.overlaps, strict=True))
            if views == 1 or (overlaps is not None and len(scene) >= views)
        ]
        return np.array([(index, photo) for index, count in fitting for photo in range(count)], np.intp).reshape(-1, 2)


@dataclass(frozen=True)
class _Plan:
    """What one batch is."""

    chosen: SceneSet
    views: int
    count: int
    changes: Changes


@dataclass(frozen=True)
class ConfiguredData:
    """`recon.train.batches.TrainingData` of a configuration."""

    sets: tuple[SceneSet, ...]
    evaluation_sets: tuple[SceneSet, ...]
    options: DataOptions
    _skipped: dict[str, str] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        for one in self.sets:
            self._check_size(one)

    @property
    def skipped(self) -> Mapping[str, str]:
        """By name, samples that could not be used so far and why."""
        with self._lock:
            return dict(self._skipped)

    def batches(self, seed: int, rank: int = 0, ranks: int = 1) -> Batches:
        """As `recon.train.batches.TrainingData.batches`."""
        return Stream(lambda number: self.batch(seed, number, rank, ranks), self.options.workers, self.options.ahead)

    def batch(self, seed: int, number: int, rank: int = 0, ranks: int = 1) -> Batch:
        """Batch `number`, or the part of it that process `rank` of `ranks` takes.

        Raises InputError where a set has nothing that can be used, saying why the last sample could not.
        """
        plan = self._plan(seed, number)
        photos = plan.chosen.photos(plan.views)
        first = np.random.default_rng([seed, number, 1]).choice(len(photos), plan.count, replace=False)
        places = range(rank, plan.count, ranks)
        if not places:
            raise InputError(
                f"a batch of {plan.count} samples cannot be shared out to {ranks} processes; raise 'patches'"
            )
        return collate([self._sample(plan, photos, int(first[place]), (seed, number, place)) for place in places])

    def _plan(self, seed: int, number: int) -> _Plan:
        random, options = np.random.default_rng([seed, number]), self.options
        chosen = self._set_of(seed, number)
        fewest, most = (min(bound, chosen.most_views) for bound in options.views)
        views = int(random.integers(fewest, most + 1))
        low, high = np.log(options.aspect)
        aspect = float(np.exp(random.uniform(low, high)))
        size = sample_size(options.process_res, aspect, views, options.patches)
        given = bool(random.uniform() < options.given_cameras)
        changes = Changes(
            size, options.zoom, options.crop == "centred", options.mirror, chosen.augment, cameras_given=given
        )
        return _Plan(chosen, views, self._count(size, views), changes)

    def _count(self, size: tuple[int, int], views: int) -> int:
        return max(1, self.options.patches // (views * (size[0] // PATCH_SIZE) * (size[1] // PATCH_SIZE)))

    def _set_of(self, seed: int, number: int) -> SceneSet:
        """By their weights, as evenly as can be: after any number of batches each has had its share, give or take
        one or two."""
        start = float(np.random.default_rng([seed, 2]).uniform())
        place = (start + number * _GOLDEN) % 1
        ends = np.cumsum([one.weight for one in self.sets])
        return self.sets[min(int(np.searchsorted(ends, place * ends[-1], side="right")), len(self.sets) - 1)]

    def _sample(self, plan: _Plan, photos: NDArray[np.intp], first: int, key: tuple[int, int, int]) -> Sample:
        """That of photo `first`, or of another one where it cannot be used."""
        reason = ""
        for attempt in range(_TRIES):
            random = np.random.default_rng([*key, attempt])
            scene_index, photo = photos[first].tolist()
            scene, overlaps = plan.chosen.scenes[scene_index], plan.chosen.overlaps[scene_index]
            try:
                views = [photo]
                if plan.views > 1:
                    assert overlaps is not None
                    views = overlaps.choose(photo, plan.views, self.options.overlap, random)
                return make_sample(scene, views, plan.chosen.contents, plan.changes, random)
            except InputError as error:
                reason = str(error)
                self._note(scene.label(photo), reason)
            first = int(random.integers(len(photos)))
        raise InputError(f"{plan.chosen.label}: {_TRIES} samples in a row could not be used; the last: {reason}")

    def _note(self, name: str, reason: str) -> None:
        with self._lock:
            self._skipped[name] = reason

    def _check_size(self, one: SceneSet) -> None:
        """Raise InputError for a set that cannot fill a batch."""
        for views in dict.fromkeys(min(bound, one.most_views) for bound in self.options.views):
            for aspect in self.options.aspect:
                size = sample_size(self.options.process_res, aspect, views, self.options.patches)
                count, there = self._count(size, views), len(one.photos(views))
                if there < count:
                    raise InputError(
                        f"{one.label}: has {there} photos to begin a sample of {views} views with, fewer than the "
                        f"{count} of a batch; lower 'patches' or give more scenes"
                    )

    def evaluation(self) -> Iterator[Batch]:
        """As `recon.train.batches.TrainingData.evaluation`: whole photos, as many views together as training has at
        most. What cannot be used is left out, and named among `skipped`."""
        for one in self.evaluation_sets:
            for scene, overlaps in zip(one.scenes, one.overlaps, strict=True):
                yield from self._evaluation_of(one, scene, overlaps)

    def _evaluation_of(self, one: SceneSet, scene: Scene, overlaps: Overlaps | None) -> Iterator[Batch]:
        together = 1 if overlaps is None else min(self.options.views[1], len(scene))
        samples: list[Sample] = []
        for start in range(0, len(scene) - together + 1, together):
            views = list(range(start, start + together))
            try:
                picture = scene.read_picture(views[0])
                aspect = picture.pixels.shape[1] / picture.pixels.shape[0]
                resolution = self.options.evaluation_res or self.options.process_res
                size = sample_size(resolution, aspect, together, max(self.options.patches, together))
                sample = make_sample(scene, views, one.contents, Changes(size), None)
            except InputError as error:
                self._note(scene.label(views[0]), str(error))
                continue
            if samples and (samples[0].images.shape != sample.images.shape or len(samples) == _EVALUATED_TOGETHER):
                yield collate(samples)
                samples = []
            samples.append(sample)
            if together > 1:
                yield collate(samples)
                samples = []
        if samples:
            yield collate(samples)

    def describe(self) -> dict[str, Any]:
        """As `recon.train.batches.TrainingData.describe`."""
        return {
            "sets": [_described(one) for one in self.sets],
            "evaluation": [_described(one) for one in self.evaluation_sets],
            "skipped": dict(self.skipped),
        }


def open_data(
    entries: Any,
    *,
    of: str = "data",
    scenes: Mapping[str, Sequence[Scene]] | None = None,
    teacher: Callable[[SetOptions], Teacher] | None = None,
    remedy: str = "",
) -> ConfiguredData:
    """What the section `data` of a configuration stands for.

    Args:
        entries: the section as YAML gives it; see `recon.train.data.settings`.
        of: what errors call it.
        scenes: by name, scenes that Python code brings, which `paths` may name: made on the fly, or held in memory.
        teacher: gives the teacher of a set, instead of the model that it names.
        remedy: said behind the name of a path where nothing is.

    Raises:
        InputError: a key or value that cannot be, a set without a usable scene, or one that cannot fill a batch.
    """
    settings = read_settings(entries, of=of)
    cache = ReadCache(settings.options.memory * 2**20)
    opener = _Opener(settings, cache, scenes or {}, teacher, remedy)
    return ConfiguredData(
        tuple(opener.open(one, f"{of}.sets[{index}]") for index, one in enumerate(settings.sets)),
        tuple(opener.open(one, f"{of}.evaluation[{index}]") for index, one in enumerate(settings.evaluation)),
        settings.options,
    )


@dataclass(frozen=True)
class _Opener:
    settings: DataSettings
    cache: ReadCache
    given: Mapping[str, Sequence[Scene]]
    teacher: Callable[[SetOptions], Teacher] | None
    remedy: str

    def open(self, options: SetOptions, label: str) -> SceneSet:
        """The set. Raises InputError where none of its scenes can be used."""
        scenes: list[Scene] = []
        left_out: dict[str, str] = {}
        places = [place for path in options.paths for place in self._places(path, label)]
        for place in track(places, label, len(places)):
            try:
                for scene in self._scenes(place):
                    scenes.append(_thinned(self._checked(scene, options), options))
            except InputError as error:
                if len(places) == 1:
                    remedy = "" if place in self.given or Path(place).exists() else self.remedy
                    raise InputError(f"{label}: {error}{remedy}") from None
                left_out[str(place)] = str(error)
        if not scenes:
            raise InputError(f"{label}: none of its {len(places)} scenes can be used; {next(iter(left_out.values()))}")
        if left_out:
            warn(f"{label}: left out {len(left_out)} of {len(places)} scenes: {listed(list(left_out.values()), 3)}")
        contents = self._contents(options, scenes)
        together = contents.labels and contents.extrinsics and contents.intrinsics
        return SceneSet(
            label,
            tuple(scenes),
            contents,
            options.weight,
            options.augment or ("strong" if options.labels == "teacher" else "weak"),
            tuple(Overlaps(scene, self.cache) if together and len(scene) > 1 else None for scene in scenes),
            left_out,
        )

    def _places(self, path: str, label: str) -> list[str]:
        if path in self.given:
            return [path]
        expanded = str(Path(path).expanduser())
        if not glob.has_magic(expanded):
            return [expanded]
        found = sorted(glob.glob(expanded), key=natural_key)
        if not found:
            raise InputError(f"{label}: nothing is at '{path}'{self.remedy}")
        return found

    def _scenes(self, place: str) -> Sequence[Scene]:
        return self.given[place] if place in self.given else (open_scene(Path(place), self.cache),)

    def _checked(self, scene: Scene, options: SetOptions) -> Scene:
        if options.labels == "own" and scene.read_labels is None:
            raise InputError(
                f"'{scene.name}' brings no depth; give runs or scenes that have some, or 'labels: teacher' for photos "
                "alone"
            )
        return scene

    def _contents(self, options: SetOptions, scenes: Sequence[Scene]) -> Contents:
        own = options.labels == "own"
        teacher = None
        if options.teacher is not None:
            folder = self.settings.options.pseudo_labels
            teacher = (
                self.teacher(options)
                if self.teacher is not None
                else teacher_of(options.teacher, options.teacher_weights, folder, self.cache)
            )
        return Contents(
            labels=own,
            sky=all(scene.knows_sky for scene in scenes) if own else True,
            extrinsics=own and all(scene.posed for scene in scenes),
            intrinsics=all(scene.has_intrinsics for scene in scenes),
            metric=own and all(scene.metric for scene in scenes),
            exact=options.exact,
            teacher=teacher,
        )


def _thinned(scene: Scene, options: SetOptions) -> Scene:
    kept = np.arange(0, len(scene), options.every)
    if options.limit is not None and len(kept) > options.limit:
        kept = kept[np.rint(np.linspace(0, len(kept) - 1, options.limit)).astype(np.intp)]
    return scene if len(kept) == len(scene) else scene.select(kept.tolist())


def _described(one: SceneSet) -> dict[str, Any]:
    return {
        "scenes": len(one.scenes),
        "photos": sum(len(scene) for scene in one.scenes),
        "weight": one.weight,
        "labels": "own" if one.contents.labels else "teacher",
        "cameras": one.contents.extrinsics,
        "metres": one.contents.metric,
        "left_out": dict(one.left_out),
    }
