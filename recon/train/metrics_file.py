"""Tables of a training that is going on: CSV files, and events for TensorBoard."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from recon.errors import InputError, MissingExtraError
from recon.files import atomic_write


class MetricsFile:
    """A CSV file with a row for every so many steps; rows of steps that are done again are dropped."""

    def __init__(self, path: Path, columns: Sequence[str], from_step: int) -> None:
        """
        Args:
            path: of the file; made anew, except for rows up to `from_step`.
            columns: behind `step`.
            from_step: steps that are done already.
        """
        self._path, self._columns = path, ("step", *columns)
        kept: list[dict[str, str]] = []
        if from_step and path.exists():
            with path.open(newline="", encoding="utf-8") as file:
                kept = [row for row in csv.DictReader(file) if row.get("step", "").isdigit()]
                kept = [row for row in kept if int(row["step"]) <= from_step]
        with atomic_write(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, self._columns, restval="", extrasaction="ignore")
            writer.writeheader()
            writer.writerows(kept)

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """Append a row. InputError where the disk is full."""
        row = {name: f"{value:.6g}" for name, value in values.items()}
        try:
            with self._path.open("a", newline="", encoding="utf-8") as file:
                csv.DictWriter(file, self._columns, restval="", extrasaction="ignore").writerow({"step": step, **row})
        except OSError as error:
            raise InputError(f"cannot write {self._path}: {error.strerror or error}") from error


class Events:
    """Events for TensorBoard; none where they are not asked for."""

    def __init__(self, folder: Path | None, from_step: int) -> None:
        self._writer: Any = None
        if folder is not None:
            try:
                from torch.utils.tensorboard import SummaryWriter
            except ImportError:
                raise MissingExtraError("tensorboard: true", "tensorboard", "train") from None
            self._writer = SummaryWriter(str(folder), purge_step=from_step or None)

    def add(self, step: int, group: str, values: Mapping[str, float]) -> None:
        """Numbers of one step, under `group/name`."""
        if self._writer is not None:
            for name, value in values.items():
                self._writer.add_scalar(f"{group}/{name}", value, step)

    def close(self) -> None:
        """Write what is left."""
        if self._writer is not None:
            self._writer.close()
