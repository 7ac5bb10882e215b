"""Splats that look like the photos: Gaussian splatting from dense depth instead of sparse points, on the CPU.

The loop of 3DGS (Kerbl et al. 2023) with its loss, started from splats that are nearly right: there is nothing to
densify, and some sixty looks at each photo are enough; more of them fit the photos and nothing else. Besides the splats
it finds a gain and an offset of each photo's colours, and where cameras were not given, small corrections of these.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from recon.choices import SplatOptimisation
from recon.errors import InputError
from recon.geometry.cameras import invert_rigid, to_4x4
from recon.geometry.located_depth import with_cameras
from recon.geometry.quaternions import normalise
from recon.messages import warn
from recon.progress import tell
from recon.refine.adam import Adam
from recon.refine.camera_corrections import CorrectedCameras
from recon.refine.depth_splats import DepthSplatOptions, from_depth
from recon.refine.far_splats import far_splats
from recon.refine.optimised_splats import INTERRUPTED, OptimisedSplats, Scores
from recon.refine.photo_loss import PhotoLoss, Target
from recon.refine.splat_adam import bias_corrections, update_splats
from recon.splats.cpu_differentiable_blending import LIGHT, PLANES
from recon.splats.cpu_differentiable_renderer import CpuDifferentiableRenderer
from recon.splats.cpu_projection_gradients import HARMONICS, MEAN, OPACITY, ROTATION, SCALE
from recon.splats.parameters import check_gaussians
from recon.splats.rasterizer import RenderSettings
from recon.splats.view_metrics import WINDOW, psnr, ssim
from recon.types import Gaussians, Prediction

ITERATIONS_PER_PHOTO = 65
"""Looks at each photo, where the photos held out do not say to stop before."""
SH_DEGREE = 1
"""Of the harmonics, where the splats to start from have less."""

_LOOKS_BETWEEN_SCORES = 10
"""At each photo, before those held out are asked again."""
_SCORED = 4
"""Of the photos fitted to, about as many are compared with their views before and after."""
_PATIENCE = 2
"""Times in a row that the photos held out may get no better before it ends."""
_MEAN_RATES = 1.6e-4, 1.6e-5
"""Learning rate of positions at the beginning and at the end, as fractions of the cameras' extent."""
_SCALE_RATE, _ROTATION_RATE, _OPACITY_RATE = 5e-3, 1e-3, 0.05
_COLOR_RATE, _HARMONICS_RATE = 2.5e-3, 6e-4
_EXPOSURE_RATES = np.array([1e-2, 1e-2, 1e-2, 5e-4, 5e-4, 5e-4])
"""Of the logarithms of the gains, and of the offsets, of the three channels, at the beginning; a tenth at the end."""
_DEPTH_WEIGHT = 0.1
"""Of relative depth errors beside the loss of colours, at the beginning; nothing at the end."""
_START_OPACITIES = 1e-4, 0.999
_LEAST_OPACITY = 1 / 255
"""Of splats that can be seen at all."""
_NEAREST_EXTENT = 0.05
"""Cameras count as at least this far apart, as a fraction of the typical depth."""


