from __future__ import annotations

import inspect
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import recon
from recon.api import DepthAnything3
from recon.errors import CheckpointError, InputError
from recon.messages import ReconWarning
from recon.models.checkpoints import save_checkpoint
from recon.run.pipeline import reconstruct
from recon.sources.fitting import normalise
from tests.fake_hub import FakeHub
from tests.fake_network import photos


@pytest.fixture(scope="module")
def model() -> DepthAnything3:
    with pytest.warns(ReconWarning, match="random weights"):
        return DepthAnything3("da3-small", weights=None)


@pytest.fixture(scope="module")
def saved(model: DepthAnything3, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return model.save_pretrained(tmp_path_factory.mktemp("saved"))


def same_weights(a: torch.nn.Module, b: torch.nn.Module) -> bool:
    ours, theirs = a.state_dict(), b.state_dict()
    return list(ours) == list(theirs) and all(torch.equal(ours[key], theirs[key]) for key in ours)


def test_documented_signature() -> None:
    parameters = inspect.signature(DepthAnything3.inference).parameters
    documented = {
        "image": inspect.Parameter.empty,
        "extrinsics": None,
        "intrinsics": None,
        "align_to_input_ext_scale": True,
        "infer_gs": False,
        "use_ray_pose": False,
        "ref_view_strategy": "saddle_balanced",
        "render_exts": None,
        "render_ixts": None,
        "render_hw": None,
        "process_res": 504,
        "process_res_method": "upper_bound_resize",
        "export_dir": None,
        "export_format": "mini_npz",
        "export_feat_layers": None,
        "conf_thresh_percentile": 40.0,
        "num_max_points": 1_000_000,
        "show_cameras": True,
        "feat_vis_fps": 15,
        "export_kwargs": None,
    }
    further = {"gaussians": "auto", "gs_budget": None, "masks": None, "invert_masks": False, "convention": None}
    assert {name: p.default for name, p in parameters.items() if name != "self"} == documented | further
    assert all(parameters[name].kind is inspect.Parameter.KEYWORD_ONLY for name in further)
    assert recon.DepthAnything3 is DepthAnything3
    assert inspect.signature(DepthAnything3).parameters["model_name"].default == "da3-large"


def test_it_is_a_module_with_the_official_keys(model: DepthAnything3) -> None:
    assert isinstance(model, torch.nn.Module)
    assert all(key.startswith("model.") for key in model.state_dict())
    assert "model.backbone.pretrained.cls_token" in model.state_dict()
    assert not model.training
    assert model.to("cpu") is model
    assert model.device == torch.device("cpu")
    assert DepthAnything3.device.fget(model.to("cpu")) == torch.device("cpu")


def test_random_weights_come_from_the_seed(model: DepthAnything3) -> None:
    with pytest.warns(ReconWarning, match=r"random weights \(seed 0\)"):
        again = DepthAnything3("da3-small", weights=None)
    with pytest.warns(ReconWarning, match=r"random weights \(seed 1\)"):
        other = DepthAnything3("da3-small", weights=None, seed=1)
    assert same_weights(model, again)
    assert not same_weights(model, other)


def test_inference_is_the_pipeline(model: DepthAnything3, tmp_path: Path) -> None:
    images = photos(2)
    prediction = model.inference(images, process_res=70, export_feat_layers=[5], export_dir=tmp_path)
    assert isinstance(prediction, recon.Prediction)
    assert prediction.depth.shape == (2, 56, 70)
    assert prediction.conf.min() >= 1
    assert prediction.extrinsics.shape == (2, 3, 4)
    assert prediction.aux["feat_layer_5"].shape == (2, 4, 5, 384)
    assert all(a.dtype == np.float32 for a in (prediction.depth, prediction.extrinsics, prediction.intrinsics))
    assert (tmp_path / "exports" / "mini_npz" / "results.npz").is_file()
    assert (tmp_path / "run.json").is_file()
    again = model.inference(images, process_res=70)
    np.testing.assert_array_equal(again.depth, prediction.depth)


def test_the_percentile_of_confidence_is_the_official_one(model: DepthAnything3, tmp_path: Path) -> None:
    """Of the least confident pixels, at most 90 % are left out; settings of the command line know no such limit."""
    images, size = photos(2), {"process_res": 70, "export_format": "ply", "export_dir": tmp_path}

    def points() -> int:
        return json.loads((tmp_path / "run.json").read_text())["exports"]["ply"]["details"]["points"]

    count = model.inference(images, process_res=70).depth.size
    for percentile, overrides, left_out in [
        (99.0, {}, 0.9),
        (99.0, {"ply": {"ensure_thresh_percentile": 95.0}}, 0.95),
        (99.0, {"ply": {"conf_thresh_percentile": 50}}, 0.5),
    ]:
        model.inference(images, conf_thresh_percentile=percentile, export_kwargs=overrides, **size)
        assert points() == pytest.approx((1 - left_out) * count, abs=2)
    for name, wrong, message in (
        ("conf_thresh_percentile", 101.0, "conf_thresh_percentile must be 0 to 100"),
        ("export_kwargs", {"glb": 3}, "must map options to values"),
        ("export_kwargs", {"gl": {}}, "unknown export format 'gl'"),
    ):
        with pytest.raises(InputError, match=message):
            model.inference(images, **{name: wrong})


def test_paths_pillow_images_and_arrays_are_alike(model: DepthAnything3, tmp_path: Path) -> None:
    arrays = photos(2)
    for index, pixels in enumerate(arrays):
        Image.fromarray(pixels).save(tmp_path / f"{index}.png")
    expected = model.inference(arrays, process_res=70).depth
    sources = (tmp_path, str(tmp_path), [str(tmp_path / "0.png"), tmp_path / "1.png"], np.stack(arrays))
    for source in (*sources, [Image.fromarray(pixels) for pixels in arrays]):
        np.testing.assert_array_equal(model.inference(source, process_res=70).depth, expected)


def test_forward_returns_the_documented_dictionary(model: DepthAnything3) -> None:
    images = normalise(np.stack([p[::2, ::2] for p in photos(3)]))
    output = model(torch.from_numpy(images)[None], export_feat_layers=[2])
    assert output["depth"].shape == output["depth_conf"].shape == (1, 3, 56, 70)
    assert output["extrinsics"].shape == (1, 3, 3, 4)
    assert output["intrinsics"].shape == (1, 3, 3, 3)
    assert output["aux"]["feat_layer_2"].shape == (1, 3, 4, 5, 384)
    assert "sky" not in output
    assert "gaussians" not in output
    assert output["depth"].is_inference()
    cameras = torch.eye(4).expand(1, 3, 4, 4), output["intrinsics"]
    given = model(torch.from_numpy(images)[None], *cameras)
    assert not torch.equal(given["depth"], output["depth"])


@pytest.mark.parametrize("name", ["render_exts", "render_ixts", "render_hw"])
def test_video_arguments_are_not_ignored(model: DepthAnything3, name: str) -> None:
    with pytest.raises(InputError, match=f"{name} is for the export format gs_video"):
        model.inference(photos(1), **{name: (100, 100)})


def test_wrong_arguments_name_themselves(model: DepthAnything3) -> None:
    for arguments, message in (
        ({"process_res": "504"}, "process_res must be a whole number"),
        ({"ref_view_strategy": "best"}, "ref_view_strategy must be one of"),
        ({"infer_gs": True}, "da3-small has no Gaussian head"),
        ({"export_feat_layers": [12]}, "da3-small has blocks 0 to 11, not 12"),
        ({"export_dir": ".", "export_format": "npz-xyz"}, "unknown export format 'xyz'"),
    ):
        with pytest.raises(InputError, match=message):
            model.inference(photos(1), **arguments)


class TestCheckpoints:
    def test_a_saved_folder_is_the_same_model(self, model: DepthAnything3, saved: Path) -> None:
        loaded = DepthAnything3.from_pretrained(saved)
        assert loaded.model_name == "da3-small"
        assert not loaded.training
        assert same_weights(model, loaded)
        images = photos(1)
        np.testing.assert_array_equal(
            loaded.inference(images, process_res=70).depth, model.inference(images, process_res=70).depth
        )

    def test_a_bare_file_is_recognised(self, model: DepthAnything3, saved: Path, tmp_path: Path) -> None:
        file = tmp_path / "weights.safetensors"
        file.hardlink_to(saved / "model.safetensors")
        loaded = DepthAnything3.from_pretrained(str(file))
        assert loaded.model_name == "da3-small"
        assert same_weights(model, loaded)

    def test_run_json_names_the_file(self, saved: Path, tmp_path: Path) -> None:
        import hashlib
        import json

        loaded = DepthAnything3("da3-small", weights=saved)
        reconstruct(loaded.estimator, photos(1), export_dir=tmp_path)
        weights = json.loads((tmp_path / "run.json").read_text())["model"]["weights"]
        digest = hashlib.sha256((saved / "model.safetensors").read_bytes()).hexdigest()
        assert weights["sha256"] == digest
        assert weights["file"] == str(saved / "model.safetensors")
        assert weights["licence"] == "Apache-2.0"

    def test_weights_of_another_preset_are_refused(self, saved: Path) -> None:
        with pytest.raises(CheckpointError, match="holds da3-small, not da3-base"):
            DepthAnything3("da3-base", weights=saved)
        with pytest.raises(CheckpointError, match="holds da3-small, not da3-base"):
            DepthAnything3("da3-base", weights=saved / "model.safetensors")

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"model_name": "da3-tiny"}, "unknown model 'da3-tiny'; known: da3-base"),
            ({"model_name": "DA3-SMAL"}, "unknown model 'DA3-SMAL'; did you mean 'da3-small'"),
            ({"model_name": "da3-small", "weights": None, "revision": "main"}, "revision main is for .* the hub"),
            ({"model_name": "da3-small", "precision": "fp64", "weights": None}, "precision must be one of auto"),
            ({"model_name": "da3-small", "engine": "onnx", "weights": None}, "engine must be one of recon, reference"),
            ({"model_name": "da3-large", "commercial_only": True}, "CC BY-NC 4.0.*choose one of .*da3-small"),
            ({"model_name": "da3-small", "weights": "./absent"}, "absent: no such file or folder"),
        ],
    )
    def test_wrong_arguments(self, arguments: dict, message: str) -> None:
        with pytest.raises(InputError, match=message):
            DepthAnything3(**arguments)

    def test_a_name_that_is_nothing(self) -> None:
        with pytest.raises(InputError, match=r"'da3-tiny' is neither a preset .* nor a hub id"):
            DepthAnything3.from_pretrained("da3-tiny")

    def test_the_hub_once_then_without_it(self, model: DepthAnything3, tmp_path: Path) -> None:
        """In processes of their own: huggingface_hub reads its environment at import."""
        import os

        save_checkpoint(model.model, "da3-small", tmp_path / "hub" / "depth-anything" / "DA3-SMALL")
        program = (
            "import sys; from recon import DepthAnything3 as D\n"
            "a = D.from_pretrained('depth-anything/DA3-SMALL'); b = D('da3-small')\n"
            "print(a.ready.weights.describe()['revision'], float(b.state_dict()['model.cam_dec.fc_t.weight'].sum()))"
        )

        def start(url: str) -> str:
            environment = {
                **{k: v for k, v in os.environ.items() if not k.startswith("HF_")},
                "HF_ENDPOINT": url,
                "HF_HOME": str(tmp_path / "home"),
                "HF_HUB_DISABLE_XET": "1",
                "PYTHONPATH": str(Path(__file__).parents[1]),
            }
            done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
            return done.stdout

        with FakeHub(tmp_path / "hub") as hub:
            first = start(hub.url)
            assert hub.requests
        assert start(hub.url) == first
