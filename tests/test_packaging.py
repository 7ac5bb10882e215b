"""What the package declares: lower bounds of its dependencies, and the versions it is tested with."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

REPOSITORY = Path(__file__).parents[1]
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
REQUIREMENTS = {r.name: r for r in map(Requirement, PROJECT["dependencies"])}


@pytest.mark.parametrize(
    ("name", "too_old"),
    [
        ("pycolmap", "4.1.1"),  # has no CancellationToken
        ("av", "14.0.0"),  # no colour space of BT.709, and 12 converts colours by another one
    ],
)
def test_versions_that_cannot_work_are_excluded(name: str, too_old: str) -> None:
    assert Version(too_old) not in REQUIREMENTS[name].specifier


def test_the_tested_versions_are_allowed() -> None:
    lines = (REPOSITORY / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = dict(line.split("==") for line in lines if "==" in line)
    tested = {name.lower().replace("_", "-"): Version(version) for name, version in pins.items()}
    for name, requirement in REQUIREMENTS.items():
        assert tested[name.lower().replace("_", "-")] in requirement.specifier
