"""The last stages: every format's files, and the record that says how they came to be."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recon.export import EXPORTERS, Exported, export
from recon.options import settings_entry
from recon.run.find_cameras import KnownCameras, camera_entry
from recon.run.plan import Plan
from recon.run.record import discard_record, export_entries, image_entries, quality_entry, versions, write_record
from recon.run.stages import Stages
from recon.types import Prediction

if TYPE_CHECKING:
    from recon.sources.views import LoadedViews


def write_exports(prediction: Prediction, plan: Plan, folder: Path, stages: Stages) -> dict[str, Exported]:
    """Write every format of the plan under `folder`, each a stage of its own.

    Raises InputError where the prediction cannot be written in one of them, before the first file is written.
    """
    for name in plan.formats:
        EXPORTERS[name].check(prediction, plan.format_options[name])
    discard_record(folder)  # from here on the record of an earlier run would describe files that are no more
    exported: dict[str, Exported] = {}
    for name in plan.formats:
        exported |= stages.run(f"export {name}", export, prediction, [name], folder, plan.format_options)
    return exported


def write_run_record(
    folder: Path,
    *,
    model: Mapping[str, Any],
    settings: Mapping[str, Any],
    plan: Plan,
    found: KnownCameras | None,
    loaded: LoadedViews,
    prediction: Prediction,
    exported: Mapping[str, Exported],
    warnings: tuple[str, ...],
    seconds: Mapping[str, float],
) -> Path:
    """Write `run.json`; see `recon.run.record` for what is in it. `model` is what the estimator says of itself."""
    return write_record(
        folder,
        {
            "versions": versions(),
            "model": model,
            "settings": {**settings, **settings_entry(plan.options)},
            "units": prediction.units,
            "scale_factor": prediction.scale_factor,
            "ref_view": prediction.ref_view,
            "gaussians": _gaussians_entry(prediction),
            "quality": quality_entry(prediction),
            "cameras": camera_entry(prediction, found),
            "images": image_entries(prediction),
            "dropped_images": [{"name": name, "reason": reason} for name, reason in loaded.dropped],
            "warnings": warnings,
            "seconds": seconds,
            "exports": export_entries(exported, folder),
        },
    )


def _gaussians_entry(prediction: Prediction) -> dict[str, Any] | None:
    if prediction.gaussians is None:
        return None
    return {"source": prediction.gaussian_source, "count": len(prediction.gaussians)}
