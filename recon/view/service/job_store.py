"""The folder of each job, which is all the state there is: jobs survive whatever ends the server.

    RUNS/ID/job.json    the job
    RUNS/ID/input/      what was sent to be reconstructed
    RUNS/ID/given/      files for options: cameras, masks
    RUNS/ID/result/     what the run wrote and keeps: its own store goes on where it was
    RUNS/ID/picture.jpg for the gallery

A job's folder gets its name once everything in it is there, and loses it before anything in it is removed.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from recon.errors import InputError
from recon.files import atomic_write, read_json
from recon.messages import warn
from recon.view.service.job import Job, is_id

JOB = "job.json"
INPUT, GIVEN, RESULT, PICTURE = "input", "given", "result", "picture.jpg"
_INCOMING, _REMOVED = ".incoming-", ".removed-"


class JobStore:
    """The folders of all jobs, in one folder; one server at a time works there."""

    def __init__(self, root: Path) -> None:
        """What an earlier server left half is removed. Raises InputError where the folder cannot be written."""
        self.root = root.resolve()
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            for left in (*self.root.glob(f"{_INCOMING}*"), *self.root.glob(f"{_REMOVED}*")):
                shutil.rmtree(left, ignore_errors=True)
        except OSError as error:
            raise InputError(f"cannot write to {root}: {error.strerror or error}") from error

    def load(self) -> list[Job]:
        """All jobs, the earliest first. A folder that is none is passed over, a damaged one with a warning."""
        found = []
        for folder in sorted(path for path in self.root.iterdir() if is_id(path.name)):
            try:
                job = Job.of_file(read_json(folder / JOB))
            except (OSError, ValueError, TypeError) as error:
                warn(f"{folder / JOB} cannot be read, its job is left alone: {error}")
                continue
            if job.id == folder.name:
                found.append(job)
        return found

    def folder(self, job: Job) -> Path:
        """Of a job."""
        return self.root / job.id

    def new_incoming(self, identifier: str) -> Path:
        """An empty folder for what is being received. Raises OSError."""
        folder = self.root / f"{_INCOMING}{identifier}"
        folder.mkdir()
        return folder

    def adopt(self, folder: Path, job: Job) -> None:
        """Make a folder that holds all that was received the folder of a new job. Raises InputError, OSError."""
        (folder / JOB).write_text(json.dumps(job.kept()), encoding="utf-8")
        folder.rename(self.folder(job))

    def save(self, job: Job) -> None:
        """Keep the job as it is now. Raises InputError where that cannot be written."""
        with atomic_write(self.folder(job) / JOB) as temporary:
            temporary.write_text(json.dumps(job.kept()), encoding="utf-8")

    def take_away(self, job: Job) -> Path:
        """The job is none any more; returns the folder with its files, to be removed. Raises OSError."""
        removed = self.root / f"{_REMOVED}{job.id}"
        self.folder(job).rename(removed)
        return removed
