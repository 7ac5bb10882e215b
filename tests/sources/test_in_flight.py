"""Large photos take turns in memory, small ones share the cores, and none waits for ever."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from recon.estimate.unrelated import SinglePhoto
from recon.run.mono_photos import PhotoReader, list_photos
from recon.sources import loading
from recon.sources.in_flight import PixelsInFlight
from recon.sources.loading import load_each
from recon.sources.photo import Photo

SIZE = (40, 30)
PIXELS = SIZE[0] * SIZE[1]
COUNT = 8


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Eight photos, on a machine with as many cores."""
    monkeypatch.setattr(loading, "usable_cores", lambda: COUNT)
    for index in range(COUNT):
        Image.new("RGB", SIZE).save(tmp_path / f"{index}.png")
    return tmp_path


class Watch:
    """Counts how many photos are worked on at one time."""

    def __init__(self) -> None:
        self.now = self.most = 0
        self._lock = threading.Lock()

    def __call__(self, photo: Photo) -> str:
        with self._lock:
            self.now += 1
            self.most = max(self.most, self.now)
        time.sleep(0.03)
        with self._lock:
            self.now -= 1
        return photo.name


def read_together(folder: Path, watch: Watch) -> None:
    assert load_each(folder, watch).photos == [f"{index}.png" for index in range(COUNT)]


def read_one_by_one(folder: Path, watch: Watch) -> None:
    def prepare(photo: Photo, index: int) -> SinglePhoto:
        watch(photo)
        return SinglePhoto(None, None)

    assert len(list(PhotoReader(list_photos([folder]), prepare, strict=True).batches(COUNT))) == 1


@pytest.mark.parametrize("read", [read_together, read_one_by_one])
@pytest.mark.parametrize(("room", "most"), [(2.5 * PIXELS, 2), (PIXELS - 1, 1)])
def test_no_more_photos_than_there_is_room_for(
    folder: Path, monkeypatch: pytest.MonkeyPatch, read: Callable[[Path, Watch], None], room: float, most: int
) -> None:
    monkeypatch.setattr(loading, "IN_FLIGHT", PixelsInFlight(int(room)))
    watch = Watch()
    read(folder, watch)
    assert watch.most == most


def test_usual_photos_share_the_cores(folder: Path) -> None:
    watch = Watch()
    read_together(folder, watch)
    assert watch.most > 2


def test_room_is_given_back_by_photos_that_fail(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    room = PixelsInFlight(PIXELS)
    monkeypatch.setattr(loading, "IN_FLIGHT", room)
    with pytest.raises(ZeroDivisionError):
        load_each(folder / "0.png", lambda photo: 1 // 0)
    (folder / "0.png").write_bytes((folder / "0.png").read_bytes()[:-30])
    with pytest.warns(match="left out"):
        assert len(load_each(folder, Watch()).photos) == COUNT - 1


def test_arrays_are_in_memory_already(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "usable_cores", lambda: COUNT)
    monkeypatch.setattr(loading, "IN_FLIGHT", PixelsInFlight(1))
    watch = Watch()
    load_each(np.zeros((COUNT, 30, 40, 3), np.uint8), watch)
    assert watch.most > 2
