"""Features become colours by a PCA over all views, and the video plays in another reader."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from recon.errors import InputError
from recon.export import export
from recon.export.feat_vis import features_to_rgb
from tests.seeds import numpy_random


def test_colours_follow_the_three_strongest_directions():
    rng = numpy_random(0)
    latent = rng.normal(size=(2, 5, 8, 3)) * [9, 3, 1]
    basis, _ = np.linalg.qr(rng.normal(size=(32, 32)))
    features = (latent @ basis[:3] + rng.normal(0, 1e-6, (2, 5, 8, 32)) + rng.normal(size=32)).astype(np.float32)
    colors = features_to_rgb(features).reshape(-1, 3).astype(float)
    for channel in range(3):
        true = latent[..., channel].ravel()
        low, high = np.percentile(true, [10, 90])
        expected = ((true - low) / (high - low)).clip(0, 1) * 255
        same, opposite = np.abs(colors[:, channel] - expected), np.abs(255 - colors[:, channel] - expected)
        assert min(np.median(same), np.median(opposite)) < 15


def test_colours_match_an_svd():
    features = numpy_random(1).normal(size=(3, 4, 6, 16)) * np.linspace(3, 0.5, 16)
    centred = features.reshape(-1, 16) - features.reshape(-1, 16).mean(axis=0)
    _, _, directions = np.linalg.svd(centred, full_matrices=False)
    signs = [np.sign(d[np.abs(d).argmax()]) for d in directions[:3]]
    components = centred @ (directions[:3].T * signs)
    low, high = np.percentile(components, [10, 90], axis=0)
    expected = ((components - low) / (high - low)).clip(0, 1) * 255
    np.testing.assert_allclose(features_to_rgb(features).reshape(-1, 3), expected, atol=0.51)


def test_views_share_one_basis():
    features = numpy_random(2).normal(size=(2, 4, 6, 8))
    features[1] = features[0]
    colors = features_to_rgb(features)
    np.testing.assert_array_equal(colors[0], colors[1])


def test_constant_and_narrow_features():
    assert not features_to_rgb(np.ones((1, 2, 3, 8))).any()
    colors = features_to_rgb(numpy_random(0).normal(size=(1, 4, 6, 2)))
    assert colors[..., :2].any()
    assert not colors[..., 2].any()


@pytest.mark.parametrize(("height", "width"), [(28, 42), (13, 27)])
def test_pictures_and_video_are_read_back(height, width, make_prediction, tmp_path):
    av = pytest.importorskip("av")
    prediction = make_prediction(height=height, width=width, layers=(7,))
    export(prediction, "feat_vis", tmp_path, {"feat_vis": {"fps": 5}})
    pictures = [Image.open(tmp_path / f"feat_vis/feat_layer_7/{i:06d}.jpg") for i in range(3)]
    assert all(picture.size == (2 * width, height) for picture in pictures)
    with av.open(str(tmp_path / "feat_vis/feat_layer_7.mp4")) as video:
        stream = video.streams.video[0]
        assert stream.codec_context.name == "h264"
        assert stream.codec_context.pix_fmt == "yuv420p"
        assert stream.average_rate == 5
        frames = [frame.to_ndarray(format="rgb24") for frame in video.decode(stream)]
    assert len(frames) == 3
    for frame, picture in zip(frames, pictures, strict=True):
        assert frame.shape == (height + height % 2, 2 * width, 3)
        difference = frame[:height].astype(float) - np.asarray(picture)
        assert np.abs(difference.mean(axis=(0, 1))).max() < 12


def test_patches_stay_patches(make_prediction, tmp_path):
    prediction = make_prediction(layers=(7,))
    export(prediction, "feat_vis", tmp_path)
    shown = np.asarray(Image.open(tmp_path / "feat_vis/feat_layer_7/000001.jpg"))[:, 42:].astype(float)
    colors = features_to_rgb(prediction.aux["feat_layer_7"])[1]
    means = shown.reshape(4, 7, 6, 7, 3).mean(axis=(1, 3))
    assert np.corrcoef(means.ravel(), colors.ravel())[0, 1] > 0.97


def test_features_must_be_there_and_finite(make_prediction, tmp_path):
    with pytest.raises(InputError, match="feat_vis needs export_feat_layers"):
        export(make_prediction(), "feat_vis", tmp_path)
    broken = {2: np.full((3, 4, 6, 8), np.nan, np.float32)}
    with pytest.raises(InputError, match="feat_layer_2 holds values that are not finite"):
        export(make_prediction(features=broken), "feat_vis", tmp_path)
