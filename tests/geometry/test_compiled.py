"""Compiled functions: kept from process to process as long as nothing that they are made of changes."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import warnings
from pathlib import Path

import pytest
from numba import njit

import recon.geometry.compiled
from recon.messages import ReconWarning

SOURCES = {
    "__init__.py": "",
    "constants.py": """
from typing import NamedTuple
import numpy as np
FACTOR = 2.0
DEEP = 100.0
class Limits(NamedTuple):
    low: float = 1.0
LIMITS = Limits(1000.0)
TABLE = np.array([10000.0])
""",
    "helper.py": """
from kernels_here.constants import DEEP
from recon.geometry.compiled import compiled

@compiled()
def deep(x):
    return DEEP * x
""",
    "kernel.py": """
import kernels_here.more as more
from kernels_here.constants import FACTOR, LIMITS, TABLE
from kernels_here.helper import deep
from recon.geometry.compiled import FUSED, compiled

@compiled(fastmath=FUSED)
def run(x):
    return FACTOR * x + deep(x) + LIMITS.low * x + TABLE[0] * x + more.MORE * x
""",
    "more.py": "MORE = 100000.0\n",
    "other.py": "UNUSED = 1\n",
}
RUN = """
from kernels_here.kernel import run
print(run(1.0), sum(run.stats.cache_hits.values()), sum(run.stats.cache_misses.values()))
"""


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """Kernels that take constants and a function from elsewhere."""
    folder = tmp_path / "kernels_here"
    folder.mkdir()
    for name, source in SOURCES.items():
        (folder / name).write_text(source)
    return folder


def run_in_a_new_process(package: Path, **environment: str) -> tuple[float, int, int]:
    """What the kernel returns, and how many specialisations were loaded and compiled."""
    paths = [
        str(package.parent),
        str(Path(recon.geometry.compiled.__file__).parents[2]),
        os.environ.get("PYTHONPATH", ""),
    ]
    variables = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONDONTWRITEBYTECODE": "1", **environment}
    done = subprocess.run([sys.executable, "-c", RUN], env=variables, capture_output=True, text=True, check=True)
    value, hits, misses = done.stdout.split()
    return float(value), int(hits), int(misses)


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_what_a_kernel_is_made_of_decides_whether_it_is_compiled_anew(package: Path) -> None:
    assert run_in_a_new_process(package) == (111102.0, 0, 1)
    assert run_in_a_new_process(package) == (111102.0, 1, 0)
    for file, old, new, expected in [
        ("constants.py", "FACTOR = 2.0", "FACTOR = 3.0", 111103.0),
        ("constants.py", "DEEP = 100.0", "DEEP = 200.0", 111203.0),  # by way of another file's function
        ("constants.py", "Limits(1000.0)", "Limits(2000.0)", 112203.0),
        ("constants.py", "[10000.0]", "[20000.0]", 122203.0),
        ("helper.py", "DEEP * x", "DEEP * x + 7", 122210.0),
        ("more.py", "MORE = 1", "MORE = 2", 222210.0),
        ("kernel.py", "FACTOR * x +", "FACTOR * x + 1 +", 222211.0),
    ]:
        change(package / file, old, new)
        assert run_in_a_new_process(package) == (expected, 0, 1), (file, new)
    assert run_in_a_new_process(package) == (222211.0, 1, 0)


def test_what_a_kernel_has_nothing_to_do_with_leaves_it_alone(package: Path) -> None:
    run_in_a_new_process(package)
    change(package / "other.py", "UNUSED = 1", "UNUSED = 2")
    assert run_in_a_new_process(package) == (111102.0, 1, 0)
    for file in package.glob("*.py"):
        os.utime(file, (1, 1))
    assert run_in_a_new_process(package) == (111102.0, 1, 0)


def test_options_count(package: Path) -> None:
    run_in_a_new_process(package)
    change(package / "kernel.py", "fastmath=FUSED", "fastmath=True")
    assert run_in_a_new_process(package)[1:] == (0, 1)


def test_old_machine_code_makes_room_for_new(package: Path) -> None:
    run_in_a_new_process(package)
    kept = sorted(file.name for file in (package / "__pycache__").iterdir())
    assert kept
    for line in range(3):
        change(package / "kernel.py", "\nimport kernels_here", f"\n# {line}\nimport kernels_here")
        assert run_in_a_new_process(package)[1:] == (0, 1)
    assert sorted(file.name for file in (package / "__pycache__").iterdir()) == kept


def test_a_folder_that_is_named_is_used(package: Path, tmp_path: Path) -> None:
    """As for an installation that cannot be written to."""
    for hits, misses in [(0, 1), (1, 0)]:
        assert run_in_a_new_process(package, NUMBA_CACHE_DIR=str(tmp_path / "cache"))[1:] == (hits, misses)
    assert not (package / "__pycache__").exists()
    change(package / "constants.py", "FACTOR = 2.0", "FACTOR = 3.0")
    assert run_in_a_new_process(package, NUMBA_CACHE_DIR=str(tmp_path / "cache")) == (111103.0, 0, 1)


def test_functions_of_one_name_are_kept_apart() -> None:
    double = recon.geometry.compiled.compiled()(lambda x: 2 * x)
    triple = recon.geometry.compiled.compiled()(lambda x: 3 * x)
    assert (double(5), triple(5), double(5)) == (10, 15, 10)
    again = recon.geometry.compiled.compiled()(triple.py_func)  # type: ignore[attr-defined]
    assert again(5) == 15


def test_without_a_cache_folder_kernels_still_compile(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(function: object, stamp: str) -> None:
        raise RuntimeError("cannot cache function: no locator available")

    monkeypatch.setattr(recon.geometry.compiled, "_Cache", refuse)
    recon.geometry.compiled._warn_of_missing_cache.cache_clear()
    with pytest.warns(ReconWarning, match="NUMBA_CACHE_DIR"):
        double = recon.geometry.compiled.compiled()(lambda x: 2 * x)
    assert double(3) == 6


@pytest.mark.parametrize("suffix", ["nbi", "nbc"])
@pytest.mark.parametrize("content", [b"", b"junk"])
def test_damaged_files_are_written_anew(package: Path, suffix: str, content: bytes) -> None:
    """A machine that crashes may leave files empty."""
    value, _, _ = run_in_a_new_process(package)
    kept = list((package / "__pycache__").glob(f"*.{suffix}"))
    assert kept
    for path in kept:
        path.write_bytes(content)
    assert run_in_a_new_process(package) == (value, 0, 1)
    assert run_in_a_new_process(package) == (value, 1, 0)


def test_compiling_in_a_thread_leaves_the_warning_filters_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are the process's: a thread that puts them back as it found them undoes what others changed meanwhile."""
    caught: list[str] = []

    class Noted(warnings.catch_warnings):
        def __enter__(self) -> object:
            if "numba" in sys._getframe(1).f_code.co_filename:
                caught.append(threading.current_thread().name)
            return super().__enter__()

    monkeypatch.setattr(warnings, "catch_warnings", Noted)
    found: list[float] = []
    thread = threading.Thread(target=lambda: found.append(njit(lambda x: x + 1.0)(2.0)), name="ahead")
    thread.start()
    thread.join()
    assert found == [3.0]
    assert "ahead" not in caught
    njit(lambda x: x + 2.0)(2.0)  # in the main thread as ever
    assert threading.main_thread().name in caught
