"""What a CPU learns in ten minutes: tiny networks on rendered scenes, and one adapted to a scene by its stereo depth.

    python -m tests.benchmarks.bench_training [single-view] [any-view] [finetune] [--steps N] [--out FOLDER]

`single-view` trains `configs/train/tiny.yaml` on random scenes and measures it on scenes of other seeds, beside what
knows nothing of a photo: the best constant, and the mean depth map of the training set. `any-view` does the same with
the tiny any-view network. `finetune` finds the depth of scenes/courtyard by stereo, adapts the single-view network to
it, and compares depth where stereo found none with the exact truth: before, after, and as interpolation of the stereo
depth has it. All write pictures of predicted depth beside the truth. Scenes and networks that are there are kept.
"""

from __future__ import annotations

import argparse
import csv
import re
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from recon.choices import EstimatorOptions
from recon.estimate.choice import choose
from recon.eval.depth_metrics import fit_line
from recon.eval.ground_truth import match_names, read_ground_truth, sample_depth
from recon.files import scenes_folder
from recon.geometry.depth_fusion import fuse_depth
from recon.run.load import load
from recon.run.pipeline import reconstruct
from recon.sources.fitting import IMAGENET_MEAN, IMAGENET_STD, normalise
from recon.train.config import TrainConfig, config_of, read_config
from recon.train.data.training_data import open_data
from recon.train.evaluation import evaluate
from recon.train.learner import Learner
from recon.train.loop import score_line, train
from recon.train.prior import MeanDepthMap
from recon.train.setup import set_up
from recon.types import Prediction

from ..synthetic.training_scenes import main as render_scenes

SCENES = Path("outputs") / "training_scenes"
_OF_MEAN_MAP = 100
"""Batches."""
SINGLE_VIEW_STEPS, ANY_VIEW_STEPS, FINETUNE_STEPS = 5000, 2000, 400


def rendered(scenes: int) -> None:
    """Scenes to learn from and to be measured on, where they are not there yet."""
    render_scenes([str(SCENES / "train"), "--scenes", str(scenes)])
    render_scenes([str(SCENES / "test"), "--scenes", "16", "--first-seed", "100000", "--views", "4"])


def trained(name: str, changes: Sequence[str], out: Path) -> TrainConfig:
    """Train a recipe, and print how it went."""
    config = read_config(name, changes)
    data = open_data(config.data, of="data")
    started, cpu = time.perf_counter(), time.process_time()
    outcome = train(config, data, out, say=print)
    done = outcome.progress
    print(
        f"{config.main.network}: {done.taken} steps in {time.perf_counter() - started:.0f} s, "
        f"{time.process_time() - cpu:.0f} s of CPU; batches ready when asked for: "
        f"{1 - done.waited / max(done.taken, 1):.1%}; samples left out: {len(data.skipped)}"
    )
    if done.scores.get("views"):
        print(score_line(done.scores))
        scores_apart(config, out)
        curve(out / "evaluation.csv", out / "curve.png")
        draw_predictions(config, out)
    return config


def scores_apart(config: TrainConfig, out: Path) -> None:
    """Print the scores on random scenes, and on those that share their layout with some that were learned from."""
    learner = learner_of(config, out / "model")
    data = open_data(config.data, of="data")
    mean_map = MeanDepthMap()
    for number in range(_OF_MEAN_MAP):
        batch = data.batch(config.main.seed, number)
        assert batch.depth is not None
        assert batch.valid is not None
        mean_map.add(batch.depth, batch.valid, learner.several_views)
    for kind, rest in (("random scenes", 0), ("known layouts with other textures", 1)):
        batches = (batch for batch in data.evaluation() if seed_of(batch.names[0][0]) % 2 == rest)
        print(f"{kind}: {score_line(evaluate(learner, batches, mean_map))}")


def seed_of(name: str) -> int:
    """Of the scene of a sample."""
    return int(re.findall(r"[0-9]{6}", name)[0])


