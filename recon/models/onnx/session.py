"""Opening an ONNX file with onnxruntime on the processor asked for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from recon.choices import Provider
from recon.errors import InputError, MissingExtraError
from recon.files import check_readable
from recon.messages import warn

if TYPE_CHECKING:
    import onnxruntime

_CPU = "CPUExecutionProvider"
_EXECUTION_PROVIDERS = {
    "cpu": _CPU,
    "cuda": "CUDAExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
}
_AUTO = ("cuda", "cpu")
"""What `auto` tries. CoreML computes in half precision and TensorRT compiles for minutes: those are for who asks."""
_FULL_PRECISION: dict[str, dict[str, Any]] = {"cuda": {"use_tf32": "0"}}
_FATAL_ONLY = 4


def open_session(path: Path, provider: Provider = "auto", threads: int | None = None) -> onnxruntime.InferenceSession:
    """Load `path`, ready to run.

    Args:
        path: an ONNX file, its external data beside it.
        provider: `auto` is CUDA where onnxruntime has it, else the CPU.
        threads: of one operator on the CPU; all cores by default.

    Raises:
        InputError: no such file, one that is not ONNX, is cut short or lacks its external data, or a provider that is
            not there.
        MissingExtraError: no onnxruntime.
    """
    if provider not in get_args(Provider):
        raise InputError(f"provider must be one of {', '.join(get_args(Provider))}, not {provider!r}")
    if threads is not None and threads < 1:
        raise InputError(f"threads must be at least 1, got {threads}")
    _check_file(path)
    runtime = _onnxruntime()
    installed = runtime.get_available_providers()
    usable = [name for name, execution in _EXECUTION_PROVIDERS.items() if execution in installed]
    if provider != "auto" and provider not in usable:
        raise InputError(
            f"provider {provider} is not in this onnxruntime {runtime.__version__}; it has {_list(usable)}"
        )
    chosen = next(name for name in _AUTO if name in usable) if provider == "auto" else provider
    options = runtime.SessionOptions()
    options.log_severity_level = _FATAL_ONLY  # what goes wrong is raised as well
    if threads is not None:
        options.intra_op_num_threads = threads
    # Operators that the chosen provider lacks run on the next.
    order = dict.fromkeys([chosen, *(["cuda"] if chosen == "tensorrt" and "cuda" in usable else []), "cpu"])
    providers = [(_EXECUTION_PROVIDERS[name], _FULL_PRECISION.get(name, {})) for name in order]
    try:
        session = runtime.InferenceSession(str(path), options, providers=providers)
    except Exception as error:  # onnxruntime's errors have no base class of their own
        raise InputError(f"{path}: {_explain(error)}") from error
    if _EXECUTION_PROVIDERS[chosen] not in session.get_providers():
        message = f"provider {chosen} cannot be used on this machine (its libraries or its device are missing)"
        if provider != "auto":
            raise InputError(f"{message}; take {_list([name for name in usable if name != chosen])}")
        warn(f"{message}: the ONNX file runs on the CPU")
    return session


def _onnxruntime() -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingExtraError("running an ONNX file", "onnxruntime", "onnx") from error
    return onnxruntime


def _check_file(path: Path) -> None:
    if not path.is_file():
        raise InputError(f"{path}: {'a folder' if path.is_dir() else 'no such file'}; give an ONNX file")
    check_readable(path)
    if path.stat().st_size == 0:
        raise InputError(f"{path} is empty (0 bytes), not an ONNX file")


def _explain(error: Exception) -> str:
    """What onnxruntime found wrong with a file, in a line."""
    if type(error).__name__ in ("InvalidProtobuf", "NoModel"):
        return "not an ONNX file, or one that is cut short"
    said = " ".join(str(error).split())
    external = said.rfind("External")
    if external >= 0:
        return f"the data that belongs beside it cannot be read: {said[external:]}"
    return f"onnxruntime cannot load it: {said.split(' : ')[-1]}"


def _list(names: list[str]) -> str:
    return " and ".join(names) if names else "none"
