"""What a client is told of runs: the types of the answers, which are described by them, and how they are filled."""

from __future__ import annotations

import datetime
from typing import Any, TypedDict

from recon.run.record import FileEntry
from recon.view.service.job import Job, State


class ProgressFacts(TypedDict):
    """How far a run is: `stage` number `stages_done` + 1 of `stages`, and of its `part` `done` of `total` items."""

    stage: str
    part: str
    done: int
    total: int
    stages_done: int
    stages: int
    text: str


class RunBrief(TypedDict):
    """A run in the list of all. Times are ISO 8601 (UTC); `position`: how many are to be done before it."""

    id: str
    name: str
    state: State
    position: int | None
    cancelling: bool
    created: str
    started: str | None
    finished: str | None
    progress: ProgressFacts
    error: str | None
    view: str | None
    """Where its result is looked at, once it is done."""
    picture: str | None


class OutputFile(TypedDict):
    """A file that a run wrote, and where it is to be had."""

    path: str
    bytes: int
    url: str


class RunFacts(RunBrief):
    """A run: what was sent and asked for, and what came of it."""

    preset: str | None
    settings: dict[str, Any]
    inputs: list[FileEntry]
    warnings: list[str]
    summary: dict[str, Any]
    files: list[OutputFile]


class RunList(TypedDict):
    """All runs, the latest first."""

    runs: list[RunBrief]


class UploadFacts(TypedDict):
    """Files that were sent, to be named when a run is asked for."""

    id: str
    files: list[FileEntry]


class Refusal(TypedDict):
    """Why something was not done."""

    error: str


def brief(job: Job, position: int | None) -> RunBrief:
    """Of one job."""
    address = f"/v1/runs/{job.id}"
    progress = job.progress
    return {
        "id": job.id,
        "name": job.name,
        "state": job.state,
        "position": position,
        "cancelling": job.cancelling,
        "created": _time(job.created) or "",
        "started": _time(job.started),
        "finished": _time(job.finished),
        "progress": {
            "stage": progress.stage,
            "part": progress.part,
            "done": progress.done,
            "total": progress.total,
            "stages_done": progress.stages_done,
            "stages": progress.stages,
            "text": progress.text,
        },
        "error": job.error,
        "view": f"{address}/view" if job.state == "done" else None,
        "picture": f"{address}/picture" if job.state == "done" else None,
    }


def facts(job: Job, position: int | None) -> RunFacts:
    """All of one job."""
    from urllib.parse import quote

    return {
        **brief(job, position),
        "preset": job.preset,
        "settings": job.settings,
        "inputs": job.inputs,
        "warnings": list(job.warnings),
        "summary": job.summary,
        "files": [
            {"path": file["path"], "bytes": file["bytes"], "url": f"/v1/runs/{job.id}/files/{quote(file['path'])}"}
            for file in job.files
        ],
    }


def _time(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.datetime.fromtimestamp(seconds, datetime.UTC).isoformat()
