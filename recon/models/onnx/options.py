"""What kind of ONNX file to write."""

from __future__ import annotations

from dataclasses import dataclass

from recon.errors import InputError
from recon.models.presets import PATCH_SIZE
from recon.options import Options, option


@dataclass(frozen=True, kw_only=True)
class OnnxOptions(Options):
    """What kind of ONNX file to write.

    Wrong values raise `InputError` naming the field.
    """

    size: tuple[int, int] | None = option(
        None,
        help="Height and width of the input, multiples of 14 [504 504, or 518 518 of Depth Anything 2 and 1].",
        metavar="HEIGHT WIDTH",
    )
    dynamic: bool = option(
        False, help="Take any height and width that are multiples of 14, and any number of images that are independent."
    )
    views: int | None = option(
        None, help="Views of a scene that a file of an any-view model takes [any number].", least=1
    )
    fp16: bool = option(
        False, help="Half the size: matrix products and convolutions in float16. Input and outputs stay float32."
    )
    sky: bool = option(False, help="Give the sky score as a second output; da3mono-large and da3metric-large have it.")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.size is not None:
            if self.dynamic:
                raise InputError("size is that of a fixed input, and dynamic is for any size: leave one of them out")
            if any(side < PATCH_SIZE or side % PATCH_SIZE for side in self.size):
                given = " ".join(map(str, self.size))
                raise InputError(f"size must be a height and a width that are multiples of {PATCH_SIZE}, got {given}")