def curve(table: Path, picture: Path) -> None:
    """AbsRel over steps beside the priors', drawn from an `evaluation.csv`."""
    with table.open(newline="", encoding="utf-8") as file:
        rows = [{name: float(value) for name, value in row.items() if value} for row in csv.DictReader(file)]
    lines = {"abs_rel": (30, 90, 200), "abs_rel_constant": (150, 150, 150), "abs_rel_mean_map": (220, 140, 40)}
    rows = [row for row in rows if all(name in row for name in lines)]
    if len(rows) < 2:
        return
    width, height, edge = 640, 400, 50
    canvas = np.full((height, width, 3), 255, np.uint8)
    most = 1.1 * max(row[name] for row in rows for name in lines)
    last = max(row["step"] for row in rows)

    def place(step: float, value: float) -> tuple[int, int]:
        across = edge + (width - 2 * edge) * step / last
        return round(across), round(height - edge - (height - 2 * edge) * value / most)

    for tick in np.linspace(0, most, 6):
        at = place(0, tick)
        cv2.line(canvas, at, (width - edge, at[1]), (225, 225, 225), 1)
        cv2.putText(canvas, f"{tick:.2f}", (8, at[1] + 4), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (90, 90, 90), 1)
    for index, (name, colour) in enumerate(lines.items()):
        points = [place(row["step"], row[name]) for row in rows]
        for one, other in pairwise(points):
            cv2.line(canvas, one, other, colour, 2, cv2.LINE_AA)
        cv2.putText(canvas, name, (edge + 170 * index, 25), cv2.FONT_HERSHEY_SIMPLEX, 0.45, colour, 1, cv2.LINE_AA)
    cv2.putText(canvas, f"{last:.0f} steps", (width - 110, height - 20), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (90, 90, 90), 1)
    Image.fromarray(canvas).save(picture)
    print(f"curve: {picture}")


def learner_of(config: TrainConfig, model: Path) -> Learner:
    """The network that a training has written."""
    values = {**config.entries(), "weights": str(model), "lora": {}}
    found = set_up(config_of(values), torch.device("cpu")).learner
    found.eval()
    return found


def coloured(depth: NDArray[np.floating[Any]], valid: NDArray[np.bool_], low: float, high: float) -> NDArray[np.uint8]:
    """(H, W, 3) near is bright, by disparity; black where there is none."""
    with np.errstate(divide="ignore", invalid="ignore"):
        share = (1 / depth - 1 / high) / (1 / low - 1 / high)
    shades = (255 * np.clip(np.nan_to_num(share), 0, 1)).astype(np.uint8)
    picture = cv2.applyColorMap(shades, cv2.COLORMAP_INFERNO)[..., ::-1].copy()
    picture[~valid] = 0
    return np.asarray(picture, np.uint8)


def draw_predictions(config: TrainConfig, out: Path, most: int = 10) -> None:
    """Photo, truth and prediction of some of the samples kept aside, one below the other."""
    learner = learner_of(config, out / "model")
    rows: list[NDArray[np.uint8]] = []
    for batch in open_data(config.data, of="data").evaluation():
        with torch.inference_mode():
            predicted = learner.predict(batch.images, batch)
        assert batch.depth is not None
        assert batch.valid is not None
        truth, valid, maps = batch.depth[0, 0].numpy(), batch.valid[0, 0].numpy(), predicted.map[0, 0].numpy()
        depth = fitted(maps, truth, valid, predicted.kind == "disparity")
        low, high = np.percentile(truth[valid], [1, 99])
        photo = batch.images[0, 0].permute(1, 2, 0).numpy() * IMAGENET_STD + IMAGENET_MEAN
        shown = (np.clip(255 * photo, 0, 255)).astype(np.uint8)
        everywhere = np.ones_like(valid)
        row = [shown, coloured(truth, valid, low, high), coloured(depth, everywhere, low, high)]
        rows.append(np.concatenate(row, axis=1))
    chosen = np.linspace(0, len(rows) - 1, min(most, len(rows))).astype(int)
    picture = np.concatenate([rows[index] for index in dict.fromkeys(chosen.tolist())])
    Image.fromarray(picture).resize((2 * picture.shape[1], 2 * picture.shape[0]), Image.Resampling.NEAREST).save(
        out / "predictions.png"
    )
    print(f"photo, truth, prediction: {out / 'predictions.png'}")


