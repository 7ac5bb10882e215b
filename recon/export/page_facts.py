"""What the page says of a result: for programs, and in words.

The script `facts-json` of the page is JSON:

| key | contents |
| --- | --- |
| model | kind and name of what made the depth; null where nothing says so |
| licence | of a network's weights; null where there are none, or it is not known |
| units, cameras | as in `Prediction.units` and `Prediction.extrinsics_origin` |
| photos, size, valid | number of views, width and height processed, share of their pixels with depth |
| gaussians | source, count and degree of the splats; null without |
| quality, cleaning, seconds, optimised, dropped_images, warnings | as in `run.json`; empty where there is none |
| version | of recon that wrote the page |
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from recon.choices.words import CLEANING_FILTERS
from recon.errors import InputError
from recon.types import Gaussians, Prediction
from recon.types.mapped import row_pieces
from recon.version import __version__

_SHOWN_STAGES = 3
"""Of a run, the longest, are listed."""


def facts_of(prediction: Prediction, splats: Gaussians | None) -> dict[str, Any]:
    """What `facts-json` holds; `splats` are those that are shown. What an older `run.json` lacks stays empty."""
    run = prediction.run
    count, height, width = prediction.depth.shape
    made_by = prediction.made_by
    return {
        "model": None if made_by is None else {"kind": made_by.kind, "name": made_by.name},
        "licence": _licence(prediction),
        "units": prediction.units,
        "cameras": prediction.extrinsics_origin,
        "photos": count,
        "size": [width, height],
        "valid": sum(int(prediction.valid[views].sum()) for views in row_pieces(prediction.valid))
        / prediction.valid.size,
        "gaussians": None
        if splats is None
        else {"source": prediction.gaussian_source, "count": len(splats), "degree": splats.sh_degree},
        "quality": _mapping(run, "quality"),
        "cleaning": _mapping(run, "cleaning"),
        "seconds": _mapping(run, "seconds"),
        "optimised": _scores(_mapping(run, "optimised")),
        "dropped_images": [one for one in _list(run, "dropped_images") if isinstance(one, Mapping)],
        "warnings": [str(message) for message in _list(run, "warnings")],
        "version": __version__,
    }


class CameraCertainty(NamedTuple):
    """How sure a camera is."""

    text: str
    """Standard deviations of turn and centre; empty where they are not known."""
    weak: bool
    """Whether it is not to be relied on."""


def camera_certainty(run: Mapping[str, Any], unit: str) -> dict[str, CameraCertainty]:
    """Of each camera that structure from motion found, by the name of its photo; lengths are in `unit`."""
    weak = {str(name) for name in _list(_mapping(run, "quality"), "weak_cameras")}
    found = {name: CameraCertainty("", True) for name in weak}
    for one in _list(_mapping(_mapping(run, "cameras"), "sfm"), "certainty"):
        if not isinstance(one, Mapping) or not isinstance(one.get("name"), str):
            continue
        name, degrees, distance = one["name"], one.get("degrees"), one.get("distance")
        text = f"sure to {degrees:.2g}°, {distance:.2g} {unit}" if _is_number(degrees) and _is_number(distance) else ""
        found[name] = CameraCertainty(text, name in weak)
    return found


def in_words(facts: Mapping[str, Any], points: int | None, conf_threshold: float | None) -> list[tuple[str, str]]:
    """Names and values for a person to read, in order; `points` are those shown, of at least that confidence."""
    width, height = facts["size"]
    said = [("Photos", f"{facts['photos']}, {width} × {height} pixels processed")]
    said += [("Photo left out", f"{one.get('name')}: {one.get('reason')}") for one in facts["dropped_images"]]
    if facts["model"] is not None:
        said.append(("Depth by", f"{facts['model']['name']} ({facts['model']['kind']})"))
    if facts["licence"] is not None:
        said.append(("Licence of the weights", facts["licence"]))
    said.append(("Pixels with depth", f"{100 * facts['valid']:.0f} %"))
    said.append(("Cameras", facts["cameras"] or "unknown origin"))
    said.append(("Units", facts["units"]))
    if points is not None:
        threshold = "" if conf_threshold is None else f", confidence from {conf_threshold:.3g}"
        said.append(("Points", f"{points:,}{threshold}"))
    if facts["gaussians"] is not None:
        splats = facts["gaussians"]
        said.append(("Splats", f"{splats['count']:,}, {splats['source']}, degree {splats['degree']}"))
    said += [
        *_of_quality(facts["quality"], facts["photos"]),
        *_of_splats(facts["optimised"]),
        *_of_cleaning(facts["cleaning"]),
    ]
    said += _of_seconds(facts["seconds"])
    said += [("Warning", message) for message in facts["warnings"]]
    said.append(("Made with", f"recon {facts['version']}"))
    return said


def _of_quality(quality: Mapping[str, Any], photos: int) -> Iterator[tuple[str, str]]:
    for name, key in (("Depth that views agree on", "depth_agreeing"), ("Depth confirmed", "depth_confirmed")):
        if _is_number(quality.get(key)):
            yield name, f"{100 * quality[key]:.0f} %"
    if _is_number(quality.get("depth_difference")):
        yield "Depth differs between views by", f"{100 * quality['depth_difference']:.2g} % (median)"
    if _is_number(quality.get("reprojection_error")):
        yield "Reprojection error", f"{quality['reprojection_error']:.2f} pixels"
    if _is_number(quality.get("camera_degrees")):
        yield "Cameras are sure to", f"{quality['camera_degrees']:.2g}° (median)"
    weak = quality.get("weak_cameras")
    if isinstance(weak, list) and weak:
        yield "Cameras that are not sure (red)", ", ".join(map(str, weak))
    apart = quality.get("views_apart")
    if isinstance(apart, list) and apart:
        alone = len(apart) == photos
        yield "Apart from the rest", "all: no view fits another" if alone else ", ".join(map(str, apart))


def _of_splats(scores: Mapping[str, float]) -> Iterator[tuple[str, str]]:
    for name, kind in (("photos fitted to", ""), ("photos held out", "held_out_")):
        before, after = scores.get(f"{kind}before"), scores.get(f"{kind}after")
        if before is not None and after is not None:
            yield f"Splats against {name}", f"{before:.1f} dB before fitting, {after:.1f} dB after"


def _of_cleaning(cleaning: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    removed, points = cleaning.get("removed"), cleaning.get("points")
    if isinstance(removed, Mapping) and _is_number(points) and points:
        for name, count in removed.items():
            if _is_number(count):
                yield f"Left out {CLEANING_FILTERS.get(name, name)}", f"{count:,} points, {100 * count / points:.2g} %"


def _of_seconds(seconds: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    numbers = {name: value for name, value in seconds.items() if _is_number(value)}
    if numbers:
        yield "Seconds", f"{sum(numbers.values()):.0f}"
        longest = sorted(numbers, key=lambda name: -numbers[name])[:_SHOWN_STAGES]
        yield "Of these", ", ".join(f"{name} {numbers[name]:.1f}" for name in longest)


def _licence(prediction: Prediction) -> str | None:
    """Of a network's weights: as the run found it, else as its preset says."""
    from recon.models.presets import load_preset

    model = _mapping(prediction.run, "model")
    for found in (_mapping(model, "weights").get("licence"), model.get("licence")):
        if isinstance(found, str):
            return found
    made_by = prediction.made_by
    networks = () if made_by is None else [one for one in (made_by, *made_by.parts) if one.kind == "network"]
    if not networks:
        return None
    try:
        return load_preset(networks[0].name).licence
    except InputError:
        return None


def _scores(optimised: Mapping[str, Any]) -> dict[str, float]:
    """PSNR in dB before and after splats were fitted to the photos, by the key in `run.json`."""
    found = {}
    for key in ("before", "after", "held_out_before", "held_out_after"):
        psnr = _mapping(optimised, key).get("psnr")
        if isinstance(psnr, (int, float)):
            found[key] = float(psnr)
    return found


def _mapping(owner: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = owner.get(key)
    return dict(value) if isinstance(value, Mapping) else {}


def _list(owner: Mapping[str, Any], key: str) -> list[Any]:
    value = owner.get(key)
    return list(value) if isinstance(value, (list, tuple)) else []


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
