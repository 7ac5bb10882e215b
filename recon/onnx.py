"""`MonocularModel`: depth of single photos from an ONNX file, a thin façade over its estimator. Needs no torch."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from recon.choices import OnnxNormalise, OutputKind, Provider
from recon.errors import InputError
from recon.estimate.depth_check import check_depth
from recon.estimate.onnx_file import OnnxEstimator
from recon.estimate.unrelated import estimate_each, fit_single
from recon.models.onnx.model_info import ModelInfo
from recon.sources.images import ImageLike
from recon.sources.loading import load_photos
from recon.sources.open_source import PhotoSource
from recon.sources.photo_cameras import PhotoCameras
from recon.types import Prediction


class MonocularModel:
    """An ONNX file of Depth Anything 3 (mono or metric), 2 or 1.

    `MonocularModel("da3mono-large.onnx").predict("photo.jpg").depth`
    """

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
        """Open a file; arguments and errors as of `recon.estimate.onnx_file.OnnxEstimator`."""
        self.estimator = OnnxEstimator(
            path, output_kind=output_kind, model=model, normalise=normalise, provider=provider, threads=threads
        )

    @property
    def path(self) -> Path:
        """Of the file."""
        return self.estimator.path

    @property
    def info(self) -> ModelInfo:
        """What the file takes and gives."""
        return self.estimator.info

    @property
    def warnings(self) -> Sequence[str]:
        """What was warned of while the file was opened."""
        return self.estimator.warnings

    def predict(self, image: ImageLike, *, focal: float | None = None) -> Prediction:
        """Depth of one photo; `image` is what `recon.sources.loading.load_each` takes, `focal` as in `predict_each`."""
        predictions = list(self.predict_each(image, focal=focal))
        if len(predictions) != 1:
            raise InputError(f"predict takes one photo, not {len(predictions)}; predict_each takes several")
        return predictions[0]

    def predict_each(
        self, images: PhotoSource, *, focal: float | None = None, batch_size: int = 1
    ) -> Iterator[Prediction]:
        """Depth of unrelated photos, each on its own: predictions of one view, in order.

        Args:
            images: what `recon.sources.loading.load_each` takes; all are kept in memory (`recon.run.mono` is for
                large folders). Bad ones among several are left out with a warning.
            focal: focal length of all, in pixels of the upright originals; by EXIF, or assumed, by default.
            batch_size: photos that may go through the network together, as far as they are of one size.

        Raises:
            InputError: nothing usable, a file that fails to run, or a photo that it gives no depth at all for.
        """
        if batch_size < 1:
            raise InputError(f"batch_size must be at least 1, got {batch_size}")
        known, profile = PhotoCameras(focal), self.estimator.profile
        photos = load_photos(images).photos
        names = [photo.name for photo in photos]
        for start in range(0, len(photos), batch_size):
            batch = list(enumerate(photos))[start : start + batch_size]
            singles = [fit_single(profile, photo, known, names, index) for index, photo in batch]
            yield from (check_depth(prediction, profile) for prediction in estimate_each(self.estimator, singles))