def fitted(
    maps: NDArray[np.floating[Any]], truth: NDArray[np.floating[Any]], known: NDArray[np.bool_], disparity: bool
) -> NDArray[np.float64]:
    """Depth: a map at the scale and shift that bring it to the truth, where that is known."""
    target = 1 / truth[known] if disparity else truth[known]
    line = fit_line(maps[known].astype(np.float64), target.astype(np.float64), "scale-and-shift")
    depth = line.scale * maps.astype(np.float64) + line.shift
    return 1 / np.maximum(depth, 1e-3 * np.median(target)) if disparity else np.maximum(depth, 1e-3 * np.median(target))


def stereo_of_courtyard(folder: Path) -> Prediction:
    """Found with the scene's own cameras, or what an earlier call has found."""
    options = EstimatorOptions(model="mvs", device="cpu")
    reconstruct(
        choose(options).open(print),
        scenes_folder() / "courtyard",
        export_dir=folder,
        export_format="npz",
        reuse=True,
    )
    return load(folder)


def finetune(model: Path, out: Path, steps: int) -> None:
    """A network adapted to the courtyard by its stereo depth; errors in metres' share where stereo found none."""
    stereo = stereo_of_courtyard(out / "stereo")
    changes = [
        "network=tiny-monocular",
        f"weights={model}",
        f"steps={steps}",
        f"data.sets.0.paths=[{out / 'stereo'}]",
        "data.views=[1, 1]",
        "data.process_res=504",
        "data.aspect=[1.3334, 1.3334]",
        "data.patches=972",
        "data.zoom=[0.6, 1.0]",
        "data.crop=anywhere",
        "data.given_cameras=0",
        "lora.rank=0",
        "losses={affine_invariant: 1, gradient_matching: 0.5}",
        "optimiser={encoder_rate: 5.0e-4, decoder_rate: 5.0e-4, warm_up: 20, decay: cosine, average: 0.95}",
    ]
    config = read_config("finetune-scene", changes)
    before = predicted_of(stereo, learner_of(config, model))
    trained("finetune-scene", changes, out / "finetuned")
    after = predicted_of(stereo, learner_of(config, out / "finetuned" / "model"))
    truth, sky = truth_of(stereo)
    left_out = (truth > 0) & ~sky & ~stereo.valid
    print(f"stereo left out {left_out.sum() / ((truth > 0) & ~sky).mean() / left_out.size:.1%} of what is not sky")
    ways = {
        "interpolated between neighbours": np.stack(
            [interpolated(*view) for view in zip(stereo.depth, stereo.valid, strict=True)]
        ),
        "nearest neighbour": np.stack([nearest(*view) for view in zip(stereo.depth, stereo.valid, strict=True)]),
        "network before": before,
        "network after": after,
        "network before, joined with stereo": joined(before, stereo),
        "network after, joined with stereo": joined(after, stereo),
    }
    print("| depth in pixels that stereo left out | AbsRel | within 5 % |")
    print("| --- | --- | --- |")
    for name, depth in ways.items():
        error = np.abs(depth - truth)[left_out] / truth[left_out]
        print(f"| {name} | {error.mean():.4f} | {(error <= 0.05).mean():.1%} |")
    rows = []
    for view in (0, 4, 8):
        low, high = np.percentile(truth[view][truth[view] > 0], [1, 97])
        everywhere = np.ones_like(sky[view])
        rows.append(
            np.concatenate(
                [
                    stereo.processed_images[view],
                    coloured(truth[view], truth[view] > 0, low, high),
                    coloured(stereo.depth[view], stereo.valid[view], low, high),
                    coloured(before[view], everywhere, low, high),
                    coloured(after[view], everywhere, low, high),
                ],
                axis=1,
            )
        )
    picture = np.concatenate(rows)
    size = (picture.shape[1] // 2, picture.shape[0] // 2)
    Image.fromarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA)).save(out / "finetuned.png")
    print(f"photo, truth, stereo, before, after: {out / 'finetuned.png'}")


