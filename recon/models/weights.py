"""Weights files: reading them into a network, strictly, and writing them.

The keys of an official file are those of the network, after `model.` for Depth Anything 3; what training wraps around a
network (`module.`) is taken off. Keys and shapes have to fit exactly. Files are safetensors, or pickled state dicts of
which nothing but tensors is unpickled, alone or within a training checkpoint; an index stands for several of them.
"""

from __future__ import annotations

import contextlib
import re
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from recon.errors import CheckpointError, InputError
from recon.files import atomic_write, read_json

KEY_PREFIX = "model."

PICKLED_SUFFIXES = (".pth", ".pt", ".bin", ".ckpt")
"""Of state dicts saved with `torch.save`."""
INDEX_SUFFIX = ".index.json"
"""Of the file that says which key is in which of several weights files."""

_WRAPPERS = ("module.", "_orig_mod.")
"""What data-parallel training and `torch.compile` put before all keys."""
_STATE_DICT_ENTRIES = ("state_dict", "model_state_dict", "model", "module", "network", "net")
"""Names that training checkpoints have for the state dict of the network; the first that is there counts."""
_REFUSED_CODE = re.compile(r"Unsupported (?:global|class): \w* ?([\w.]+)")
"""What torch says of a class or a function in a file that it does not load."""
_SAFETENSORS_BRACE = 8
"""Where a safetensors file's header begins, with `{`."""

_FLOAT_TYPES = (torch.float32, torch.float16, torch.bfloat16)
_SHOWN_KEYS = 3
_BATCH_SIZE = 1 << 23
"""Numbers to read before the file is unmapped: 32 MiB of float32."""


def read_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Shape of every tensor of a weights file by its key in the network (without `model.`). Reads the header only."""
    with _open_weights(path) as weights:
        file_keys = _network_keys(path, weights.keys(), KEY_PREFIX)
        return {ours: weights.shape(key) for ours, key in file_keys.items()}


def load_weights(network: nn.Module, path: Path, prefix: str = KEY_PREFIX) -> None:
    """Fill `network` with the weights of a file, as float32.

    Keys and shapes have to be exactly those of `network.state_dict()`, after `prefix`; a file where no key has the
    prefix is taken as it is. A network on the meta device gets its memory here; peak memory is one copy of the weights.
    CheckpointError for an unreadable file, other dtypes than float32, float16 and bfloat16, and for any missing,
    extra or misshaped key; the network is then unchanged.
    """
    targets = network.state_dict(keep_vars=True)
    on_meta = any(target.is_meta for target in targets.values())
    assigned: dict[str, torch.Tensor] = {}
    with _Opener(path) as opener:
        with opener.open() as weights:
            file_keys = _network_keys(path, weights.keys(), prefix)
            shapes = {ours: weights.shape(key) for ours, key in file_keys.items()}
            dtypes = {key: weights.dtype(key) for key in file_keys.values()}
        _check_fit(path, {key: tuple(target.shape) for key, target in targets.items()}, shapes)
        for key, dtype in dtypes.items():
            if dtype not in _FLOAT_TYPES:
                name = str(dtype).removeprefix("torch.")
                raise CheckpointError(f"{path}: {key} has dtype {name}; float32, float16 and bfloat16 can be read")
        for batch in _batches(targets):
            with opener.open() as weights:
                for key in batch:
                    tensor = weights.tensor(file_keys[key])
                    if on_meta:
                        assigned[key] = tensor.to(torch.float32, copy=True)
                    else:
                        targets[key].data.copy_(tensor)
                    del tensor
    if on_meta:
        network.load_state_dict(assigned, strict=True, assign=True)
    left = [name for name, t in (*network.named_parameters(), *network.named_buffers()) if t.is_meta]
    if left:
        raise RuntimeError(f"not part of the state dict and therefore still without memory: {', '.join(left)}")


def save_weights(network: nn.Module, path: Path, prefix: str = KEY_PREFIX) -> None:
    """Write the state dict of `network`, with `prefix` before each key; InputError where it cannot be written."""
    tensors = {prefix + key: t.detach().cpu().contiguous() for key, t in network.state_dict().items()}
    with atomic_write(path) as temporary:
        temporary.touch()
        usual_mode = temporary.stat().st_mode  # safetensors leaves its files readable by their owner alone
        try:
            save_file(tensors, temporary, metadata={"format": "pt"})
            temporary.chmod(usual_mode)
        except SafetensorError as error:
            raise InputError(f"cannot write {path}: {error}") from error


def _batches(tensors: Mapping[str, torch.Tensor]) -> Iterator[list[str]]:
    """The keys in order, in lists of about `_BATCH_SIZE` numbers."""
    batch: list[str] = []
    size = 0
    for key, tensor in tensors.items():
        batch.append(key)
        size += tensor.numel()
        if size >= _BATCH_SIZE:
            yield batch
            batch, size = [], 0
    yield batch


class _Safetensors:
    """The tensors of an open safetensors file."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def keys(self) -> list[str]:
        return list(self._file.keys())

    def shape(self, key: str) -> tuple[int, ...]:
        return tuple(self._file.get_slice(key).get_shape())

    def dtype(self, key: str) -> torch.dtype | str:
        name: str = self._file.get_slice(key).get_dtype()
        return {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}.get(name, name)

    def tensor(self, key: str) -> torch.Tensor:
        return self._file.get_tensor(key)


