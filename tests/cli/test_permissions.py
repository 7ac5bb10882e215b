"""What may not be read or written is named in one line, by its own name or that of the folder it is in."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fake_network import save_photos

REPOSITORY = Path(__file__).parents[2]
POWERS = "-dac_override,-dac_read_search"
"""With which root reads everything."""


@pytest.fixture
def as_other_users() -> list[str]:
    """What to put before a command, so that the permissions of files hold for it."""
    if os.name != "posix":
        pytest.skip("no permissions of this kind")
    if os.geteuid() != 0:
        return []
    if shutil.which("setpriv") is None:
        pytest.skip("root may read everything")
    return ["setpriv", "--bounding-set", POWERS, "--inh-caps", POWERS]


@pytest.mark.parametrize(
    ("command", "named"),
    [
        ("run locked", "locked"),
        ("run photos --config locked.yaml", "locked.yaml"),
        ("run photos --model mvs --cameras locked.npz", "locked.npz"),
        ("run photos --model mvs --cameras locked.json", "locked.json"),
        ("run photos --model mvs --out locked/results", "locked"),
        ("run photos --model mvs --out closed/results", "closed"),
        ("mono locked", "locked"),
        ("mono photos --onnx locked.onnx", "locked.onnx"),
        ("export locked.npz --to glb", "locked.npz"),
        ("export locked --to glb", "locked"),
        ("eval locked", "locked"),
    ],
)
def test_is_said_in_one_line(command: str, named: str, as_other_users: list[str], tmp_path: Path) -> None:
    save_photos(tmp_path / "photos", 2)
    for name, mode in (("locked", 0), ("closed", 0o500)):
        (tmp_path / name).mkdir(mode=mode)
    for suffix in ("yaml", "npz", "json", "onnx"):
        (tmp_path / f"locked.{suffix}").write_bytes(b"{}")
        (tmp_path / f"locked.{suffix}").chmod(0)
    before = sorted(path.name for path in tmp_path.iterdir())
    done = subprocess.run(
        [*as_other_users, sys.executable, "-m", "recon", *command.split()],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2, done.stderr
    *progress, line = done.stderr.splitlines()
    assert line.startswith("recon: error: ")
    assert named in line
    assert line.endswith("Permission denied")
    assert "Errno" not in line
    assert all(other.startswith(("recon: [", "recon: read ", "recon: load ")) for other in progress)
    assert sorted(path.name for path in tmp_path.iterdir()) == before
