"""Fixtures shared by all tests."""

from __future__ import annotations

import importlib.util
import os
import sys
import zlib
from pathlib import Path

import pytest

if "PYTEST_XDIST_WORKER" in os.environ:  # workers share the cores: one thread each, in their own processes too
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
        os.environ.setdefault(name, "1")

from tests.seeds import choose_seed, numpy_random  # imports numpy, which reads its number of threads

REPOSITORY = Path(__file__).resolve().parents[1]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--seed", type=int, default=0, metavar="N", help="what the random numbers of all tests begin with")


def pytest_configure(config: pytest.Config) -> None:
    choose_seed(config.getoption("--seed"))


def pytest_report_header(config: pytest.Config) -> str:
    return f"random numbers: --seed {config.getoption('--seed')}"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if terminalreporter.verbosity < 0:  # the header was left out
        terminalreporter.write_line(pytest_report_header(terminalreporter.config))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what is marked `cuda` where there is no such GPU, or a package that the mark names is not installed."""
    for mark in item.iter_markers("cuda"):
        import torch

        missing = [name for name in mark.args if importlib.util.find_spec(name) is None]
        if missing or not torch.cuda.is_available():
            pytest.skip(" and ".join(["needs CUDA", *missing]))


@pytest.fixture(autouse=True)
def _seed_torch(request: pytest.FixtureRequest) -> None:
    """torch's global numbers depend on the test and on `--seed`, never on what ran before."""
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.manual_seed(int(numpy_random(zlib.crc32(request.node.nodeid.encode())).integers(2**63)))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real photo sets beside the repository; tests that use it are skipped where it is absent."""
    folder = REPOSITORY.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("no real photo sets beside the repository")
    return folder
