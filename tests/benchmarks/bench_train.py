"""Training: a step beside the forward pass, how seldom it waits for data, and on a GPU the share of what that can do.

    python -m tests.benchmarks.bench_train                      # a step of da3-small on a CPU, and steps on a scene
    python -m tests.benchmarks.bench_train --device cuda --model da3-large --size 504 --precision bf16
    python -m tests.synthetic training SCENES/train
    python -m tests.synthetic training SCENES/test --first-seed 100000 --scenes 16
    python -m tests.benchmarks.bench_train --device cuda --learn SCENES --steps 20000   # the tiny any-view network

A step is the forward pass with all terms of the loss, the gradients, and the update by AdamW. It is compared with the
network's prediction of the same (depth, rays and cameras, in inference mode) and with its own forward pass; times are
of the wall, medians over `--repeats`. A step has waited for its batch if that was not there within 5 ms.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from recon.models.memory import reuse_freed_memory
from recon.train.config import config_of
from recon.train.data.training_data import open_data
from recon.train.learner import TOTAL
from recon.train.loop import score_line, train
from recon.train.setup import set_up
from tests.train.scene import rooms

SCENE = Path(__file__).parents[2] / "scenes" / "courtyard"
_MATRIX = 8192
"""Side of the matrices whose product says what a GPU can do."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--model", default="da3-small")
    parser.add_argument("--views", type=int, default=2)
    parser.add_argument("--scenes", type=int, default=1, help="in a batch")
    parser.add_argument("--size", type=int, default=252)
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--recompute", action="store_true")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--data-steps", type=int, default=30, help="steps on a scene; 0 for none")
    parser.add_argument("--learn", type=Path, help="folder with train/ and test/ of rendered scenes")
    parser.add_argument("--steps", type=int, default=20_000)
    arguments = parser.parse_args()
    if arguments.learn is not None:
        learn(arguments)
        return
    measure_steps(arguments)
    if arguments.data_steps:
        measure_waiting(arguments)


def settings(arguments: argparse.Namespace, **more: Any) -> dict[str, Any]:
    return {
        "network": arguments.model,
        "weights": "none",
        "steps": 1000,
        "device": arguments.device,
        "precision": arguments.precision,
        "recompute": arguments.recompute,
        "data": {},
        **more,
    }


def measure_steps(arguments: argparse.Namespace) -> None:
    """Print the times of prediction, forward pass and step, and what they are of each other and of the GPU."""
    device = torch.device(arguments.device)
    trained = set_up(config_of(settings(arguments)), device)
    learner = trained.learner
    batch = rooms(1, arguments.scenes, arguments.views, arguments.size)[0].to(device)

    def predict() -> None:
        with torch.inference_mode():
            learner.predict(batch.images, with_rays=learner.several_views)

    def forward() -> torch.Tensor:
        return learner(batch, 0, 1000)[TOTAL]

    def step() -> None:
        forward().backward()
        torch.nn.utils.clip_grad_norm_(trained.parameters().values(), 1.0)
        trained.update(0)
        trained.optimiser.zero_grad(set_to_none=True)

    with reuse_freed_memory(device):
        predicting, passing, stepping = (timed(work, arguments.repeats, device) for work in (predict, forward, step))
    what = f"{arguments.model}, {arguments.scenes} × {arguments.views} views of {arguments.size}²"
    print(
        f"{what}, {arguments.precision} on {name_of(device)}: "
        f"prediction {predicting:.3f} s, forward pass {passing:.3f} s, step {stepping:.3f} s: "
        f"{stepping / predicting:.2f} × the prediction, {stepping / passing:.2f} × its forward pass; "
        f"{batch.tokens / stepping:,.0f} patches a second"
    )
    if device.type == "cuda":
        counter = FlopCounterMode(display=False)
        with counter:
            forward().backward()
        done, most = counter.get_total_flops() / stepping, ceiling(device)
        print(
            f"{done / 1e12:.0f} of {most / 1e12:.0f} TFLOP/s, {100 * done / most:.0f} % of what products of bfloat16 "
            f"reach here; {torch.cuda.max_memory_allocated(device) / 2**30:.1f} GiB at most"
        )


def measure_waiting(arguments: argparse.Namespace) -> None:
    """Train on a scene as users do, and print the share of steps that had their batch at once."""
    patches = arguments.scenes * arguments.views * (arguments.size // 14) ** 2
    data = {
        "sets": [{"paths": [str(SCENE)]}],
        "views": [arguments.views] * 2,
        "process_res": arguments.size,
        "aspect": [1, 1],
        "patches": patches,
        "workers": 2,
    }
    config = config_of(settings(arguments, steps=arguments.data_steps, data=data))
    with tempfile.TemporaryDirectory() as folder:
        done = train(config, open_data(config.data), Path(folder)).progress
    # The first step begins as the first batch does.
    print(f"{done.taken} steps on {SCENE.name}: {100 * (1 - done.waited / done.taken):.0f} % had their batch at once")


def learn(arguments: argparse.Namespace) -> None:
    """Train the tiny any-view network on rendered scenes, and print its scores beside the priors as it goes."""
    sets = {name: [{"paths": [f"{arguments.learn / name}/*"], "exact": True}] for name in ("train", "test")}
    data = {
        "sets": sets["train"],
        "evaluation": sets["test"],
        "views": [2, 4],
        "process_res": 168,
        "patches": 12 * 108 * arguments.scenes,
        "workers": 12,
        "ahead": 24,
    }
    optimiser = {"encoder_rate": 5e-4, "decoder_rate": 5e-4, "warm_up": 500, "decay": "cosine", "average": 0.999}
    values = settings(arguments, steps=arguments.steps, data=data, optimiser=optimiser)
    values |= {"network": "tiny-any-view", "evaluate_every": max(1, arguments.steps // 10), "save_every": 0}
    config = config_of(values)
    begin = time.perf_counter()

    def say(text: str) -> None:
        print(f"{time.perf_counter() - begin:6.0f} s, {text}", flush=True)

    with tempfile.TemporaryDirectory() as folder:
        done = train(config, open_data(config.data), Path(folder), say=say).progress
    print(f"{arguments.steps} steps, {100 * (1 - done.waited / done.taken):.0f} % had their batch at once")
    print(score_line(done.scores))


def timed(work: Callable[[], Any], repeats: int, device: torch.device) -> float:
    """Median of the seconds it takes, after one that is not counted."""
    seconds = []
    for _ in range(repeats + 1):
        begin = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        seconds.append(time.perf_counter() - begin)
    return statistics.median(seconds[1:])


def ceiling(device: torch.device) -> float:
    """Operations a second of the best large product of bfloat16 matrices."""
    a, b = (torch.randn(_MATRIX, _MATRIX, device=device, dtype=torch.bfloat16) for _ in range(2))
    return 2 * _MATRIX**3 / timed(lambda: a @ b, 20, device)


def name_of(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{torch.get_num_threads()} threads"


if __name__ == "__main__":
    main()
