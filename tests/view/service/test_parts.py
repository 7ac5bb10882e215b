"""Parts that need no server."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from recon.choices import RunOptions
from recon.options import options_of
from recon.view.service.asked import check_asked, client_options
from recon.view.service.bodies import form_schema, settings_schema
from recon.view.service.file_names import free_name, safe_name
from recon.view.service.plain_paths import plain_text


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("a/./b//c.jpg", "a/b/c.jpg"),
        ("e\u0301.jpg", "\xe9.jpg"),
        ("x" * 300 + ".jpeg", "x" * 145 + ".jpeg"),
        ("\u65e5" * 100 + ".jpg", "\u65e5" * 48 + ".jpg"),
        (" a. /b. ", "a/b"),
        ("...", "_"),
        ("\ud800.jpg", "_.jpg"),
    ],
)
def test_safe_names(name, safe):
    assert safe_name(name) == safe
    assert safe_name(safe) == safe


def test_free_names():
    taken = {"a.jpg", "a-2.jpg", "b", "d.x/c"}
    assert [free_name(name, taken) for name in ("A.jpg", "b", "d.x/c", "e")] == ["A-3.jpg", "b-2", "d.x/c-2", "e"]


@pytest.mark.parametrize(
    ("said", "plain"),
    [
        ("'/srv/runs/1/input/a.jpg' is cut off", "'input/a.jpg' is cut off"),
        ("cannot write /srv/other/x.npz: No space", "cannot write x.npz: No space"),
        ("https://huggingface.co/a/b cannot be reached", "https://huggingface.co/a/b cannot be reached"),
        ("see input/a.jpg, 1/2 of all, and/or C:\\Users\\me\\a.txt", "see input/a.jpg, 1/2 of all, and/or a.txt"),
        ("/srv/runs/1", "."),
    ],
)
def test_texts_without_places(said, plain):
    assert plain_text(said, Path("/srv/runs/1")) == plain


def test_no_option_that_is_for_this_machine_can_be_chosen_elsewhere():
    assert not {"out", "weights", "revision", "onnx", "inputs", "device", "fresh", "provider"} & set(client_options())
    assert {"model", "cameras", "gs_seconds", "export_kwargs", "masks", "commercial_only"} <= set(client_options())


def test_every_option_is_described_with_its_bounds_and_its_default():
    properties = settings_schema()["properties"]
    assert set(client_options()) - set(properties) == {"masks", "images", "render_cameras"}  # files alone
    assert properties["limit"]["anyOf"] == [{"type": "integer", "minimum": 1}, {"type": "null"}]
    assert properties["mixed_sizes"]["enum"] == ["own", "crop", "error"]
    assert properties["mixed_sizes"]["default"] == "own"
    assert properties["crop_sphere"]["anyOf"][0]["maxItems"] == 4
    assert properties["limit"]["description"] == options_of(RunOptions)["limit"].help
    form = form_schema()["properties"]
    assert set(client_options()) <= set(form)
    assert form["masks"]["items"]["format"] == form["cameras"]["anyOf"][0]["items"]["format"] == "binary"
    json.dumps(form)


def test_settings_come_through_json_as_they_were():
    asked = {"crop_box": "0,0,0,1 2 3", "export_feat_layers": ["1", "5"], "gs_resolution": "full", "start": "1.5"}
    settings = json.loads(
        json.dumps(
            check_asked({**asked, "clean": "no", "end": None, "crop_sphere": "null"}, None, {"masks": "given/masks"})
        )
    )
    options = RunOptions(**settings)
    assert options.crop_box == (0, 0, 0, 1, 2, 3)
    assert options.export_feat_layers == (1, 5)
    assert (options.gs_resolution, options.start, options.clean, options.end) == ("full", 1.5, False, None)
    assert options.masks == Path("given/masks")


def test_files_elsewhere_are_not_opened(tmp_path):
    """In a process of its own: what Python calls before it opens files stays for good."""
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    for folder in (inside, outside):
        folder.mkdir()
        (folder / "a.txt").write_text("text")
    (inside / "link").symlink_to(outside / "a.txt")
    code = f"""
from pathlib import Path
import os, threading, numpy
from recon.view.service import confinement
from PIL import Image
inside, outside = Path({str(inside)!r}), Path({str(outside)!r})
def refused(read):
    try:
        read()
    except PermissionError as error:
        return True
    except Exception as error:
        return type(error).__name__
    return False
found = []
with confinement.confined_to([inside]):
    found += [refused((inside / "a.txt").read_text), refused((outside / "a.txt").read_text)]
    found += [refused((inside / "link").read_text), refused((inside / ".." / "outside" / "a.txt").read_text)]
    found += [refused(lambda: Image.open(outside / "a.txt")), refused(lambda: numpy.load(outside / "a.txt"))]
    thread = threading.Thread(target=lambda: found.append(refused((outside / "a.txt").read_bytes)))
    thread.start(); thread.join()
    found += [refused(lambda: list(outside.iterdir())), refused(lambda: list(inside.iterdir()))]
    found.append(bool(list(os.walk(outside))))
    import recon.run.pipeline
    found.append(refused(lambda: (inside / "new").write_text("1")))
found.append(refused((outside / "a.txt").read_text))
print(found)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[False, True, True, True, True, True, True, True, False, False, False, False]"
