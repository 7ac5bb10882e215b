"""No test draws numbers that `--seed` does not reach."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.seeds import choose_seed, numpy_random, torch_random

TESTS = REPOSITORY / "tests"
FIXED = {
    "seeds.py": "gives the numbers",
    "fake_network.py": "stands for one network",
    "made_up_network.py": "stands for one network",
    "models/tiny.py": "inputs and weights of the golden files",
}
"""Files that may seed generators themselves, and why; so may benchmarks and the ray tracer."""
FORBIDDEN = {"default_rng", "Generator().manual_seed", "RandomState", "np.random.seed", "torch.manual_seed"}


def files() -> list[Path]:
    return [
        path
        for path in TESTS.rglob("*.py")
        if path.relative_to(TESTS).parts[0] not in ("benchmarks", "synthetic")
        and path.relative_to(TESTS).as_posix() not in (*FIXED, "conftest.py")
    ]


@pytest.mark.parametrize("path", files(), ids=lambda path: path.relative_to(TESTS).as_posix())
def test_numbers_come_from_the_seed_of_the_run(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            forbidden = any(ast.unparse(node.func).endswith(name) for name in FORBIDDEN)
            assert not forbidden, f"line {node.lineno}: draw from tests.seeds"
        if isinstance(node, ast.Import):
            assert all(alias.name != "random" for alias in node.names), f"line {node.lineno}: draw from tests.seeds"


def test_another_seed_gives_other_numbers(request: pytest.FixtureRequest) -> None:
    import torch

    def draw(seed: int) -> list[float]:
        choose_seed(seed)
        numbers = [numpy_random(3).random(), numpy_random(3, 1).random()]
        return [*numbers, *(float(torch.rand(1, generator=torch_random(key))) for key in (3, 4))]

    try:
        drawn = [draw(seed) for seed in (0, 1, 2, 1)]
    finally:
        choose_seed(request.config.getoption("--seed"))
    assert drawn[1] == drawn[3]
    assert len({number for numbers in drawn[:3] for number in numbers}) == 12
