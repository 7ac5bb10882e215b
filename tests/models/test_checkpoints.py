"""Local checkpoints: finding, identifying, reading strictly, writing; licences."""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from recon.errors import CheckpointError, InputError
from recon.models.build import build_network, random_network
from recon.models.checkpoints import (
    announce_licence,
    file_sha256,
    identify_preset,
    load_weights,
    locate_checkpoint,
    read_shapes,
    require_commercial_use,
    save_checkpoint,
)
from recon.models.presets import load_preset, preset_names
from tests.models.tiny import TINY, tiny_network
from tests.reference.networks import needs_reference
from tests.reference.stubs import import_reference_api
from tests.seeds import torch_random


class SmallNetwork(nn.Module):
    """A few parameters and a buffer."""

    def __init__(self, fill: float = 0.0) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 2))
        self.token = nn.Parameter(torch.empty(1, 3))
        self.register_buffer("offset", torch.empty(2))
        if not self.token.is_meta:
            for tensor in self.state_dict().values():
                tensor.fill_(fill)


def official_tensors(dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    """A file's worth of random tensors for `SmallNetwork`, with the prefix of the official keys."""
    generator = torch_random(0)
    shapes = {key: t.shape for key, t in SmallNetwork().state_dict().items()}
    return {f"model.{key}": torch.randn(shape, generator=generator).to(dtype) for key, shape in shapes.items()}


def write(path: Path, tensors: dict[str, Tensor]) -> Path:
    save_file(tensors, path, metadata={"format": "pt"})
    return path


def small_network(device: str) -> SmallNetwork:
    with torch.device(device):
        return SmallNetwork()


def one_line(error: pytest.ExceptionInfo[InputError]) -> str:
    message = str(error.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize("device", ["cpu", "meta"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("prefix", ["model.", ""])
def test_loads_floats_as_float32(tmp_path: Path, device: str, dtype: torch.dtype, prefix: str) -> None:
    expected = official_tensors(dtype)
    path = write(tmp_path / "w.safetensors", {prefix + k.removeprefix("model."): t for k, t in expected.items()})
    network = small_network(device)
    load_weights(network, path)
    loaded = network.state_dict()
    assert len(loaded) == len(expected)
    for key, tensor in loaded.items():
        assert tensor.dtype == torch.float32
        assert tensor.device.type == "cpu"
        assert torch.equal(tensor, expected[f"model.{key}"].float())
    assert all(isinstance(p, nn.Parameter) and p.requires_grad for p in network.parameters())


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_weights_do_not_depend_on_the_file_afterwards(tmp_path: Path, device: str) -> None:
    path = write(tmp_path / "w.safetensors", official_tensors())
    network = small_network(device)
    load_weights(network, path)
    with path.open("r+b") as file:
        file.seek(-64, 2)
        file.write(b"\xff" * 64)
    assert all(torch.isfinite(t).all() for t in network.state_dict().values())


def test_parameters_keep_their_identity_when_a_network_has_memory(tmp_path: Path) -> None:
    network = SmallNetwork()
    before = list(network.parameters())
    load_weights(network, write(tmp_path / "w.safetensors", official_tensors()))
    assert all(a is b for a, b in zip(before, network.parameters(), strict=True))


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_names_missing_extra_and_misshaped_keys_at_once(tmp_path: Path, device: str) -> None:
    tensors = official_tensors()
    del tensors["model.token"]
    tensors["model.layers.0.weight"] = torch.zeros(8, 5)
    tensors |= {f"model.extra{i}": torch.zeros(1) for i in range(5)}
    path = write(tmp_path / "w.safetensors", tensors)
    network = small_network(device)
    with pytest.raises(CheckpointError) as error:
        load_weights(network, path)
    message = one_line(error)
    assert str(path) in message
    assert "1 missing (token)" in message
    assert "5 extra (extra0, extra1, extra2, …)" in message
    assert "1 misshaped (layers.0.weight [8, 5] instead of [8, 4])" in message
    if device == "cpu":
        assert all((t == 0).all() for t in network.state_dict().values())


def test_refuses_a_mixture_of_prefixes(tmp_path: Path) -> None:
    tensors = official_tensors()
    tensors["token"] = tensors.pop("model.token")
    with pytest.raises(CheckpointError, match=r"1 of its 6 keys do not start with 'model\.' .*\(token\)"):
        load_weights(SmallNetwork(), write(tmp_path / "w.safetensors", tensors))


@pytest.mark.parametrize("dtype", [torch.int64, torch.float64, torch.int8])
def test_refuses_other_dtypes(tmp_path: Path, dtype: torch.dtype) -> None:
    tensors = official_tensors()
    tensors["model.token"] = torch.zeros(1, 3, dtype=dtype)
    with pytest.raises(CheckpointError, match=r"model\.token has dtype .*float32, float16 and bfloat16"):
        load_weights(SmallNetwork(), write(tmp_path / "w.safetensors", tensors))


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def _truncate_header(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:40])


def _pickle(path: Path) -> None:
    torch.save(official_tensors(), path)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (_truncate, "truncated or damaged"),
        (_truncate_header, "truncated or damaged"),
        (lambda path: path.write_bytes(b""), "it is empty"),
        (lambda path: path.write_bytes(b"<html>not found</html>"), "not in the safetensors format"),
        (lambda path: path.write_bytes(b"abc"), "not in the safetensors format"),
        (lambda path: path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\n"), "git lfs pull"),
        (_pickle, "pickled PyTorch file"),
        (lambda path: path.unlink(), "No such file"),
        (lambda path: (path.unlink(), path.mkdir()), "Is a directory"),
    ],
)
def test_unreadable_files(tmp_path: Path, damage: Callable[[Path], object], reason: str) -> None:
    path = write(tmp_path / "w.safetensors", official_tensors())
    damage(path)
    for read in (read_shapes, lambda path: load_weights(SmallNetwork(), path)):
        with pytest.raises(CheckpointError) as error:
            read(path)
        assert str(path) in one_line(error)
        assert reason in one_line(error)


def test_a_buffer_outside_the_state_dict_is_not_left_without_memory(tmp_path: Path) -> None:
    network = small_network("meta")
    network.register_buffer("table", torch.empty(3, device="meta"), persistent=False)
    with pytest.raises(RuntimeError, match="table"):
        load_weights(network, write(tmp_path / "w.safetensors", official_tensors()))


_PEAK_MEMORY = """
import resource, sys, torch
from pathlib import Path
from recon.models.checkpoints import load_weights
with torch.device(sys.argv[2]):
    network = torch.nn.Sequential(*(torch.nn.Linear(1024, 1024, bias=False) for _ in range(96)))
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
before = peak()
load_weights(network, Path(sys.argv[1]))
print(peak() - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in KiB on Linux")
@pytest.mark.parametrize(("device", "copies"), [("meta", 1.0), ("cpu", 0.0)])
def test_peak_memory_is_one_copy_of_the_weights(tmp_path: Path, device: str, copies: float) -> None:
    """384 MiB of weights may add `copies` of themselves to a network that has or has not its memory already."""
    path = write(tmp_path / "w.safetensors", {f"model.{i}.weight": torch.zeros(1024, 1024) for i in range(96)})
    command = [sys.executable, "-c", _PEAK_MEMORY, str(path), device]
    added = float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert added < 384 * copies + 60


def test_locates_a_folder(tmp_path: Path) -> None:
    folder = save_checkpoint(SmallNetwork(), "da3-large", tmp_path / "checkpoint")
    for name in (folder, str(folder)):
        source = locate_checkpoint(name)
        assert source.path == folder / "model.safetensors"
        assert source.preset_name == "da3-large"
        assert source.licence == load_preset("da3-large").licence
        assert source.repo is None
        assert source.revision is None


def test_locates_a_file_and_a_folder_without_config(tmp_path: Path) -> None:
    path = write(tmp_path / "model.safetensors", official_tensors())
    assert locate_checkpoint(path) == locate_checkpoint(str(path)) == locate_checkpoint(tmp_path)
    assert locate_checkpoint(path).preset_name is None


def test_a_revision_is_for_the_hub_alone(tmp_path: Path) -> None:
    path = write(tmp_path / "model.safetensors", official_tensors())
    for local in (path, tmp_path):
        with pytest.raises(CheckpointError, match=r"revision v2 .* hub"):
            locate_checkpoint(local, revision="v2")


def test_a_local_folder_wins_over_a_hub_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_checkpoint(SmallNetwork(), "da3-base", tmp_path / "depth-anything" / "DA3-SMALL")
    monkeypatch.chdir(tmp_path)
    source = locate_checkpoint("depth-anything/DA3-SMALL")
    assert source.preset_name == "da3-base"
    assert source.repo is None


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("./nowhere", "no such file or folder"),
        ("/nowhere/at/all", "no such file or folder"),
        ("~/nowhere", "no such file or folder"),
        ("org/weights.safetensors", "no such file or folder"),
        (Path("org/name"), "no such file or folder"),
        ("name", "neither a local file or folder nor the id of a hub repository"),
        ("a/b/c", "neither a local file or folder nor the id of a hub repository"),
        ("spaces are/not allowed", "neither a local file or folder nor the id of a hub repository"),
    ],
)
def test_names_that_lead_nowhere(name: str | Path, reason: str) -> None:
    with pytest.raises(CheckpointError) as error:
        locate_checkpoint(name)
    assert reason in one_line(error)


def test_files_and_folders_that_are_no_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "weights.onnx").touch()
    with pytest.raises(CheckpointError, match=r"weights\.onnx is no weights file \(\.safetensors, \.pth, "):
        locate_checkpoint(tmp_path / "weights.onnx")
    with pytest.raises(CheckpointError, match=r"has no model\.safetensors"):
        locate_checkpoint(tmp_path)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"architecture": "da3"}', "has no model_name"),
        ("[]", "has no model_name"),
        ('{"model_name": "da4-huge"}', "unknown model_name 'da4-huge'"),
        ('{"model_name": ["da3-small"]}', "unknown model_name"),
        ('{"model_name": ', "cannot be read as JSON"),
        ("\udcff", "cannot be read as JSON"),
    ],
)
def test_config_files_that_name_no_preset(tmp_path: Path, text: str, reason: str) -> None:
    write(tmp_path / "model.safetensors", official_tensors())
    (tmp_path / "config.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(CheckpointError) as error:
        locate_checkpoint(tmp_path)
    assert str(tmp_path / "config.json") in one_line(error)
    assert reason in one_line(error)


def test_identifies_a_preset_by_its_shapes(tmp_path: Path) -> None:
    path = write(tmp_path / "w.safetensors", official_tensors())
    shapes = read_shapes(path)
    assert shapes == {key: tuple(t.shape) for key, t in SmallNetwork().state_dict().items()}
    other = shapes | {"token": (1, 4)}
    assert identify_preset(shapes, {"other": other, "small": shapes}) == "small"
    with pytest.raises(CheckpointError, match="fit none of the presets other"):
        identify_preset(shapes, {"other": other})
    with pytest.raises(CheckpointError, match="fit small and twin alike: name the preset"):
        identify_preset(shapes, {"small": shapes, "other": other, "twin": dict(shapes)})


def test_presets_whose_weights_look_alike() -> None:
    with torch.device("meta"):
        networks = {name: build_network(load_preset(name).network) for name in preset_names()}
    shapes = {name: {k: tuple(t.shape) for k, t in n.state_dict().items()} for name, n in networks.items()}
    for name in preset_names():
        if name in ("da3mono-large", "da3metric-large") or (name[-6:] != "-giant" and name[:3] != "da3"):
            with pytest.raises(CheckpointError, match="alike"):
                identify_preset(shapes[name], shapes)
        else:
            assert identify_preset(shapes[name], shapes) == name


def test_saved_files_are_as_readable_as_any_other(tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    folder = save_checkpoint(tiny_network("any_view"), "da3-small", tmp_path / "saved")
    modes = {path.stat().st_mode for path in (tmp_path / "plain", *folder.iterdir())}
    assert len(modes) == 1


@pytest.mark.parametrize("kind", TINY)
def test_save_and_load_round_trip(tmp_path: Path, kind: str) -> None:
    network = tiny_network(kind)
    folder = save_checkpoint(network, "da3-small", tmp_path / "a" / "b")
    assert sorted(p.name for p in folder.iterdir()) == ["config.json", "model.safetensors"]
    assert json.loads((folder / "config.json").read_text()) == {"model_name": "da3-small"}
    with safe_open(folder / "model.safetensors", framework="pt") as weights:
        assert weights.metadata() == {"format": "pt"}
        assert set(weights.keys()) == {f"model.{key}" for key in network.state_dict()}
    with torch.device("meta"):
        copy = build_network(TINY[kind])
    load_weights(copy, folder / "model.safetensors")
    for key, tensor in network.state_dict().items():
        assert torch.equal(tensor, copy.state_dict()[key])


def test_saving_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    network = tiny_network("any_view")
    first, second = (save_checkpoint(network, "da3-small", tmp_path / name) for name in ("a", "b"))
    assert file_sha256(first / "model.safetensors") == file_sha256(second / "model.safetensors")


def test_saving_refuses_unknown_presets_and_bad_folders(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="unknown model 'da4'"):
        save_checkpoint(SmallNetwork(), "da4", tmp_path / "new")
    assert not (tmp_path / "new").exists()
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"cannot write .*file.model\.safetensors"):
        save_checkpoint(SmallNetwork(), "da3-small", tmp_path / "file")


_FULL_DISK = """
import resource, sys, torch
from recon.errors import InputError
from recon.models.checkpoints import save_checkpoint
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    save_checkpoint(torch.nn.Linear(1000, 1000), "da3-small", sys.argv[1])
except InputError as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no limit on file sizes to set")
def test_a_full_disk_leaves_the_old_checkpoint(tmp_path: Path) -> None:
    folder = save_checkpoint(SmallNetwork(1.0), "da3-small", tmp_path / "checkpoint")
    before = {p.name: p.read_bytes() for p in folder.iterdir()}
    done = subprocess.run([sys.executable, "-c", _FULL_DISK, str(folder)], capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"cannot write {folder / 'model.safetensors'}")
    assert done.stdout.count("\n") == 1
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before


def test_file_hash(tmp_path: Path) -> None:
    content = bytes(range(256)) * 9000
    digest = hashlib.sha256(content).hexdigest()
    (tmp_path / "w.safetensors").write_bytes(content)
    assert file_sha256(tmp_path / "w.safetensors") == digest
    # A link that is not into a hub cache is followed and hashed, whatever the name of its target.
    target = tmp_path / ("0" * 64)
    target.write_bytes(content)
    (tmp_path / "link").symlink_to(target)
    assert file_sha256(tmp_path / "link") == digest


def test_licences(capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        for name in preset_names():
            announce_licence(load_preset(name))
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = captured.err.splitlines()
    non_commercial = [load_preset(name) for name in preset_names() if load_preset(name).non_commercial]
    names = {p.name for p in non_commercial}
    assert {n for n in names if n.startswith("da3")} == {"da3-large", "da3-giant", "da3nested-giant-large"}
    assert all(n.startswith("depth-anything-v2-") and not n.endswith("-small") for n in names if n[:3] != "da3")
    assert len(lines) == len(non_commercial)
    for preset in non_commercial:
        assert any(preset.hub_repo in line and preset.licence in line for line in lines)
        with pytest.raises(InputError, match="--commercial-only") as error:
            require_commercial_use(preset)
        assert "da3-base" in one_line(error)
        assert "da3-giant" not in one_line(error).split("choose")[1]
    for name in ("da3-small", "da3-base", "da3mono-large", "da3metric-large"):
        require_commercial_use(load_preset(name))


WRAPPERS = ["module.", "module.model.", "model.module.", "_orig_mod.", "module._orig_mod.model."]


@pytest.mark.parametrize("wrapper", WRAPPERS)
@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_what_training_puts_before_the_keys_is_taken_off(tmp_path: Path, wrapper: str, suffix: str) -> None:
    tensors = {wrapper + key.removeprefix("model."): tensor for key, tensor in official_tensors().items()}
    path = tmp_path / f"w{suffix}"
    save_file(tensors, path) if suffix == ".safetensors" else torch.save(tensors, path)
    check_loaded(path)
    tensors["other"] = tensors.popitem()[1]
    save_file(tensors, tmp_path / "mixed.safetensors")
    with pytest.raises(CheckpointError, match="does not fit the network"):
        load_weights(SmallNetwork(), tmp_path / "mixed.safetensors")


def check_loaded(path: Path) -> None:
    """Every tensor of `official_tensors` comes out of the file, whatever it was wrapped in."""
    network = small_network("meta")
    load_weights(network, path)
    for key, tensor in network.state_dict().items():
        assert torch.equal(tensor, official_tensors()[f"model.{key}"])
    assert read_shapes(path) == {key: tuple(t.shape) for key, t in network.state_dict().items()}


@pytest.mark.parametrize("zipped", [True, False])
def test_the_state_dict_within_a_training_checkpoint_is_found(tmp_path: Path, zipped: bool) -> None:
    tensors = official_tensors()
    rest = {
        "epoch": 3,
        "loss": 0.5,
        "optimizer": {"state": {0: {"step": torch.zeros(1)}}, "param_groups": [{"lr": 1.0}]},
    }
    wrapped = {f"module.{key}": tensor for key, tensor in tensors.items()}
    for found in (
        {"state_dict": tensors},
        {"model": wrapped, **rest},
        {"model_state_dict": tensors, **rest},
        {"model": {"state_dict": tensors, "epoch": 1}, "args": {"name": "x"}},
    ):
        for suffix in (".pth", ".pt", ".bin", ".ckpt"):
            path = tmp_path / f"w{suffix}"
            torch.save(found, path, _use_new_zipfile_serialization=zipped)
            check_loaded(path)
    torch.save(rest, path)
    with pytest.raises(CheckpointError, match="epoch, loss, optimizer") as error:
        read_shapes(path)
    assert "state_dict" in one_line(error)


def test_code_in_a_training_checkpoint_is_not_run(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path.touch, (tmp_path / "ran",))

    for zipped in (True, False):
        torch.save(
            {"state_dict": official_tensors(), "callbacks": Evil()},
            tmp_path / "w.ckpt",
            _use_new_zipfile_serialization=zipped,
        )
        with pytest.raises(CheckpointError, match="more than weights"):
            load_weights(SmallNetwork(), tmp_path / "w.ckpt")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_an_old_pickled_file_is_unpickled_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, device: str) -> None:
    torch.save(official_tensors(), tmp_path / "w.pth", _use_new_zipfile_serialization=False)
    loaded: list[object] = []
    load = torch.load
    monkeypatch.setattr(torch, "load", lambda path, **options: loaded.append(path) or load(path, **options))
    monkeypatch.setattr("recon.models.weights._BATCH_SIZE", 1)  # a batch for each tensor
    load_weights(small_network(device), tmp_path / "w.pth")
    assert len(loaded) == 1


def sharded(folder: Path, form: str = "safetensors") -> Path:
    """The official tensors in two files and an index."""
    keys = sorted(official_tensors())
    weight_map: dict[str, str] = {}
    for number, part in enumerate((keys[:2], keys[2:]), 1):
        name = {"safetensors": "model-{}-of-00002.safetensors", "bin": "pytorch_model-{}-of-00002.bin"}[form]
        name = name.format(f"{number:05d}")
        tensors = {key: official_tensors()[key] for key in part}
        save_file(tensors, folder / name) if form == "safetensors" else torch.save(tensors, folder / name)
        weight_map |= dict.fromkeys(part, name)
    index = folder / {"safetensors": "model.safetensors", "bin": "pytorch_model.bin"}[form]
    index = index.with_name(f"{index.name}.index.json")
    index.write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": weight_map}))
    return index


@pytest.mark.parametrize("form", ["safetensors", "bin"])
def test_weights_in_several_files(tmp_path: Path, form: str) -> None:
    index = sharded(tmp_path, form)
    assert locate_checkpoint(tmp_path).path == locate_checkpoint(index).path == index
    check_loaded(index)
    before = file_sha256(index)
    shard = next(path for path in sorted(tmp_path.iterdir()) if path != index)
    shard.write_bytes(shard.read_bytes()[:-1] + b"\x07")
    assert file_sha256(index) != before  # of the weights, not of their list
    shard.unlink()
    with pytest.raises(CheckpointError, match=f"not beside it \\({shard.name}\\)"):
        read_shapes(index)
    index.unlink()
    with pytest.raises(CheckpointError, match=r"-of-00002.* is a part of it.*\.index\.json"):
        locate_checkpoint(tmp_path)


def test_an_index_does_not_lead_out_of_its_folder(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    write(tmp_path / "w.safetensors", official_tensors())
    index = tmp_path / "in" / "model.safetensors.index.json"
    for content in (
        *('{"weight_map": {"model.token": "../w.safetensors"}}', "[]", "{}", '{"weight_map": 3}', "\udcff"),
        '{"weight_map": {}}',
    ):
        index.write_bytes(content.encode("utf-8", "surrogateescape"))
        with pytest.raises(CheckpointError, match="index"):
            read_shapes(index)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "checkpoint.pth", "last.ckpt", "weights.safetensors"])
def test_weights_under_other_names_are_found(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    save_file(official_tensors(), path) if path.suffix == ".safetensors" else torch.save(official_tensors(), path)
    (tmp_path / "config.json").write_text('{"model_name": "da3-base"}')
    found = locate_checkpoint(tmp_path)
    assert (found.path, found.preset_name) == (path, "da3-base")
    check_loaded(path)


def test_of_several_weights_files_one_has_to_be_named(tmp_path: Path) -> None:
    for name in ("a.pth", "b.pth"):
        torch.save(official_tensors(), tmp_path / name)
    with pytest.raises(CheckpointError, match=r"2 weights files \(a\.pth, b\.pth\): give one"):
        locate_checkpoint(tmp_path)
    write(tmp_path / "model.safetensors", official_tensors())
    assert locate_checkpoint(tmp_path).path == tmp_path / "model.safetensors"


def test_weights_in_a_folder_below_are_pointed_at(tmp_path: Path) -> None:
    save_checkpoint(SmallNetwork(), "da3-base", tmp_path / "step-100")
    with pytest.raises(CheckpointError, match=r"did you mean .*step-100\?"):
        locate_checkpoint(tmp_path)


def test_safetensors_named_as_pickled(tmp_path: Path) -> None:
    save_file(official_tensors(), tmp_path / "pytorch_model.bin")
    check_loaded(tmp_path / "pytorch_model.bin")


class TestHubCache:
    COMMIT = "0123456789abcdef0123456789abcdef01234567"

    @pytest.fixture
    def repository(self, tmp_path: Path) -> Path:
        """As the hub's library lays it out: links into the folder of blobs."""
        repository = tmp_path / "hub" / "models--depth-anything--DA3-BASE"
        self.add(repository, self.COMMIT)
        (repository / "refs").mkdir()
        (repository / "refs" / "main").write_text(self.COMMIT)
        return repository

    def add(self, repository: Path, commit: str) -> Path:
        written = save_checkpoint(SmallNetwork(), "da3-base", repository.parent / "written")
        snapshot = repository / "snapshots" / commit
        snapshot.mkdir(parents=True)
        (repository / "blobs").mkdir(exist_ok=True)
        for file in written.iterdir():
            blob = repository / "blobs" / hashlib.sha256(file.read_bytes()).hexdigest()
            file.rename(blob)
            (snapshot / file.name).symlink_to(Path("..") / ".." / "blobs" / blob.name)
        written.rmdir()
        return snapshot

    def test_any_folder_of_it_and_the_file_stand_for_the_snapshot(
        self, repository: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        snapshot = repository / "snapshots" / self.COMMIT
        monkeypatch.chdir(repository.parent)
        for given in (
            repository,
            repository.name,
            repository / "snapshots",
            snapshot,
            f"{snapshot}/",
            snapshot / "model.safetensors",
        ):
            found = locate_checkpoint(given)
            assert found.path.resolve() == (snapshot / "model.safetensors").resolve()
            assert found.path.name == "model.safetensors"
            assert (found.preset_name, found.repo, found.revision) == (
                "da3-base",
                "depth-anything/DA3-BASE",
                self.COMMIT,
            )
            assert file_sha256(found.path) == found.path.resolve().name

    def test_of_several_snapshots_main_counts(self, repository: Path) -> None:
        self.add(repository, "f" * 40)
        assert locate_checkpoint(repository).revision == self.COMMIT
        (repository / "refs" / "main").unlink()
        with pytest.raises(CheckpointError, match=r"has 2 snapshots: give one of them, such as .*/f{40}"):
            locate_checkpoint(repository)

    def test_the_cache_itself_points_at_its_repositories(self, repository: Path) -> None:
        with pytest.raises(CheckpointError, match=r"did you mean .*models--depth-anything--DA3-BASE\?"):
            locate_checkpoint(repository.parent)

    def test_an_unfinished_download_is_said(self, repository: Path) -> None:
        for blob in (repository / "blobs").iterdir():
            blob.unlink()
        with pytest.raises(CheckpointError, match="link to a file that is not there; download it again"):
            locate_checkpoint(repository)
        empty = repository.parent / "models--org--other"
        (empty / "snapshots").mkdir(parents=True)
        with pytest.raises(CheckpointError, match="download did not finish"):
            locate_checkpoint(empty)

    def test_an_official_file_of_depth_anything_2(self, tmp_path: Path) -> None:
        snapshot = tmp_path / "models--depth-anything--Depth-Anything-V2-Small" / "snapshots" / self.COMMIT
        snapshot.mkdir(parents=True)
        torch.save(official_tensors(), snapshot / "depth_anything_v2_vits.pth")
        found = locate_checkpoint(snapshot.parent.parent)
        assert found.path == snapshot / "depth_anything_v2_vits.pth"
        assert found.preset_name == "depth-anything-v2-small"
        assert found.repo == "depth-anything/Depth-Anything-V2-Small"


@pytest.mark.slow
class TestReference:
    pytestmark = needs_reference

    def test_reference_package_loads_what_is_saved(self, tmp_path: Path) -> None:
        network = random_network(load_preset("da3-small").network, seed=1)
        folder = save_checkpoint(network, "da3-small", tmp_path)
        theirs = import_reference_api().DepthAnything3.from_pretrained(str(folder)).state_dict()
        assert {f"model.{key}" for key in network.state_dict()} == set(theirs)
        for key, tensor in network.state_dict().items():
            assert torch.equal(tensor, theirs[f"model.{key}"])


class TestPickledStateDicts:
    """Official files of Depth Anything 2 and 1 are those of `torch.save`."""

    @pytest.mark.parametrize("zipped", [True, False])
    def test_loads_as_safetensors_do(self, tmp_path: Path, zipped: bool) -> None:
        expected = SmallNetwork()
        load_weights(expected, write(tmp_path / "w.safetensors", official_tensors()))
        torch.save(official_tensors(), tmp_path / "w.pth", _use_new_zipfile_serialization=zipped)
        loaded = small_network("meta")
        load_weights(loaded, tmp_path / "w.pth")
        assert read_shapes(tmp_path / "w.pth") == read_shapes(tmp_path / "w.safetensors")
        for key, value in expected.state_dict().items():
            torch.testing.assert_close(loaded.state_dict()[key], value, rtol=0, atol=0)

    @pytest.mark.parametrize(
        ("damage", "reason"),
        [
            (_truncate, "truncated or damaged"),
            (lambda path: path.write_bytes(b""), "it is empty"),
            (lambda path: path.write_bytes(b"abc"), "truncated or damaged"),
            (lambda path: path.write_bytes(b"version https://git-lfs.github.com/spec/v1\n"), "git lfs pull"),
            (lambda path: torch.save({1: torch.zeros(2)}, path), "something else than a state dict"),
            (lambda path: torch.save({"a": torch.zeros(2, device="meta")}, path), "something else than a state dict"),
            (lambda path: torch.save({"a": torch.eye(2).to_sparse()}, path), "something else than a state dict"),
            (lambda path: torch.save({"epoch": 3}, path), "something else than a state dict"),
            (lambda path: torch.save([torch.zeros(2)], path), "something else than a state dict"),
            (lambda path: torch.save({"args": argparse.Namespace()}, path), "more than weights (argparse.Namespace)"),
        ],
    )
    def test_unreadable_files(self, tmp_path: Path, damage: Callable[[Path], object], reason: str) -> None:
        path = tmp_path / "w.pth"
        torch.save(official_tensors(), path)
        damage(path)
        with pytest.raises(CheckpointError) as error:
            load_weights(SmallNetwork(), path)
        assert str(path) in one_line(error)
        assert reason in one_line(error)
        assert "weights_only" not in one_line(error)  # which would load, and run, anything

    def test_a_file_is_known_by_its_official_name(self, tmp_path: Path) -> None:
        path = tmp_path / "depth_anything_v2_metric_hypersim_vits.pth"
        torch.save(official_tensors(), path)
        for name in (path, tmp_path):
            found = locate_checkpoint(name)
            assert found.path == path
            assert found.preset_name == "depth-anything-v2-metric-indoor-small"
            assert found.licence == "Apache-2.0"
