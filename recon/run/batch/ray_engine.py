"""Scenes done by actors of a Ray cluster, as many as there is room for; what a lost machine did is done again."""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from recon.errors import InputError
from recon.run.batch.board import Board
from recon.run.batch.do_scene import note_death
from recon.run.batch.outcome import FAILED, Ended, Outcome
from recon.run.batch.place import STATE_FOLDER, Place
from recon.run.batch.ray_actor import SceneActor
from recon.run.batch.ray_cluster import connect, machines, room
from recon.run.batch.resources import Resources
from recon.run.batch.scene import BatchScene

_SECONDS_BETWEEN_LOOKS = 1.0
_MOST_FAILED_STARTS = 20
"""Of actors one after the other, none of which did anything."""


@dataclass(frozen=True)
class Wanted:
    """Of the resources of a scene, what the user chose; None for the usual."""

    cpus: float | None = None
    gpus: float | None = None
    memory: float | None = None


@dataclass
class _Busy:
    """An actor and its scene."""

    actor: Any
    scene: BatchScene
    begun: float


class RayEngine:
    """A client of a cluster, which it joins when it is checked."""

    def __init__(self, place: Place, address: str | None, workers: int | None, wanted: Wanted, usual: Any) -> None:
        """Results go to `place`.

        Args:
            address: of the cluster; None: one of this machine alone.
            workers: scenes at a time, at most; None: as many as there is room for.
            wanted: what the user says that a scene takes.
            usual: called with whether the cluster has GPUs: what a scene takes where the user says nothing.
        """
        self._place, self._address, self._workers = place, address, workers
        self._wanted, self._usual = wanted, usual
        self._needed = Resources(1.0, 0.0, 0.0)
        self._ray: Any = None
        self._idle: list[Any] = []
        self._starting: dict[Any, Any] = {}
        self._busy: dict[Any, _Busy] = {}
        self._failed_starts = 0
        self._probe = f"{STATE_FOLDER}/seen-{secrets.token_hex(6)}"

    def check(self) -> None:
        """Connect, and see whether a scene has room anywhere."""
        self._ray = connect(self._address)
        there = machines(self._ray)
        usual: Resources = self._usual(any(one.get("GPU", 0) > 0 for one in there))
        largest = {name: max((one.get(name, 0.0) for one in there), default=0.0) for name in ("CPU", "GPU", "memory")}
        # A guess is lowered to what there is; what the user says is not.
        self._needed = Resources(
            min(usual.cpus, largest["CPU"]) if self._wanted.cpus is None else self._wanted.cpus,
            usual.gpus if self._wanted.gpus is None else self._wanted.gpus,
            min(usual.memory, largest["memory"] / 1e9) if self._wanted.memory is None else self._wanted.memory,
        )
        if self._workers is None and not any(room(one, self._needed) for one in there):
            needed = self._needed
            raise InputError(
                f"no machine of the cluster has room for a scene ({needed.cpus:g} cores, {needed.gpus:g} GPUs, "
                f"{needed.memory:.1f} GB); the largest have {largest['CPU']:g} cores, {largest['GPU']:g} GPUs, "
                f"{largest['memory'] / 1e9:.1f} GB: see --cpus, --gpus and --memory, or give --workers for a cluster "
                "that grows"
            )

    def do(self, board: Board) -> None:
        """See `Engine`."""
        self._place.write(self._probe, b"")
        try:
            while not board.is_over:
                self._grow(board)
                while self._idle and (scene := board.next(wait=False)) is not None:
                    actor = self._idle.pop()
                    self._busy[actor.do.remote(scene.message())] = _Busy(actor, scene, time.perf_counter())
                self._wait_for_one(board)
        finally:
            board.close()
            for actor in [*self._idle, *self._starting.values(), *(one.actor for one in self._busy.values())]:
                with contextlib.suppress(Exception):
                    self._ray.kill(actor)
            self._place.remove(self._probe)

    def close(self) -> None:
        """Leave the cluster, or end it where it is one of this machine alone."""
        if self._ray is not None:
            self._ray.shutdown()

    def _grow(self, board: Board) -> None:
        """As many actors as scenes are left and machines have room for, which come and go."""
        fits = sum(room(one, self._needed) for one in machines(self._ray))
        most = self._workers if self._workers is not None else fits
        there = len(self._idle) + len(self._starting) + len(self._busy)
        for _ in range(min(most, board.left) - there):
            needed = self._needed
            actor = (
                self._ray.remote(SceneActor)
                .options(
                    num_cpus=needed.cpus,
                    num_gpus=needed.gpus,
                    memory=int(needed.memory * 1e9),
                    max_restarts=0,
                    scheduling_strategy="SPREAD",
                )
                .remote(self._place.address, max(int(needed.cpus), 1))
            )
            self._starting[actor.sees.remote(self._probe)] = actor

    def _wait_for_one(self, board: Board) -> None:
        refs = [*self._starting, *self._busy]
        if not refs:
            time.sleep(_SECONDS_BETWEEN_LOOKS)
            return
        ready, _ = self._ray.wait(refs, num_returns=1, timeout=_SECONDS_BETWEEN_LOOKS)
        for ref in ready:
            if ref in self._starting:
                self._started(ref)
            else:
                self._ended(ref, board)

    def _started(self, ref: Any) -> None:
        actor = self._starting.pop(ref)
        try:
            sees = self._ray.get(ref)
        except self._ray.exceptions.RayError as error:
            self._failed_starts += 1
            if self._failed_starts >= _MOST_FAILED_STARTS:
                raise InputError(f"the machines of the cluster cannot do scenes: {_last_line(error)}") from error
            time.sleep(_SECONDS_BETWEEN_LOOKS)
            return
        if not sees:
            raise InputError(
                f"{self._place.address} is not seen by all machines of the cluster: give a folder that they share, or "
                "a URL such as s3://bucket/folder"
            )
        self._failed_starts = 0
        self._idle.append(actor)

    def _ended(self, ref: Any, board: Board) -> None:
        busy = self._busy.pop(ref)
        try:
            said: Mapping[str, Any] = self._ray.get(ref)
            ended = Ended.of_message(said)
            self._idle.append(busy.actor)
        except self._ray.exceptions.RayError as error:
            seconds = round(time.perf_counter() - busy.begun, 3)
            why = _why(error)
            ended = Ended(Outcome(FAILED, why, seconds, wanted=busy.scene.wanted), may_be_tried_again=True)
            with contextlib.suppress(Exception):
                self._ray.kill(busy.actor)
            if board.is_last_attempt(busy.scene):
                note_death(busy.scene, self._place, why)
        board.ended(busy.scene, ended)


def _why(error: Exception) -> str:
    """What ended an actor in the midst of its scene."""
    said = str(error).lower()
    if "out of memory" in said or "outofmemory" in type(error).__name__.lower() or "oom" in said.split():
        return "the process that did it was ended, for its machine had no memory left"
    if "node" in said and ("died" in said or "dead" in said or "terminated" in said or "preempted" in said):
        return "the machine that did it was lost"
    return "the process that did it was killed, as when memory runs out, or its machine was lost"


def _last_line(error: Exception) -> str:
    lines = [line for line in str(error).strip().splitlines() if line.strip()]
    return lines[-1].strip() if lines else type(error).__name__
