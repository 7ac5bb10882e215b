"""What to install where a package is missing, as in an installation without dependencies."""

from __future__ import annotations

import re
from importlib import metadata

_DISTRIBUTIONS = {
    "cv2": "opencv-python-headless",
    "PIL": "pillow",
    "yaml": "pyyaml",
    "huggingface_hub": "huggingface_hub",
}
"""Packages that are imported by another name than they are installed by."""


def what_to_install(error: ModuleNotFoundError) -> str | None:
    """One line for a package of another project that cannot be imported; None for a module of recon itself."""
    package = (error.name or "").partition(".")[0]
    if not package or package == "recon":
        return None
    distribution = _DISTRIBUTIONS.get(package, package)
    extra = _extra_with(distribution)
    target = distribution if extra is None else f"'recon[{extra}]'"
    return f"this needs the package '{package}', which is not installed: pip install {target}"


def _extra_with(distribution: str) -> str | None:
    """The extra of recon that brings a distribution; None where recon itself does, or nothing."""
    try:
        requirements = metadata.requires("recon") or []
    except metadata.PackageNotFoundError:
        return None
    extras = []
    for requirement in requirements:
        name, _, condition = requirement.partition(";")
        if _normalised(re.split(r"[\s<>=!~\[(]", name.strip())[0]) == _normalised(distribution):
            found = re.search(r"extra\s*==\s*[\"']([^\"']+)", condition)
            if found is None:
                return None
            extras.append(found.group(1))
    return next((extra for extra in extras if extra != "dev"), None)


def _normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