class _StateDict:
    """The tensors of a state dict, as `_Safetensors`."""

    def __init__(self, tensors: Mapping[str, torch.Tensor]) -> None:
        self._tensors = tensors

    def keys(self) -> list[str]:
        return list(self._tensors)

    def shape(self, key: str) -> tuple[int, ...]:
        return tuple(self._tensors[key].shape)

    def dtype(self, key: str) -> torch.dtype:
        return self._tensors[key].dtype

    def tensor(self, key: str) -> torch.Tensor:
        return self._tensors[key]


class _Sharded:
    """The tensors of several open files together, as `_Safetensors`."""

    def __init__(self, files: list[_Safetensors | _StateDict]) -> None:
        self._file_of = {key: file for file in files for key in sorted(file.keys())}

    def keys(self) -> list[str]:
        return list(self._file_of)

    def shape(self, key: str) -> tuple[int, ...]:
        return self._file_of[key].shape(key)

    def dtype(self, key: str) -> torch.dtype | str:
        return self._file_of[key].dtype(key)

    def tensor(self, key: str) -> torch.Tensor:
        return self._file_of[key].tensor(key)


_Weights: TypeAlias = _Safetensors | _StateDict | _Sharded


@contextlib.contextmanager
def _open_weights(path: Path) -> Iterator[_Weights]:
    """A weights file, or those of an index: memory-mapped where it can be, and unmapped at the end once its tensors are
    gone."""
    if path.name.endswith(INDEX_SUFFIX):
        with contextlib.ExitStack() as stack:
            yield _Sharded([stack.enter_context(_open_file(shard)) for shard in shard_paths(path)])
    else:
        with _open_file(path) as weights:
            yield weights


