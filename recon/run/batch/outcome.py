"""How a scene of a batch ended, kept in the scene's folder so that it is not done again."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

FILE_NAME = ".batch.json"
"""In the folder of a scene."""

DONE: Literal["done"] = "done"
FAILED: Literal["failed"] = "failed"


@dataclass(frozen=True)
class Outcome:
    """How it ended."""

    state: Literal["done", "failed"]
    error: str | None = None
    """Of one that failed: why, in one line."""
    seconds: float = 0.0
    """That its run took, the last time it was tried."""
    attempts: int = 1
    """How often it was tried, by all batches with these settings since it was last done."""
    views: int | None = None
    units: str | None = None
    warnings: Sequence[str] = ()
    """That its run has given."""
    quality: Mapping[str, Any] | None = None
    """The block of its `run.json`."""
    stages: Mapping[str, float] = field(default_factory=dict)
    """Seconds of each stage of its run."""
    wanted: str = ""
    """Hash of all that its run was to do (`BatchScene.wanted`)."""
    record_bytes: int | None = None
    """Length of its `run.json`: another one is of another run."""
    ended: float = field(default_factory=time.time)
    """Seconds since 1970 (UTC)."""
    token: str = field(default_factory=lambda: secrets.token_hex(8))
    """No two outcomes have the same one."""

    def to_bytes(self) -> bytes:
        """JSON."""
        return (json.dumps(asdict(self), allow_nan=False) + "\n").encode()

    @classmethod
    def of_bytes(cls, content: bytes | None) -> Outcome | None:
        """None where there is none, or nothing that `to_bytes` gives."""
        try:
            values = json.loads(content or b"")
            known = {one.name for one in fields(cls)}
            found = {name: value for name, value in values.items() if name in known}
            warnings = found.get("warnings")
            found["warnings"] = tuple(warnings) if isinstance(warnings, list) else ()  # a number, in earlier versions
            return cls(**found)
        except (ValueError, TypeError, AttributeError):
            return None


@dataclass(frozen=True)
class Ended:
    """How one attempt at a scene ended."""

    outcome: Outcome
    may_be_tried_again: bool = False
    """Whether it may end otherwise the next time: its process was killed, its machine lost, its memory gone."""
    stops_batch: bool = False
    """Whether all others would end as it did, until the user does something: the disk for the results is full."""

    @classmethod
    def of_message(cls, message: Mapping[str, Any]) -> Ended:
        """As `asdict` gives it, beside whatever else."""
        return cls(Outcome(**message["outcome"]), message["may_be_tried_again"], message["stops_batch"])
