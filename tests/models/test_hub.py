"""Checkpoints from a hub, each step in a process of its own: huggingface_hub reads its environment once, at import."""

from __future__ import annotations

import contextlib
import json
import os
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from recon.models.checkpoints import file_sha256, load_weights, save_checkpoint
from tests.fake_hub import FakeHub, commit_of

REPO = "someone/da3-test"

# Only `locate` imports torch, which takes longer than everything else here.
_DRIVER = """
import json, sys
from recon.errors import CheckpointError
task, arguments, options = sys.argv[1], json.loads(sys.argv[2]), json.loads(sys.argv[3])
if task == "locate":
    from recon.models.checkpoints import locate_checkpoint
    function = lambda *a, **k: vars(locate_checkpoint(*a, **k))
elif task == "download":
    from recon.models.hub import download_file as function
else:
    from recon.models.hub import is_cached as function
try:
    result = function(*arguments, **options)
except CheckpointError as error:
    sys.exit(f"CheckpointError: {error}")
print(json.dumps(result, default=str))
"""


class Client:
    """A user's machine: a cache of its own and an environment that points to a hub."""

    def __init__(self, home: Path, hub_url: str) -> None:
        self.home = home
        self.environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("HF_")},
            "HF_ENDPOINT": hub_url,
            "HF_HOME": str(home),
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "PYTHONPATH": str(Path(__file__).parents[2]),
        }
        self.log = ""
        """What the last call wrote to stderr."""

    def call(self, task: str, *arguments: str, variables: dict[str, str] | None = None, **options: Any) -> Any:
        """The result of a function, from a new process."""
        done = self._run(task, arguments, options, variables)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def error(self, task: str, *arguments: str, variables: dict[str, str] | None = None, **options: Any) -> str:
        """The message of the CheckpointError it ends with, which has to be one line."""
        done = self._run(task, arguments, options, variables)
        lines = [line for line in done.stderr.splitlines() if not line.startswith("downloading ")]
        assert done.returncode == 1
        assert lines[-1].startswith("CheckpointError: "), done.stderr
        assert "Traceback" not in done.stderr
        return lines[-1].removeprefix("CheckpointError: ")

    def _run(
        self, task: str, arguments: tuple[str, ...], options: dict[str, Any], variables: dict[str, str] | None
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-c", _DRIVER, task, json.dumps(arguments), json.dumps(options)],
            env=self.environment | (variables or {}),
            capture_output=True,
            text=True,
            timeout=120,
        )
        self.log = done.stderr
        return done

    def finished_files(self) -> list[Path]:
        """Everything under the cache that a later run could take for a complete file."""
        return [p for p in self.home.rglob("*") if p.parent.name == "blobs" or p.suffix == ".safetensors"]


def write_repository(folder: Path, value: float = 1.0, preset: str = "da3-small") -> None:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"model_name": preset, "config": {"ignored": True}}))
    save_file({"model.weight": torch.full((500, 500), value)}, folder / "model.safetensors")


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[FakeHub]:
    write_repository(tmp_path / "hub" / REPO)
    with FakeHub(tmp_path / "hub") as hub:
        yield hub


@pytest.fixture
def client(hub: FakeHub, tmp_path: Path) -> Client:
    return Client(tmp_path / "home", hub.url)


def test_downloads_once_then_works_without_the_hub(tmp_path: Path) -> None:
    original = tmp_path / "hub" / REPO
    write_repository(original)
    with FakeHub(tmp_path / "hub") as hub:
        client = Client(tmp_path / "home", hub.url)
        assert client.call("is_cached", REPO) is False
        first = client.call("locate", REPO)
        fetched = [r.path.rsplit("/", 1)[1] for r in hub.requests if r.method == "GET"]
        assert fetched == ["config.json", "model.safetensors"]
        assert f"downloading {REPO}/model.safetensors" in client.log
        assert client.call("locate", REPO) == first
        assert client.log == ""
        assert len([r for r in hub.requests if r.method == "GET"]) == 2

    assert first["preset_name"] == "da3-small"
    assert first["licence"] == "Apache-2.0"
    assert first["repo"] == REPO
    assert first["revision"] == commit_of(original)
    assert Path(first["path"]).read_bytes() == (original / "model.safetensors").read_bytes()
    assert Path(first["path"]).is_symlink()
    assert file_sha256(Path(first["path"])) == file_sha256(original / "model.safetensors")

    assert client.call("locate", REPO) == first
    assert client.call("locate", REPO, variables={"HF_HUB_OFFLINE": "1"}) == first
    assert client.call("is_cached", REPO) is True


def test_a_hub_out_of_order_does_not_matter_once_cached(hub: FakeHub, client: Client) -> None:
    path = client.call("download", REPO, "config.json")
    hub.unavailable = True
    assert client.call("download", REPO, "config.json") == path


def test_a_new_version_is_fetched(hub: FakeHub, client: Client) -> None:
    old = Path(client.call("download", REPO, "model.safetensors"))
    save_file({"model.weight": torch.zeros(500, 500)}, hub.folder / REPO / "model.safetensors")
    new = Path(client.call("download", REPO, "model.safetensors"))
    assert new.parent.name == commit_of(hub.folder / REPO) != old.parent.name
    assert new.read_bytes() == (hub.folder / REPO / "model.safetensors").read_bytes() != old.read_bytes()


