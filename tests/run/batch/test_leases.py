"""A lease has one holder, and outlives none that is gone."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from recon.run.batch.leases import FOLDER, Leases
from recon.run.batch.place import LocalPlace


def wait_until(condition: object, seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end
        time.sleep(0.02)


def test_one_of_many_gets_it(tmp_path: Path) -> None:
    many = [Leases(LocalPlace(tmp_path)) for _ in range(8)]
    for round_ in range(5):
        got: list[Leases] = []
        together = threading.Barrier(len(many))

        def ask(leases: Leases, name: str, got: list[Leases] = got, together: threading.Barrier = together) -> None:
            together.wait()
            if leases.take(name):
                got.append(leases)

        threads = [threading.Thread(target=ask, args=(leases, f"scene {round_}")) for leases in many]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(got) == 1
        got[0].give_back(f"scene {round_}")
    assert LocalPlace(tmp_path).names(FOLDER) == []


def test_whoever_goes_on_keeps_it_and_whoever_does_not_loses_it(tmp_path: Path) -> None:
    place = LocalPlace(tmp_path)
    with Leases(place, between=0.05, expire=0.5) as first, Leases(place, between=0.05, expire=0.5) as second:
        assert first.take("a")
        end = time.monotonic() + 1.5
        while time.monotonic() < end:
            assert not second.take("a")
            time.sleep(0.05)
        assert first.holds("a")
        first._over.set()  # as a machine that sleeps
        wait_until(lambda: second.take("a"))
        assert second.holds("a")
        assert not first.holds("a")
        first.give_back("a")
        assert second.holds("a")
    assert place.names(FOLDER) == []


@pytest.mark.skipif(not Path("/proc/self/ns/pid").is_symlink(), reason="nothing tells whether a process has ended")
def test_that_of_a_killed_process_is_free_at_once(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from recon.run.batch.leases import Leases;"
        "from recon.run.batch.place import LocalPlace;"
        "print(Leases(LocalPlace(Path(sys.argv[1]))).take('a'), flush=True); time.sleep(600)"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "True\n"
    leases = Leases(LocalPlace(tmp_path))
    assert not leases.take("a")
    process.kill()
    wait_until(lambda: leases.take("a"))
    process.communicate()
    assert leases.holds("a")
    assert len(LocalPlace(tmp_path).names(FOLDER)) == 1


def test_that_of_another_machine_has_to_stay_as_it_is_for_a_while(tmp_path: Path) -> None:
    place = LocalPlace(tmp_path)
    holder = {"token": "x", "host": "elsewhere", "machine": "another", "pid": 1, "started": "1"}
    place.write(f"{FOLDER}/a.3", json.dumps({**holder, "beat": 1}).encode())
    leases = Leases(place, expire=0.3)
    assert not leases.take("a")
    time.sleep(0.4)
    place.write(f"{FOLDER}/a.3", json.dumps({**holder, "beat": 2}).encode())
    assert not leases.take("a")
    time.sleep(0.4)
    assert leases.take("a")
    assert place.names(FOLDER) == ["a.4"]
