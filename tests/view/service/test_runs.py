"""Runs over HTTP, from upload to deletion: what a client is told, and what stays on the disk."""

from __future__ import annotations

import io
import json
import os
import shutil
import threading
import zipfile

import pytest

from recon.errors import InputError
from recon.view.service.job import MOST_ATTEMPTS
from recon.view.service.job_store import JobStore
from tests.view.service.conftest import DONE, serving

PHOTO = [("files", "a.jpg", b"jpeg")]


def created(service, **fields):
    reply = service.form("/v1/runs", PHOTO, fields)
    assert reply.status == 201, reply.body
    return reply.json["id"]


def test_from_upload_to_file_to_deletion(service):
    reply = service.form("/v1/runs", PHOTO, {"model": "mvs", "export": "glb", "name": "yard", "crop_sphere": "0 0 1 2"})
    run = reply.json
    assert reply.headers["location"] == f"/v1/runs/{run['id']}"
    assert (run["name"], run["inputs"]) == ("yard", [{"path": "a.jpg", "bytes": 4}])
    folder = service.worker.begun.get(timeout=5)
    assert (folder / "input" / "a.jpg").read_bytes() == b"jpeg"
    assert service.worker.settings == {"model": "mvs", "export": "glb-html", "crop_sphere": [0, 0, 1, 2]}
    events = service.events(run["id"])
    assert next(events)["state"] == "running"
    service.worker.tell({"progress": {"stage": "predict", "part": "depth", "done": 1, "total": 3, "stages": 8}})
    progress = next(events)["progress"]
    assert (progress["stage"], progress["done"], progress["total"]) == ("predict", 1, 3)
    assert progress["text"] == "predict: depth 1/3"
    service.worker.tell({"warning": "one is blurred"})
    service.worker.ends.put(DONE)
    last = list(events)[-1]
    assert (last["state"], last["warnings"]) == ("done", ["one is blurred"])
    shown = service.ask("GET", f"/v1/runs/{run['id']}").json
    (file,) = shown["files"]
    sent = service.ask("GET", file["url"])
    assert (sent.status, sent.body) == (200, b"a\nb\nc")
    assert sent.headers["content-disposition"].startswith("attachment")
    assert service.ask("GET", shown["picture"]).body == b"jpeg"
    assert service.ask("GET", file["url"], Range="bytes=2-2").body == b"b"
    archive = service.ask("GET", f"/v1/runs/{run['id']}/files.zip")
    assert archive.headers["content-disposition"] == 'attachment; filename="yard.zip"'
    with zipfile.ZipFile(io.BytesIO(archive.body)) as unpacked:
        assert unpacked.testzip() is None
        assert [(name, unpacked.read(name)) for name in unpacked.namelist()] == [("a.txt", b"a\nb\nc")]
    assert service.ask("DELETE", f"/v1/runs/{run['id']}").status == 204
    assert service.ask("GET", f"/v1/runs/{run['id']}").status == 404
    assert not [path for path in service.root.iterdir() if not path.name.startswith(".temporary")]


def test_files_for_options_go_where_the_run_finds_them(service):
    files = [*PHOTO, ("cameras", "cameras.json", b"{}"), ("masks", "m/a.png", b"1"), ("depth_prior", "d/a.png", b"1")]
    files.append(("render_cameras", "path.json", b"{}"))
    fields = {
        "settings": json.dumps({"limit": 3, "depth_prior": ["points"]}),
        "model": "auto+mvs",
        "export": "gs_video",
    }
    assert service.form("/v1/runs", files, fields).status == 201
    folder = service.worker.begun.get(timeout=5)
    assert service.worker.settings["cameras"] == "given/cameras/cameras.json"
    assert service.worker.settings["masks"] == "given/masks"
    assert service.worker.settings["depth_prior"] == ["given/depth_prior", "points"]
    assert service.worker.settings["render_cameras"] == "given/render_cameras/path.json"
    assert service.worker.settings["limit"] == 3
    assert (folder / "given/masks/m/a.png").read_bytes() == b"1"


