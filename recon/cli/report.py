"""What the command line shows: progress, warnings and tables; rich on a terminal, plain lines elsewhere."""

from __future__ import annotations

import contextlib
import os
import sys
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from recon.messages import ReconWarning
from recon.progress import Progress

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as Bar
    from rich.progress import TaskID

    from recon.export import Exported
    from recon.refine.optimised_splats import OptimisedSplats
    from recon.run.mono import MonoRun
    from recon.run.pipeline import Reconstruction

_SHOWN_FILES = 2
_SECONDS_BETWEEN_LINES = 5.0
"""Within one stage, where progress is plain lines."""
_SECONDS_BEFORE_ESTIMATES = 4.0
"""Of one part of a stage, before it is said how long it will still take."""


class ProgressReport:
    """Progress on stderr: a bar on a terminal; elsewhere a line as each stage begins, and now and then within it."""

    def __init__(self) -> None:
        self._bar: Bar | None = None
        self._task: TaskID | None = None
        self._start = time.perf_counter()
        self._printed: tuple[str | None, float] = (None, 0.0)  # stage and time of the last plain line
        self._part: tuple[str, str] = ("", "")  # stage and part, and when it was first told of, and how much was done
        self._part_began: tuple[float, int] = (0.0, 0)

    def __enter__(self) -> ProgressReport:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            if kind is None and self._task is not None:
                self._bar.update(self._task, description="done", completed=self._bar.tasks[0].total)
            self._bar.stop()

    def begin(self, what: str) -> None:
        """A step outside the pipeline; downloads may show bars of their own meanwhile."""
        say(what)

    def __call__(self, event: Progress) -> None:
        """Show where the run is."""
        counted = event.total > 0
        if event.stages:
            done, total = event.stages_done + (event.done / event.total if counted else 0.0), event.stages
        else:
            done, total = float(event.done), event.total
        elapsed = time.perf_counter() - self._start
        text = event.text + self._left(event, elapsed)
        if not sys.stderr.isatty():
            if event.stage == self._printed[0] and elapsed < self._printed[1] + _SECONDS_BETWEEN_LINES:
                return
            self._printed = (event.stage, elapsed)
            place = f"[{event.stages_done + 1}/{event.stages}] " if event.stages else ""
            say(f"{place}{text} ({elapsed:.1f} s)")
            return
        if self._bar is None or self._task is None:
            self._bar = _new_bar()
            self._task = self._bar.add_task("", total=total or None)
            self._bar.start()
        self._bar.update(self._task, description=printable(text), completed=done, total=total or None)

    def _left(self, event: Progress, elapsed: float) -> str:
        """How long the part will still take, if it is long and goes on as it did; else nothing."""
        if (event.stage, event.part) != self._part:
            self._part, self._part_began = (event.stage, event.part), (elapsed, event.done)
        began, done = self._part_began
        if event.done <= done or elapsed - began < _SECONDS_BEFORE_ESTIMATES:
            return ""
        left = (elapsed - began) / (event.done - done) * (event.total - event.done)
        return f", {left:.0f} s left" if left < 100 else f", {left / 60:.0f} min left"


def say(message: str) -> None:
    """One line on stderr."""
    print(f"recon: {printable(message)}", file=sys.stderr, flush=True)


def printable(text: str) -> str:
    """`text` without what a terminal would obey: control characters, line ends among them, as Python writes them."""
    return "".join(c if c.isprintable() or "\ud800" <= c <= "\udfff" else repr(c)[1:-1] for c in text)


def _console(stderr: bool = False) -> Console:
    """Shows text as it is: a file name such as `[bold].jpg` is no markup."""
    from rich.console import Console

    return Console(stderr=stderr, markup=False, emoji=False, highlight=False)


def _new_bar() -> Bar:
    from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    return Bar(*columns, console=_console(stderr=True))


@contextlib.contextmanager
def report_warnings() -> Iterator[None]:
    """Show each warning of ours once, as one line on stderr; those of other packages as Python shows them.

    Pillow's are left out: they speak of damage in a file without naming it, and what matters of that is said by us.
    """
    seen: set[str] = set()
    with warnings.catch_warnings():
        warnings.simplefilter("always", ReconWarning)
        warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
        show_others = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
            if not issubclass(category, ReconWarning):
                show_others(message, category, *place, **more)
            elif str(message) not in seen:
                seen.add(str(message))
                say(f"warning: {message}")

        warnings.showwarning = show
        yield


