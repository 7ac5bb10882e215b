"""The last stages: every format's files, and the record that says how they came to be."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recon.digests import digest, with_contents
from recon.export import EXPORTERS, Exported, export
from recon.files import file_digest
from recon.run.find_cameras import KnownCameras, camera_entry
from recon.run.plan import Plan
from recon.run.quality import Quality
from recon.run.record import export_entries, image_entries
from recon.run.run_record import RunRecord
from recon.run.stages import Stages
from recon.types import Prediction


@dataclass(frozen=True)
class WrittenFormat:
    """What an exporter wrote, as the store keeps it: the files themselves stay where they are."""

    files: tuple[tuple[str, str], ...]
    """Path under the folder of the run, and SHA-256, of each file in the order written."""
    details: dict[str, Any]

    @classmethod
    def of(cls, exported: Exported, folder: Path) -> WrittenFormat:
        """With the hashes of the files as they are."""
        files = tuple((path.relative_to(folder).as_posix(), file_digest(path)) for path in exported.files)
        return cls(files, exported.details)

    def is_there(self, folder: Path) -> bool:
        """Whether all files under `folder` still are as they were written."""
        try:
            return all(file_digest(folder / path) == content for path, content in self.files)
        except OSError:
            return False

    def exported(self, folder: Path, seconds: float) -> Exported:
        """As the exporter returned it."""
        return Exported(tuple(folder / path for path, _ in self.files), self.details, seconds)


def write_exports(
    prediction: Prediction, result: str, plan: Plan, folder: Path, stages: Stages, record: RunRecord, reuse: bool
) -> dict[str, Exported]:
    """Write every format of the plan under `folder`, each a stage of its own, and note each in the record.

    Args:
        prediction: what to write.
        result: hash of its depth and cameras.
        plan: the formats and their options.
        folder: of the run.
        stages, record: of the run.
        reuse: leave files as they are that an earlier run wrote of the same prediction with the same options.

    Raises:
        InputError: the prediction cannot be written in one of the formats; no file has been touched.
    """
    for name in plan.formats:
        EXPORTERS[name].check(prediction, plan.format_options[name])
    record.begin_files(result, plan.formats)
    content = digest(prediction) if reuse else None
    exported: dict[str, Exported] = {}

    def write(name: str) -> WrittenFormat:
        written = stages.run(f"export {name}", export, prediction, [name], folder, plan.format_options)[name]
        return WrittenFormat.of(written, folder)

    for name in plan.formats:
        stage = f"export {name}"
        if content is None:
            exported |= stages.run(stage, export, prediction, [name], folder, plan.format_options)
        else:
            written = stages.kept(
                (stage,),
                {"prediction": content, "options": with_contents(vars(plan.format_options[name]))},
                functools.partial(write, name),
                lambda kept: kept.is_there(folder),
            )
            exported[name] = written.exported(folder, stages.seconds[stage])
        record.add(exports=export_entries({name: exported[name]}, folder))
    stages.keep_only("export", [f"export {name}" for name in record.formats])
    return exported


def describe_result(prediction: Prediction, known: KnownCameras | None, quality: Quality) -> dict[str, Any]:
    """What `run.json` says about a prediction; `known` are the cameras found in the photos, where they were."""
    return {
        "units": prediction.units,
        "scale_factor": prediction.scale_factor,
        "ref_view": prediction.ref_view,
        "gaussians": _gaussians_entry(prediction),
        "quality": quality.entry,
        "cameras": camera_entry(prediction, known),
        "images": image_entries(prediction),
    }


def _gaussians_entry(prediction: Prediction) -> dict[str, Any] | None:
    if prediction.gaussians is None:
        return None
    return {"source": prediction.gaussian_source, "count": len(prediction.gaussians)}
