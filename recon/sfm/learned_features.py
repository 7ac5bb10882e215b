"""ALIKED features (Zhao et al., TIM 2023), LightGlue matches (Lindenberger et al., ICCV 2023), by COLMAP's ONNX files.

pycolmap's wheels know these types of features but are built without ONNX, so onnxruntime runs the files here, as COLMAP
does: the same inputs, sizes and thresholds; and the outcome lies in the database as COLMAP would have written it.
"""

from __future__ import annotations

import hashlib
import http.client
import sys
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recon.errors import CheckpointError, InputError, MissingExtraError
from recon.files import atomic_write
from recon.sfm.features import feature_counts
from recon.sfm.photos import SfmPhoto

_RELEASE = "https://github.com/colmap/colmap/releases/download/3.13.0/"
_MULTIPLE = 32
"""Both sides of what the network sees are multiples of that: pixels at the border are repeated."""
_MOST_FEATURES, _LEAST_SCORE, _LEAST_MATCH_SCORE = 2048, 0.2, 0.1
"""COLMAP's defaults."""
_SECONDS_TO_ANSWER = 30.0
_CHUNK = 1 << 20


@dataclass(frozen=True)
class ModelFile:
    """One of COLMAP's ONNX files."""

    name: str
    sha256: str

    @property
    def cached(self) -> Path:
        """Where COLMAP keeps its own, so that neither downloads it twice."""
        return Path.home() / ".cache" / "colmap" / f"{self.sha256}-{self.name}"


ALIKED = ModelFile("aliked-n32.onnx", "a077728a02d2de1a775c66df6de8cfeb7c6b51ca57572c64c680131c988c8b3c")
LIGHTGLUE = ModelFile("aliked-lightglue.onnx", "b9a5de7204648b18a8cf5dcac819f9d30de1a5961ef03756803c8b86c2dceb8d")


def locate(file: ModelFile, folder: Path | None = None) -> Path:
    """Path of a file: in `folder` by its name, as it is there; else from the cache, downloaded once and checked.

    Raises CheckpointError where it is not in the folder or cannot be downloaded.
    """
    if folder is not None:
        given = folder / file.name
        if not given.is_file():
            raise CheckpointError(
                f"features_folder: '{folder}' has no {file.name}; it takes {ALIKED.name} and {LIGHTGLUE.name} "
                f"from {_RELEASE}"
            )
        return given
    if not file.cached.is_file():
        _download(file)
    return file.cached


def _download(file: ModelFile) -> None:
    url = _RELEASE + file.name
    remedy = (
        f"put {ALIKED.name} and {LIGHTGLUE.name} from {_RELEASE} into a folder and give it with "
        "--features-folder FOLDER, or leave --features at sift"
    )
    print(f"downloading {url}", file=sys.stderr, flush=True)
    digest = hashlib.sha256()
    with atomic_write(file.cached) as temporary, temporary.open("wb") as target:
        for chunk in _chunks(url, f"cannot download {file.name}", remedy):
            digest.update(chunk)
            target.write(chunk)
        if digest.hexdigest() != file.sha256:
            raise CheckpointError(f"{url} was cut short or is not {file.name}: run again, or {remedy}")


def _chunks(url: str, wrong: str, remedy: str) -> Iterator[bytes]:
    """What lies at `url`, piece by piece."""
    try:
        with urllib.request.urlopen(url, timeout=_SECONDS_TO_ANSWER) as answer:
            while chunk := answer.read(_CHUNK):
                yield chunk
    except (OSError, http.client.HTTPException) as error:  # an error of urllib is an OSError
        raise CheckpointError(f"{wrong} ({getattr(error, 'reason', None) or error}): {remedy}") from error


def _open(path: Path, inputs: Sequence[str], threads: int) -> Any:
    """A session of the file, whose inputs have the names that COLMAP's have."""
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingExtraError("features aliked", "onnxruntime", "onnx") from error
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what goes wrong is raised as well
    options.intra_op_num_threads = threads
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors have no base class of their own
        said = " ".join(str(error).split())
        raise CheckpointError(
            f"{path} is not an ONNX file that can be run, or is cut short; delete it, or get it anew from {_RELEASE} "
            f"({said[:120]})"
        ) from error
    names = [one.name for one in session.get_inputs()]
    if names != list(inputs):
        raise CheckpointError(f"{path} takes {', '.join(names)}, not {', '.join(inputs)}: it is another network")
    return session


