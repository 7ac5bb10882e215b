"""Where the package's own data files are."""

from __future__ import annotations

from pathlib import Path


def configs_folder() -> Path:
    """Folder with `models/*.yaml` and `run/*.yaml`: inside the package when installed, beside it in a checkout."""
    package = Path(__file__).resolve().parent
    installed = package / "configs"
    return installed if installed.is_dir() else package.parent / "configs"
