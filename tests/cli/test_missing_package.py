"""Without a package, a command that needs it says what to install, and one that does not runs."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest

from recon.cli.missing_package import what_to_install
from tests.fake_network import save_photos
from tests.without_torch import HIDE_TORCH

REPOSITORY = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("module", "command"),
    [
        ("torch", "pip install torch"),
        ("torch.nn", "pip install torch"),
        ("cv2", "pip install opencv-python-headless"),
        ("PIL.Image", "pip install pillow"),
        ("pillow_heif", "pip install 'recon[heic]'"),
        ("onnxscript", "pip install 'recon[onnx-export]'"),
        ("unheard_of", "pip install unheard_of"),
    ],
)
def test_what_to_install(module: str, command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"].items()
    as_installed = [f"{one}; extra == '{extra}'" for extra, packages in extras for one in packages]
    monkeypatch.setattr(metadata, "requires", lambda name: [*project["dependencies"], *as_installed])
    said = what_to_install(ModuleNotFoundError(f"No module named {module!r}", name=module))
    assert said is not None
    assert said.endswith(command)
    assert repr(module.partition(".")[0]) in said


def test_where_recon_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> list[str]:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "requires", absent)
    assert "pip install torch" in (what_to_install(ModuleNotFoundError("no torch", name="torch")) or "")


def test_a_module_of_recon_itself_is_a_fault() -> None:
    assert what_to_install(ModuleNotFoundError("No module named 'recon.nothing'", name="recon.nothing")) is None
    assert what_to_install(ModuleNotFoundError("no name")) is None


def without_torch(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    program = f"{HIDE_TORCH}\nfrom recon.cli.main import main\nsys.exit(main())"
    return subprocess.run(
        [sys.executable, "-c", program, *command.split()],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize(
    ("command", "code", "said"),
    [
        ("models", 0, ""),
        ("run photos --model da3-small", 2, "the package 'torch', which is not installed: pip install torch"),
        ("mono photos --model da3mono-large", 2, "the package 'torch', which is not installed: pip install torch"),
        ("export-onnx --model da3mono-large -o a.onnx", 2, "the package 'torch', which is not installed"),
    ],
)
def test_what_needs_torch(command: str, code: int, said: str, tmp_path: Path) -> None:
    save_photos(tmp_path / "photos", 2)
    done = without_torch(command, tmp_path)
    assert done.returncode == code, done.stderr
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == (1 if code else 0)


def test_stereo_and_exports_need_no_torch(tmp_path: Path) -> None:
    scene = REPOSITORY / "scenes" / "table"
    photos = " ".join(str(path) for path in sorted((scene / "images").iterdir())[:3])
    formats = "npz-glb-gs_ply-depth_vis"
    run = without_torch(
        f"run {photos} --model mvs --cameras {scene / 'cameras.json'} --process-res 98 --export {formats} --out o",
        tmp_path,
    )
    assert run.returncode == 0, run.stderr
    assert (np.load(tmp_path / "o" / "exports" / "npz" / "results.npz")["depth"] > 0).mean() > 0.2
    assert (tmp_path / "o" / "gs_ply" / "0000.ply").is_file()
    assert without_torch("export o --to ply", tmp_path).returncode == 0
    refused = without_torch(f"run {photos} --model mvs --device cuda", tmp_path)
    assert refused.returncode == 2
    assert "pip install torch" in refused.stderr