def print_summary(folder: Path, result: Reconstruction) -> None:
    """What a run saw, wrote, how big it is, how long each stage took, and every warning."""
    prediction = result.prediction
    count, height, width = prediction.depth.shape
    views = f"{count} {'view' if count == 1 else 'views'} at {width}×{height} pixels"
    print(f"{views}, units {prediction.units}: {printable(str(folder))}")
    rows = []
    for stage, seconds in result.seconds.items():
        exported = result.exported.get(stage.removeprefix("export "))
        took = "reused" if stage in result.reused else f"{seconds:.2f}"
        rows.append((stage, took, *(("", "") if exported is None else _described(exported.files, folder))))
    if result.record_path is not None:
        rows.append(("run record", "", *_described((result.record_path,), folder)))
    rows.append(("total", f"{sum(result.seconds.values()):.2f}", "", ""))
    print_table(("stage", "seconds", "wrote", "size"), rows, right_aligned=("seconds", "size"))
    if prediction.mask is not None:
        masked = [1 - prediction.mask[view][prediction.photo_area(view)].mean() for view in range(count)]
        print(
            f"masks leave out {100 * sum(masked) / count:.2g} % of the photos, {100 * max(masked):.2g} % of one at most"
        )
    for note in result.notes:
        print(printable(note))
    if result.windows is not None:
        print(printable(result.windows.text))
    if result.cleaning is not None and result.cleaning.text:
        print(result.cleaning.text)
    if result.georeference is not None and result.georeference.text:
        print(result.georeference.text)
    if result.quality is not None and result.quality.text:
        print(printable(result.quality.text))
    if result.optimised is not None:
        print_optimised(result.optimised)
    if result.not_optimised is not None:
        print(f"splats not made to look like the photos: {result.not_optimised}")
    _list_warnings(result.warnings)


def print_optimised(found: OptimisedSplats) -> None:
    """How alike splats and photos were before and after they were fitted to them."""
    from recon.refine.optimised_splats import INTERRUPTED

    end = "interrupted" if found.ended_by == INTERRUPTED else f"ended by {found.ended_by}"
    print(f"splats fitted to the photos in {found.iterations} steps, {found.seconds:.1f} s, {end}:")
    rows = []
    for kind, scores in found.progress.items():
        similarities = ["–" if one.ssim is None else f"{one.ssim:.3f}" for one in scores]
        rows.append((kind, *(f"{one.psnr:.2f} dB" for one in scores), *similarities))
    head = ("", "PSNR before", "after", "SSIM before", "after ")
    print_table(head, rows, right_aligned=head[1:])


def print_mono(folder: Path, result: MonoRun) -> None:
    """What a run of single views wrote for each photo, and every warning."""
    reused = sum(photo.reused for photo in result.photos)
    before = f", {reused} of them done before" if reused else ""
    print(f"{len(result.photos)} {'photo' if len(result.photos) == 1 else 'photos'}{before}: {printable(str(folder))}")
    rows = []
    for photo in result.photos:
        files = [path for exported in photo.exported.values() for path in exported.files]
        rows.append((photo.name, photo.units, *_described(files, folder)))
    print_table(("photo", "units", "wrote", "size"), rows, right_aligned=("size",))
    _list_warnings(result.warnings)


def print_exports(folder: Path, exported: Mapping[str, Exported], messages: Sequence[str]) -> None:
    """What a re-export wrote, how big it is and how long it took, and every warning."""
    rows = [(name, f"{one.seconds:.2f}", *_described(one.files, folder)) for name, one in exported.items()]
    print(f"exported to {printable(str(folder))}")
    print_table(("format", "seconds", "wrote", "size"), rows, right_aligned=("seconds", "size"))
    _list_warnings(messages)


def print_table(head: Sequence[str], rows: Sequence[Sequence[str]], right_aligned: Sequence[str] = ()) -> None:
    """A table on stdout."""
    rows = [[printable(cell) for cell in row] for row in rows]
    if sys.stdout.isatty():
        from rich.table import Table

        table = Table()
        for name in head:
            table.add_column(name, justify="right" if name in right_aligned else "left")
        for row in rows:
            table.add_row(*row)
        _console().print(table)
        return
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    for row in [head, *rows]:
        cells = [
            cell.rjust(width) if name in right_aligned else cell.ljust(width)
            for name, cell, width in zip(head, row, widths, strict=True)
        ]
        print("  ".join(cells).rstrip())


def _list_warnings(messages: Sequence[str]) -> None:
    if messages:
        print(f"{len(messages)} {'warning' if len(messages) == 1 else 'warnings'}:")
    for message in messages:
        print(f"- {printable(message)}")


def _described(files: Sequence[Path], folder: Path) -> tuple[str, str]:
    """Names of a few files or how many there are, and their size together."""
    names = [path.relative_to(folder).as_posix() if path.is_relative_to(folder) else str(path) for path in files]
    if len(names) > _SHOWN_FILES:
        common = os.path.commonpath(names)
        places = [common] if common else dict.fromkeys(f"{Path(name).parts[0]}" for name in names)
        names = [_as_place(place, names) for place in places]
    return ", ".join(names), readable(sum(path.stat().st_size for path in files))


def _as_place(place: str, names: Sequence[str]) -> str:
    """A folder with a stroke behind it and how many files it holds, a file without."""
    if place in names:
        return place
    count = sum(Path(place) in Path(name).parents for name in names)
    return f"{Path(place).as_posix()}/ ({count} {'file' if count == 1 else 'files'})"


def readable(size: float) -> str:
    """Bytes, with a unit."""
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"
