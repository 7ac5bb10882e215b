"""How many cores a process takes."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from recon.cores import environment_of_share, usable_cores


def test_no_more_than_the_process_may_run_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {3, 5, 7}, raising=False)
    monkeypatch.delenv("RECON_CORES", raising=False)
    assert usable_cores() == 3
    for text, cores in (("2", 2), ("9", 3), ("0", 1), ("many", 3), ("", 3)):
        monkeypatch.setenv("RECON_CORES", text)
        assert usable_cores() == cores


def test_a_share_holds_in_another_process_and_its_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in environment_of_share(1):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MKL_NUM_THREADS", "7")
    share = environment_of_share(1)
    assert share.pop("MKL_NUM_THREADS") == "7"
    code = "from recon.cores import usable_cores; import numba; print(usable_cores(), numba.config.NUMBA_NUM_THREADS)"
    said = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **share}, capture_output=True, text=True, check=True
    ).stdout
    assert said.split() == ["1", "1"]
