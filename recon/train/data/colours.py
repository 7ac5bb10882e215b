"""Changes of colour that leave geometry as it is: mild for photos with labels, strong for those without.

The strong ones are those of Depth Anything 1 (arXiv 2401.10891, section 3.2): strong colour distortion, by jitter and
now and then without colour, and Gaussian blur. Their bounds are those of UniMatch (Yang et al., CVPR 2023), whose
recipe it follows; the mild ones are half of them, and without grey and blur.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

Augment = Literal["none", "weak", "strong"]
AUGMENTS: tuple[Augment, ...] = get_args(Augment)
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


@dataclass(frozen=True)
class Strength:
    """Bounds of one kind of change."""

    brightness: float
    """Factors on colour are in 1 ± this."""
    contrast: float
    saturation: float
    hue: float
    """Share of the circle by which colours turn, either way."""
    jitter_share: float = 0.8
    """Share of pictures whose colours change at all."""
    grey_share: float = 0.0
    """Share of pictures that lose their colours."""
    blur_share: float = 0.0
    """Share of pictures that are blurred, with a deviation of 0.1 to 2 pixels."""


STRENGTHS: dict[Augment, Strength] = {
    "weak": Strength(0.25, 0.25, 0.25, 0.05),
    "strong": Strength(0.5, 0.5, 0.5, 0.25, grey_share=0.2, blur_share=0.5),
}
"""Of `none` there is none."""


def changed(pixels: NDArray[np.uint8], augment: Augment, random: np.random.Generator | None) -> NDArray[np.float32]:
    """(H, W, 3) RGB from 0 to 1, changed by as much as `augment` allows; of `none`, the photo itself."""
    image = pixels.astype(np.float32) / np.float32(255)
    strength = STRENGTHS.get(augment)
    if strength is None or random is None:
        return image
    if random.uniform() < strength.jitter_share:
        image = _jittered(image, strength, random)
    if random.uniform() < strength.grey_share:
        image = np.repeat((image @ _LUMA)[..., None], 3, axis=-1)
    if random.uniform() < strength.blur_share:
        deviation = float(random.uniform(0.1, 2.0))
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), deviation), np.float32)
    return image


def _jittered(image: NDArray[np.float32], strength: Strength, random: np.random.Generator) -> NDArray[np.float32]:
    """Brightness, contrast, saturation and hue, each by a random amount, one after the other in random order."""
    for step in random.permutation(4):
        if step == 0:
            image = image * _factor(strength.brightness, random)
        elif step == 1:
            mean = np.float32((image @ _LUMA).mean())
            image = (image - mean) * _factor(strength.contrast, random) + mean
        elif step == 2:
            grey = (image @ _LUMA)[..., None]
            image = (image - grey) * _factor(strength.saturation, random) + grey
        else:
            image = _turned(image, float(random.uniform(-strength.hue, strength.hue)))
        image = np.clip(image, 0, 1)
    return image


def _factor(bound: float, random: np.random.Generator) -> np.float32:
    return np.float32(random.uniform(1 - bound, 1 + bound))


def _turned(image: NDArray[np.float32], share: float) -> NDArray[np.float32]:
    """With all hues turned by a share of the circle."""
    hsv = np.array(cv2.cvtColor(image, cv2.COLOR_RGB2HSV))  # hue in degrees
    hsv[..., 0] = (hsv[..., 0] + np.float32(360 * share)) % np.float32(360)
    return np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB), np.float32)
