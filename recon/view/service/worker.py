"""The process that does the jobs: `python -m recon.view.service.worker KEEP OPTIONS`, one JSON object a line.

It is told `{"job": FOLDER, "settings": {…}}` and, while that goes on, `{"cancel": true}`. It tells
`{"progress": {…}}`, `{"warning": TEXT}`, and last how it ended: `{"end": "done", "summary": {…}, "files": […]}`,
`{"end": "failed", "error": TEXT}` or `{"end": "cancelled"}`. When nobody is there any more to tell it anything, it
ends at once: a run's store is made for that.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import sys
import tempfile
import threading
import time
import traceback
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from PIL import Image

from recon.choices import RunOptions
from recon.errors import InputError
from recon.export.depth_vis import color_depth
from recon.files import atomic_write, only_writer
from recon.messages import ReconWarning
from recon.progress import Progress
from recon.run.from_settings import reconstruct_as_set
from recon.run.pipeline import Reconstruction
from recon.run.record import FILE_NAME, FileEntry, listed_files, read_record
from recon.view.service.confinement import confined_to
from recon.view.service.job_store import INPUT, PICTURE, RESULT
from recon.view.service.kept_models import KeptModels
from recon.view.service.plain_paths import plain_text

_SECONDS_BETWEEN = 0.1
"""Of progress within one part of a stage."""
_SECONDS_FOR_ANOTHER = 20.0
"""How long a process that a killed server left behind may take to end."""
_PICTURE_SIZE = 480


class Cancelled(BaseException):
    """Whoever asked for the job wants it no more. No KeyboardInterrupt: that may mean to come to an end early."""


class Worker:
    """Does one job after the other."""

    def __init__(self, models: KeptModels, readable: list[Path], told: TextIO, tells: TextIO) -> None:
        """Is told by `told`, tells `tells`; `readable`: what jobs may read beside their own folder."""
        self._models = models
        self._readable = readable
        self._told, self._tells = told, tells
        self._jobs: queue.Queue[Mapping[str, Any]] = queue.Queue()
        self._cancelled = threading.Event()
        self._last: tuple[float, str, str] = (0.0, "", "")

    def work(self) -> None:
        """Until there is nobody left to be told by."""
        threading.Thread(target=self._listen, name="recon-orders", daemon=True).start()
        while True:
            message = self._jobs.get()
            self._tell(self._done(Path(message["job"]), message["settings"]))

    def _listen(self) -> None:
        for line in self._told:
            message = json.loads(line)
            if "cancel" in message:
                self._cancelled.set()
            else:
                self._cancelled.clear()
                self._jobs.put(message)
        os._exit(0)

    def _tell(self, message: Mapping[str, Any]) -> None:
        self._tells.write(json.dumps(message) + "\n")
        self._tells.flush()

    def _done(self, folder: Path, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Do a job; returns how it ended."""
        os.chdir(folder)  # paths in messages are those that the client knows
        try:
            with confined_to([folder, Path(tempfile.gettempdir()), *self._readable]):
                _wait_for_another(folder / RESULT)
                result = reconstruct_as_set(
                    RunOptions(**settings, inputs=_inputs(folder)), Path(RESULT), self._models.choose, self._report
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

    @contextlib.contextmanager
    def _report(self) -> Iterator[Worker]:
        """Warnings are told, each once."""
        folder, said = Path.cwd(), set()
        with warnings.catch_warnings():
            warnings.simplefilter("always", ReconWarning)
            show_others = warnings.showwarning

            def show(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
                if not issubclass(category, ReconWarning):
                    show_others(message, category, *place, **more)
                elif str(message) not in said:
                    said.add(str(message))
                    self._tell({"warning": plain_text(str(message), folder)})

            warnings.showwarning = show
            yield self

    def begin(self, what: str) -> None:
        """A step before the stages of a run."""
        self(Progress(what))

    def __call__(self, event: Progress) -> None:
        """Where the run is; stops it where it was cancelled."""
        if self._cancelled.is_set():
            raise Cancelled
        now = time.monotonic()
        place = (event.stage, event.part)
        if place != self._last[1:] or now > self._last[0] + _SECONDS_BETWEEN:
            self._last = (now, *place)
            self._tell({"progress": asdict(event)})


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


def _wait_for_another(result: Path) -> None:
    """Until a process that a killed server left behind has noticed that."""
    end = time.monotonic() + _SECONDS_FOR_ANOTHER
    while time.monotonic() < end:
        with contextlib.suppress(InputError), only_writer(result):
            return
        time.sleep(0.2)


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
    """What jobs print of their own goes to stderr, not among what is told."""
    keep, of_server = int(sys.argv[1]), json.loads(sys.argv[2])
    tells = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    weights = Path(str(of_server.get("weights", "")))
    readable = [weights] if weights.is_absolute() else []
    Worker(KeptModels(keep, of_server), readable, sys.stdin, tells).work()


if __name__ == "__main__":
    main()