def test_files_uploaded_before(service):
    upload = service.form("/v1/uploads", [("files", "photos/a.jpg", b"1")])
    assert upload.status == 201
    more = service.form(f"/v1/uploads/{upload.json['id']}", [("files", "photos/a.jpg", b"22")])
    assert more.json["files"][1] == {"path": "input/photos/a-2.jpg", "bytes": 2}
    reply = service.json("POST", "/v1/runs", {"upload": upload.json["id"], "preset": "quick", "settings": {"limit": 9}})
    assert reply.status == 201
    assert reply.json["name"] == "photos"
    assert reply.json["settings"] == {
        "model": "da3-small",
        "process_res": 336,
        "num_max_points": 200000,
        "limit": 9,
        "export": "mini_npz-glb-depth_vis-html",
    }
    assert service.json("POST", "/v1/runs", {"upload": upload.json["id"]}).status == 404


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"model": "da9"}, "da9"),
        ({"limit": "0"}, "limit"),
        ({"weights": "/etc"}, "whoever runs the server"),
        ({"out": "/tmp/x"}, "no option 'out'"),
        ({"limits": "9"}, "'limit'"),
        ({"zzzz": "9"}, "openapi.json"),
        ({"onnx": "a.onnx"}, "whoever runs the server"),
        ({"masks": "/etc"}, "masks"),
        ({"cameras": "../../job.json"}, "cameras"),
        ({"cameras": "~/x"}, "cameras"),
        ({"cameras": ".."}, "cameras"),
        ({"depth_prior": "/etc"}, "depth_prior"),
        ({"settings": '{"depth_prior": ["points", "/etc"]}'}, "depth_prior"),
        ({"model": "mvs+da9"}, "da9"),
        ({"export": "exe"}, "exe"),
        ({"export": "gs_video", "export_kwargs": "gs_video.render_cameras=/etc/passwd"}, "names a file"),
        ({"preset": "../quick"}, "preset"),
        ({"settings": "[1]"}, "object"),
        ({"settings": '{"limit": NaN}'}, "JSON"),
    ],
)
def test_what_cannot_be_asked(service, fields, said):
    reply = service.form("/v1/runs", PHOTO, fields)
    assert reply.status == 400
    assert said in reply.error
    assert "num_max_points" not in reply.error  # no list of all options
    assert service.ask("GET", "/v1/runs").json == {"runs": []}
    assert not list(service.root.iterdir())


def test_cancel_one_that_goes_on_and_one_that_waits(service):
    first, second = created(service), created(service)
    service.worker.begun.get(timeout=5)
    assert service.ask("GET", f"/v1/runs/{second}").json["position"] == 1
    assert service.ask("POST", f"/v1/runs/{second}/cancel").json["state"] == "cancelled"
    for _ in range(2):
        assert service.ask("POST", f"/v1/runs/{first}/cancel").status == 200
    service.wait_for(first, "cancelled")
    assert service.worker.begun.empty()
    third = created(service)
    service.worker.ends.put(DONE)
    service.wait_for(third, "done")
    assert service.ask("POST", f"/v1/runs/{third}/cancel").status == 409


def test_one_that_goes_on_is_cancelled_before_it_is_deleted(service):
    run = created(service)
    service.worker.begun.get(timeout=5)
    assert service.ask("DELETE", f"/v1/runs/{run}").status == 204
    assert service.worker.cancelled.is_set()
    assert not list(service.root.iterdir())


