"""The photos of a prediction at their own resolution, each as the pinhole camera of its view saw it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from recon.errors import InputError
from recon.types import Prediction


class ViewPhotos:
    """N photos, read one at a time; in the place of one that is not at hand, the processed image at its size."""

    def __init__(self, prediction: Prediction) -> None:
        self._prediction = prediction
        count, height, width = prediction.depth.shape
        self.to_photo: NDArray[np.float64] = np.tile(np.eye(3), (count, 1, 1))
        """(N, 3, 3) affine from pixels of the prediction to those of the photo."""
        self.sizes: NDArray[np.int64] = np.tile(np.array([width, height], np.int64), (count, 1))
        """(N, 2) width and height."""
        self.enlarged: list[int] = []
        """Views, of those read, whose photo is not at hand."""
        if prediction.originals is not None and self._knows_originals:
            assert prediction.original_sizes is not None
            assert prediction.processed_to_original is not None
            self.to_photo = prediction.processed_to_original.astype(np.float64)
            self.sizes = prediction.original_sizes.astype(np.int64)
        self._cameras = prediction.original_cameras
        self._pinholes = self._cameras.pinhole() if self._knows_originals else self._cameras

    @property
    def _knows_originals(self) -> bool:
        return self._prediction.original_sizes is not None and self._prediction.processed_to_original is not None

    @property
    def scales(self) -> NDArray[np.float64]:
        """(N,) pixels of the photo to each of the prediction, along a line."""
        return np.sqrt(np.abs(np.linalg.det(self.to_photo[:, :2, :2])))

    def read(self, view: int) -> NDArray[np.uint8]:
        """(H, W, 3) sRGB, undistorted."""
        import cv2

        from recon.sources.undistortion import undistort

        prediction, size = self._prediction, (int(self.sizes[view, 0]), int(self.sizes[view, 1]))
        if prediction.originals is not None and self._knows_originals:
            try:
                pixels, _ = prediction.originals.read(view)
                if (pixels.shape[1], pixels.shape[0]) == size:
                    return undistort(pixels, self._cameras[[view]], self._pinholes[[view]])
            except (InputError, OSError):
                pass
        self.enlarged.append(view)
        image = prediction.processed_images[view]
        if (image.shape[1], image.shape[0]) == size and np.array_equal(self.to_photo[view], np.eye(3)):
            return image
        half = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])  # OpenCV's first pixel centre is (0, 0)
        matrix = (np.linalg.inv(half) @ self.to_photo[view] @ half)[:2]
        enlarged = cv2.warpAffine(image, matrix, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(enlarged, np.uint8)
