"""`recon run --server`: a run on another machine, as if it were on this one."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from recon.cli.command import CommandOptions
from recon.cli.report import ProgressReport, print_table, printable, readable, report_warnings, say
from recon.cli.serve import TOKEN_VARIABLE
from recon.errors import InputError
from recon.export import parse_formats
from recon.files import read_json
from recon.options import Option, Options, asked_for, options_of, settings_entry
from recon.progress import Progress
from recon.run.own_outputs import check_outputs
from recon.run.record import FILE_NAME
from recon.run.run_record import RunRecord
from recon.run.settings_file import read_settings_file, settings_names
from recon.sources.given_paths import given_paths
from recon.view.client import RemoteService, SentFile
from recon.view.service.file_names import safe_name

_OWN = ("inputs", "out", "config", "server", *options_of(CommandOptions))
"""Options that are for this side."""


@dataclass(frozen=True)
class _Asked:
    """What is sent."""

    settings: Mapping[str, Any]
    preset: str | None
    files: Sequence[SentFile]


def run_there(settings: Any, out: Path) -> None:
    """Send what is to be reconstructed, show how it goes on there, and fetch what comes of it into `out`.

    Raises InputError: what the server refuses, or options that only whoever runs it can choose.
    """
    asked = _asked(settings)
    check_outputs(out, parse_formats(settings.export), [path for path in settings.inputs if path.is_dir()])
    service = RemoteService(settings.server, os.environ.get(TOKEN_VARIABLE) or None)
    service.about()
    with report_warnings(), ProgressReport() as progress:
        upload = service.upload(asked.files, lambda sent, total: progress(_sent(sent, total)))
        run = service.start(upload, asked.settings, asked.preset, out.name)
        try:
            for event in service.follow(run["id"]):
                progress(_shown(event))
        except KeyboardInterrupt:
            service.cancel(run["id"])
            raise
        run = service.run(run["id"])
        for message in run["warnings"]:
            say(f"warning: {message}")
        if run["state"] != "done":
            ended = f"failed: {run['error']}" if run["state"] == "failed" else "was cancelled by somebody"
            raise InputError(f"server {settings.server}: the run {ended}")
        fetched = _fetch(service, run, settings, out, asked.files, progress)
    _print(out, run, fetched)


def _asked(settings: Options) -> _Asked:
    config = getattr(settings, "config", None)
    preset = config if config in settings_names() else None
    in_preset = {} if preset is None else read_settings_file(preset, type(settings))
    values: dict[str, Any] = {}
    files: list[SentFile] = []
    for one in asked_for(settings):
        value = getattr(settings, one.name)
        if one.name in _OWN or (one.name in in_preset and in_preset[one.name] == value):
            continue
        if one.local:
            raise InputError(f"{one.name} is chosen by whoever runs the server: leave it out")
        several = isinstance(value, tuple)
        places = [(each, _place(one, each)) for each in (value if several else (value,))]
        named = [place for _, place in places if place is not None]
        if len(named) > 1:
            raise InputError(f"{one.name}: one file or folder can be sent to a server, not {len(named)}")
        words = [each for each, place in places if place is None]
        if words:
            values[one.name] = words if several else words[0]
        files += [file for place in named for file in _files_of_option(one.name, place)]
    return _Asked(values, preset, [*_inputs(settings.inputs), *files])  # type: ignore[attr-defined]


def _place(one: Option, value: Any) -> Path | None:
    """The file or folder that an option names; None for a value that is none."""
    if isinstance(value, Path) or (one.may_be_path and isinstance(value, str) and Path(value).exists()):
        path = Path(value)
        if not path.exists():
            raise InputError(f"{one.name}: '{path}' does not exist")
        return path
    return None


def _files_of_option(name: str, place: Path) -> list[SentFile]:
    if place.is_file():
        return [SentFile(name, place.name, place)]
    found = list(_below(place))
    alone = f"{place.name}/" if len(found) == 1 else ""  # else it would count as a file given by itself
    return [SentFile(name, f"{alone}{path.relative_to(place).as_posix()}", path) for path in found]


def _inputs(inputs: Sequence[Path]) -> list[SentFile]:
    """Everything in a folder that is given alone, which may be a scene; of several inputs each under its own name."""
    paths = [path for one in inputs for path in given_paths(one)]
    for path in paths:
        if not path.exists():
            raise InputError(f"'{path}' does not exist; give a photo, a folder, an archive or a video")
    found = []
    for path in paths:
        if path.is_file():
            found.append(SentFile("files", path.name, path))
        else:
            top = path if len(paths) == 1 else path.parent
            found += [SentFile("files", one.relative_to(top).as_posix(), one) for one in _below(path)]
    if not found:
        raise InputError(f"'{inputs[0]}' holds no files")
    return found


def _below(folder: Path) -> Iterator[Path]:
    """All files in a folder and those below, but for hidden ones, in the order of their names."""
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(place) / name for name in sorted(names) if not name.startswith("."))


def _sent(sent: int, total: int) -> Progress:
    return Progress("send", "kB", sent // 1000, max(total // 1000, 1))


def _shown(event: Mapping[str, Any]) -> Progress:
    if event["state"] == "queued":
        return Progress(f"wait for {event['position']} other runs" if event["position"] else "wait")
    told = event["progress"]
    return Progress(**{name: told[name] for name in told if name != "text"})


def _fetch(
    service: RemoteService,
    run: Mapping[str, Any],
    settings: Any,
    out: Path,
    sent: Sequence[SentFile],
    progress: ProgressReport,
) -> list[Mapping[str, Any]]:
    """The files of the formats that were asked for, and the record, as those of a run on this machine.

    An earlier run's are replaced or removed. Formats that the server made for itself stay there. Returns what was
    fetched, as the server lists it.
    """
    record_file = next((file for file in run["files"] if file["path"] == FILE_NAME), None)
    if record_file is None:
        raise InputError(f"server {settings.server}: the run has no {FILE_NAME}")
    files = [file for file in run["files"] if file is not record_file]
    for file in files:
        parts = PurePosixPath(file["path"]).parts
        if PurePosixPath(file["path"]).is_absolute() or ".." in parts or "\\" in file["path"] or ":" in file["path"]:
            raise InputError(f"server {settings.server}: it lists a file '{file['path']}', which leads out of {out}")
    with RunRecord(out, {"settings": settings_entry(settings)}) as record:
        fetched = out / f".{FILE_NAME}.fetched"
        try:
            service.fetch(record_file["url"], fetched)
            facts = read_json(fetched)
        finally:
            fetched.unlink(missing_ok=True)
        record.begin_files()
        exports = facts.pop("exports", {})
        wanted = {name: entry for name, entry in exports.items() if name in parse_formats(settings.export)}
        unasked = _paths(exports) - _paths(wanted)
        files = [file for file in files if file["path"] not in unasked]
        for done, file in enumerate(files):
            progress(Progress("fetch", "files", done, len(files)))
            service.fetch(file["url"], out / file["path"])
        local = {f"input/{safe_name(one.name)}": str(one.path.absolute()) for one in sent if one.part == "files"}
        for image in facts.get("images", []):
            image["path"] = local.get(str(image.get("path")))
        facts["settings"] = {
            **facts.get("settings", {}),
            **settings_entry(settings),
            "export": settings.export,
            "inputs": [path.absolute() for path in settings.inputs],
        }
        record.add(exports=wanted)
        record.remove_earlier_files()
        del facts["state"]
        record.finish(**facts)
    return [*files, record_file]


def _paths(exports: Mapping[str, Any]) -> set[str]:
    """Of all files that formats of a record list."""
    return {file["path"] for entry in exports.values() for file in entry.get("files", ())}


def _print(out: Path, run: Mapping[str, Any], fetched: Sequence[Mapping[str, Any]]) -> None:
    """What the run saw, and what was fetched."""
    summary = run["summary"]
    count = summary["views"]
    print(
        f"{count} {'view' if count == 1 else 'views'} at {summary['width']}×{summary['height']} pixels, "
        f"units {printable(str(summary['units']))}: {printable(str(out))}"
    )
    print_table(
        ("fetched", "size"), [(file["path"], readable(file["bytes"])) for file in fetched], right_aligned=("size",)
    )
    for text in summary["text"]:
        print(printable(text))
