"""What an exporter is: a name, what it needs of a prediction, options, a check, and a function that writes files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from recon.errors import InputError
from recon.geometry.located_depth import check_cameras
from recon.options import Options
from recon.types import FloatArray, Prediction

FormatOptions = TypeVar("FormatOptions", bound=Options)


@dataclass(frozen=True, kw_only=True)
class NoOptions(Options):
    """For formats without a choice."""


@dataclass(frozen=True)
class Needs:
    """What of a prediction a format cannot do without; a run that lacks it is refused before it begins."""

    cameras: bool = False
    """Extrinsics and intrinsics, where there are several views; those of a single one may be assumed."""
    gaussians: bool = False
    features: bool = False
    """Of at least one encoder block."""
    least_views: int = 1

    def check(self, name: str, prediction: Prediction) -> None:
        """Raise InputError where format `name` lacks something in this prediction."""
        views = len(prediction.depth)
        if views < self.least_views:
            raise InputError(f"{name} needs at least {self.least_views} views, and this prediction has {views}")
        if self.cameras:
            check_cameras(prediction, name)
        if self.features and not prediction.features:
            raise InputError(f"{name} needs export_feat_layers: this prediction carries no features")
        if self.gaussians and prediction.gaussians is None:
            raise InputError(
                f"{name} needs Gaussians, and this prediction has no Gaussians: ask for them with gaussians 'auto', "
                "'head' or 'depth'"
            )


@dataclass(frozen=True)
class Exported:
    """What one exporter wrote."""

    files: tuple[Path, ...]
    """Every file, in the order written."""
    details: dict[str, Any] = field(default_factory=dict)
    """What a reader of the files needs beside them, for `run.json`; JSON values only."""
    seconds: float = 0.0
    """Time from the call until the last file was complete."""


@dataclass(frozen=True)
class Exporter(Generic[FormatOptions]):
    """One format. `write` leaves the prediction as it is and does not depend on which other exporters ran."""

    name: str
    """As users ask for it; without `-`, which joins several."""
    options: type[FormatOptions]
    """The format's choices, each with a default. Those made by `recon.options.like` take what the run chose."""
    write: Callable[[Prediction, Path, FormatOptions], Exported]
    """Write the files under the given folder."""
    outputs: tuple[str, ...]
    """Names of the files and folders that it writes directly into the given folder, whatever the options."""
    needs: Needs = Needs()
    check_values: Callable[[Prediction, FormatOptions], None] = lambda prediction, options: None
    """Raise InputError where this prediction, which has what is needed, cannot be written; write nothing."""
    check_options: Callable[[FormatOptions], None] = lambda options: None
    """Raise InputError where no prediction could be written with these options: together they make no sense, or a
    package or device that they take is missing here. It is called before anything costly is done."""
    check_intrinsics: Callable[[FloatArray, FormatOptions], None] = lambda intrinsics, options: None
    """Raise InputError where (N, 3, 3) intrinsics that the user gave, in pixels of the originals, cannot be used."""
    prepare: Callable[[FormatOptions], None] = lambda options: None
    """Do what takes time and needs no prediction, beside other work; else `write` does it."""
    shared: Callable[[FormatOptions], Mapping[str, object]] = lambda options: {}
    """For each output that another format writes as well: what decides, beside the prediction, what is in it."""
    in_pieces: bool = False
    """Whether it is written of any number of views without having the maps of all in memory."""
    shows_gaussians: bool = False
    """Whether it shows Gaussians where there are some and does without them otherwise: a run of such a format makes
    those of depth, which take seconds, and does not fit them to the photos unless asked to."""

    def check(self, prediction: Prediction, options: FormatOptions) -> None:
        """Raise InputError where this prediction cannot be written in this format; write nothing."""
        self.check_options(options)
        self.needs.check(self.name, prediction)
        self.check_values(prediction, options)
