"""Scenes done by processes of this machine, each with models that stay loaded and its share of the cores."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recon.cores import environment_of_share, usable_cores
from recon.files import temporary_folder
from recon.run.batch.board import Board
from recon.run.batch.do_scene import note_death
from recon.run.batch.outcome import FAILED, Ended, Outcome
from recon.run.batch.place import Place
from recon.run.batch.scene import BatchScene
from recon.run.batch.worker import ENDED
from recon.run.worker_process import DIED, WorkerProcess

_CORES_OF_A_WORKER = 4
_SECONDS_TO_END = 6.0
"""Of processes whose scenes are to end, until they are killed."""


def usual_workers(device: str) -> int:
    """One for each few cores; one alone where scenes would share a GPU."""
    has_gpu = device not in ("auto", "cpu") or Path("/dev/nvidia0").exists()
    return 1 if has_gpu and device != "cpu" else max(usable_cores() // _CORES_OF_A_WORKER, 1)


class LocalEngine:
    """`workers` processes."""

    def __init__(self, place: Place, workers: int) -> None:
        """Results go to `place`."""
        self._place, self._workers = place, workers
        self._failures: list[BaseException] = []

    def check(self) -> None:
        """Nothing is needed but this machine."""

    def close(self) -> None:
        """Nothing is left when `do` returns."""

    def do(self, board: Board) -> None:
        """See `Engine`."""
        share = environment_of_share(max(usable_cores() // self._workers, 1))
        with temporary_folder("recon-batch-") as folder:
            processes = [
                WorkerProcess("recon.run.batch.worker", [], log=folder / f"{number}.log", environment=share)
                for number in range(min(self._workers, max(board.left, 1)))
            ]
            threads = [
                threading.Thread(target=self._work, args=(board, process), name="recon-batch", daemon=True)
                for process in processes
            ]
            try:
                for thread in threads:
                    thread.start()
                for thread in threads:
                    while thread.is_alive():
                        thread.join(0.2)  # so that Ctrl-C is heard
            finally:
                board.close()
                _end(processes, threads)
        if self._failures:
            raise self._failures[0]

    def _work(self, board: Board, process: WorkerProcess) -> None:
        try:
            while (scene := board.next()) is not None:
                start = time.perf_counter()
                said = process.run({"job": scene.message(), "out": self._place.address}, lambda message: None)
                if said["end"] not in (ENDED, DIED):
                    return
                ended = self._of(scene, said, time.perf_counter() - start)
                if said["end"] == DIED and board.is_last_attempt(scene):
                    note_death(scene, self._place, str(ended.outcome.error))
                board.ended(scene, ended)
        except BaseException as error:
            self._failures.append(error)
            board.close()

    def _of(self, scene: BatchScene, said: Mapping[str, Any], seconds: float) -> Ended:
        if said["end"] == ENDED:
            return Ended.of_message(said)
        return Ended(Outcome(FAILED, said["error"], round(seconds, 3), wanted=scene.wanted), may_be_tried_again=True)


def _end(processes: list[WorkerProcess], threads: list[threading.Thread]) -> None:
    """Scenes that go on are stopped, so that they clean up; then all processes are ended."""
    if any(thread.is_alive() for thread in threads):
        for process in processes:
            process.cancel()
        end = time.monotonic() + _SECONDS_TO_END
        for thread in threads:
            thread.join(max(end - time.monotonic(), 0.0))
    for process in processes:
        process.close()
    for thread in threads:
        thread.join()
