"""What makes depth of views: one protocol for networks, ONNX files and stereo, and what is known of each beforehand.

Every part of a run asks an estimator's `Profile` what it can do and needs; none asks what it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

from recon.choices import OutputKind, ProcessResMethod
from recon.errors import InputError
from recon.progress import TellPart
from recon.sources.fitting import FittedPhoto, at_own_size, fit_photo
from recon.types import DepthKind, Prediction

if TYPE_CHECKING:
    from recon.choices import RefViewStrategy
    from recon.sources.fitting import Views
    from recon.sources.photo import Photo


@dataclass(frozen=True)
class Abilities:
    """What an estimator gives, beside depth."""

    depth: bool = True
    """Whether it gives depth; one that does not serves splats that begin from something else."""
    cameras: bool = False
    """Predicts the cameras of the views; those given are then a condition, and what its result is aligned to."""
    several_views: bool = False
    """Sees the views of a scene together, so that their depth has one scale; otherwise each view on its own."""
    confidence: bool = False
    sky: bool = False
    """Tells where there is sky."""
    gaussians: bool = False
    """Has a head for Gaussians."""
    features: int = 0
    """Number of encoder blocks whose features it can return."""
    metres: Literal["never", "with focal", "always"] = "never"
    """When its depth is in metres: never by itself, where the focal length is known, or always."""


@dataclass(frozen=True)
class Needs:
    """What an estimator cannot do without."""

    cameras: bool = False
    """Extrinsics and intrinsics of every view."""
    exact_cameras: bool = False
    """Cameras that are known or found, wherever they can be had: predicted ones are not close enough to do well."""
    depths: bool = False
    """Depth that the input brings with its cameras."""
    least_views: int = 1
    weights: bool = False
    """A file of weights, which may have to be downloaded."""


@dataclass(frozen=True)
class Fit:
    """The size at which an estimator is shown photos, where the user does not say otherwise."""

    process_res: int = 504
    method: ProcessResMethod = "upper_bound_resize"
    fixed_size: tuple[int, int] | None = None
    """Width and height, multiples of 14, of the only input it takes; None where any multiple of 14 will do."""
    own_size: bool = False
    """Whether it takes photos at their own size, too (`process_res` 0), multiples of 14 or not."""

    def photo(self, photo: Photo, process_res: int | None = None, method: str | None = None) -> FittedPhoto:
        """Resize `photo`; what is None is as the estimator has it by default. Errors as `fit_photo`.

        For a fixed size the photo gets as large as fits: its proportions are those that networks are trained with, and
        what it leaves free is for the estimator to fill.
        """
        if process_res == 0:
            return at_own_size(photo)
        if self.fixed_size is None:
            return fit_photo(
                photo,
                self.process_res if process_res is None else process_res,
                self.method if method is None else method,
            )
        width, height = self.fixed_size
        # The longest side at which the other one fits, too. Both limits are multiples of 14, so that rounding to
        # multiples does not exceed them.
        longest = max(photo.width, photo.height)
        return fit_photo(photo, int(min(longest * width / photo.width, longest * height / photo.height)))

    def check(self, name: str, process_res: int | None, method: str | None) -> None:
        """Raise InputError where there is nothing to choose, or no such size; `name` is the estimator's."""
        if self.fixed_size is not None and (process_res is not None or method is not None):
            width, height = self.fixed_size
            option = "process_res" if process_res is not None else "process_res_method"
            raise InputError(f"{option}: {name} has a fixed input of {width}×{height} pixels, leave it out")
        if process_res == 0 and not self.own_size:
            raise InputError(
                f"process_res 0, the photos' own size, is for multi-view stereo; for {name} give a number of pixels"
            )
        if process_res == 0 and method is not None:
            raise InputError("process_res_method: with process_res 0 photos keep their size, leave it out")


@dataclass(frozen=True)
class Profile:
    """What is known of an estimator before it is loaded."""

    name: str
    """For messages: the preset, the file, or what it is."""
    kind: DepthKind | None
    """What `Prediction.made_by` says."""
    abilities: Abilities
    needs: Needs
    fit: Fit
    parts: frozenset[str]
    """Those of `NETWORK`, `ANY_VIEW`, `STEREO` and `ONNX_FILE` that it has: options for the others are in vain."""
    failures: str
    """Why it may give no depth at all, and what to do about it; ends a message."""
    failures_of_given: str = ""
    """The same where cameras were given, if they may be to blame."""
    output_kind: OutputKind = "depth"
    """What it gives by itself, at a scale and shift that may be unknown; depth made of disparity is its reciprocal."""
    bytes_per_pixel: tuple[float, float] | None = None
    """What each pixel of each view takes while all are looked at together, about, on the CPU and on CUDA; None: it is
    not known, or each view is looked at alone."""
    word: str | None = None
    """What stands for it behind a `+` of `--model`; its name where that is None."""

    @property
    def short_name(self) -> str:
        """For the name of what it is a part of."""
        return self.word or self.name

    def why_no_depth(self, cameras_given: bool) -> str:
        """Ends a message about depth that is missing."""
        return self.failures_of_given if cameras_given and self.failures_of_given else self.failures


@dataclass(frozen=True)
class Wishes:
    """What a run asks of an estimator beside depth. `recon.run.wishes` makes it, checked against the abilities."""

    gaussians: bool = False
    """Gaussians of the estimator's head."""
    features: tuple[int, ...] = ()
    """Encoder blocks."""
    cameras_only: bool = False
    """Nothing but the cameras that it predicts: what takes long beside may be left out."""
    use_ray_pose: bool = False
    """Cameras from the ray map instead of the camera token."""
    ref_view_strategy: RefViewStrategy = "saddle_balanced"
    given_scale: bool = True
    """The scale of given cameras rather than the estimator's own, where it has one."""
    metres: bool = False
    """Metres, where depth tells them, rather than the unit of cameras whose scale is free."""
    seed: int = 0


class Estimator(Protocol):
    """Depth of views, and whatever else its profile says."""

    @property
    def profile(self) -> Profile:
        """What it can do and needs."""

    @property
    def warnings(self) -> Sequence[str]:
        """What was warned of while it was made ready."""

    def prepare(self) -> None:
        """Do what takes time and needs no views, beside other work; else the first `estimate` does it."""

    def estimate(
        self,
        views: Views,
        wishes: Wishes = Wishes(),
        progress: TellPart | None = None,
    ) -> Prediction:
        """Depth of N views of one scene, or of N unrelated photos by an estimator that sees each on its own.

        Args:
            views: of the size that `profile.fit` makes, with what is known of their cameras.
            wishes: within the abilities.
            progress: told of long work.

        Returns:
            A prediction with the given intrinsics where they were given; with the predicted extrinsics where it
            predicts cameras (`recon.refine.align` brings them to the given ones), else with the given ones.

        Raises:
            InputError: cameras that are missing, or do not suffice.
        """

    def describe(self) -> dict[str, Any]:
        """For `run.json`."""
