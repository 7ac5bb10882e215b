"""Work on a CPU in a few large parts, each computed by one thread alone.

Torch shares every single operation among the processor's threads, and each of the thousands of operations of a network
then ends with a wait for the last of them. On a machine that has other work to do, one of the threads is always not
running, and the others wait, spinning. Here a thread takes a part (some tokens through half a block, one view through
a head), computes it by itself, and takes the next: there are few waits, and whoever is late holds up one part only.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import TypeVar

import torch
from torch import Tensor

Part = TypeVar("Part")
Result = TypeVar("Result")

LEAST_ROWS = 128
"""A part of fewer tokens than this is not worth a thread: matrix products lose their pace."""
MOST_ROWS = 512
"""Tokens of a part: what is computed of them stays in a processor's own cache."""

_creation = threading.Lock()
_pools: dict[int, ThreadPoolExecutor] = {}
if hasattr(os, "register_at_fork"):  # a child process has none of its parent's threads
    os.register_at_fork(after_in_child=_pools.clear)


def computes_in_parts(x: Tensor) -> bool:
    """Whether work on `x` may be shared out in parts: float32 on a CPU, and no gradients, export or autocast.

    Gradients and exports want plain operations in order; autocast keeps a copy of the weights for each thread.
    """
    return (
        x.device.type == "cpu"
        and x.dtype == torch.float32
        and torch.is_inference_mode_enabled()
        and not torch.compiler.is_compiling()
        and not torch.onnx.is_in_onnx_export()
        and not torch.is_autocast_enabled("cpu")
    )


def token_parts(sequences: int, tokens: int) -> list[tuple[int, slice]]:
    """Parts of `sequences` of `tokens` each: the index of a sequence and a stretch of it.

    Empty where they are too few to give every thread a part.
    """
    threads = torch.get_num_threads()
    if sequences * tokens < threads * LEAST_ROWS:
        return []
    wanted = min(MOST_ROWS, max(LEAST_ROWS, sequences * tokens // (2 * threads)))
    stretches = -(-tokens // wanted)
    ends = [tokens * index // stretches for index in range(stretches + 1)]
    return [(sequence, slice(start, end)) for sequence in range(sequences) for start, end in pairwise(ends)]


def in_parallel(work: Callable[[Part], Result], parts: Sequence[Part]) -> list[Result]:
    """`work` of each part, on as many threads as torch may use, in inference mode. The first error is raised."""
    pool = _pool(torch.get_num_threads())
    if pool is None:
        return [work(part) for part in parts]

    def alone(part: Part) -> Result:
        with torch.inference_mode():
            return work(part)

    return list(pool.map(alone, parts))


def _pool(threads: int) -> ThreadPoolExecutor | None:
    """Threads on which torch computes alone; None where there would be one."""
    if threads == 1:
        return None
    with _creation:
        if threads not in _pools:
            all_here = threading.Barrier(threads)
            pool = ThreadPoolExecutor(threads, "recon-torch")
            for start in [pool.submit(_compute_alone, all_here) for _ in range(threads)]:
                start.result()
            torch.set_num_threads(threads)  # also what threads that come later take as their number
            _pools[threads] = pool
    return _pools[threads]


def _compute_alone(all_here: threading.Barrier) -> None:
    """Have torch use one thread when it is called from this one. Returns when all threads of the pool have done so."""
    torch.get_num_threads()  # torch gives a thread its number when first asked, which would undo the next line
    torch.set_num_threads(1)
    all_here.wait()
