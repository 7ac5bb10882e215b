"""One process or many: what `torchrun` says, and what they tell each other."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor

from recon.errors import InputError


@dataclass(frozen=True)
class Ranks:
    """Which process this is."""

    rank: int = 0
    count: int = 1
    local_rank: int = 0
    """Among those of this machine"""

    @property
    def first(self) -> bool:
        """Whether this one writes and reports."""
        return self.rank == 0

    def sum(self, tensor: Tensor) -> Tensor:
        """The sum over all processes."""
        if self.count > 1:
            dist.all_reduce(tensor)
        return tensor

    def mean(self, tensor: Tensor) -> Tensor:
        """The mean over all processes."""
        return self.sum(tensor) / self.count

    def any(self, flag: bool, device: torch.device) -> bool:
        """Whether it is so in any process; `device` is where they share tensors."""
        return flag if self.count == 1 else bool(self.sum(torch.tensor(float(flag), device=device)) > 0)

    def wait(self) -> None:
        """Until all are here."""
        if self.count > 1:
            dist.barrier()


def is_first_process() -> bool:
    """Whether this process writes and reports: the first of those that `torchrun` has started, or the only one."""
    return int(os.environ.get("RANK", "0")) == 0


@contextlib.contextmanager
def joined_processes(device: torch.device) -> Iterator[Ranks]:
    """Join the processes that `torchrun` has started, with NCCL on CUDA and Gloo elsewhere; alone without it."""
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        yield Ranks()
        return
    ranks = Ranks(int(os.environ["RANK"]), count, int(os.environ.get("LOCAL_RANK", "0")))
    if device.type == "cuda":
        if ranks.local_rank >= torch.cuda.device_count():
            raise InputError(
                f"torchrun starts more processes on this machine than it has GPUs ({torch.cuda.device_count()}): "
                "give as many as --nproc-per-node"
            )
        torch.cuda.set_device(ranks.local_rank)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield ranks
    finally:
        dist.destroy_process_group()
