"""Which estimator a run takes: known by its profile at once, loaded when it is opened."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from recon.choices import MEASURED, MVS, POINTS, EstimatorOptions
from recon.errors import InputError
from recon.estimate.estimator import Estimator, Profile
from recon.estimate.fused import FusedEstimator, fused_profile
from recon.estimate.measured import PROFILE as MEASURED_PROFILE
from recon.estimate.measured import MeasuredDepth
from recon.estimate.network import NetworkEstimator, profile_of
from recon.estimate.prior import POINTS_PROFILE, PointsDepth
from recon.estimate.stereo import PROFILE as STEREO_PROFILE
from recon.estimate.stereo import StereoEstimator
from recon.estimate.without_depth import WithoutDepth
from recon.messages import warn
from recon.models.hub import is_cached, is_reachable
from recon.models.presets import Preset, all_preset_names, load_preset, preset_names
from recon.options import meant

if TYPE_CHECKING:
    from recon.estimate.onnx_file import OnnxEstimator

Tell: TypeAlias = Callable[[str], None]
"""Called with what is about to happen, where that may take long."""

AUTO = "auto"
OFFICIAL = "official"
RANDOM = "none"
"""Weights by name: the preset's own, or random ones."""
_PREFERRED = ("da3-large", "da3-base", "da3-small")
"""In this order, before all other networks that see several views."""


@dataclass(frozen=True)
class Choice:
    """An estimator that is not loaded yet."""

    model: str
    """Preset, or `mvs`."""
    profile: Profile
    open: Callable[[Tell], Estimator]
    """Make it ready. Torch is imported, and weights are downloaded, only here.

    Raises InputError or CheckpointError where it cannot be had.
    """


def choose(settings: EstimatorOptions) -> Choice:
    """The estimator that `settings` name, the one that the weights named are for, or the best there is.

    Names joined with `+` are a network (or the ONNX file, or depth that is dense) and what is sure.
    An ONNX file is opened to know it: only it says what it takes and gives.

    Raises InputError for an unknown name, and as `recon.estimate.onnx_file.OnnxEstimator`.
    """
    name, *sure = settings.model.split(JOINED_BY)
    if not sure:
        return _choose_one(settings)
    others = {}
    for word in sure:
        if word not in SURE or word in others or word == name:
            known = ", ".join(f"{JOINED_BY}{one}" for one in SURE)
            raise InputError(f"model {settings.model!r}: behind a network comes {known}, each once, not {word!r}")
        others[word] = SURE[word]
    dense = _choose_one(replace(settings, model=name or AUTO))
    return _joined(dense, settings, others)


def _joined(dense: Choice, settings: EstimatorOptions, sure: Mapping[str, Sure]) -> Choice:
    return Choice(
        JOINED_BY.join((dense.model, *sure)),
        fused_profile(dense.profile, [one.profile for one in sure.values()]),
        lambda tell: FusedEstimator(dense.open(tell), tuple(one.open(settings) for one in sure.values())),
    )


def _choose_one(settings: EstimatorOptions) -> Choice:
    if settings.onnx is not None:
        file = _open_onnx(settings.onnx, settings)
        return Choice(file.profile.name, file.profile, lambda tell: file)
    name = _model_name(settings)
    if name in (MVS, MEASURED):
        alone = SURE[name]
        return Choice(name, alone.profile, lambda tell: alone.open(settings))
    if name not in all_preset_names():
        raise InputError(
            f"unknown model {name!r}; {meant(name.lower(), (*preset_names(), MVS, MEASURED), likeness=0.8)}"
        )
    preset = load_preset(name)
    return Choice(name, profile_of(preset), lambda tell: open_network(preset, settings, tell))


def without_depth() -> Choice:
    """None at all, for splats that begin from something else."""
    estimator = WithoutDepth()
    return Choice("none", estimator.profile, lambda tell: estimator)


