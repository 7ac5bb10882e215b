"""Our `inference()` against the reference's, with the same weights and images, in one run.

    python -m tests.benchmarks.bench_inference [--model da3-small --views 4] [--device cuda] [--busy 2]

With `--busy N`, N other processes compute all the time, and speed alone is measured. Otherwise speed is that in this
process, the sides taking turns; peak memory is that of a process of its own for each side, start-up time likewise; and
our network's rate of floating-point operations is held against that of torch's best matrix product. Needs the reference
package (`pip install -e '.[reference]'` and `pip install --no-deps depth-anything-3==0.1.1`).
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
import types
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from tests.benchmarks.busy import busy_processes

HEIGHT, WIDTH = 378, 504
DEFAULT_CASES = (("da3-small", 4), ("da3-base", 2))


def sample_images(views: int) -> list[np.ndarray]:
    """Smooth random pictures (378, 504, 3) uint8: the content does not matter to the time."""
    import cv2

    rng = np.random.default_rng(0)
    coarse = [rng.integers(0, 255, (12, 16, 3), dtype=np.uint8) for _ in range(views)]
    return [cv2.resize(picture, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC) for picture in coarse]


def recon_model(name: str, device: str, precision: str) -> Any:
    """Our model with random weights."""
    from recon import DepthAnything3

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return DepthAnything3(name, weights=None, precision=precision).to(device)


def reference_model(name: str, device: str, *, autocast: bool) -> Any:
    """The reference's model, as shipped or with its network in float32, with weights as its constructor leaves them."""
    from tests.reference.stubs import import_reference_api

    model = import_reference_api().DepthAnything3(model_name=name)
    if not autocast:
        import torch

        def forward(self: Any, image: Any, *arguments: Any) -> Any:
            with torch.inference_mode():
                return self.model(image, *arguments)

        model.forward = types.MethodType(forward, model)
    return model.to(device)


SIDES: dict[str, Callable[[str, str], Any]] = {
    "reference as shipped": lambda name, device: reference_model(name, device, autocast=True),
    "reference network, fp32": lambda name, device: reference_model(name, device, autocast=False),
    "recon, fp32": lambda name, device: recon_model(name, device, "fp32"),
    "recon, bf16": lambda name, device: recon_model(name, device, "bf16"),
}


def seconds(model: Any, images: list[np.ndarray], device: str) -> tuple[float, np.ndarray]:
    """Time of one `inference()` and its depth."""
    import torch

    start = time.perf_counter()
    prediction = model.inference(images)
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start, prediction.depth


def measure_speed(name: str, views: int, device: str, repeats: int) -> dict[str, dict[str, float]]:
    """Best time of each side, and how far its depth is from the float32 reference's, in standard deviations of it."""
    images = sample_images(views)
    models = {side: make(name, device) for side, make in SIDES.items()}
    weights = models["recon, fp32"].state_dict()
    for model in models.values():
        model.load_state_dict(weights, strict=True)
    best = dict.fromkeys(models, float("inf"))
    depths = {}
    for attempt in range(repeats + 1):
        for side, model in models.items():
            elapsed, depths[side] = seconds(model, images, device)
            if attempt > 0:  # the first round warms up
                best[side] = min(best[side], elapsed)
    truth = depths["reference network, fp32"]
    return {
        side: {"seconds": best[side], "depth_error": float(np.abs(depths[side] - truth).mean() / truth.std())}
        for side in models
    }


def measure_memory(name: str, views: int, device: str, side: str) -> float:
    """Peak memory of one side, model and two inferences, in GB: resident on a CPU (Linux), allocated on a GPU."""
    code = (
        f"from tests.benchmarks.bench_inference import print_peak; print_peak({name!r}, {views}, {device!r}, {side!r})"
    )
    output = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    return float(output.split("PEAK")[1]) / 1e9


def print_peak(name: str, views: int, device: str, side: str) -> None:
    """What `measure_memory` runs in a process of its own."""
    import torch

    model, images = SIDES[side](name, device), sample_images(views)
    for _ in range(2):
        model.inference(images)
    if device == "cuda":
        print("PEAK", torch.cuda.max_memory_allocated())
        return
    # Not getrusage: its peak is inherited from the parent process.
    status = Path("/proc/self/status").read_text(encoding="ascii")
    print("PEAK", int(status.split("VmHWM:")[1].split()[0]) * 1024)


