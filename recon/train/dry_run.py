"""What a training would take: measured on two steps, which change nothing on the disk."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass

import torch

from recon.models.device import choose_device
from recon.models.memory import reuse_freed_memory
from recon.train.batches import TrainingData
from recon.train.config import TrainConfig
from recon.train.learner import TOTAL
from recon.train.setup import set_up

_STEPS = 2


@dataclass(frozen=True)
class Estimate:
    """Of a training that was not carried out."""

    seconds_per_step: float
    """Of the second step; the first has things to prepare."""
    steps: int
    memory: int
    """Bytes at most: of the GPU, or of this process on a CPU."""
    parameters: int
    trained_parameters: int
    tokens: int
    """Patches in a step."""
    checkpoint: int
    """Bytes of state and network on the disk."""
    device: str

    def lines(self) -> list[str]:
        """For a person."""
        seconds = self.seconds_per_step * self.steps
        units = {"hours": 3600, "minutes": 60, "seconds": 1}
        unit = next((name for name, length in units.items() if seconds >= 1.5 * length), "seconds")
        taken = f"{seconds / units[unit]:.1f} {unit}"
        where = "of the GPU" if self.device.startswith("cuda") else "of this process"
        return [
            f"trains {self.trained_parameters:,} of {self.parameters:,} parameters on {self.device}",
            f"{self.seconds_per_step:.3g} s a step, {self.tokens / self.seconds_per_step:,.0f} patches a second: "
            f"{taken} for {self.steps} steps, evaluations apart",
            f"memory {where}: {self.memory / 2**20:,.0f} MiB",
            f"on the disk: {self.checkpoint / 2**20:,.0f} MiB",
        ]


def dry_run(config: TrainConfig, data: TrainingData) -> Estimate:
    """Take two steps with the first batches of `data`, in this process alone, and measure the second."""
    device = choose_device(config.main.device)
    trained = set_up(config, device)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    batches = data.batches(config.main.seed)
    seconds, tokens = 0.0, 0
    try:
        with reuse_freed_memory(device):
            for step in range(_STEPS):
                begin, tokens = time.perf_counter(), 0
                trained.set_rates(step)
                for _ in range(config.optimiser.accumulate):
                    batch = next(batches)
                    tokens += batch.tokens
                    terms = trained.learner(batch.to(device), step, config.main.steps)
                    (terms[TOTAL] / config.optimiser.accumulate).backward()
                trained.update(step)
                trained.optimiser.zero_grad(set_to_none=True)
                if device.type == "cuda":
                    torch.cuda.synchronize(device)
                seconds = time.perf_counter() - begin
    finally:
        batches.close()
    parameters = sum(one.numel() for one in trained.network.parameters())
    trained_parameters = sum(one.numel() for one in trained.parameters().values())
    averages = 1 if trained.average else 0
    return Estimate(
        seconds_per_step=seconds,
        steps=config.main.steps,
        memory=_peak_memory(device),
        parameters=parameters,
        trained_parameters=trained_parameters,
        tokens=tokens,
        # Weights, two averages of AdamW, the moving average; and the network as it is exported.
        checkpoint=4 * ((3 + averages) * trained_parameters + parameters),
        device=str(device),
    )


def _peak_memory(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    try:
        import resource
    except ImportError:  # Windows
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