def optimise_splats(
    prediction: Prediction,
    options: SplatOptimisation = SplatOptimisation(),  # noqa: B008 (frozen)
    *,
    start: Gaussians | None = None,
    from_depth_options: DepthSplatOptions = DepthSplatOptions(),  # noqa: B008 (frozen)
    correct_cameras: bool | None = None,
    seed: int = 0,
    threads: int | None = None,
) -> OptimisedSplats:
    """Fit splats to the photos of a prediction with cameras.

    The same arguments give the same bytes for any number of threads, unless `gs_seconds` or Ctrl-C ends it, which keeps
    what there is.

    Args:
        prediction: masks exclude pixels of photos; depth counts where it was found (`Prediction.valid`).
        options: see there.
        start: splats in the frame of the prediction; by default made from its depth, and far ones where sky is known,
            by the photos that are not held out.
        from_depth_options: of the start from depth; `gs_splats` counts before its budget.
        correct_cameras: also find small corrections of cameras and focal lengths; by default of those not given.
        seed: of the order of the photos.
        threads: of the CPU, by default one per core.

    Raises:
        InputError: cameras missing for several photos, no usable depth to start from, splats that are not finite, or
            masks that leave nothing.
    """
    prediction = with_cameras(prediction)
    if prediction.extrinsics is None or prediction.intrinsics is None:
        raise InputError("splats are optimised with cameras, and these photos have none: give them, or find them")
    held_out = _held_out(len(prediction.depth), options.gs_holdout)
    fitted = _with_pixels(prediction, [view for view in range(len(prediction.depth)) if view not in held_out])
    if start is None:
        start = _start(_of_views(prediction, fitted), options, from_depth_options)
    check_gaussians(start)
    if correct_cameras is None:
        correct_cameras = prediction.extrinsics_origin not in (None, "given")
    fit = _Fit(prediction, start, threads)
    sample = fitted[:: -(-len(fitted) // _SCORED)]
    before, held_out_before = fit.scores(sample), fit.scores(held_out)
    began = time.perf_counter()
    iterations, ended_by = fit.run(fitted, held_out, options, correct_cameras, np.random.default_rng(seed))
    return OptimisedSplats(
        gaussians=fit.result(),
        world_to_camera=fit.cameras.world_to_camera,
        intrinsics=fit.cameras.intrinsics,
        gains=fit.exposures[:, :3],
        offsets=fit.exposures[:, 3:],
        held_out=tuple(held_out),
        iterations=iterations,
        seconds=time.perf_counter() - began,
        ended_by=ended_by,
        before=before,
        after=fit.scores(sample),
        held_out_before=held_out_before,
        held_out_after=fit.scores(held_out),
    )


class _Fit:
    """Everything that changes while splats are fitted."""

    def __init__(self, prediction: Prediction, start: Gaussians, threads: int | None) -> None:
        count, height, width = prediction.depth.shape
        assert prediction.extrinsics is not None
        assert prediction.intrinsics is not None
        world_to_camera = to_4x4(prediction.extrinsics.astype(np.float64))
        self.extent = _extent(world_to_camera, prediction)
        self.cameras = CorrectedCameras(world_to_camera, prediction.intrinsics.astype(np.float64), self.extent)
        self.exposures = np.repeat([[1.0, 1, 1, 0, 0, 0]], count, axis=0)
        """(N, 6) gains and offsets of the three channels."""
        self._prediction = prediction
        self._gaussians = _as_parameters(start)
        self._settings = RenderSettings((height, width), np.zeros(3), "RGB", threads=threads)
        self._renderer = CpuDifferentiableRenderer(self._gaussians, self._settings)

    def run(
        self,
        fitted: list[int],
        held_out: list[int],
        options: SplatOptimisation,
        correct_cameras: bool,
        rng: np.random.Generator,
    ) -> tuple[int, str]:
        """Fit to the photos `fitted`. Returns the number of steps and what ended it."""
        most = ITERATIONS_PER_PHOTO * len(fitted) if options.gs_iterations is None else options.gs_iterations
        stops_early = bool(held_out) and options.gs_iterations is None
        between = _LOOKS_BETWEEN_SCORES * len(fitted)
        steps = _Steps(self._prediction, self._gaussians, fitted, self._renderer, self.extent, most)
        best, best_score, worse = self._copy(), -np.inf, 0
        began = time.perf_counter()
        order: list[int] = []
        done, ended_by = 0, "iterations"
        try:
            while done < most:
                elapsed = time.perf_counter() - began
                if options.gs_seconds is not None and elapsed >= options.gs_seconds:
                    ended_by = "seconds"
                    break
                tell("iteration", done, most)
                order = order or list(rng.permutation(fitted))
                progress = max(done / most, 0 if options.gs_seconds is None else elapsed / options.gs_seconds)
                steps.step(int(order.pop()), progress, self.cameras, self.exposures, correct_cameras)
                done += 1
                if stops_early and done % between == 0:
                    score = _psnr_of(self.scores(held_out))
                    worse = 0 if score > best_score else worse + 1
                    if score > best_score:
                        best, best_score = self._copy(), score
                    if worse == _PATIENCE:
                        ended_by = "held-out photos"
                        break
            if stops_early and _psnr_of(self.scores(held_out)) < best_score:
                self._restore(best)
        except KeyboardInterrupt:
            ended_by = INTERRUPTED
            warn(f"splats: interrupted after {done} of {most} steps; what they are by then is kept")
            self._renderer.close()  # waits for threads that are still at it
            self._renderer = CpuDifferentiableRenderer(self._gaussians, self._settings)
        return done, ended_by

    def scores(self, views: Sequence[int]) -> Scores | None:
        """Of photos with their exposures; None of none."""
        if not views:
            return None
        found = []
        for view in views:
            drawn = self._renderer.draw(self.cameras.world_to_camera[view], self.cameras.intrinsics[view])
            color = drawn.image[:3].transpose(1, 2, 0) * self.exposures[view, :3] + self.exposures[view, 3:]
            found.append(_compare(color, self._prediction.processed_images[view], _mask(self._prediction, view)))
        similarities = [score.ssim for score in found if score.ssim is not None]
        return Scores(
            psnr=float(np.mean([score.psnr for score in found])),
            psnr_fitted=float(np.mean([score.psnr_fitted for score in found])),
            ssim=float(np.mean(similarities)) if len(similarities) == len(found) else None,
        )

    def result(self) -> Gaussians:
        """Without those that can be seen no more, with quaternions of length 1."""
        found = self._gaussians
        rows = [getattr(found, name).reshape(len(found), -1) for name in Gaussians.__dataclass_fields__]
        kept = (found.opacities >= _LEAST_OPACITY) & np.isfinite(np.concatenate(rows, axis=1)).all(axis=1)
        kept = kept if kept.any() else np.ones(len(found), bool)
        chosen = {name: getattr(found, name)[kept] for name in Gaussians.__dataclass_fields__}
        return Gaussians(**{**chosen, "rotations": normalise(chosen["rotations"])})

    def _copy(self) -> _Snapshot:
        splats = {name: getattr(self._gaussians, name).copy() for name in Gaussians.__dataclass_fields__}
        cameras = self.cameras
        return _Snapshot(splats, cameras.world_to_camera.copy(), cameras.intrinsics.copy(), self.exposures.copy())

    def _restore(self, snapshot: _Snapshot) -> None:
        for name, values in snapshot.splats.items():
            getattr(self._gaussians, name)[:] = values
        self.cameras.world_to_camera[:] = snapshot.world_to_camera
        self.cameras.intrinsics[:] = snapshot.intrinsics
        self.exposures[:] = snapshot.exposures


@dataclass(frozen=True)
class _Snapshot:
    """Of what is found, as it was at one time."""

    splats: dict[str, NDArray[np.float32]]
    world_to_camera: NDArray[np.float64]
    intrinsics: NDArray[np.float64]
    exposures: NDArray[np.float64]


class _Steps:
    """Adam's steps, with what they remember."""

    def __init__(
        self,
        prediction: Prediction,
        gaussians: Gaussians,
        fitted: Sequence[int],
        renderer: CpuDifferentiableRenderer,
        extent: float,
        most: int,
    ) -> None:
        count, height, width = prediction.depth.shape
        self._renderer, self._extent = renderer, extent
        self._coefficients = gaussians.harmonics.shape[2]
        numbers = HARMONICS + 3 * self._coefficients
        self._moments = np.zeros((len(gaussians), 2 * numbers), np.float32)
        self._steps = np.zeros(len(gaussians), np.int32)
        self._weights = np.zeros(len(gaussians), np.float32)
        self._corrections = bias_corrections(max(1, min(most, 10_000)))
        self._exposure_steps = Adam((count, 6), _EXPOSURE_RATES)
        self._fitted = list(fitted)
        self._loss = PhotoLoss((height, width), renderer.spread)
        self._targets = {view: _target(prediction, view) for view in fitted}
        # Reciprocals of the depth that is known, and 0 elsewhere.
        self._closeness = {
            view: np.where(
                prediction.valid[view], 1 / np.where(prediction.valid[view], prediction.depth[view], 1), 0
            ).astype(np.float32)
            for view in fitted
        }
        self._gradient = np.zeros((PLANES, height, width), np.float32)

    def step(
        self,
        view: int,
        progress: float,
        cameras: CorrectedCameras,
        exposures: NDArray[np.float64],
        correct_cameras: bool,
    ) -> None:
        """Look at one photo, `progress` (0 to 1) of the way, and change splats, exposure and, if wanted, camera."""
        image = self._renderer.draw(cameras.world_to_camera[view], cameras.intrinsics[view]).image
        gain, offset = np.split(exposures[view].astype(np.float32), 2)
        gradient = self._gradient
        _, of_gain, of_offset = self._loss(image[:3], gain, offset, self._targets[view], gradient[:3])
        # The relative error of the depth, |summed depth / known depth - alpha|.
        closeness = self._closeness[view]
        weight = np.float32(_DEPTH_WEIGHT * (1 - progress) / closeness.size)
        sign = np.sign(image[3] * closeness - (1 - image[LIGHT])) * (weight * (closeness > 0))
        np.multiply(sign, closeness, out=gradient[3])
        gradient[LIGHT] = sign
        self._renderer.blend_back(gradient)
        rates = self._rates(progress)
        of_camera = self._renderer.carry_back(
            update_splats, self._moments, self._steps, self._weights, rates, self._corrections
        )
        of_exposure = np.concatenate([of_gain * exposures[view, :3], of_offset])
        change = 0.1**progress * self._exposure_steps.step(view, of_exposure)
        exposures[view, :3] *= np.exp(-change[:3])
        exposures[view, 3:] -= change[3:]
        # Of all photos together, brightness is that of the splats.
        exposures[self._fitted, :3] /= np.exp(np.log(exposures[self._fitted, :3]).mean(axis=0))
        exposures[self._fitted, 3:] -= exposures[self._fitted, 3:].mean(axis=0)
        if correct_cameras:
            cameras.step(view, *of_camera, pace=1 - progress)

    def _rates(self, progress: float) -> NDArray[np.float32]:
        """(D,) learning rates, in the order of `cpu_projection_gradients`."""
        first, last = _MEAN_RATES
        rates = np.empty(HARMONICS + 3 * self._coefficients, np.float32)
        rates[MEAN:SCALE] = first * (last / first) ** progress * self._extent
        rates[SCALE:ROTATION], rates[ROTATION:OPACITY], rates[OPACITY] = _SCALE_RATE, _ROTATION_RATE, _OPACITY_RATE
        rates[HARMONICS:] = _HARMONICS_RATE
        rates[HARMONICS :: self._coefficients] = _COLOR_RATE
        return rates


def _held_out(count: int, share: int) -> list[int]:
    """One view in `share`, spread evenly; none of few."""
    if share == 0 or count < max(share, 2):
        return []
    number = count // share
    return sorted({int((i + 0.5) * count / number) for i in range(number)})


def _with_pixels(prediction: Prediction, views: list[int]) -> list[int]:
    """The `views` whose mask leaves anything."""
    if prediction.mask is None:
        return views
    left = [view for view in views if prediction.mask[view].any()]
    if not left:
        raise InputError("masks leave nothing of any photo to fit splats to: they are white where a photo counts")
    return left


def _start(prediction: Prediction, options: SplatOptimisation, from_depth_options: DepthSplatOptions) -> Gaussians:
    """Splats from depth, and far ones where sky is known."""
    _, height, width = prediction.depth.shape
    prediction = _without_masked_colors(prediction)
    budget = options.gs_splats or from_depth_options.budget or height * width
    near = from_depth(prediction, replace(from_depth_options, budget=budget))
    far = far_splats(prediction)
    names = Gaussians.__dataclass_fields__
    return Gaussians(**{name: np.concatenate([getattr(near, name), getattr(far, name)]) for name in names})


def _without_masked_colors(prediction: Prediction) -> Prediction:
    """With colours from around where masks exclude pixels: splats of the layer behind take some of them."""
    if prediction.mask is None or prediction.mask.all():
        return prediction
    import cv2

    photos = prediction.processed_images.copy()
    for view, mask in enumerate(prediction.mask):
        if mask.any() and not mask.all():
            photos[view] = cv2.inpaint(photos[view], (~mask).astype(np.uint8), 3, cv2.INPAINT_TELEA)
    return replace(prediction, processed_images=photos)


def _of_views(prediction: Prediction, views: list[int]) -> Prediction:
    """The prediction of some of the photos alone."""
    if len(views) == len(prediction.depth):
        return prediction
    of_each = (
        "depth",
        "processed_images",
        "conf",
        "sky",
        "mask",
        "filled",
        "extrinsics",
        "intrinsics",
        "original_sizes",
        "processed_to_original",
    )
    parts = {name: getattr(prediction, name) for name in of_each}
    parts = {name: values[views] for name, values in parts.items() if values is not None}
    lenses = None if prediction.lenses is None else prediction.lenses[views]
    names = tuple(prediction.image_names[view] for view in views) if prediction.image_names else ()
    return replace(
        prediction,
        **parts,
        lenses=lenses,
        image_names=names,
        gaussians=None,
        gaussian_source=None,
        ref_view=None,
        features={},
    )


def _as_parameters(gaussians: Gaussians) -> Gaussians:
    """Arrays of their own, float32, that can move: neither invisible nor opaque for good, harmonics of some degree."""
    coefficients = max((SH_DEGREE + 1) ** 2, gaussians.harmonics.shape[2])
    harmonics = np.zeros((len(gaussians), 3, coefficients), np.float32)
    harmonics[:, :, : gaussians.harmonics.shape[2]] = gaussians.harmonics
    return Gaussians(
        means=np.array(gaussians.means, np.float32, order="C"),
        scales=np.maximum(gaussians.scales, 1e-8).astype(np.float32, order="C"),
        rotations=np.array(normalise(gaussians.rotations), np.float32, order="C"),
        harmonics=harmonics,
        opacities=np.clip(gaussians.opacities, *_START_OPACITIES).astype(np.float32),
    )


def _extent(world_to_camera: NDArray[np.float64], prediction: Prediction) -> float:
    """How far the cameras are from their middle, at most, and a tenth more; never nothing."""
    centres = invert_rigid(world_to_camera)[:, :3, 3]
    apart = float(np.linalg.norm(centres - centres.mean(axis=0), axis=1).max())
    known = prediction.depth[prediction.valid]
    return max(1.1 * apart, _NEAREST_EXTENT * float(np.median(known)) if len(known) else 0.0, 1e-6)


def _target(prediction: Prediction, view: int) -> Target:
    photo = prediction.processed_images[view].transpose(2, 0, 1).astype(np.float32) / np.float32(255)
    return Target(photo, _mask(prediction, view))


def _mask(prediction: Prediction, view: int) -> NDArray[np.bool_] | None:
    return None if prediction.mask is None else prediction.mask[view]


def _compare(color: NDArray[np.float64], photo: NDArray[np.uint8], mask: NDArray[np.bool_] | None) -> Scores:
    """Of one (H, W, 3) view and its photo."""
    truth = photo / 255
    counts = np.ones(photo.shape[:2], bool) if mask is None else mask
    if not counts.any():
        return Scores(np.inf, np.inf, None)
    shown = np.clip(color, 0, 1)
    chosen, wanted = shown[counts], truth[counts]  # (P, 3)
    gain = (chosen * wanted).sum(axis=0) / np.maximum((chosen * chosen).sum(axis=0), 1e-12)
    margin = WINDOW // 2
    has_window = bool(counts[margin:-margin, margin:-margin].any())
    return Scores(
        psnr=psnr(shown, truth, mask),
        psnr_fitted=psnr(np.clip(shown * gain, 0, 1), truth, mask),
        ssim=ssim(shown, truth, mask) if has_window else None,
    )


def _psnr_of(scores: Scores | None) -> float:
    return -np.inf if scores is None else scores.psnr_fitted
