"""Signals that end a process: what it began is cleaned up, whoever else handles them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from recon.cli.interrupts import ended_as_by_ctrl_c

REPOSITORY = Path(__file__).parents[2]
SCENE = REPOSITORY / "scenes" / "table" / "images"

pytestmark = pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="no such signals")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_raises_in_the_main_thread(number: int) -> None:
    def work() -> None:
        with ended_as_by_ctrl_c():
            os.kill(os.getpid(), number)
            time.sleep(10)

    with pytest.raises(KeyboardInterrupt):
        work()
    assert signal.getsignal(number) == signal.SIG_DFL
    assert number not in signal.pthread_sigmask(signal.SIG_BLOCK, [])


def test_a_handler_that_a_native_library_puts_in_place_does_not_run() -> None:
    program = (
        "import ctypes, os, signal, threading, time\n"
        "from recon.cli.interrupts import ended_as_by_ctrl_c\n"
        "try:\n"
        "    with ended_as_by_ctrl_c():\n"
        "        ctypes.CDLL(None).signal(int(signal.SIGTERM), ctypes.c_void_p(0))\n"
        "        threading.Thread(target=time.sleep, args=(1,), daemon=True).start()\n"
        "        os.kill(os.getpid(), signal.SIGTERM)\n"
        "        time.sleep(10)\n"
        "except KeyboardInterrupt:\n"
        "    print('cleaned up')\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "cleaned up\n"), done.stderr


def test_only_the_first_one_counts() -> None:
    cleaned = []

    def work() -> None:
        with ended_as_by_ctrl_c():
            try:
                os.kill(os.getpid(), signal.SIGTERM)
                time.sleep(10)
            finally:
                os.kill(os.getpid(), signal.SIGTERM)
                time.sleep(0.2)
                cleaned.append("up")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert cleaned


def test_one_that_stopped_a_part_lets_the_next_one_count() -> None:
    reached = []

    def work() -> None:
        with ended_as_by_ctrl_c():
            try:
                os.kill(os.getpid(), signal.SIGTERM)
                time.sleep(10)
            except KeyboardInterrupt:
                reached.append("kept")
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(10)
            reached.append("too far")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert reached == ["kept"]


def test_what_was_ignored_stays_so() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with ended_as_by_ctrl_c():
            os.kill(os.getpid(), signal.SIGHUP)
            time.sleep(0.2)
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_nothing_is_left_where_none_came() -> None:
    import threading

    with ended_as_by_ctrl_c():
        assert any(thread.name == "recon-signals" for thread in threading.enumerate())
    assert not any(thread.name == "recon-signals" for thread in threading.enumerate())
    assert signal.getsignal(signal.SIGUSR1) == signal.SIG_DFL


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "reached"), [(signal.SIGTERM, "features"), (signal.SIGTERM, "matches"), (signal.SIGHUP, "mapping")]
)
def test_structure_from_motion_leaves_nothing(number: int, reached: str, tmp_path: Path) -> None:
    """COLMAP runs natively in threads then, and has a handler of its own for SIGTERM."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    program = (
        "import sys\nimport recon.cli.report as report\n"
        "report._SECONDS_BETWEEN_LINES = 0\n"
        "from recon.cli.main import main\nsys.exit(main())"
    )
    command = ("run", str(SCENE), "--model", "mvs", "--export", "mini_npz", "--out", "out")
    process = subprocess.Popen(
        [sys.executable, "-c", program, *command],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1", "TMPDIR": str(temporary)},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    for line in process.stderr:
        if f"cameras: {reached}" in line:
            break
    assert list(temporary.iterdir())
    process.send_signal(number)
    rest = process.stderr.read().splitlines()
    assert process.wait(timeout=60) == 1
    assert rest[-1] == "recon: interrupted; files that were not complete have been removed"
    assert all(line.startswith("recon: ") for line in rest)
    assert list(temporary.iterdir()) == []
    assert list((tmp_path / "out").rglob(".*")) == []
