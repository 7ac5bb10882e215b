"""An ONNX file of a single-view network as an estimator, without torch."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from recon.choices import ONNX_FILE, OnnxNormalise, OutputKind, Provider
from recon.errors import InputError
from recon.estimate.estimator import Abilities, Fit, Needs, Profile, Wishes
from recon.estimate.single_view import SingleViewMaps, single_view_prediction
from recon.messages import collect_warnings
from recon.models.onnx.input_values import input_values
from recon.models.onnx.model_info import SOURCE_KEY, ModelInfo, read_info
from recon.models.onnx.session import open_session
from recon.progress import TellPart
from recon.sources.fitting import Views
from recon.types import MadeBy, Prediction

_FAILURES = (
    "the file may be damaged, or its half precision may have overflowed (export it in float32), "
    "or its output may not be what output_kind says"
)


class OnnxEstimator:
    """A file of Depth Anything 3 (mono or metric), 2 or 1, opened by onnxruntime."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        output_kind: OutputKind | None = None,
        model: str | None = None,
        normalise: OnnxNormalise | None = None,
        provider: Provider = "auto",
        threads: int | None = None,
    ) -> None:
        """Open a file. What it takes and gives is in `info`.

        Args:
            path: ONNX, its external data beside it.
            output_kind: `depth` or `disparity`, where the file does not say and is none of the known ones.
            model: preset that the file holds, where it does not say; decides on metres.
            normalise: `inside` for a file that normalises photos itself and takes RGB from 0 to 1 (to 255 where its
                graph shows that), `inside-255` for one that takes RGB from 0 to 255, `outside` for one that does not.
                By default it is as the file says, or else outside.
            provider: where it runs; `auto` is CUDA where onnxruntime has it, else the CPU.
            threads: of one operator on the CPU; all cores by default.

        Raises:
            InputError: a file that cannot be run or is not of a single-view network, an output of unknown meaning, or
                an argument that cannot be used.
            MissingExtraError: onnxruntime is not installed.
        """
        self.path = Path(path).expanduser()
        with collect_warnings() as warnings:
            self._session = open_session(self.path, provider, threads)
            self.info: ModelInfo = read_info(self._session, self.path, output_kind, model, normalise)
        self.warnings: Sequence[str] = tuple(warnings)
        self._threads = threads

    @property
    def profile(self) -> Profile:
        """By what is known of the file."""
        conventions = self.info.conventions
        return Profile(
            name=self.path.name,
            kind="onnx",
            abilities=Abilities(sky=self.info.sky_output_name is not None, metres=conventions.metres),
            needs=Needs(weights=True),
            fit=Fit(conventions.process_res, conventions.process_res_method, self.info.size),
            parts=frozenset({ONNX_FILE}),
            failures=_FAILURES,
            output_kind=conventions.output_kind,
        )

    def estimate(
        self,
        views: Views,
        wishes: Wishes = Wishes(),
        progress: TellPart | None = None,
    ) -> Prediction:
        """As `Estimator.estimate`, each view on its own.

        In a fixed input that is larger, a photo is mirrored around itself: the network sees no border that is none.
        """
        made_by = MadeBy("onnx", self.profile.name)
        return single_view_prediction(self.maps(views.pixels), made_by, self.info.conventions, views)

    def maps(self, images: NDArray[np.uint8]) -> SingleViewMaps:
        """What the file gives for (N, H, W, 3) photos, sides multiples of 14 and at most those of a fixed input."""
        _, height, width, _ = images.shape
        left, top = 0, 0
        if self.info.size is not None:
            left, top = (self.info.size[0] - width) // 2, (self.info.size[1] - height) // 2
            images = np.stack([_mirrored(image, left, top, self.info.size) for image in images])
        names = [self.info.output_name, *([self.info.sky_output_name] if self.info.sky_output_name else [])]
        batch = self.info.batch or len(images)
        parts = [self._run(images[i : i + batch], batch, names) for i in range(0, len(images), batch)]
        maps = np.concatenate(parts, axis=1)[:, :, top : top + height, left : left + width]  # (outputs, N, H, W)
        return SingleViewMaps(maps[0], maps[1] if len(maps) > 1 else None)

    def prepare(self) -> None:
        """Nothing: a network is ready."""

    def describe(self) -> dict[str, Any]:
        """For `run.json`."""
        import onnxruntime

        info = self.info
        with self.path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        return {
            "preset": info.model,
            "engine": f"onnxruntime {onnxruntime.__version__}",
            "weights": {
                "source": "onnx",
                "file": str(self.path),
                "sha256": sha256,
                "licence": info.licence,
                "exported_from_sha256": info.metadata.get(SOURCE_KEY),
            },
            "input": {
                "name": info.input_name,
                "layout": info.layout,
                "dtype": info.input_dtype,
                "size": info.size,
                "normalised": info.normalise,
            },
            "output": {"name": info.output_name, "kind": info.output_kind, "known_from": info.known_from},
            "providers": self._session.get_providers(),
            "threads": self._threads,
        }

    def _run(self, images: NDArray[np.uint8], batch: int, names: Sequence[str]) -> NDArray[np.float32]:
        """(outputs, B, H, W) of at most `batch` images, which are filled up to just as many."""
        count, height, width, _ = images.shape
        filled = images if count == batch else np.concatenate([images, np.repeat(images[-1:], batch - count, axis=0)])
        values = input_values(filled, self.info)
        try:
            outputs = self._session.run(names, {self.info.input_name: values})
        except Exception as error:  # onnxruntime's errors have no base class of their own
            said = " ".join(str(error).split())
            raise InputError(f"{self.path}: fails on {batch} images of {width}×{height} pixels ({said})") from error
        shapes = [(batch, 1, height, width), (batch, height, width), (batch, height, width, 1)]
        for name, output in zip(names, outputs, strict=True):
            if output.shape not in shapes:
                expected = " or ".join(str(shape) for shape in shapes)
                raise InputError(f"{self.path}: output '{name}' has shape {output.shape}; it must be {expected}")
        return np.stack([output.reshape(batch, height, width)[:count].astype(np.float32) for output in outputs])


def _mirrored(image: NDArray[np.uint8], left: int, top: int, size: tuple[int, int]) -> NDArray[np.uint8]:
    """(H, W, 3) `image` at (`left`, `top`) of a picture of `size` (width, height), its mirror images around it."""
    height, width = image.shape[:2]
    right, bottom = size[0] - width - left, size[1] - height - top
    return np.asarray(cv2.copyMakeBorder(image, top, bottom, left, right, cv2.BORDER_REFLECT), np.uint8)
