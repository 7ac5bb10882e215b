"""`run.json` of a run while it goes on, and the files of earlier runs that it replaces or removes."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from recon.errors import InputError
from recon.files import note_files, only_writer, remove_abandoned
from recon.messages import warn
from recon.run.record import (
    CACHE_NAME,
    DONE,
    FILE_NAME,
    JOURNAL_NAME,
    FileEntry,
    as_json,
    discard_record,
    listed_files,
    read_record,
    state_of,
    write_record,
)


class RunRecord:
    """A context in which a run goes on: its record says `running`, and how it ended when the block ends.

    Until the first file is written, the record of the last complete run is kept inside, for its files are all there:
    a run that fails or is interrupted before puts it back, and one of wrong input into a new folder leaves nothing.
    """

    def __init__(self, folder: Path, content: Mapping[str, Any]) -> None:
        """Of a run into `folder`; `content` is what its record says from the beginning."""
        self._folder = folder
        self._content: dict[str, Any] = {**content, "warnings": [], "seconds": {}, "reused": [], "exports": {}}
        self._before: dict[str, Any] | None = None
        self._left: list[FileEntry] = []
        """Files of earlier runs."""
        self._files_begun = False
        self._written = 0.0
        self._new_folders = [path for path in (folder, *folder.parents) if not path.exists()]
        self._held = contextlib.ExitStack()

    def __enter__(self) -> RunRecord:
        """Raises InputError where another run is writing into the folder."""
        with contextlib.ExitStack() as held:
            held.enter_context(only_writer(self._folder))
            self._before = _record_before(self._folder)
            self._left = [*listed_files(self._before), *self._noted()]
            if self._before is not None:
                remove_abandoned(self._folder, deep=True)
            self._write("running")
            self._journal.unlink(missing_ok=True)
            self._held = held.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._held:
            if error is not None:
                self._note(error)

    def _note(self, error: BaseException) -> None:
        """What ended the run too early."""
        with contextlib.suppress(InputError, OSError):  # the error itself is what there is to say
            if self._complete_before is not None:
                write_record(self._folder, self._complete_before)
            elif isinstance(error, InputError) and not self._files_begun:
                discard_record(self._folder)
                for path in self._new_folders:
                    path.rmdir()  # unless something has been kept in it
            else:
                self._left += self._noted()
                failed = isinstance(error, Exception)
                self._content["error"] = " ".join(str(error).split()) or type(error).__name__
                self._write("failed" if failed else "interrupted")
                self._journal.unlink(missing_ok=True)

    def stage_done(self, seconds: Mapping[str, float], reused: Sequence[str]) -> None:
        """Note the stages done: how long each took, and the names of those whose outcome was there already."""
        self._content |= {"seconds": dict(seconds), "reused": list(reused)}
        self._write("running")

    def begin_files(self, result: str | None = None, formats: Sequence[str] = ()) -> None:
        """From here on files are written: of `result`, a hash of depth and cameras, in `formats`; or of single photos.

        Exports of the same result in other formats, which an earlier run wrote and nobody changed, are of this one too.
        """
        self._held.enter_context(note_files(self._folder, self._journal))
        before, self._before, self._files_begun = self._before, None, True
        if result is not None:
            self._content["result"] = result
        if before is not None and result is not None and before.get("result") == result:
            same = {
                name: entry
                for name, entry in before["exports"].items()
                if name not in formats and all(is_unchanged(self._folder, file) for file in entry["files"])
            }
            self._content["exports"] = same
        self._write("running")

    @property
    def before(self) -> Mapping[str, Any] | None:
        """What the record said before this run: of the last complete one, or of those that did not end since."""
        return self._before

    @property
    def formats(self) -> tuple[str, ...]:
        """Names of the formats whose files are of this run's result, so far."""
        return tuple(self._content["exports"])

    @property
    def files_begun(self) -> bool:
        """Whether `begin_files` has been called."""
        return self._files_begun

    def so_far(self, **entries: Any) -> dict[str, Any]:
        """What the record will say, as far as it is known before files are written: as `read_record` would give it."""
        found: dict[str, Any] = as_json({**self._content, **entries, "exports": {}})
        return found

    def add(self, every: float = 0.0, **entries: Any) -> None:
        """Note entries, those of `exports` beside what is there; `every` so many seconds the file is written again."""
        exports = {**self._content["exports"], **entries.pop("exports", {})}
        self._content |= {**entries, "exports": exports}
        if time.monotonic() >= self._written + every:
            self._write("running")

    def remove_earlier_files(self) -> None:
        """Remove what earlier runs wrote and this one did not write again; what was changed since is named and left."""
        written = {file["path"] for file in listed_files(self._content)}
        _remove(self._folder, [file for file in self._left if file["path"] not in written])
        self._left = []

    def finish(self, **entries: Any) -> Path:
        """Note the last entries, and that the run is done. Returns the record's path."""
        self._content |= entries
        path = self._write(DONE)
        self._journal.unlink(missing_ok=True)
        return path

    @property
    def _journal(self) -> Path:
        return self._folder / JOURNAL_NAME

    def _noted(self) -> list[FileEntry]:
        """Files that a run which did not end noted as it wrote them; the record may not list them yet."""
        try:
            lines = self._journal.read_text(encoding="utf-8").splitlines()
        except OSError:
            return []
        found: list[FileEntry] = []
        for line in lines:
            with contextlib.suppress(ValueError, KeyError, TypeError):  # the last line may be cut short
                entry = json.loads(line)
                found.append({"path": str(entry["path"]), "bytes": int(entry["bytes"])})
        own = (FILE_NAME, f"{CACHE_NAME}/")
        return [file for file in found if not file["path"].startswith(own)]

    @property
    def _complete_before(self) -> dict[str, Any] | None:
        return self._before if self._before is not None and state_of(self._before) == DONE else None

    def _write(self, state: str) -> Path:
        content: dict[str, Any] = {"state": state, **self._content}
        if state != DONE:
            if self._complete_before is not None:
                content["earlier"] = self._complete_before
            written = {file["path"] for file in listed_files(self._content)}
            content["earlier_files"] = [file for file in self._left if file["path"] not in written]
        last = ("warnings", "seconds", "reused", "result", "exports", "earlier", "earlier_files")
        in_order = {name: content.pop(name) for name in last if name in content}
        path = write_record(self._folder, {**content, **in_order})
        self._written = time.monotonic()
        return path


