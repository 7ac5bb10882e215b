"""The reference package imported where torchvision, moviepy and pycolmap are not installed."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

import numpy as np

EMPTY_STAND_INS = ("moviepy", "moviepy.editor", "pycolmap", "open3d")
"""Modules that the reference names at the top of its files and that the parts compared with never call."""


def reference_available() -> bool:
    """Whether the reference package and what its networks import are installed."""
    return all(importlib.util.find_spec(name) for name in ("depth_anything_3", "addict", "e3nn", "evo"))


def import_reference_api() -> ModuleType:
    """Import `depth_anything_3.api`, quietly, and return it.

    Stand-ins replace missing packages only while the import runs, and are then taken out of `sys.modules`, where they
    could pass for the real ones; the reference's own modules stay imported and keep the stand-ins they took.
    """
    with _stand_ins(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logger = importlib.import_module("depth_anything_3.utils.logger")
        logger.logger.level = logger.LOG_LEVELS["ERROR"]
        return importlib.import_module("depth_anything_3.api")


@contextlib.contextmanager
def _stand_ins() -> Iterator[None]:
    modules = {name: _module(name) for name in EMPTY_STAND_INS}
    modules["torchvision"] = _module("torchvision")
    modules["torchvision.transforms"] = _torchvision_transforms()
    missing = {name: module for name, module in modules.items() if not _installed(name.partition(".")[0])}
    for name, module in missing.items():
        parent, _, child = name.rpartition(".")
        if parent:
            setattr(missing[parent], child, module)
    sys.modules.update(missing)
    try:
        yield
    finally:
        for name in missing:
            sys.modules.pop(name, None)


def _installed(name: str) -> bool:
    return name in sys.modules or importlib.util.find_spec(name) is not None


def _module(name: str) -> ModuleType:
    module = ModuleType(name, "Stand-in for a package that is not installed.")
    module.__spec__ = ModuleSpec(name, None, is_package=True)
    module.__path__ = []
    return module


def _torchvision_transforms() -> ModuleType:
    """`ToTensor`, `Normalize`, `CenterCrop` and `Compose`, by torchvision's documented arithmetic."""
    import torch

    class ToTensor:
        def __call__(self, image: Any) -> torch.Tensor:
            pixels_hwc = torch.from_numpy(np.array(image, np.uint8))
            return pixels_hwc.permute(2, 0, 1).contiguous().to(torch.float32).div(255)

    class Normalize:
        def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
            self.mean, self.std = (torch.tensor(values, dtype=torch.float32)[:, None, None] for values in (mean, std))

        def __call__(self, image_chw: torch.Tensor) -> torch.Tensor:
            return image_chw.sub(self.mean).div(self.std)

    class CenterCrop:
        def __init__(self, size: tuple[int, int]) -> None:
            self.height, self.width = size

        def __call__(self, image_chw: torch.Tensor) -> torch.Tensor:
            top = round((image_chw.shape[-2] - self.height) / 2)
            left = round((image_chw.shape[-1] - self.width) / 2)
            return image_chw[..., top : top + self.height, left : left + self.width]

    class Compose:
        def __init__(self, transforms: Sequence[Callable[[Any], Any]]) -> None:
            self.transforms = transforms

        def __call__(self, image: Any) -> Any:
            for transform in self.transforms:
                image = transform(image)
            return image

    module = _module("torchvision.transforms")
    for transform in (ToTensor, Normalize, CenterCrop, Compose):
        setattr(module, transform.__name__, transform)
    return module
