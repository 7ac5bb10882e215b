"""Random numbers for tests: the same in every run with the same `--seed`, others with another."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch

_of_run: list[int] = []


def choose_seed(seed: int) -> None:
    """The seed of this run; conftest.py calls it before test modules are imported. 0 adds nothing to the keys."""
    _of_run[:] = [seed] if seed else []


def numpy_random(*key: int) -> np.random.Generator:
    """Numbers of their own for each `key` of a test, such as the case that it is in."""
    return np.random.default_rng([*_of_run, *key])


def torch_random(*key: int) -> torch.Generator:
    """The same for torch."""
    import torch

    return torch.Generator().manual_seed(int(np.random.SeedSequence([*_of_run, *key]).generate_state(1)[0]))
