"""Two ways to reconstruct compared pair by pair, as over the same seeds: the mean difference and how sure it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from recon.errors import InputError
from recon.eval.evaluate import Evaluation


@dataclass(frozen=True)
class PairedDifference:
    """One number of evaluations, in pairs."""

    name: str
    """As in the JSON: `cameras.rotation_median`."""
    pairs: int
    """In which both sides have it."""
    first: float
    """Mean of the first side."""
    second: float
    """Mean of the second side."""
    difference: float
    """Mean of second - first."""
    standard_error: float | None
    """Of that mean; None for a single pair."""


def paired_differences(first: Sequence[Evaluation], second: Sequence[Evaluation]) -> tuple[PairedDifference, ...]:
    """Of each number that both sides have in a pair, in the order of the evaluations.

    Differences within pairs leave out what a seed, or a scene, does to both sides alike.

    Raises InputError where the sides are not as many.
    """
    if len(first) != len(second):
        raise InputError(f"pairs need as many results on either side: {len(first)} and {len(second)} are given")
    found: dict[str, list[tuple[float, float]]] = {}
    for one, other in zip(first, second, strict=True):
        values, others = _numbers(one), _numbers(other)
        for name in values.keys() & others.keys():
            found.setdefault(name, []).append((values[name], others[name]))
    order = {name: None for evaluation in first for name in _numbers(evaluation)}
    return tuple(_difference(name, np.array(found[name])) for name in order if name in found)


def _difference(name: str, pairs: Any) -> PairedDifference:
    differences = pairs[:, 1] - pairs[:, 0]
    error = float(differences.std(ddof=1) / len(pairs) ** 0.5) if len(pairs) > 1 else None
    means = pairs.mean(axis=0)
    return PairedDifference(name, len(pairs), float(means[0]), float(means[1]), float(differences.mean()), error)


def _numbers(evaluation: Evaluation) -> dict[str, float]:
    """What can be compared, by its path: finite numbers; depth by the alignment to look at alone."""
    content = asdict(evaluation)
    content["depth"] = content["depth"].get(evaluation.alignment, {})
    return {name: value for name, value in _leaves(content) if np.isfinite(value)}


def _leaves(content: Mapping[Any, Any], above: str = "") -> Iterator[tuple[str, float]]:
    for key, value in content.items():
        name = f"{above}{key}"
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{name}.")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield name, float(value)
