"""The process that does the jobs: `python -m recon.view.service.worker KEEP OPTIONS`; see `recon.run.worker`.

It is told `{"job": FOLDER, "settings": {…}}`, and tells how that ended: `{"end": "done", "summary": {…}, "files":
[…]}`, `{"end": "failed", "error": TEXT}` or `{"end": "cancelled"}`.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import tempfile
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from PIL import Image

from recon.choices import RunOptions
from recon.errors import InputError
from recon.export.depth_vis import color_depth
from recon.files import atomic_write
from recon.run.from_settings import reconstruct_as_set
from recon.run.kept_models import KeptModels
from recon.run.pipeline import Reconstruction
from recon.run.record import FILE_NAME, FileEntry, listed_files, read_record
from recon.run.worker import Cancelled, Worker, wait_for_another, worker_streams
from recon.view.service.confinement import confined_to
from recon.view.service.job_store import INPUT, PICTURE, RESULT
from recon.view.service.plain_paths import plain_text

_PICTURE_SIZE = 480


class Jobs:
    """Does one job after the other, each in its folder."""

    def __init__(self, models: KeptModels, readable: list[Path], told: TextIO, tells: TextIO) -> None:
        """Is told by `told`, tells `tells`; `readable`: what jobs may read beside their own folder."""
        self._models = models
        self._readable = readable
        self._worker = Worker(told, tells, lambda text: plain_text(text, Path.cwd()))

    def work(self) -> None:
        """Until there is nobody left to be told by."""
        self._worker.work(lambda message: self._done(Path(message["job"]), message["settings"]))

    def _done(self, folder: Path, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Do a job; returns how it ended."""
        os.chdir(folder)  # paths in messages are those that the client knows
        try:
            with confined_to([folder, Path(tempfile.gettempdir()), *self._readable]):
                wait_for_another(folder / RESULT)
                result = reconstruct_as_set(
                    RunOptions(**settings, inputs=_inputs(folder)),
                    Path(RESULT),
                    self._models.choose,
                    self._worker.report,
                )
                _write_picture(folder / PICTURE, result)
                return {"end": "done", "summary": _summary(result), "files": _files(folder)}
        except Cancelled:
            return {"end": "cancelled"}
        except InputError as error:
            return {"end": "failed", "error": plain_text(str(error), folder)}
        except Exception as error:
            traceback.print_exc()  # into the log of whoever runs the server
            said = " ".join(str(error).split())
            return {"end": "failed", "error": plain_text(f"{type(error).__name__}: {said}", folder)}
        finally:
            os.chdir(folder.parent)  # it may be removed


def _inputs(folder: Path) -> tuple[Path, ...]:
    """What was sent: one file by itself, several archives one by one, else the folder that all are in."""
    place = folder / INPUT
    entries = sorted(place.iterdir())
    while len(entries) == 1 and entries[0].is_dir():
        place = entries[0]
        entries = sorted(place.iterdir())
    relative = tuple(path.relative_to(folder) for path in entries)
    if all(path.is_file() for path in entries) and (len(entries) == 1 or all(_is_archive(path) for path in entries)):
        return relative
    return (place.relative_to(folder),)


def _is_archive(path: Path) -> bool:
    return path.suffix.lower() in (".zip", ".r3d")


def _summary(result: Reconstruction) -> dict[str, Any]:
    count, height, width = result.prediction.depth.shape
    texts = [one.text for one in (result.windows, result.cleaning, result.quality) if one is not None and one.text]
    if result.not_optimised is not None:
        texts.append(f"splats not made to look like the photos: {result.not_optimised}")
    return {
        "views": count,
        "width": width,
        "height": height,
        "units": result.prediction.units,
        "seconds": round(sum(result.seconds.values()), 3),
        "text": [plain_text(text, Path.cwd()) for text in texts],
    }


def _files(folder: Path) -> list[FileEntry]:
    """What the run wrote and lists, and its record."""
    result = folder / RESULT
    names = [file["path"] for file in listed_files(read_record(result), of_earlier=False)]
    paths = [(name, result / name) for name in (*dict.fromkeys(names), FILE_NAME)]
    return [
        {"path": name, "bytes": path.stat().st_size}
        for name, path in paths
        if path.is_file() and path.resolve().is_relative_to(result.resolve())
    ]


def _write_picture(path: Path, result: Reconstruction) -> None:
    """For a gallery: the middle photo beside its depth."""
    prediction = result.prediction
    middle = len(prediction.depth) // 2
    photo = prediction.processed_images[middle]
    depth = color_depth(prediction.depth[middle], prediction.valid[middle])
    picture = Image.fromarray(np.hstack([photo, depth]))
    picture.thumbnail((_PICTURE_SIZE, _PICTURE_SIZE))
    with contextlib.suppress(InputError), atomic_write(path) as temporary:
        picture.save(temporary, quality=85)


def main() -> None:
    """With `KEEP OPTIONS`."""
    keep, of_server = int(sys.argv[1]), json.loads(sys.argv[2])
    told, tells = worker_streams()
    weights = Path(str(of_server.get("weights", "")))
    readable = [weights] if weights.is_absolute() else []
    Jobs(KeptModels(keep, of_server), readable, told, tells).work()


if __name__ == "__main__":
    main()
