"""Whether an ONNX file computes what its network does in torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

MAX_ERROR = 1e-3
"""Largest `relative_error` of a file that is kept."""
MAX_ERROR_FP16 = 2e-2
"""The same with weights in float16."""


class ExportError(RuntimeError):
    """A network could not be written as a file that agrees with it; nothing has been kept."""


def check_file(
    path: Path,
    inputs: Sequence[NDArray[np.float32]],
    expected: Sequence[Sequence[NDArray[np.float32]]],
    max_error: float,
) -> dict[str, float]:
    """Check a file by the rules of ONNX, run it, and compare.

    Args:
        path: the file, its external data beside it.
        inputs: what to run it on, one after the other.
        expected: for each of these, the outputs in torch.
        max_error: largest `relative_error` that passes.

    Returns:
        The largest `relative_error` of each output.

    Raises:
        ExportError: it cannot be run, or is farther off.
    """
    import onnx
    import onnxruntime

    try:
        onnx.checker.check_model(str(path))
    except onnx.checker.ValidationError as error:
        raise ExportError(
            f"the file breaks the rules of ONNX, and is not kept: {' '.join(str(error).split())}"
        ) from error
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what goes wrong is raised as well
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    (image,) = session.get_inputs()
    errors = {output.name: 0.0 for output in session.get_outputs()}
    for values, wanted in zip(inputs, expected, strict=True):
        try:
            outputs = session.run(list(errors), {image.name: values})
        except Exception as error:  # onnxruntime's errors have no base class of their own
            said = " ".join(str(error).split())
            raise ExportError(f"the file fails on an input of {values.shape}, and is not kept: {said}") from error
        for name, actual, want in zip(errors, outputs, wanted, strict=True):
            errors[name] = max(errors[name], relative_error(actual, want))
    if not max(errors.values()) <= max_error:
        raise ExportError(
            f"the file differs from torch by more than {max_error:.0e}, and is not kept: {describe_errors(errors)}"
        )
    return errors


def describe_errors(errors: Mapping[str, float]) -> str:
    """Each output with its error."""
    return ", ".join(f"{name} {error:.1e}" for name, error in errors.items())


def relative_error(actual: NDArray[np.floating[Any]], expected: NDArray[np.floating[Any]]) -> float:
    """Largest difference, relative to the expected value or, where that is larger, to the mean magnitude.

    The mean is over values that are not zero: a map that is cut off at zero would count as smaller than it is.
    Infinite where the shapes differ, or the places of numbers that are not finite.
    """
    if actual.shape != expected.shape or (np.isfinite(actual) != np.isfinite(expected)).any():
        return float("inf")
    finite = np.isfinite(expected)
    if not finite.any():
        return 0.0
    wanted = expected[finite].astype(np.float64)
    magnitude = np.abs(wanted)
    mean = magnitude.sum() / max(np.count_nonzero(magnitude), 1)
    return float((np.abs(actual[finite] - wanted) / np.maximum(magnitude, max(mean, 1e-12))).max())
