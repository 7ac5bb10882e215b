"""What the section `data` of a training configuration may say.

data:
  sets:                       # to learn from
    - paths: ["data/train/*"]
      weight: 1
    - paths: [photos]
      labels: teacher
      teacher: depth-anything-v2-large
      weight: 2
  evaluation:                 # kept aside
    - paths: ["data/test/*"]
  views: [2, 18]
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from recon.choices import EstimatorOptions
from recon.errors import InputError
from recon.models.presets import PATCH_SIZE
from recon.options import Options, build, like, meant, option, options_of
from recon.train.data.colours import Augment

SETS, EVALUATION = "sets", "evaluation"


@dataclass(frozen=True)
class SetOptions(Options):
    """One set of scenes or photos."""

    paths: tuple[str, ...] = option(
        help="Scenes: folders of recon runs, of true depth in the layouts that `recon eval` knows, or any input of "
        "`recon run`. With *, ? or [ ] they are patterns: data/train/* is every scene in that folder."
    )
    weight: float = option(1.0, help="How often a batch is of this set, in proportion to the others.", above=0)
    labels: Literal["own", "teacher"] = option(
        "own", help="Where depth comes from: what the scenes bring, or the teacher alone (photos without labels)."
    )
    teacher: str | None = option(
        None,
        help="Preset, or ONNX file, whose maps of the clean photos are learned from, alone or beside their own depth.",
        may_be_path=True,
    )
    teacher_weights: str | None = like(
        EstimatorOptions, "weights", default=None, help="Weights of the teacher [the official ones]."
    )
    augment: Augment | None = option(
        None, help="Change of colours: none, weak or strong [weak; strong where the teacher gives the labels]."
    )
    exact: bool = option(False, help="Depth is without noise, as of rendered scenes, so that normals may be learned.")
    every: int = option(1, help="Take every n-th photo of each scene.", least=1)
    limit: int | None = option(None, help="Take at most so many photos of each scene, evenly spread [all].", least=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.paths:
            raise InputError("paths must name at least one scene")
        if self.labels == "teacher" and self.teacher is None:
            raise InputError("labels: teacher needs the name of one in 'teacher'")
        if self.teacher is None and self.teacher_weights is not None:
            raise InputError("teacher_weights is for a teacher, and none is given")


@dataclass(frozen=True)
class DataOptions(Options):
    """How samples are made."""

    views: tuple[int, int] = option((1, 1), help="Fewest and most views of a sample; how many is drawn for each batch.")
    process_res: int = option(
        504, help="Pixels of the longest side of a view, as far as the patches allow.", least=PATCH_SIZE
    )
    aspect: tuple[float, float] = option(
        (0.5, 2.0), help="Bounds of width by height of the views; drawn for each batch.", above=0
    )
    patches: int = option(
        11_664,
        help="Patches of 14 × 14 pixels in a batch: as many samples as go in, at least one. 11664 is nine square views "
        "of 504 pixels.",
        least=1,
    )
    zoom: tuple[float, float] = option(
        (0.6, 1.0), help="Bounds of the side of what is cut out of a photo, as a share of the most.", above=0, most=1
    )
    crop: Literal["centred", "anywhere"] = option(
        "centred", help="Whether what is cut out has the principal point in its middle, as networks take it to be."
    )
    mirror: float = option(0.5, help="Share of samples that are mirrored, cameras and all.", least=0, most=1)
    given_cameras: float = option(0.2, help="Share of batches whose cameras the network is told.", least=0, most=1)
    overlap: float = option(
        0.1, help="Share of what two views see that they must both see, to be in one sample.", above=0, most=1
    )
    workers: int = option(4, help="Threads that prepare batches ahead.", least=1)
    ahead: int = option(8, help="Batches that are prepared ahead.", least=1)
    memory: int = option(1024, help="Megabytes of photos and depth that are kept in memory.", least=1)
    pseudo_labels: Path = option(
        Path("outputs") / "pseudo_labels", help="Folder in which the maps of teachers are kept."
    )
    evaluation_res: int | None = option(
        None, help="Pixels of the longest side in evaluation [process_res].", least=PATCH_SIZE
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("views", "aspect", "zoom"):
            low, high = getattr(self, name)
            if low > high:
                raise InputError(f"{name} must have the smaller number first, got {low} and {high}")
        if self.views[0] < 1:
            raise InputError(f"views must be at least 1, got {self.views[0]}")


@dataclass(frozen=True)
class DataSettings:
    """The section as a whole."""

    sets: tuple[SetOptions, ...]
    evaluation: tuple[SetOptions, ...]
    options: DataOptions


def read_settings(entries: Any, *, of: str = "data") -> DataSettings:
    """The section as YAML gives it. Raises InputError, beginning with `of`, for what it cannot say."""
    if not isinstance(entries, Mapping):
        raise InputError(f"{of} must be a section with 'sets'; got {type(entries).__name__}")
    known = (SETS, EVALUATION, *options_of(DataOptions))
    for key in entries:
        if key not in known:
            raise InputError(f"{of}: unknown key {key!r}; {meant(key, known)}")
    if not entries.get(SETS):
        raise InputError(f"{of}.{SETS} must list at least one set of scenes, each with 'paths'")
    values = {key: value for key, value in entries.items() if key not in (SETS, EVALUATION)}
    return DataSettings(
        _sets(entries[SETS], f"{of}.{SETS}"),
        _sets(entries.get(EVALUATION) or [], f"{of}.{EVALUATION}"),
        _built(DataOptions, values, of),
    )


def _sets(entries: Any, of: str) -> tuple[SetOptions, ...]:
    if isinstance(entries, (str, Mapping)) or not isinstance(entries, Sequence):
        raise InputError(f"{of} must be a list of sets, each with 'paths'")
    found = []
    for index, entry in enumerate(entries):
        if not isinstance(entry, Mapping):
            raise InputError(f"{of}[{index}] must be a section with 'paths', got {entry!r}")
        if "paths" not in entry:
            raise InputError(f"{of}[{index}]: 'paths' is missing; list the scenes of the set")
        found.append(_built(SetOptions, entry, f"{of}[{index}]"))
    return tuple(found)


def _built(cls: Any, values: Mapping[str, Any], of: str) -> Any:
    try:
        return build(cls, values, of=of, prefix=f"{of}.")
    except InputError as error:
        text = str(error)
        raise InputError(text if of in text else f"{of}.{text}") from None
