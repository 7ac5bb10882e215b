"""Pictures and a video of the network's features: their three principal components as red, green and blue."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recon.choices import ExportChoices
from recon.errors import InputError
from recon.export.exporter import Exported, Exporter, Needs
from recon.export.pictures import write_jpeg
from recon.export.video import VideoFormat, check_rate, check_video, write_video
from recon.options import Options, like, option
from recon.types import FEATURE_PREFIX, FloatArray, Prediction

CLIPPED_PERCENT = 10
"""Share of the positions at each end of a component that share the end colours."""


@dataclass(frozen=True, kw_only=True)
class FeatVisOptions(Options):
    """How the video plays."""

    fps: int = like(ExportChoices, "feat_vis_fps")
    format: VideoFormat = option("mp4", help="Of the videos: MP4 (H.264), GIF or animated WebP.")


def check(prediction: Prediction, options: FeatVisOptions) -> None:
    """Raise InputError where some of the features are not numbers, or the pictures too large."""
    _, height, width = prediction.depth.shape
    check_video(options.format, height, 2 * width, options.fps)
    for name, features in _layers(prediction).items():
        if not np.isfinite(features).all():
            raise InputError(f"feat_vis: {name} holds values that are not finite")


def check_options(options: FeatVisOptions) -> None:
    """Raise InputError for more pictures in a second than the format can have."""
    check_rate(options.format, options.fps)


def write(prediction: Prediction, folder: Path, options: FeatVisOptions) -> Exported:
    """Write `feat_vis/feat_layer_K/000000.jpg`, each image beside its features, and
    `feat_vis/feat_layer_K.mp4`, or of another format."""
    files: list[Path] = []
    for name, features in _layers(prediction).items():
        video_path = folder / "feat_vis" / f"{name}.{options.format}"
        with write_video(video_path, options.fps) as video:
            for view, color in enumerate(features_to_rgb(features)):
                image = prediction.processed_images[view]  # of one size for all, as the frames of the video must be
                frame = np.concatenate([image, _enlarge(color, image.shape[1], image.shape[0])], axis=1)
                files.append(folder / "feat_vis" / name / f"{view:06d}.jpg")
                write_jpeg(files[-1], frame)
                video.add(frame)
        files.append(video_path)
    return Exported(tuple(files))


def features_to_rgb(features: FloatArray) -> NDArray[np.uint8]:
    """(N, h, w, 3) colours of (N, h, w, C) features: the first three principal components over all views together.

    Each component points so that its largest coefficient is positive, and is stretched between its 10th and 90th
    percentile. With fewer than three channels the missing colours are black.
    """
    *shape, channels = features.shape
    centred = features.reshape(-1, channels).astype(np.float64)  # (N*h*w, C)
    centred -= centred.mean(axis=0)
    _, vectors = np.linalg.eigh(centred.T @ centred)  # ascending variance
    basis = vectors[:, ::-1][:, :3]  # (C, 3)
    largest = np.abs(basis).argmax(axis=0)
    basis = basis * np.sign(basis[largest, np.arange(basis.shape[1])])
    components = centred @ basis
    low, high = np.percentile(components, [CLIPPED_PERCENT, 100 - CLIPPED_PERCENT], axis=0)
    stretched = (components - low) / np.maximum(high - low, np.finfo(np.float32).tiny)
    colors = np.zeros((len(components), 3), np.uint8)
    colors[:, : basis.shape[1]] = np.rint(stretched.clip(0, 1) * 255)
    return colors.reshape(*shape, 3)


def _layers(prediction: Prediction) -> dict[str, FloatArray]:
    return {f"{FEATURE_PREFIX}{layer}": features for layer, features in prediction.features.items()}


def _enlarge(pixels: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """(height, width, 3) picture in which each patch's colour fills the patch."""
    from PIL import Image

    return np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.NEAREST))


FEAT_VIS = Exporter("feat_vis", FeatVisOptions, write, ("feat_vis",), Needs(features=True), check, check_options)
