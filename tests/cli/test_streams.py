"""Closed streams, readers that leave, and disks that are full: no traceback, and files go where they belong."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from recon.cli.streams import guarded_streams

REPOSITORY = Path(__file__).parents[2]
RECON = f"{sys.executable} -m recon"
FULL = Path("/dev/full")


def shell(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("models >&-", 0),
        ("models 2>&-", 0),
        ("models <&- >&- 2>&-", 0),
        ("--help >&-", 0),
        ("run --help | true", 0),
        ("models | true", 0),
        ("run absent 2>&-", 2),
        ("run absent 2>&1 | true", 2),
        ("nothing >&- 2>&-", 2),
    ],
)
def test_nobody_to_read_is_no_failure(command: str, code: int, tmp_path: Path) -> None:
    done = shell(f"{RECON} {command}", tmp_path)
    assert done.returncode == code
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_first_line_is_still_shown(tmp_path: Path) -> None:
    done = shell(f"{RECON} models | head -1", tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split() == ["model", "parameters", "abilities", "licence", "cached"]


@pytest.mark.skipif(not FULL.exists(), reason="no /dev/full")
def test_a_full_disk_is_said_once(tmp_path: Path) -> None:
    done = shell(f"{RECON} models > {FULL}", tmp_path)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "cannot write to standard output: No space left" in line
    assert shell(f"{RECON} run absent 2> {FULL}", tmp_path).returncode == 2


def test_a_closed_stream_leaves_no_descriptor_to_files(tmp_path: Path) -> None:
    """Else what is printed by native code would end up in the first file that is opened."""
    program = (
        "import os\nfrom recon.cli.streams import guarded_streams\n"
        "with guarded_streams(), open('file', 'w') as file:\n"
        "    file.write(str(file.fileno()))\n"
        "    file.flush()\n"
        "    os.write(1, b'native')\n"
    )
    done = shell(f'{sys.executable} -c "{program}" >&-', tmp_path)
    assert done.returncode == 0, done.stderr
    assert int((tmp_path / "file").read_text()) > 2


def test_streams_are_put_back() -> None:
    before = sys.stdin, sys.stdout, sys.stderr

    def work() -> None:
        with guarded_streams():
            assert sys.stdout is not before[1]
            raise KeyError

    with pytest.raises(KeyError):
        work()
    assert (sys.stdin, sys.stdout, sys.stderr) == before
