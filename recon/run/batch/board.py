"""Which scenes of a batch are to be done, are being done, and how those that are over ended."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Literal

from recon.errors import InputError
from recon.run.batch.leases import Leases
from recon.run.batch.outcome import DONE, FILE_NAME, Ended, Outcome
from recon.run.batch.place import Place
from recon.run.batch.scene import BatchScene
from recon.run.record import FILE_NAME as RECORD_NAME

_READERS = 16
_SECONDS_BETWEEN_LOOKS = 2.0
"""At what another batch does."""


@dataclass(frozen=True)
class Told:
    """Something that happened to a scene."""

    scene: str
    what: Literal["begun", "done", "failed", "kept", "elsewhere", "again"]
    """`kept`: done before; `elsewhere`: another batch does it; `again`: it is tried again."""
    over: int
    """How many scenes are over by now."""
    total: int
    outcome: Outcome | None = None
    error: str | None = None
    """Why it is tried again."""


class Board:
    """Gives out scenes, each to whoever asks first among all batches in this place, and keeps their outcomes."""

    def __init__(
        self,
        place: Place,
        scenes: Sequence[BatchScene],
        leases: Leases,
        *,
        retries: int,
        force: bool,
        tell: Callable[[Told], None],
    ) -> None:
        """Of all `scenes`; `tell` is called in any thread, one at a time; the others are those of `recon batch`."""
        self._place, self._leases, self._retries, self._force, self._tell = place, leases, retries, force, tell
        self._scenes = {scene.name: scene for scene in scenes}
        with ThreadPoolExecutor(_READERS) as pool:
            self._before = dict(zip(self._scenes, pool.map(self.read, self._scenes), strict=True))
        self._waiting = deque(self._scenes)
        self._again: deque[str] = deque()
        self._elsewhere: list[str] = []
        self._running: set[str] = set()
        self._attempts: Counter[str] = Counter()
        self._said_elsewhere: set[str] = set()
        self._looked = 0.0
        self._closed = False
        self._changed = threading.Condition(threading.RLock())
        self.outcomes: dict[str, Outcome] = {}
        """Of the scenes that are over."""

    def next(self, wait: bool = True) -> BatchScene | None:
        """A scene to do now, which nobody else does; None where there is none any more, or not now without `wait`.

        Raises InputError where the place cannot be written to.
        """
        with self._changed:
            while not (self._closed or self.is_over):
                name = self._taken()
                if name is not None:
                    self._running.add(name)
                    self._say(name, "begun")
                    return self._scenes[name]
                if not wait or self.is_over:
                    return None
                self._changed.wait(_SECONDS_BETWEEN_LOOKS if self._elsewhere else None)
            return None

    @property
    def is_over(self) -> bool:
        """Whether no scene is left, here or elsewhere."""
        with self._changed:
            return not (self._waiting or self._again or self._elsewhere or self._running)

    @property
    def left(self) -> int:
        """How many scenes are not over, as far as is known."""
        return len(self._scenes) - len(self.outcomes)

    def ended(self, scene: BatchScene, ended: Ended) -> bool:
        """Note how an attempt at a scene ended; returns whether the scene is over.

        Raises InputError where the outcome cannot be written, or others would end as badly until the user does
        something; then it is to be done again another time.
        """
        name = scene.name
        if ended.stops_batch:
            self._leases.give_back(name)
            self.close()
            raise InputError(f"{name}: {ended.outcome.error}; free some, and give the same command again")
        with self._changed:
            self._attempts[name] += 1
            attempts = self._attempts[name]
            is_over = not (ended.may_be_tried_again and attempts <= self._retries)
            if not is_over:
                self._running.discard(name)
                self._again.append(name)
                self._say(name, "again", error=ended.outcome.error)
            self._changed.notify_all()
        if is_over:
            outcome = replace(ended.outcome, attempts=attempts + self._attempts_before(scene))
            if self._leases.holds(name):
                self._place.write(f"{name}/{FILE_NAME}", outcome.to_bytes())
            self._leases.give_back(name)
            with self._changed:
                self._running.discard(name)
                self._over(name, outcome, outcome.state)
                self._changed.notify_all()
        return is_over

    def _attempts_before(self, scene: BatchScene) -> int:
        """Of other batches, which failed at the same."""
        before = self._before[scene.name]
        if before is None or before.state == DONE or before.wanted != scene.wanted:
            return 0
        return before.attempts

    def is_last_attempt(self, scene: BatchScene) -> bool:
        """Whether the scene is over however the attempt that goes on ends."""
        with self._changed:
            return self._attempts[scene.name] >= self._retries

    def close(self) -> None:
        """Give out no more. What goes on is done another time."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def read(self, name: str) -> Outcome | None:
        """The outcome that is kept of a scene."""
        return Outcome.of_bytes(self._place.read(f"{name}/{FILE_NAME}"))

    def _taken(self) -> str | None:
        while self._waiting:
            name = self._waiting.popleft()
            if self._take(name):
                return name
        if self._again:
            return self._again.popleft()
        now = time.monotonic()
        if self._elsewhere and now >= self._looked + _SECONDS_BETWEEN_LOOKS:
            self._looked = now
            others, self._elsewhere = self._elsewhere, []
            for index, name in enumerate(others):
                if self._take(name):
                    self._elsewhere += others[index + 1 :]
                    return name
        return None

    def _take(self, name: str) -> bool:
        if self._is_settled(name):
            return False
        if not self._leases.take(name):
            if name not in self._said_elsewhere:
                self._said_elsewhere.add(name)
                self._say(name, "elsewhere")
            self._elsewhere.append(name)
            return False
        if self._is_settled(name):  # by whoever held the lease before
            self._leases.give_back(name)
            return False
        return True

    def _is_settled(self, name: str) -> bool:
        """Whether the scene is done, or another batch has just found that it fails; then it is over."""
        outcome, before, scene = self.read(name), self._before[name], self._scenes[name]
        if outcome is None or outcome.wanted != scene.wanted:
            return False
        is_new = before is None or before.token != outcome.token
        is_there = outcome.record_bytes == self._place.size(f"{name}/{RECORD_NAME}")
        if not is_new and (self._force or outcome.state != DONE or not is_there):
            return False
        self._over(name, outcome, "kept")
        return True

    def _over(self, name: str, outcome: Outcome, what: Literal["done", "failed", "kept"]) -> None:
        self.outcomes[name] = outcome
        self._say(name, what, outcome)

    def _say(
        self,
        name: str,
        what: Literal["begun", "done", "failed", "kept", "elsewhere", "again"],
        outcome: Outcome | None = None,
        error: str | None = None,
    ) -> None:
        self._tell(Told(name, what, len(self.outcomes), len(self._scenes), outcome, error))
