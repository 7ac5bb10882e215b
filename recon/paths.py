"""Where the package's own data files are: inside the package when installed, beside it in a checkout."""

from __future__ import annotations

from pathlib import Path


def configs_folder() -> Path:
    """Folder with `models/*.yaml` and `run/*.yaml`."""
    return _data_folder("configs")


def scenes_folder() -> Path:
    """Folder with the sample scenes."""
    return _data_folder("scenes")


def _data_folder(name: str) -> Path:
    package = Path(__file__).resolve().parent
    installed = package / name
    return installed if installed.is_dir() else package.parent / name