def open_network(preset: Preset, settings: EstimatorOptions, tell: Tell) -> NetworkEstimator:
    """The network of `preset` on its device. Errors as `recon.models.ready.ready_model`."""
    from recon.models.device import choose_device
    from recon.models.precision import resolve_precision
    from recon.models.ready import ready_model

    device = choose_device(settings.device)
    resolve_precision(settings.precision, device)
    tell(f"load {preset.name}")
    ready = ready_model(
        preset.name,
        weights=None if settings.weights == RANDOM else settings.weights,
        seed=settings.seed,
        precision=settings.precision,
        engine=settings.engine,
        revision=settings.revision,
        commercial_only=settings.commercial_only,
    )
    ready.network.to(device)
    return NetworkEstimator(ready, ready.warnings)


def _open_onnx(path: Path, settings: EstimatorOptions) -> OnnxEstimator:
    from recon.estimate.onnx_file import OnnxEstimator

    estimator = OnnxEstimator(
        path,
        output_kind=settings.output_kind,
        model=None if settings.model == AUTO else settings.model,
        normalise=settings.onnx_normalise,
        provider=settings.provider,
        threads=settings.threads,
    )
    licence = estimator.info.licence
    if settings.commercial_only and (licence is None or "NC" in licence):
        says = "does not state its licence" if licence is None else f"is licensed {licence}"
        raise InputError(f"{path} {says}, which commercial_only excludes")
    return estimator


def _open_stereo(settings: EstimatorOptions) -> StereoEstimator:
    if settings.device not in ("auto", "cpu"):  # before the photos are matched; else torch is not needed
        from recon.models.device import choose_device

        choose_device(settings.device)
    from recon.stereo.multi_view import StereoOptions

    said = (without_weights(settings.commercial_only),) if settings.model == AUTO else ()
    for message in said:
        warn(message)
    options = StereoOptions(fill=settings.fill, device=settings.device)  # type: ignore[arg-type]  # which checks it
    return StereoEstimator(options, said)


@dataclass(frozen=True)
class Sure:
    """Depth that no network gives."""

    profile: Profile
    open: Callable[[EstimatorOptions], Estimator]


SURE: Mapping[str, Sure] = {
    MVS: Sure(STEREO_PROFILE, _open_stereo),
    MEASURED: Sure(MEASURED_PROFILE, lambda settings: MeasuredDepth()),
    POINTS: Sure(POINTS_PROFILE, lambda settings: PointsDepth()),
}
"""What `--model` may name behind a `+`."""
JOINED_BY = "+"


def _model_name(settings: EstimatorOptions) -> str:
    if settings.model != AUTO:
        return settings.model
    if settings.weights == OFFICIAL:
        return choose_model(settings.commercial_only)
    if settings.weights == RANDOM:
        return _PREFERRED[0]

    from recon.models.ready import preset_of_checkpoint

    return preset_of_checkpoint(settings.weights, revision=settings.revision)[0]


def choose_model(commercial_only: bool = False) -> str:
    """Name of an any-view preset whose weights are in the cache or can be downloaded now, else `mvs`.

    Those in the cache come first. `commercial_only` passes over weights that must not be used commercially.
    """
    usable = [preset for preset in _any_view_presets() if not (commercial_only and preset.non_commercial)]
    for preset in usable:
        if is_cached(preset.hub_repo, files=preset.hub_files):
            return preset.name
    return usable[0].name if is_reachable(usable[0].hub_repo) else MVS


def without_weights(commercial_only: bool = False) -> str:
    """What to say where `choose_model` finds none."""
    which = "weights of Depth Anything 3" + (" for commercial use" if commercial_only else "")
    return (
        f"no {which} on this machine and no hub to get them from: depth by multi-view stereo (mvs) instead; with a "
        "network, `--model da3-small` downloads them once, or `--weights FOLDER` takes them from a folder"
    )


def _any_view_presets() -> list[Preset]:
    presets = [load_preset(name) for name in (*_PREFERRED, *(n for n in preset_names() if n not in _PREFERRED))]
    return [preset for preset in presets if profile_of(preset).abilities.several_views]
