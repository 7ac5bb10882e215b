"""Whether there is memory for as many splats as are asked for: before they are optimised, and while they are."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from recon.errors import InputError
from recon.splats.cpu_projection_gradients import HARMONICS

_BESIDE_PARAMETERS = 620
"""Bytes for each splat: as the camera sees it, and about eight tiles that it touches, at 60 bytes each."""
_COPIES = 4
"""Of the parameters of each splat: themselves, two moments, and the best so far."""


def check_memory(count: int, sh_degree: int) -> None:
    """Raise InputError where `count` splats with harmonics of `sh_degree` need more memory than is free."""
    needed = bytes_of_splats(count, sh_degree)
    free = free_bytes()
    if free is not None and needed > free:
        raise InputError(
            f"optimising {count} splats of degree {sh_degree} needs about {needed / 1e9:.1f} GB of memory, and "
            f"{free / 1e9:.1f} GB are free: lower gs_splats or gs_sh_degree"
        )


@contextlib.contextmanager
def memory_for_splats() -> Iterator[None]:
    """Raise InputError with the remedy where memory runs out within, of the CPU or of CUDA."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError) and type(error).__name__ != "OutOfMemoryError":
            raise
        raise InputError(
            f"memory ran out while splats were optimised: lower gs_splats or gs_sh_degree ({error})"
        ) from None


def bytes_of_splats(count: int, sh_degree: int) -> int:
    """About what the optimisation of so many splats takes."""
    return count * (4 * _COPIES * (HARMONICS + 3 * (sh_degree + 1) ** 2) + _BESIDE_PARAMETERS)


def free_bytes() -> int | None:
    """What this process can still get, within the limit of its control group; None where the system does not say."""
    found = []
    with contextlib.suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/meminfo").read_text().splitlines()
        found.append(1024 * int(next(line for line in lines if line.startswith("MemAvailable:")).split()[1]))
    with contextlib.suppress(OSError, ValueError):
        group = Path("/sys/fs/cgroup")
        used = int((group / "memory.current").read_text())
        cache = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
        reclaimable = int(cache.get("inactive_file", 0)) + int(cache.get("active_file", 0))
        found.append(int((group / "memory.max").read_text()) - used + reclaimable)  # "max" is no number: no limit
    return min(found, default=None)