def test_revision_by_tag_and_by_commit(hub: FakeHub, client: Client) -> None:
    tagged = hub.folder / f"{REPO}@v2"
    write_repository(tagged, value=2.0, preset="da3-base")
    by_tag = client.call("locate", REPO, revision="v2")
    assert by_tag["preset_name"] == "da3-base"
    assert by_tag["revision"] == commit_of(tagged)
    assert client.call("locate", REPO, revision=commit_of(tagged)) == by_tag
    assert client.call("is_cached", REPO, "v2") is True
    assert client.call("is_cached", REPO) is False
    assert "no revision 'v3'" in client.error("download", REPO, "config.json", revision="v3")


def test_private_repository_needs_its_token(hub: FakeHub, client: Client) -> None:
    hub.private[REPO] = "hf_secret"
    assert f"no repository {REPO}" in client.error("download", REPO, "config.json")
    assert f"no repository {REPO}" in client.error("download", REPO, "config.json", token="hf_wrong")
    hub.requests.clear()
    client.call("download", REPO, "config.json", token="hf_secret")
    client.call("download", REPO, "model.safetensors", variables={"HF_TOKEN": "hf_secret"})
    assert {r.authorization for r in hub.requests} == {"Bearer hf_secret"}


def test_gated_repository(hub: FakeHub, client: Client) -> None:
    hub.gated = frozenset({REPO})
    message = client.error("download", REPO, "config.json")
    assert f"{REPO} is gated: accept its terms at {hub.url}/{REPO}" in message
    assert "HF_TOKEN" in message


def test_unknown_repository_and_missing_file(hub: FakeHub, client: Client) -> None:
    assert f"no repository someone/else on {hub.url}" in client.error("download", "someone/else", "config.json")
    (hub.folder / REPO / "model.safetensors").unlink()
    assert f"{REPO} has no file model.safetensors" in client.error("locate", REPO)
    assert f"{REPO} has no file other.json" in client.error("download", REPO, "other.json")


def test_unknown_preset_is_refused_before_the_weights_are_fetched(hub: FakeHub, client: Client) -> None:
    (hub.folder / REPO / "config.json").write_text('{"model_name": "da4"}')
    assert "unknown model_name 'da4'" in client.error("locate", REPO)
    assert not any("safetensors" in r.path for r in hub.requests)


def test_no_network_and_nothing_cached(tmp_path: Path) -> None:
    with FakeHub(tmp_path) as hub:
        pass
    client = Client(tmp_path / "home", hub.url)
    start = time.perf_counter()
    message = client.error("download", REPO, "config.json")
    # huggingface_hub's own retries wait for 1 + 2 + 4 + 8 + 8 seconds.
    assert time.perf_counter() - start < 15
    for part in (REPO, hub.url, "another machine", "--weights FOLDER", "--weights none"):
        assert part in message
    assert len([line for line in client.log.splitlines() if line]) == 1

    offline = client.error("download", REPO, "config.json", variables={"HF_HUB_OFFLINE": "1"})
    for part in ("HF_HUB_OFFLINE", REPO, str(client.home), "--weights FOLDER", "--weights none"):
        assert part in offline


@pytest.mark.slow
def test_interrupted_download_leaves_no_file_and_can_be_repeated(hub: FakeHub, client: Client) -> None:
    hub.cut_after = 300_000
    message = client.error("download", REPO, "model.safetensors")
    assert f"could not download model.safetensors of {REPO}" in message
    assert "run again" in message
    assert client.finished_files() == []
    assert client.call("is_cached", REPO) is False
    hub.cut_after = None
    path = Path(client.call("download", REPO, "model.safetensors"))
    assert path.read_bytes() == (hub.folder / REPO / "model.safetensors").read_bytes()


def test_cache_that_cannot_be_written(client: Client, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    message = client.error("download", REPO, "config.json", variables={"HF_HOME": str(tmp_path / "file" / "home")})
    assert str(tmp_path / "file") in message
    assert "HF_HOME" in message


def test_progress_bar_on_a_terminal_and_silence_on_request(client: Client) -> None:
    pty, fcntl, termios = (pytest.importorskip(name) for name in ("pty", "fcntl", "termios"))
    client.call("download", REPO, "config.json", progress=False)
    assert client.log == ""
    terminal, end = pty.openpty()
    fcntl.ioctl(end, termios.TIOCSWINSZ, struct.pack("4H", 24, 80, 0, 0))  # rows and columns
    subprocess.run(
        [sys.executable, "-c", _DRIVER, "download", json.dumps([REPO, "model.safetensors"]), "{}"],
        env=client.environment,
        stdout=subprocess.DEVNULL,
        stderr=end,
        timeout=120,
        check=True,
    )
    os.close(end)
    shown = ""
    with contextlib.suppress(OSError):  # the end of a terminal whose other side is closed
        while chunk := os.read(terminal, 1 << 16):
            shown += chunk.decode()
    os.close(terminal)
    assert "100%" in shown
    assert "downloading" not in shown


@pytest.mark.slow
def test_a_served_network_comes_back_bit_for_bit(tmp_path: Path) -> None:
    from recon.models.build import build_network, random_network
    from recon.models.presets import load_preset

    config = load_preset("da3-small").network
    original = random_network(config, seed=3)
    save_checkpoint(original, "da3-small", tmp_path / "hub" / REPO)
    with FakeHub(tmp_path / "hub") as hub:
        client = Client(tmp_path / "home", hub.url)
        client.call("locate", REPO)
    source = client.call("locate", REPO)
    with torch.device("meta"):
        copy = build_network(config)
    load_weights(copy, Path(source["path"]))
    assert all(torch.equal(a, b) for a, b in zip(original.parameters(), copy.parameters(), strict=True))