def test_fifty_wait_in_order_and_none_is_lost_by_a_restart(tmp_path):
    with serving(tmp_path) as service:
        clients = [threading.Thread(target=lambda: [created(service) for _ in range(25)]) for _ in range(2)]
        for one in clients:
            one.start()
        for one in clients:
            one.join()
        runs = service.ask("GET", "/v1/runs").json["runs"]
        assert len({run["id"] for run in runs}) == 50
        assert [run["position"] for run in runs] == [*range(49, 0, -1), None]
        assert [run["state"] for run in runs] == ["queued"] * 49 + ["running"]
    with serving(tmp_path) as service:
        again = [service.worker.begun.get(timeout=5).name]
        for _ in range(49):
            service.worker.ends.put(DONE)
            again.append(service.worker.begun.get(timeout=5).name)
        service.worker.ends.put(DONE)
        assert again == [run["id"] for run in reversed(runs)]
        service.wait_for(again[-1], "done")
    with serving(tmp_path) as service:
        assert {run["state"] for run in service.ask("GET", "/v1/runs").json["runs"]} == {"done"}


def test_a_job_that_ends_its_server_each_time_is_given_up(tmp_path):
    for _ in range(MOST_ATTEMPTS):
        with serving(tmp_path) as service:
            run = service.ask("GET", "/v1/runs").json["runs"]
            run = run[0]["id"] if run else created(service)
            service.worker.begun.get(timeout=5)
    with serving(tmp_path) as service:
        assert service.wait_for(run, "failed", "running") == "failed"
        assert f"{MOST_ATTEMPTS} times" in service.ask("GET", f"/v1/runs/{run}").json["error"]


def test_what_a_killed_server_left_half_is_removed(tmp_path):
    with serving(tmp_path) as service:
        run = created(service)
    (tmp_path / ".incoming-1").mkdir()
    (tmp_path / f".removed-{run}").mkdir()
    (tmp_path / "20200101-000000-000000-00000000").mkdir()
    with pytest.warns(UserWarning, match="cannot be read"):
        found = JobStore(tmp_path).load()
    assert [job.id for job in found] == [run]
    assert not list(tmp_path.glob(".incoming-*")) + list(tmp_path.glob(".removed-*"))


def test_a_job_that_cannot_be_begun_keeps_none_from_being_done(tmp_path):
    said: list[str] = []
    with serving(tmp_path, said=said) as service:
        first, second = created(service), created(service)
        service.worker.ends.put({"end": "raise"})
        service.worker.ends.put(DONE)
        assert service.wait_for(second, "done") == "done"
        assert service.state(first) == "failed"
        assert "place" not in service.ask("GET", f"/v1/runs/{first}").json["error"]
        assert "Cannot allocate memory" in said[0]


class TestAFullDisk:
    def test_of_an_upload_nothing_stays(self, service, monkeypatch):
        monkeypatch.setattr("recon.view.service.receiving._Writer.data", refuse)
        reply = service.form("/v1/runs", PHOTO)
        assert reply.status == 507
        assert str(service.root) not in reply.error
        assert not list(service.root.iterdir())

    def test_a_job_that_cannot_be_kept_is_none(self, service, monkeypatch):
        monkeypatch.setattr("recon.view.service.job_store.JobStore.adopt", refuse)
        assert service.form("/v1/runs", PHOTO).status == 507
        assert service.ask("GET", "/v1/runs").json == {"runs": []}
        assert not list(service.root.iterdir())

    def test_a_state_that_cannot_be_kept_is_said_and_the_job_goes_on(self, tmp_path, monkeypatch):
        def full(store, job):
            raise InputError("cannot write job.json: No space left on device")

        said: list[str] = []
        with serving(tmp_path, said=said) as service:
            run = created(service)
            service.worker.begun.get(timeout=5)
            monkeypatch.setattr("recon.view.service.job_store.JobStore.save", full)
            service.worker.ends.put(DONE)
            service.wait_for(run, "done")
            assert "No space left" in said[0]


def refuse(*arguments):
    raise OSError(28, os.strerror(28), "/secret/place")


def test_a_result_whose_files_are_gone(service):
    run = created(service)
    folder = service.worker.begun.get(timeout=5)
    service.worker.ends.put(DONE)
    service.wait_for(run, "done")
    shutil.rmtree(folder / "result")
    reply = service.ask("GET", f"/v1/runs/{run}/files/a.txt")
    assert reply.status == 404
    assert str(folder) not in reply.error
