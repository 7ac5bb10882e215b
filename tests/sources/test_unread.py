"""What cannot be read yet is named for what it is, by its content, with what to do instead."""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from recon.errors import InputError
from recon.sources.open_source import open_source


def photo(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (42, 28)).save(path)
    return path


def zipped(path: Path, names: list[str]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, b"content")
    return path


def written(path: Path, content: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def finished_run(folder: Path) -> Path:
    photo(folder / "scene.jpg")
    written(folder / "exports" / "npz" / "results.npz", "")
    return written(folder / "run.json", "{}").parent


def result(path: Path) -> Path:
    np.savez(path, depth=np.zeros((1, 2, 2)), image=np.zeros((1, 2, 2, 3), np.uint8))
    return path


def only_video(folder: Path) -> Path:
    written(folder / "Clip 1.MOV", "content")
    return folder


CASES = {
    "no video": (lambda p: written(p / "Clip.MP4", "x"), r"Clip\.MP4' cannot be read as a video"),
    "nothing but the start of a video": (lambda p: _mp4(p / "photo.jpg"), r"photo\.jpg' cannot be read as a video"),
    "zip without photos": (lambda p: zipped(p / "photo.jpg", ["1.doc"]), r"an archive \(ZIP\) without photos"),
    "nerfstudio zip": (
        lambda p: zipped(p / "scan.zip", ["images/1.jpg", "transforms.json"]),
        "nerfstudio scene.*Unpack",
    ),
    "record": (lambda p: written(p / "run.json", {"versions": {}, "exports": {}}), "the record of a run.*recon export"),
    "broken json": (lambda p: written(p / "a.json", "{"), "no readable JSON"),
    "run folder": (lambda p: finished_run(p / "outputs"), "the folder of a run.*recon export"),
    "result": (lambda p: result(p / "results.npz"), "the result of a run.*recon export"),
    "arrays": (lambda p: zipped(p / "a.npz", ["x.npy"]), "archive of NumPy arrays"),
    "ply": (lambda p: written(p / "points.ply", "ply\nformat ascii 1.0\n"), "a PLY file"),
    "text": (lambda p: written(p / "notes.md", "hello"), "text, not a photo"),
    "nothing": (lambda p: p / "absent.jpg", "does not exist; give an image file or a folder"),
    "folder with a video": (
        lambda p: only_video(p / "clips"),
        r"holds no images .* a video, Clip 1\.MOV; give that file",
    ),
}


def _mp4(path: Path) -> Path:
    path.write_bytes(b"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom" + bytes(64))
    return path


@pytest.mark.parametrize("case", CASES)
def test_is_named_with_a_remedy(case: str, tmp_path: Path) -> None:
    make, said = CASES[case]
    path = make(tmp_path)  # type: ignore[no-untyped-call]
    with pytest.raises(InputError, match=said) as raised:
        open_source(path)
    assert "\n" not in str(raised.value)
    assert str(path) in str(raised.value)


def test_among_photos_a_video_is_refused_and_a_bad_photo_is_not(tmp_path: Path) -> None:
    good = photo(tmp_path / "good.jpg")
    with pytest.raises(InputError, match="is a video, which is a source by itself"):
        open_source([good, _mp4(tmp_path / "clip.mp4")])
    for make in (CASES["nerfstudio zip"][0], CASES["run folder"][0]):
        with pytest.raises(InputError, match=r"photos and folders of photos are read|the folder of a run"):
            open_source([good, make(tmp_path)])  # type: ignore[no-untyped-call]
    assert open_source([good, written(tmp_path / "bad.png", "text")]).names == ("good.jpg", "bad.png")


def test_an_archive_in_a_folder_without_photos_is_named(tmp_path: Path) -> None:
    zipped(tmp_path / "photos.zip", ["1.jpg", "2.jpg"])
    with pytest.raises(
        InputError, match=r"holds no images .*photos\.zip, an archive \(ZIP\) with photos; give that file"
    ):
        open_source(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
def test_pipes_and_devices_are_never_waited_for(tmp_path: Path) -> None:
    """Opening one would not return."""
    photo(tmp_path / "a.png")
    os.mkfifo(tmp_path / "pipe")
    for name, target in {"b.png": "pipe", "c.png": os.devnull, "broken.png": "nowhere"}.items():
        (tmp_path / name).symlink_to(target)
    assert open_source(tmp_path).names == ("a.png", "broken.png")
    for given in (tmp_path / "pipe", [tmp_path / "a.png", tmp_path / "b.png"]):
        with pytest.raises(InputError, match="a pipe or a device"):
            open_source(given)
