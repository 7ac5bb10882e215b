"""One photo through our single-view network, in torch and as an ONNX file, and through the reference's.

    python -m tests.benchmarks.bench_mono [--sizes small large] [--repeats 5] [--threads 2]

The same weights on all sides, 504×504 pixels, float32, on the CPU, the sides taking turns in one process. Depth
Anything 3 has the single-view network in ViT-L only; the ViT-S is of the same make. Needs the reference package
(`pip install -e '.[reference]'` and `pip install --no-deps depth-anything-3==0.1.1`) and the extra `onnx-export`.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from recon.estimate.single_view import fill_sky
from recon.models.build import random_network
from recon.models.onnx.export import export_onnx
from recon.models.onnx.export_check import relative_error
from recon.models.onnx.options import OnnxOptions
from recon.models.onnx.session import open_session
from recon.models.postprocess import finish
from recon.models.presets import SingleViewConfig, load_preset
from recon.models.ready import ReadyModel, WeightsRecord
from recon.models.single_view import SKY_THRESHOLD

SIDE = 504
PRESET_OF_SIZE = {"small": "depth-anything-v2-small", "large": "da3mono-large"}
"""Presets with the encoder and head of that size."""
REFERENCE = "reference network, fp32"


class DepthMap(NamedTuple):
    """Depth (H, W), near is small, and where there is sky."""

    depth: np.ndarray
    sky: np.ndarray


def single_view_model(size: str) -> ReadyModel:
    """The single-view network of Depth Anything 3 in `size`, with random weights."""
    preset = load_preset("da3mono-large")
    sizes = load_preset(PRESET_OF_SIZE[size]).network
    encoder = dataclasses.replace(sizes.encoder, has_mask_token=False)  # type: ignore[union-attr]
    config = SingleViewConfig(encoder, sizes.head)  # type: ignore[union-attr]
    network = random_network(config, seed=0)
    return ReadyModel(network, dataclasses.replace(preset, network=config), WeightsRecord("random", seed=0))


def make_sides(model: ReadyModel, folder: Path, threads: int) -> dict[str, Callable[[np.ndarray], DepthMap]]:
    """Functions from a normalised image (1, 3, H, W) to its depth and sky (H, W)."""
    from tests.reference.networks import build_reference_network

    reference = build_reference_network(model.preset.network)
    reference.load_state_dict(model.network.state_dict(), strict=True)
    session = open_session(export_onnx(model, folder / "mono.onnx", OnnxOptions(sky=True)).path, "cpu", threads)

    def run_reference(image: np.ndarray) -> DepthMap:
        with torch.inference_mode():
            output = reference(torch.from_numpy(image)[:, None])
        return DepthMap(output["depth"][0, 0].numpy(), output["sky"][0, 0].numpy() >= SKY_THRESHOLD)

    def run_torch(image: np.ndarray) -> DepthMap:
        with torch.inference_mode():
            output = finish(model.network(torch.from_numpy(image)[:, None]))
        return DepthMap(output.depth[0, 0].numpy(), output.sky[0, 0].numpy() >= SKY_THRESHOLD)

    def run_onnx(image: np.ndarray) -> DepthMap:
        depth, sky = session.run(["depth", "sky"], {"image": image})
        is_sky = sky[0, 0] >= SKY_THRESHOLD
        return DepthMap(fill_sky(depth[0, 0], is_sky), is_sky)

    return {REFERENCE: run_reference, "recon, torch": run_torch, "recon, ONNX": run_onnx}


def report(size: str, repeats: int, threads: int, console: Console) -> None:
    """Measure one size and print its table; depth is compared where there is no sky."""
    image = np.random.default_rng(0).standard_normal((1, 3, SIDE, SIDE)).astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        sides = make_sides(single_view_model(size), Path(folder), threads)
        times: dict[str, list[float]] = {side: [] for side in sides}
        maps = {}
        for attempt in range(repeats + 1):
            for side, run in sides.items():
                start = time.perf_counter()
                maps[side] = run(image)
                if attempt > 0:  # the first round warms up
                    times[side].append(time.perf_counter() - start)
    expected = maps[REFERENCE]
    seen = ~expected.sky
    table = Table(title=f"ViT-{size[0].upper()}, one view of {SIDE} x {SIDE}, {threads} threads", title_justify="left")
    for heading in ("", "best seconds", "median", "reference / best", "reference / median", "depth error"):
        table.add_column(heading, justify="right" if heading else "left")
    for side, seconds in times.items():
        table.add_row(
            side,
            f"{min(seconds):.2f}",
            f"{np.median(seconds):.2f}",
            f"{min(times[REFERENCE]) / min(seconds):.2f}x",
            f"{np.median(times[REFERENCE]) / np.median(seconds):.2f}x",
            f"{relative_error(maps[side].depth[seen], expected.depth[seen]):.1e}",
        )
    console.print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", choices=tuple(PRESET_OF_SIZE), default=list(PRESET_OF_SIZE))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of each side [all cores]")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    for size in arguments.sizes:
        report(size, arguments.repeats, arguments.threads, Console(width=120))


if __name__ == "__main__":
    main()