class LearnedFeatures:
    """ALIKED with 32 sample points, matched by LightGlue, on the CPU."""

    needs_colour = True

    def __init__(self, folder: Path | None = None) -> None:
        """Locate both files, in `folder` or by the cache; CheckpointError where one cannot be had."""
        self._paths = locate(ALIKED, folder), locate(LIGHTGLUE, folder)

    def extract(
        self,
        database_path: Path,
        photos: Sequence[SfmPhoto],
        folder: Path,
        max_features: int,
        threads: int,
        report: Callable[[int], None],
    ) -> NDArray[np.int64]:
        """As `recon.sfm.features.extract_features`; at most 2048 a photo, the ones with the highest scores."""
        import pycolmap

        session = _open(self._paths[0], ("image", "max_keypoints", "min_score"), threads)
        with pycolmap.Database.open(database_path) as database:
            for index, photo in enumerate(photos):
                places, descriptors = _features(session, photo, min(max_features, _MOST_FEATURES))
                stored = pycolmap.FeatureDescriptorsFloat()
                stored.type, stored.data = pycolmap.FeatureExtractorType.ALIKED_N32, descriptors
                database.write_keypoints(index + 1, places)
                database.write_descriptors(index + 1, stored.to_bytes())
                report(index + 1)
        return feature_counts(database_path, len(photos))

    def match(
        self,
        database_path: Path,
        pairs: Sequence[tuple[int, int]],
        folder: Path,
        threads: int,
        report: Callable[[int], None],
    ) -> None:
        """As `recon.sfm.pairs.match_pairs`."""
        import pycolmap

        names = ("kpts0", "kpts1", "desc0", "desc1", "image_size0", "image_size1")
        session = _open(self._paths[1], names, threads)
        with pycolmap.Database.open(database_path) as database:
            sizes = {image.image_id: database.read_camera(image.camera_id) for image in database.read_all_images()}

            def inputs(image_id: int) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
                places = np.asarray(database.read_keypoints(image_id), np.float32)[:, :2] - np.float32(0.5)
                data = np.ascontiguousarray(np.asarray(database.read_descriptors(image_id).data)).view(np.float32)
                camera = sizes[image_id]
                return places[None], data[None], np.array([[camera.width, camera.height]], np.float32)

            for done, (i, j) in enumerate(pairs, 1):
                matches = np.zeros((0, 2), np.uint32)
                if all(database.exists_keypoints(index + 1) for index in (i, j)):
                    first, second = inputs(i + 1), inputs(j + 1)
                    if min(first[0].shape[1], second[0].shape[1]) > 0:
                        values = [part for both in zip(first, second, strict=True) for part in both]
                        found, scores = session.run(None, dict(zip(names, values, strict=True)))
                        good = np.flatnonzero((found >= 0) & (scores >= _LEAST_MATCH_SCORE))
                        matches = np.stack([good, found[good]], axis=1).astype(np.uint32)
                database.write_matches(i + 1, j + 1, matches)
                report(done)


def _features(session: Any, photo: SfmPhoto, most: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(K, 2) places in the small picture, centres of pixels at half-integers, and (K, D) descriptors."""
    if photo.rgb is None:
        raise InputError(f"photo '{photo.name}' has no colours kept, which features aliked takes")
    height, width = photo.gray.shape
    padding = ((0, -height % _MULTIPLE), (0, -width % _MULTIPLE), (0, 0))
    padded = np.pad(photo.rgb, padding, mode="edge").astype(np.float32) / np.float32(255)
    image = np.ascontiguousarray(padded.transpose(2, 0, 1))[None]  # (1, 3, H, W)
    try:
        places, descriptors, _ = session.run(
            None,
            {
                "image": image,
                "max_keypoints": np.array(most, np.int64),
                "min_score": np.array(_LEAST_SCORE, np.float32),
            },
        )
    except Exception as error:
        said = " ".join(str(error).split())[:160]
        raise CheckpointError(f"{ALIKED.name} fails on photo '{photo.name}': {said}") from error
    # From -1 … 1 between the centres of the first and last pixel of what the network saw.
    sides = np.array(padded.shape[1::-1], np.float32) - 1
    pixels = (places[0] + 1) / 2 * sides + np.float32(0.5)
    keep = ((pixels >= 0) & (pixels < (width, height))).all(axis=1)
    if photo.mask is not None:
        inside = np.clip(pixels, 0, np.array([width, height]) - 1).astype(np.intp)
        keep &= photo.mask[inside[:, 1], inside[:, 0]]
    return pixels[keep].astype(np.float32), np.ascontiguousarray(descriptors[0][keep], np.float32)
