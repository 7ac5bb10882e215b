"""Batches on a Ray cluster, of one machine and of several that are lost."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from recon.choices import RunOptions
from recon.cli import main as main_module
from recon.estimate.choice import choose
from recon.run.batch.resources import Resources, usual_resources
from tests.run.batch.small_scenes import OPTIONS, make_bad_scenes, make_scenes

_SCENE = ("--engine", "ray", "--cpus", "1", "--memory", "0.2")


def batch(*arguments: str | Path) -> int:
    return main_module.main(["batch", *map(str, arguments)])


def entries(out: Path) -> dict[str, dict[str, Any]]:
    return {one["name"]: one for one in json.loads((out / "batch.json").read_text())["scenes"]}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Of a head that does nothing itself; tests add machines."""
    pytest.importorskip("ray", reason="ray is not installed")
    from recon.run.batch.ray_cluster import import_ray

    import_ray()
    from ray.cluster_utils import Cluster

    found = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "object_store_memory": 80 * 2**20})
    yield found
    found.shutdown()


def add_machine(cluster: Any, cpus: int = 1) -> Any:
    return cluster.add_node(num_cpus=cpus, object_store_memory=80 * 2**20)


@pytest.mark.slow
def test_a_lost_machine_costs_no_scene(cluster: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_bad_scenes(make_scenes(tmp_path / "in", 6))
    first, _ = add_machine(cluster), add_machine(cluster)
    lost = threading.Event()

    def lose() -> None:
        """The first machine, once it is in the midst of a scene."""
        end = time.monotonic() + 120
        while time.monotonic() < end and not list((tmp_path / "out").glob("a*/run.json")):
            time.sleep(0.01)
        cluster.remove_node(first, allow_graceful=False)
        lost.set()

    losing = threading.Thread(target=lose)
    losing.start()
    assert batch(tmp_path / "in", "--out", tmp_path / "out", *OPTIONS, *_SCENE, "--address", cluster.address) == 1
    losing.join()
    assert lost.is_set()
    found = entries(tmp_path / "out")
    states = {name: entry["state"] for name, entry in found.items()}
    assert states == {
        **{f"a{index:02d}": "done" for index in range(6)},
        **dict.fromkeys(("broken", "empty", "unknown"), "failed"),
    }
    assert [found[name]["attempts"] for name in ("broken", "empty", "unknown")] == [1, 1, 1]
    assert not list((tmp_path / "out/.batch/leases").iterdir())
    assert not list((tmp_path / "out/.batch").glob("seen-*"))
    capsys.readouterr()
    # Too large for the machine that is left.
    wanted = [*OPTIONS, "--engine", "ray", "--address", cluster.address]
    assert batch(tmp_path / "in", "--out", tmp_path / "out", *wanted, "--cpus", "64") == 2
    shown = capsys.readouterr().err
    assert "64 cores" in shown
    assert "--cpus" in shown


def test_a_cluster_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("ray", reason="ray is not installed")
    make_scenes(tmp_path / "in", 1)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    for address in (f"127.0.0.1:{port}", "ray://10.0.0.1:10001", "head", "head:70000000"):
        assert batch(tmp_path / "in", "--out", tmp_path / "out", *OPTIONS, "--engine", "ray", "--address", address) == 2
        shown = capsys.readouterr().err
        assert address in shown
        assert shown.count("\n") == 1
    assert not list(tmp_path.glob("out/a00"))


def test_options_of_ray_are_for_ray(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_scenes(tmp_path / "in", 1)
    assert batch(tmp_path / "in", "--out", tmp_path / "out", *OPTIONS, "--address", "a:1") == 2
    assert "--engine ray" in capsys.readouterr().err


def test_what_a_scene_takes_follows_from_its_model() -> None:
    def of(model: str, device: str = "auto", has_gpus: bool = True) -> Resources:
        return usual_resources(choose(RunOptions(model=model, weights="none")), device, has_gpus)

    assert of("mvs", has_gpus=False).gpus == 0
    assert of("measured").gpus == 0
    assert of("da3-small").gpus == 1
    assert of("da3-small", device="cpu").gpus == 0
    assert of("da3-small", device="cuda", has_gpus=False).gpus == 1
    assert of("mvs").memory < of("da3-small").memory < of("da3-large").memory
    assert of("da3-large+mvs").memory == of("da3-large").memory
    assert 6 < of("da3-large").memory < 9