def measure_start(name: str) -> float:
    """Seconds from the start of a process to a model with random weights."""
    code = (
        "import warnings; warnings.simplefilter('ignore'); from recon import DepthAnything3; "
        f"DepthAnything3({name!r}, weights=None)"
    )
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.perf_counter() - start


def measure_share_of_best_product(name: str, views: int, repeats: int) -> tuple[float, float]:
    """Rate of our network's forward pass on a CPU, and of the fastest of some square matrix products, in GFLOP/s."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from recon.models.memory import reuse_freed_memory

    def rate(flops: float, work: Callable[[], object]) -> float:
        times = []
        for _ in range(repeats + 1):
            start = time.perf_counter()
            work()
            times.append(time.perf_counter() - start)
        return flops / min(times[1:]) / 1e9

    network = recon_model(name, "cpu", "fp32").model
    images = torch.randn(1, views, 3, HEIGHT, WIDTH)
    with FlopCounterMode(display=False) as counter, torch.no_grad():  # the counter sees this thread alone
        network(images)
    with torch.inference_mode(), reuse_freed_memory(images.device):
        of_network = rate(counter.get_total_flops(), lambda: network(images))
        best = 0.0
        for side in (1024, 2048, 4096):
            a, b = torch.randn(side, side), torch.randn(side, side)
            best = max(best, rate(2 * side**3, lambda a=a, b=b: a @ b))  # type: ignore[misc]
    return of_network, best


def report_busy(name: str, views: int, device: str, repeats: int, busy: int, console: Console) -> None:
    """Measure the speed of one case beside `busy` other processes and print it."""
    with busy_processes(busy):
        speed = measure_speed(name, views, device, repeats)
    network = speed["reference network, fp32"]["seconds"]
    table = Table(title=f"{name}, {views} views, {device}, beside {busy} busy processes", title_justify="left")
    for heading in ("", "seconds", "of the fp32 network's"):
        table.add_column(heading, justify="right" if heading else "left")
    for side, values in speed.items():
        table.add_row(side, f"{values['seconds']:.2f}", f"{values['seconds'] / network:.2f}x")
    console.print(table)


def report(name: str, views: int, device: str, repeats: int, console: Console) -> None:
    """Measure one case and print its table."""
    speed = measure_speed(name, views, device, repeats)
    memory = {side: measure_memory(name, views, device, side) for side in SIDES}
    shipped, network = speed["reference as shipped"]["seconds"], speed["reference network, fp32"]["seconds"]
    shipped_memory = memory["reference as shipped"]

    table = Table(title=f"{name}, {views} views of {WIDTH} x {HEIGHT}, {device}", title_justify="left")
    for heading in ("", "seconds", "vs shipped", "vs fp32 network", "depth error / std", "peak GB", "of shipped"):
        table.add_column(heading, justify="right" if heading else "left")
    for side, values in speed.items():
        table.add_row(
            side,
            f"{values['seconds']:.2f}",
            f"{shipped / values['seconds']:.2f}x",
            f"{network / values['seconds']:.2f}x",
            f"{values['depth_error']:.1e}",
            f"{memory[side]:.2f}",
            f"{memory[side] / shipped_memory:.2f}x",
        )
    console.print(table)
    if device == "cpu":
        rate, best = measure_share_of_best_product(name, views, repeats)
        console.print(f"{rate:.0f} GFLOP/s, {rate / best:.0%} of torch's best matrix product ({best:.0f})")
    console.print(f"start to ready model, {name}: {measure_start(name):.2f} s\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="one preset instead of the default cases")
    parser.add_argument("--views", type=int, default=2)
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--busy", type=int, default=0, help="other processes that compute meanwhile")
    arguments = parser.parse_args()
    cases = [(arguments.model, arguments.views)] if arguments.model else DEFAULT_CASES
    console = Console(width=120)
    for name, views in cases:
        if arguments.busy:
            report_busy(name, views, arguments.device, arguments.repeats, arguments.busy, console)
        else:
            report(name, views, arguments.device, arguments.repeats, console)


if __name__ == "__main__":
    main()
