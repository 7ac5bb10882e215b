"""How many cores this process may use."""

from __future__ import annotations

import os

VARIABLE = "RECON_CORES"
"""Of the environment: at most so many cores, for processes that share a machine."""


def usable_cores() -> int:
    """The cores that the system lets this process run on, and at most as many as `RECON_CORES` of the environment.

    What a queue such as Slurm's, `taskset` or a container binds a process to counts, not what the machine has.
    """
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    wanted = os.environ.get(VARIABLE, "")
    return max(min(bound, int(wanted)), 1) if wanted.isdecimal() else bound


def environment_of_share(cores: int) -> dict[str, str]:
    """What makes another process, and the libraries it computes with, keep to so many cores.

    The libraries read it as they are imported. Their own variables, where the user has set some, stay as they are.
    """
    own = (*("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "NUMBA_NUM_THREADS")
    return {VARIABLE: str(cores), **{name: os.environ.get(name, str(cores)) for name in own}}
