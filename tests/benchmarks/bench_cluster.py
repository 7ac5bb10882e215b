"""A batch on a Ray cluster of several machines, one of which is lost: all on this machine.

    python -m tests.benchmarks.bench_cluster [--machines 8] [--scenes 40] [--lose 1] [--keep FOLDER]

Each machine is a node of `ray.cluster_utils.Cluster` with one core. Once a quarter of the scenes is over, nodes are
killed that are in the midst of scenes. It prints what the batch says, how the machines that are left shared the
scenes, and whether the results are those of a batch by processes of this machine; the exit code is 1 where they are
not.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from recon.run.batch.ray_cluster import import_ray
from tests.benchmarks.kill_batches import OUT, differences
from tests.run.batch.small_scenes import OPTIONS, make_bad_scenes, make_scenes

_STORE_BYTES = 80 * 2**20


def lose(cluster: Any, nodes: list[Any], out: Path, after: int) -> None:
    """Kill the nodes as soon as so many scenes are over."""
    while len(list(out.glob("*/.batch.json"))) < after:
        time.sleep(0.02)
    for node in nodes:
        print(f"a machine is lost ({node.node_id[:8]})", flush=True)
        cluster.remove_node(node, allow_graceful=False)


def main() -> int:
    """Do the batch twice and compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--machines", type=int, default=8)
    parser.add_argument("--scenes", type=int, default=40)
    parser.add_argument("--lose", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="folder for the batches, instead of a temporary one")
    settings = parser.parse_args()
    import_ray()
    from ray.cluster_utils import Cluster

    with tempfile.TemporaryDirectory() as temporary:
        base = settings.keep or Path(temporary)
        scenes = make_bad_scenes(make_scenes(base / "in", settings.scenes))
        command = [sys.executable, "-m", "recon", "batch", str(scenes), *OPTIONS, "--out"]
        subprocess.run([*command, str(base / "local" / OUT)], capture_output=True)
        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "object_store_memory": _STORE_BYTES})
        nodes = [cluster.add_node(num_cpus=1, object_store_memory=_STORE_BYTES) for _ in range(settings.machines)]
        print(f"{settings.machines} machines, {settings.scenes} scenes and 3 that cannot be done", flush=True)
        out = base / "ray" / OUT
        losing = threading.Thread(
            target=lose, args=(cluster, nodes[: settings.lose], out, settings.scenes // 4), daemon=True
        )
        losing.start()
        start = time.perf_counter()
        by_ray = ["--engine", "ray", "--address", cluster.address, "--cpus", "1", "--memory", "0.1"]
        subprocess.run([*command, str(out), *by_ray])
        losing.join(10)
        print(f"{time.perf_counter() - start:.1f} s, {settings.machines - settings.lose} machines left", flush=True)
        cluster.shutdown()
        found = differences(out, base / "local" / OUT)
        print("; ".join(found) or "equal to a batch by processes of one machine")
        return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
