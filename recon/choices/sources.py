"""Photos, what is masked in them, their cameras, and the size at which they are looked at."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from recon.choices.words import FeaturesName, GpsUse, ProcessResMethod
from recon.errors import InputError
from recon.options import Options, option


@dataclass(frozen=True, kw_only=True)
class StrictOption(Options):
    """Photos."""

    strict: bool = option(False, help="Stop at a photo that cannot be used instead of leaving it out.")


@dataclass(frozen=True, kw_only=True)
class FreshOption(Options):
    """Results."""

    fresh: bool = option(
        False,
        help="Compute everything anew, instead of going on from what an earlier run into the folder has kept.",
        local=True,
    )


@dataclass(frozen=True, kw_only=True)
class MaskOptions(Options):
    """Masks."""

    masks: Path | None = option(
        None,
        help="Folder of pictures named like the photos (a.jpg.png or a.png for a.jpg, in sub-folders likewise), or one "
        "picture for all photos: black is left out, beside what a photo's own transparency leaves out.",
    )
    invert_masks: bool = option(False, help="Leave out what is white in the masks, not what is black.")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.invert_masks and self.masks is None:
            raise InputError("invert_masks is for masks, and none are given")


@dataclass(frozen=True, kw_only=True)
class SourceOptions(MaskOptions, StrictOption):
    """Input."""

    input_kind: str | None = option(
        None, help="Open the input as this kind, whatever it looks like [by its content]", metavar="KIND"
    )
    every: int = option(1, help="Take each so many-th photo, or frame of a video.", least=1)
    limit: int | None = option(None, help="Take at most this many photos or frames, the first ones [all].", least=1)
    ordered: bool = option(
        False,
        help="The photos follow each other in time, in the order of their names, as frames of a video do: structure "
        "from motion compares neighbours.",
    )
    fps: float | None = option(None, help="Of a video: take this many frames a second [2, 20 to 60 in all].", above=0)
    frames: int | None = option(None, help="Of a video: take this many frames, evenly in time [by fps].", least=1)
    start: float | str | None = option(
        None, help="Of a video: leave out what comes before, in seconds or h:m:s [its beginning].", metavar="TIME"
    )
    end: float | str | None = option(
        None, help="Of a video: leave out what comes from there on, in seconds or h:m:s [its end].", metavar="TIME"
    )
    sharpest: bool = option(
        True, help="Of a video: take the sharpest frame of each interval; off, and with every: the first."
    )
    images: Path | None = option(
        None,
        help="Folder of the photos of a COLMAP model, a transforms.json or a cameras.json [images beside it, or where "
        "it says].",
        metavar="FOLDER",
    )


@dataclass(frozen=True, kw_only=True)
class WindowOptions(Options):
    """Long input."""

    window: int | None = option(
        None,
        help="Photos that follow each other in time, as the frames of a video: go through more than so many in "
        "overlapping windows of so many, each kept as soon as it is done and joined with the one before; 0: all at "
        "once [100 for networks that see several views, or as many as memory has room for].",
        least=2,
        or_zero=True,
        metavar="VIEWS",
    )
    overlap: int | None = option(
        None, help="Views that neighbouring windows have in common [an eighth of the window].", least=1, metavar="VIEWS"
    )
    keyframes: float | None = option(
        None,
        help="Of photos that follow each other in time: leave out those in which the picture has moved by less than "
        "so many percent of its longer side since the last one taken; 0: none [0.3 with window, else 0].",
        least=0,
        most=100,
        metavar="PERCENT",
    )
    loops: bool = option(
        True,
        help="Look for places that windows show again long after, and bring what has drifted since then back to them.",
    )
    keep_windows: bool = option(
        False,
        help="Keep what each window gave, on as much disk again as the result takes, so that a run of more photos need "
        "not look at these again.",
    )


@dataclass(frozen=True, kw_only=True)
class CameraOptions(Options):
    """Cameras."""

    convention: str | None = option(
        None,
        help="What plain matrices of cameras are (arrays, .npz, .npy, lines of numbers): w2c or c2w, opencv or opengl, "
        "or both, as in c2w-opengl [as the file's format has it, else w2c-opencv].",
        metavar="CONVENTION",
    )
    refine_cameras: bool = option(
        False,
        help="Adjust cameras that are given to what the photos have in common; their frame and scale stay.",
    )
    refine_intrinsics: bool = option(
        False,
        help="Where cameras are found or refined in photos whose intrinsics are known: refine these, too; otherwise "
        "they are held.",
    )
    features: FeaturesName = option(
        "sift",
        help="What photos are matched by, to find or refine their cameras: sift, or aliked with LightGlue, learned "
        "features that bridge larger turns and changes of light, slower on a CPU.",
    )
    features_folder: Path | None = option(
        None,
        help="Folder with aliked-n32.onnx and aliked-lightglue.onnx of COLMAP's releases [downloaded once].",
        metavar="FOLDER",
        local=True,
    )
    gps: GpsUse = option(
        "auto",
        help="Cameras that are found in the photos: bring them to metres east, north and up by the GPS positions in "
        "EXIF, where those determine them (auto); or leave frame and scale free (off).",
    )
    known_distance: tuple[str, str, float] | None = option(
        None,
        help="Two points marked in photos, each as its name and a pixel of the upright original (a.jpg:812,440), and "
        "the metres between them: the whole result is brought to metres. Where its scale is free; instead of GPS.",
        metavar="A:X,Y B:X,Y METRES",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.features_folder is not None and self.features == "sift":
            raise InputError("features_folder is for features aliked; SIFT needs no files")
        if self.known_distance is not None:
            first, second, metres = self.known_distance
            if not (math.isfinite(metres) and metres > 0):
                raise InputError(f"known_distance must be more than 0 metres, got {metres:g}")
            if marked_point(first) == marked_point(second):
                raise InputError(f"known_distance: both points are {first}; mark two that are apart")


def marked_point(text: str) -> tuple[str, tuple[float, float]]:
    """Name of the photo and pixel of a point written as NAME:X,Y. Raises InputError for anything else."""
    name, colon, place = text.rpartition(":")
    try:
        x, y = (float(number) for number in place.split(","))
    except ValueError:
        x = y = math.nan
    if not (name and colon and math.isfinite(x) and math.isfinite(y)):
        raise InputError(f"known_distance takes points as NAME:X,Y (a.jpg:812,440), not '{text}'")
    return name, (x, y)


@dataclass(frozen=True, kw_only=True)
class InputsOption(Options):
    """Photos."""

    inputs: tuple[Path, ...] = option(
        (),
        help="Photos, folders or ZIP archives of photos, patterns ('photos/*.jpg'), lists (.txt, a path on each line); "
        "or a video.",
        positional=True,
        metavar="INPUT",
    )


@dataclass(frozen=True, kw_only=True)
class FitOptions(Options):
    """Size of what the network sees."""

    process_res: int | None = option(
        None,
        help="Pixels of the side that process_res_method bounds; 0, for multi-view stereo, leaves photos at their own "
        "size [as the network was trained].",
        least=14,
        or_zero=True,
    )
    process_res_method: ProcessResMethod | None = option(
        None,
        help="Which side process_res bounds: the longer (upper_bound) or the shorter (lower_bound); and whether the "
        "other is resized or cropped to a multiple of 14 [as the network was trained].",
    )