class _Opener:
    """Opens a weights file again and again: pages read from a mapped file count as memory until it is unmapped.

    One that cannot be mapped is read once, and kept until the block ends.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._is_mapped = _is_mapped(path)
        self._kept = contextlib.ExitStack()
        self._whole: _Weights | None = None

    def __enter__(self) -> _Opener:
        return self

    def __exit__(self, *error: object) -> None:
        self._whole = None
        self._kept.close()

    def open(self) -> contextlib.AbstractContextManager[_Weights]:
        if self._is_mapped:
            return _open_weights(self._path)
        if self._whole is None:
            self._whole = self._kept.enter_context(_open_weights(self._path))
        return contextlib.nullcontext(self._whole)


@contextlib.contextmanager
def _open_file(path: Path) -> Iterator[_Safetensors | _StateDict]:
    if path.suffix in PICKLED_SUFFIXES and not _is_safetensors(path):
        yield _StateDict(_unpickle(path))
        return
    try:
        with safe_open(path, framework="pt", device="cpu") as weights:
            yield _Safetensors(weights)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(_explain_unreadable(path, error)) from error


def shard_paths(index: Path) -> list[Path]:
    """The weights files that an index names, each once, in its folder. CheckpointError where it cannot be read, or
    where one of them is missing."""
    try:
        names = list(dict.fromkeys(read_json(index)["weight_map"].values()))
        shards = [index.parent / Path(name).name for name in names]
    except (OSError, ValueError, LookupError, AttributeError, TypeError) as error:
        raise CheckpointError(f"{index} cannot be read as an index of weights files: {error}") from error
    if not shards:
        raise CheckpointError(f"{index} names no weights files (its weight_map is empty): download it again")
    missing = [shard.name for shard in shards if not shard.is_file()]
    if missing:
        raise CheckpointError(f"{index} names files that are not beside it ({_first(missing)}): download them, too")
    return shards


def _is_mapped(path: Path) -> bool:
    """Whether opening a weights file, or those of an index, leaves its tensors on the disk until they are used."""
    if path.name.endswith(INDEX_SUFFIX):
        return all(_is_mapped(shard) for shard in shard_paths(path))
    return path.suffix not in PICKLED_SUFFIXES or _is_safetensors(path) or zipfile.is_zipfile(path)


def _is_safetensors(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(_SAFETENSORS_BRACE + 1)[_SAFETENSORS_BRACE:] == b"{"
    except OSError:
        return False


def _unpickle(path: Path) -> Mapping[str, torch.Tensor]:
    """The state dict of a file written by `torch.save`; code in it is refused, not run."""
    try:
        # Only the zipped format, of torch 1.6 and later, can be mapped.
        found = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except Exception as error:  # damaged bytes make the unpickler stumble in every way there is
        raise CheckpointError(_explain_unreadable(path, error)) from error
    state = _state_dict_in(found)
    if state is None:
        entries = f" (its entries: {_first([str(key) for key in found])})" if isinstance(found, Mapping) else ""
        raise CheckpointError(
            f"{path} cannot be loaded: it holds something else than a state dict of tensors{entries}; "
            f"save that alone, or under one of {', '.join(_STATE_DICT_ENTRIES[:3])}"
        )
    return state


def _state_dict_in(found: Any) -> Mapping[str, torch.Tensor] | None:
    """The state dict that a file is, or that a training checkpoint has beside its optimizer and its step."""
    if not isinstance(found, Mapping):
        return None
    if all(isinstance(key, str) and _is_plain(value) for key, value in found.items()):
        return found
    inner = next((found[name] for name in _STATE_DICT_ENTRIES if isinstance(found.get(name), Mapping)), None)
    return None if inner is None else _state_dict_in(inner)


def _is_plain(value: Any) -> bool:
    """Whether it is a tensor with every number in memory."""
    return isinstance(value, torch.Tensor) and value.layout == torch.strided and not value.is_meta


def _explain_unreadable(path: Path, error: Exception) -> str:
    """One line on a file that safetensors or torch refuses, with a better reason where its first bytes give one."""
    try:
        with path.open("rb") as file:
            start = file.read(64)
        size = path.stat().st_size
    except OSError as failure:
        return f"{path} cannot be read: {failure.strerror or failure}"
    if size == 0:
        reason = "it is empty"
    elif start.startswith(b"version https://git-lfs"):
        reason = "it is a Git LFS pointer, not the weights; run `git lfs pull` in its folder"
    elif (refused := _REFUSED_CODE.search(str(error))) is not None:
        reason = (
            f"it holds more than weights ({refused.group(1)}), and code in a file is not run; save its state dict "
            "alone, where you trust it"
        )
    elif path.suffix in PICKLED_SUFFIXES:
        reason = "it is truncated or damaged, or no weights that torch.save wrote; copy or download it again"
    elif start.startswith((b"PK\x03\x04", b"\x80\x02")):
        reason = "it is a pickled PyTorch file; convert it to safetensors"
    elif start[8:9] == b"{" and isinstance(error, SafetensorError):
        reason = f"it is truncated or damaged ({str(error).strip()}); copy or download it again"
    else:
        reason = f"it is not in the safetensors format ({str(error).strip()})"
    return f"{path} cannot be loaded: {reason}"


def _network_keys(path: Path, keys: list[str], prefix: str) -> dict[str, str]:
    """Map each key without `prefix`, and without what training wraps around it, to the key in the file.

    Either all keys of the file have a prefix or none.
    """
    start = ""
    while added := next((one for one in (*_WRAPPERS, prefix) if one and _all_start(keys, start + one)), ""):
        start += added
    without = [key for key in keys if not key.startswith(start + prefix)]
    if not start.endswith(prefix) and len(without) < len(keys):
        raise CheckpointError(
            f"{path} does not fit the network: {len(without)} of its {len(keys)} keys do not start with "
            f"{start + prefix!r} as the others do ({_first(without)})"
        )
    return {key[len(start) :]: key for key in keys}


def _all_start(keys: list[str], prefix: str) -> bool:
    return bool(keys) and all(key.startswith(prefix) for key in keys)


def _first(keys: list[str]) -> str:
    return ", ".join(keys[:_SHOWN_KEYS]) + (", …" if len(keys) > _SHOWN_KEYS else "")


def _check_fit(path: Path, expected: Mapping[str, tuple[int, ...]], found: Mapping[str, tuple[int, ...]]) -> None:
    """One CheckpointError that counts the keys that do not fit and names the first few of each kind."""
    missing = [key for key in expected if key not in found]
    extra = [key for key in found if key not in expected]
    misshaped = [
        f"{key} {list(found[key])} instead of {list(shape)}"
        for key, shape in expected.items()
        if key in found and found[key] != shape
    ]
    problems = [
        f"{len(keys)} {kind} ({_first(keys)})"
        for kind, keys in (("missing", missing), ("extra", extra), ("misshaped", misshaped))
        if keys
    ]
    if problems:
        raise CheckpointError(f"{path} does not fit the network: keys {'; '.join(problems)}")
