"""Runs replace what runs wrote, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from recon.errors import InputError
from recon.run.own_outputs import check_outputs


def test_what_a_run_killed_as_it_began_to_write_is_not_in_the_way(tmp_path: Path) -> None:
    """It has made the folder and a temporary file, and noted neither yet."""
    folder = tmp_path / "exports" / "mini_npz"
    folder.mkdir(parents=True)
    check_outputs(tmp_path, ["mini_npz"])
    (folder / ".results.0123456789ab.npz").touch()
    check_outputs(tmp_path, ["mini_npz"])
    for other in (".hidden", "results.npz"):
        (folder / other).touch()
        with pytest.raises(InputError, match="exports is there already"):
            check_outputs(tmp_path, ["mini_npz"])
        (folder / other).unlink()
