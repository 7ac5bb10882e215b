"""One run that was asked for: what is to be done, and how far it is."""

from __future__ import annotations

import datetime
import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, get_args

from recon.errors import InputError
from recon.progress import Progress
from recon.run.record import FileEntry

State = Literal["queued", "running", "done", "failed", "cancelled"]
OVER: tuple[State, ...] = ("done", "failed", "cancelled")
MOST_ATTEMPTS = 3
"""How often a job is begun whose server ends before it does."""
_ID = re.compile(r"\d{8}-\d{6}-\d{6}-[0-9a-f]{8}")


def new_id() -> str:
    """A name that no other job has; in the order of names, jobs are in the order of time (UTC)."""
    now = datetime.datetime.now(datetime.UTC)
    return f"{now:%Y%m%d-%H%M%S-%f}-{secrets.token_hex(4)}"


def is_id(text: str) -> bool:
    """Whether `new_id` makes such names."""
    return _ID.fullmatch(text) is not None


@dataclass
class Job:
    """A job; those of its fields that a file keeps are all but the last three."""

    id: str
    name: str
    """For people: what was sent."""
    settings: dict[str, Any]
    """Options of the run by name, as JSON holds them; those that a client cannot choose are not among them."""
    preset: str | None = None
    """Name of the settings that these began from."""
    inputs: list[FileEntry] = field(default_factory=list)
    """Photos, video or archive, as they were sent."""
    state: State = "queued"
    created: float = field(default_factory=time.time)
    """Seconds since 1970, as the two others."""
    started: float | None = None
    finished: float | None = None
    attempts: int = 0
    error: str | None = None
    """Of a job that failed: why."""
    warnings: list[str] = field(default_factory=list)
    files: list[FileEntry] = field(default_factory=list)
    """Of a job that is done: what it wrote."""
    summary: dict[str, Any] = field(default_factory=dict)
    """Of a job that is done: `views`, `width`, `height`, `units`, `text`."""
    progress: Progress = field(default_factory=Progress)
    cancelling: bool = False
    version: int = 0
    """Counts the changes."""

    @property
    def is_over(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.state in OVER

    def changed(self) -> None:
        """Whoever shows the job is to show it anew."""
        self.version += 1

    def kept(self) -> dict[str, Any]:
        """What its file says."""
        entries = asdict(self)
        for name in _NOT_KEPT:
            del entries[name]
        return entries

    @classmethod
    def of_file(cls, content: Any) -> Job:
        """Raises InputError where `content` is not what `kept` gives."""
        names = {one.name for one in fields(cls)} - _NOT_KEPT
        if not isinstance(content, Mapping) or not {"id", "name", "settings", "state"} <= set(content) <= names:
            raise InputError("not the file of a job")
        if not is_id(str(content["id"])) or content["state"] not in get_args(State):
            raise InputError("not the file of a job")
        return cls(**content)


_NOT_KEPT = frozenset({"progress", "cancelling", "version"})