def _record_before(folder: Path) -> dict[str, Any] | None:
    """What is known of earlier runs: the last complete one, or what is left of several."""
    try:
        found = read_record(folder)
        list(listed_files(found))
    except (InputError, AttributeError, KeyError, TypeError) as error:
        warn(f"{folder / FILE_NAME} is replaced: it is not the record of a run, so files beside it stay ({error})")
        return None
    if found is not None and state_of(found) != DONE and isinstance(found.get("earlier"), dict):
        return dict(found["earlier"])  # nothing has been written since
    return found


def _is_in(folder: Path, file: FileEntry) -> bool:
    """Whether it is there, and lies in the folder of the run."""
    path = folder / file["path"]
    return not Path(file["path"]).is_absolute() and path.is_file() and path.resolve().is_relative_to(folder.resolve())


def is_unchanged(folder: Path, file: FileEntry) -> bool:
    """Whether a file that a run into `folder` wrote is still there, and as long as it was."""
    return _is_in(folder, file) and (folder / file["path"]).stat().st_size == file["bytes"]


def _remove(folder: Path, files: Sequence[FileEntry]) -> None:
    """Remove files of earlier runs, as they were written, and the folders that they leave empty."""
    changed = []
    by_path: dict[str, list[FileEntry]] = {}
    for file in files:
        by_path.setdefault(file["path"], []).append(file)  # of one that was being replaced, the old and the new
    for name, versions in by_path.items():
        path = folder / name
        if any(is_unchanged(folder, file) for file in versions):
            with contextlib.suppress(OSError):
                path.unlink()
                for parent in path.parents:
                    if parent == folder:
                        break
                    parent.rmdir()  # fails where something is left in it
        elif _is_in(folder, versions[0]):
            changed.append(name)
    if changed:
        names = ", ".join(changed[:5]) + (f" and {len(changed) - 5} more" if len(changed) > 5 else "")
        warn(f"left of an earlier run, for they have changed since, and not of this one: {names}")