def predicted_of(stereo: Prediction, learner: Learner) -> NDArray[np.float64]:
    """(N, H, W) what a network says of the run's photos, brought to the stereo depth of each by scale and shift."""
    found = []
    for image, depth, valid in zip(stereo.processed_images, stereo.depth, stereo.valid, strict=True):
        with torch.inference_mode():
            predicted = learner.predict(torch.from_numpy(normalise(image[None]))[None])
        found.append(fitted(predicted.map[0, 0].numpy(), depth, valid, predicted.kind == "disparity"))
    return np.stack(found)


def joined(dense: NDArray[np.float64], stereo: Prediction) -> NDArray[np.float64]:
    """(N, H, W) as `recon run --model NETWORK+mvs` joins a network's depth with that of stereo."""
    sure = np.where(stereo.valid, stereo.depth, 0).astype(np.float32)
    views = zip(dense.astype(np.float32), sure, stereo.processed_images, strict=True)
    return np.stack([fuse_depth(*view).depth for view in views]).astype(np.float64)


def truth_of(prediction: Prediction) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """(N, H, W) true depth and sky of the run's pixels."""
    truth = read_ground_truth(scenes_folder() / "courtyard")
    matches = match_names(prediction.image_names, truth.image_names)
    assert prediction.processed_to_original is not None
    depth, skies = [], []
    for view, match in enumerate(matches):
        assert match is not None
        sampled = sample_depth(truth, match, prediction.depth.shape[1:], prediction.processed_to_original[view])
        assert sampled is not None
        assert sampled[1] is not None
        depth.append(sampled[0])
        skies.append(sampled[1])
    return np.stack(depth).astype(np.float64), np.stack(skies)


def interpolated(depth: NDArray[np.floating[Any]], valid: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(H, W) disparity between the pixels that have some, linear over their triangles; outside them the nearest."""
    from scipy.interpolate import griddata

    places = np.argwhere(valid & (cv2.erode(valid.astype(np.uint8), np.ones((3, 3), np.uint8)) == 0))
    missing = np.argwhere(~valid)
    disparity = 1 / depth[tuple(places.T)]
    values = griddata(places, disparity, missing, method="linear")
    outside = np.isnan(values)
    values[outside] = griddata(places, disparity, missing[outside], method="nearest")
    filled = depth.astype(np.float64)
    filled[~valid] = 1 / values
    return filled


def nearest(depth: NDArray[np.floating[Any]], valid: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(H, W) with the depth of the nearest pixel that has one."""
    from scipy.ndimage import distance_transform_edt

    rows, columns = distance_transform_edt(~valid, return_distances=False, return_indices=True)
    return np.asarray(depth[rows, columns], np.float64)


PARTS = ("single-view", "any-view", "finetune")


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("parts", nargs="*", default=PARTS, help=", ".join(PARTS))
    parser.add_argument("--out", type=Path, default=Path("outputs") / "bench_training")
    parser.add_argument("--steps", type=int, help="of every part, instead of what takes some ten minutes on two cores")
    parser.add_argument("--scenes", type=int, default=150, help="to learn from")
    given = parser.parse_args()
    unknown = set(given.parts) - set(PARTS)
    if unknown:
        parser.error(f"parts must be of {', '.join(PARTS)}, not {', '.join(sorted(unknown))}")
    if {"single-view", "any-view"} & set(given.parts):
        rendered(given.scenes)
    if "single-view" in given.parts:
        trained("tiny", [f"steps={given.steps or SINGLE_VIEW_STEPS}"], given.out / "single-view")
    if "any-view" in given.parts:
        trained("tiny", any_view_changes(given.steps or ANY_VIEW_STEPS), given.out / "any-view")
    if "finetune" in given.parts:
        model = given.out / "single-view" / "model"
        if not model.is_dir():
            parser.error(f"finetune needs {model}, which single-view writes")
        finetune(model, given.out / "finetune", given.steps or FINETUNE_STEPS)


def any_view_changes(steps: int) -> list[str]:
    """Of the tiny recipe, for the network of several views."""
    return [
        "network=tiny-any-view",
        f"steps={steps}",
        "losses={depth: 1, gradient: 1, rays: 1, camera: 1}",
        "data.views=[2, 4]",
        "data.crop=centred",
        "data.given_cameras=0.2",
    ]


if __name__ == "__main__":
    main()
