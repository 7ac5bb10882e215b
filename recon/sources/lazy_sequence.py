"""A sequence whose items are made as they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar, overload

Item = TypeVar("Item")


class LazySequence(Sequence[Item]):
    """`count` items, number i of which is what `load(i)` returns each time."""

    def __init__(self, count: int, load: Callable[[int], Item]) -> None:
        self._count = count
        self._load = load

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> Item: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Item]: ...

    def __getitem__(self, index: Any) -> Any:
        chosen = range(self._count)[index]
        if isinstance(chosen, range):
            return LazySequence(len(chosen), lambda at: self._load(chosen[at]))
        return self._load(chosen)
