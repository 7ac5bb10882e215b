"""Pseudo-labels: made once for each photo, kept by content, looked up where a sample's crop lies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recon.choices import EstimatorOptions, OutputKind
from recon.errors import InputError
from recon.estimate.estimator import Abilities, Fit, Needs, Profile, Wishes
from recon.progress import TellPart
from recon.sources.fitting import IMAGENET_MEAN, IMAGENET_STD, Views
from recon.train.data.read_cache import ReadCache
from recon.train.data.settings import SetOptions
from recon.train.data.teachers import Teacher, teacher_of
from recon.train.data.training_data import ConfiguredData, open_data
from recon.types import Prediction
from tests.train.data.wall_scene import wall_scene


@dataclass
class RedIsDepth:
    """Depth is one more than red is bright, so that a label tells of which place of the photo it is; none in blue."""

    kind: OutputKind = "depth"
    weights: str = "a"
    blind: bool = False
    asked: list[str] = field(default_factory=list)
    warnings: Sequence[str] = ()

    @property
    def profile(self) -> Profile:
        return Profile(
            "red", "network", Abilities(), Needs(), Fit(140), frozenset(), "it was told so", output_kind=self.kind
        )

    def prepare(self) -> None: ...

    def estimate(self, views: Views, wishes: Wishes = Wishes(), progress: TellPart | None = None) -> Prediction:
        self.asked += views.names
        depth = 1 + views.pixels[..., 0].astype(np.float32) / 255
        return Prediction(np.full_like(depth, np.nan) if self.blind else depth, views.pixels)

    def describe(self) -> dict[str, Any]:
        return {"weights": {"sha256": self.weights}}


def data_of(teacher: RedIsDepth, folder: Path, **more: Any) -> ConfiguredData:
    cache = ReadCache(1 << 22)

    def of_set(options: SetOptions) -> Teacher:
        return Teacher(EstimatorOptions(), folder, cache, opened=lambda: teacher)

    one = {"paths": ["photos"], "labels": "teacher", "teacher": "red", "augment": "none", **more}
    entries = {"sets": [one], "process_res": 56, "patches": 48, "workers": 1}
    return open_data(entries, scenes={"photos": [wall_scene(9, "photos")]}, teacher=of_set)


@pytest.mark.parametrize("kind", ["depth", "disparity"])
def test_labels_are_of_the_place_that_the_sample_shows(kind: OutputKind, tmp_path: Path) -> None:
    data = data_of(RedIsDepth(kind), tmp_path)
    for number in range(4):
        batch = data.batch(0, number)
        assert batch.unlabeled
        assert batch.teacher is not None
        assert batch.teacher_kind == kind
        red = batch.images[:, :, 0].numpy() * IMAGENET_STD[0] + IMAGENET_MEAN[0]
        depth = batch.teacher.numpy() if kind == "depth" else 1 / batch.teacher.numpy()
        # A pixel of the photo is 1/80 of it, in which red changes by some 0.015.
        assert np.abs(depth - 1 - red).max() < 0.03
        assert np.abs(depth - 1 - red).mean() < 0.005


def test_each_photo_is_asked_about_once_and_kept_on_disk(tmp_path: Path) -> None:
    teacher = RedIsDepth()
    data = data_of(teacher, tmp_path)
    first = [data.batch(0, number) for number in range(12)]
    assert len(teacher.asked) == len(set(teacher.asked)) == 9
    assert len(list(tmp_path.rglob("*.npz"))) == 9

    again = RedIsDepth()
    kept = data_of(again, tmp_path)
    for number, batch in enumerate(first):
        labels = kept.batch(0, number).teacher
        assert labels is not None
        assert labels.equal(batch.teacher)
    assert again.asked == []

    other = RedIsDepth(weights="b")
    data_of(other, tmp_path).batch(0, 0)
    assert other.asked

    damaged = next(iter(tmp_path.rglob("*.npz")))
    damaged.write_bytes(damaged.read_bytes()[:40])
    mended = RedIsDepth()
    data = data_of(mended, tmp_path)
    for number in range(12):
        data.batch(0, number)
    assert len(mended.asked) == 1


def test_a_teacher_beside_true_depth(tmp_path: Path) -> None:
    batch = data_of(RedIsDepth(), tmp_path, labels="own").batch(0, 0)
    assert batch.depth is not None
    assert batch.teacher is not None
    assert not batch.unlabeled


def test_a_teacher_that_sees_nothing_is_named(tmp_path: Path) -> None:
    data = data_of(RedIsDepth(blind=True), tmp_path)
    with pytest.raises(InputError, match=r"photos: \d\.png: red gives no depth"):
        data.batch(0, 0)


def test_models_that_cannot_teach(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="unknown model 'nobody'"):
        teacher_of("nobody", None, tmp_path, ReadCache(1))
    with pytest.raises(InputError, match="'mvs' needs more than one photo"):
        teacher_of("mvs", None, tmp_path, ReadCache(1))
    teacher = teacher_of("depth-anything-v2-small", "none", tmp_path, ReadCache(1))
    assert teacher.kind == "disparity"
    assert replace(teacher, options=EstimatorOptions(model="da3mono-large")).kind == "depth"
