"""What was read lately, up to a number of bytes."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

Item = TypeVar("Item")


class ReadCache:
    """Keeps what costs most to read again: the newest, as many bytes as it may. For any number of threads."""

    def __init__(self, most_bytes: int) -> None:
        self._most = most_bytes
        self._held = 0
        self._items: OrderedDict[Hashable, tuple[Any, int]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable, read: Callable[[], Item], size: Callable[[Item], int]) -> Item:
        """What is kept under `key`, else what `read` gives; `size` says how many bytes that has."""
        with self._lock:
            if key in self._items:
                self._items.move_to_end(key)
                found: Item = self._items[key][0]
                return found
        item = read()  # two threads may read the same; neither waits for the other
        count = size(item)
        with self._lock:
            if key not in self._items and count <= self._most:
                self._items[key] = item, count
                self._held += count
                while self._held > self._most:
                    _, (_, dropped) = self._items.popitem(last=False)
                    self._held -= dropped
        return item
