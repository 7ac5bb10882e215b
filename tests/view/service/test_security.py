"""Who may do what, and what strangers may send."""

from __future__ import annotations

import io
import json
import threading
import time
import zipfile

import pytest

from recon.view.service.receiving import Limits
from tests.view.service.client import form_of
from tests.view.service.conftest import DONE, serving

PHOTO = [("files", "a.jpg", b"jpeg")]


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://elsewhere.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Host": "elsewhere.example"},
        {"Host": "elsewhere.example:18100", "Origin": "http://elsewhere.example:18100"},
    ],
)
def test_a_page_from_elsewhere_starts_nothing_and_removes_nothing(service, headers):
    run = service.form("/v1/runs", PHOTO).json["id"]
    for method, path in (("POST", "/v1/runs"), ("DELETE", f"/v1/runs/{run}"), ("POST", f"/v1/runs/{run}/cancel")):
        kind, body = form_of(PHOTO, {})
        assert service.ask(method, path, body, Content_Type=kind, **headers).status == 403
    assert len(service.ask("GET", "/v1/runs").json["runs"]) == 1
    service.wait_for(run, "running")
    assert not service.worker.cancelled.is_set()


def test_the_own_page_may(service):
    own = {"Origin": f"http://127.0.0.1:{service.port}", "Sec_Fetch_Site": "same-origin"}
    assert service.form("/v1/runs", PHOTO, **own).status == 201


@pytest.mark.parametrize(
    "path",
    [
        "/v1/runs/{id}/files/../../../../../../etc/passwd",
        "/v1/runs/{id}/files/..%2f..%2fjob.json",
        "/v1/runs/{id}/files/%2e%2e/job.json",
        "/v1/runs/{id}/files//etc/passwd",
        "/v1/runs/{id}/files/cache/x",
        "/v1/runs/..%2f{id}",
        "/v1/runs/{id}%2f..%2f{id}",
        "/v1/runs/%00",
        "/../../etc/passwd",
        "/job.json",
        "/static/..%2fsite.py",
    ],
)
def test_no_path_leads_anywhere(service, path):
    run = service.form("/v1/runs", PHOTO).json["id"]
    folder = service.worker.begun.get(timeout=5)
    service.worker.ends.put(DONE)
    service.wait_for(run, "done")
    reply = service.ask("GET", path.format(id=run))
    assert reply.status == 404
    for secret in (b"root:", str(folder).encode(), b"Traceback"):
        assert secret not in reply.body


@pytest.mark.parametrize("name", ["../a.jpg", "a/../../b.jpg", "..\\\\..\\\\b.jpg", "x/" * 20 + "a.jpg", ""])
def test_names_that_lead_out_of_their_folder(service, name):
    assert service.form("/v1/runs", [("files", name, b"1")]).status == 400
    assert not list(service.root.iterdir())


def test_names_are_made_harmless(service):
    names = [
        "<img src=x onerror=alert(1)>.jpg",
        "/etc/passwd",
        "C:\\\\x.jpg",
        ".hidden",
        "a\u202egpj.exe",
        "CON.jpg",
        "A.jpg",
        "a.jpg",
    ]
    reply = service.form("/v1/runs", [("files", name, b"1") for name in names], {"name": "<script>"})
    found = [one["path"] for one in reply.json["inputs"]]
    assert found == [
        "_img src=x onerror=alert(1)_.jpg",
        "etc/passwd",
        "x.jpg",
        "_.hidden",
        "a_gpj.exe",
        "_CON.jpg",
        "A.jpg",
        "a-2.jpg",
    ]
    assert reply.headers["content-type"] == "application/json"  # where markup is text


def test_parts_that_are_no_files_of_an_option(service):
    for part in ("weights", "out", "limit", "../x", "model"):
        assert service.form("/v1/runs", [*PHOTO, (part, "a", b"1")]).status == 400
    assert service.form("/v1/runs", [("cameras", "a.json", b"{}")]).status == 400  # and no photos
    assert not list(service.root.iterdir())


def test_every_answer_has_headers_that_keep_browsers_from_harm(service):
    run = service.form("/v1/runs", PHOTO).json["id"]
    service.worker.ends.put(DONE)
    service.wait_for(run, "done")
    for path in ("/", "/v1/runs", f"/v1/runs/{run}/picture", f"/v1/runs/{run}/files/a.txt", "/none"):
        headers = service.ask("GET", path).headers
        assert headers["x-content-type-options"] == "nosniff", path
        assert "default-src 'none'" in headers["content-security-policy"], path
        assert "access-control-allow-origin" not in headers
    assert "'unsafe-inline'" not in service.ask("GET", "/").headers["content-security-policy"]


def test_more_than_is_taken_is_refused_at_once(service):
    head = "POST /v1/runs HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nContent-Type: multipart/form-data; boundary=x\r\n{}"
    head += "\r\n\r\n"
    with service.connect() as connection:
        connection.sendall(head.format(service.port, "Content-Length: 10000000000").encode())
        assert b"413" in connection.recv(1000).splitlines()[0]
    with service.connect() as connection:
        connection.sendall(head.format(service.port, "Transfer-Encoding: chunked").encode())
        start = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a"\r\n\r\n'
        connection.sendall(b"%x\r\n%b\r\n" % (len(start), start))
        received: list[bytes] = []
        listening = threading.Thread(target=lambda: received.append(connection.recv(1000)))
        listening.start()
        sent = 0
        try:
            while listening.is_alive() and sent < 50_000_000:
                connection.sendall(b"%x\r\n%b\r\n" % (50_000, b"0" * 50_000))
                sent += 50_000
        except OSError:
            pass
        listening.join()
        assert b"413" in received[0].splitlines()[0]
        assert sent < 25_000_000  # some of it read, so that the answer arrives, and some under way
    assert service.form("/v1/runs", [("files", f"{i}.jpg", b"1") for i in range(21)]).status == 413
    assert not list(service.root.iterdir())


def test_all_files_of_an_upload_count(service):
    upload = service.form("/v1/uploads", [("files", "a", b"1" * 600_000)]).json["id"]
    assert service.form(f"/v1/uploads/{upload}", [("files", "b", b"1" * 600_000)]).status == 413
    assert service.form(f"/v1/uploads/{upload}", [("files", f"{i}", b"1") for i in range(20)]).status == 413
    reply = service.form(f"/v1/uploads/{upload}", [("files", "c", b"1")])
    assert [one["path"] for one in reply.json["files"]] == ["input/a", "input/c"]
    assert service.ask("DELETE", f"/v1/uploads/{upload}").status == 204
    assert not list(service.root.iterdir())


def test_uploads_that_are_slow_or_break_off(tmp_path):
    limits = Limits(1_000_000, 20, idle_seconds=0.3, least_bytes_per_second=1e6)
    head = "POST /v1/runs HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nContent-Type: multipart/form-data; boundary=x\r\n"
    head += "Content-Length: 5000\r\n\r\n"
    start = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a"\r\n\r\n'
    with serving(tmp_path, limits) as service:
        with service.connect() as silent, service.connect() as slow, service.connect() as gone:
            for one in (silent, slow, gone):
                one.sendall(head.format(service.port).encode() + start)
            gone.close()
            answer = b""
            slow.settimeout(0.05)
            for _ in range(100):
                try:
                    answer = slow.recv(1000)
                    break
                except TimeoutError:
                    slow.sendall(b"0")
            assert b"408" in answer.splitlines()[0]
            assert b"408" in silent.recv(1000).splitlines()[0]
        assert service.ask("GET", "/v1/runs").json == {"runs": []}
        assert not list(tmp_path.iterdir())


def archive(**sizes: int) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as made:
        for name, size in sizes.items():
            made.writestr(name.replace("_", "/"), b"0" * size)
    return content.getvalue()


def test_archives_that_unpack_to_too_much_or_lead_out(service):
    bomb = archive(bomb=201_000_000)
    assert len(bomb) < 1_000_000
    for content in (bomb, archive(**{".._x": 1})):
        reply = service.form("/v1/runs", [("files", "photos.zip", content)])
        assert reply.status == 400
        assert "refused" in reply.error
        assert str(service.root) not in reply.error
    assert service.form("/v1/runs", [("files", "photos.zip", archive(a=1))]).status == 201


@pytest.mark.parametrize(
    "content", [b"#EXTM3U\nfile:///etc/x.ts", b"ffconcat version 1.0\nfile /x.mp4", b"<?xml?><MPD>"]
)
def test_videos_that_are_lists_of_other_files(service, content):
    assert "list" in service.form("/v1/runs", [("files", "walk.mp4", content)]).error


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("text/plain", b"x"),
        ("multipart/form-data", b"x"),
        ("multipart/form-data; boundary=x", b"y"),
        ("multipart/form-data; boundary=x", b"--x\r\nContent-Disposition: form-data\r\n\r\n1\r\n--x--\r\n"),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="files"; filename="a"\r\n\r\n',
        ),
        ("multipart/form-data; boundary=x", b"--x\r\nA: " + b"b" * 10_000),
        ("application/json", b"["),
        ("application/json", b"[]"),
        ("application/json", b'{"upload": 1}'),
        ("application/json", b'{"upload": "1", "runs": 2}'),
        ("application/json", b'{"upload": "1", "settings": []}'),
        ("application/json", b"[" * 100_000),
    ],
)
def test_bodies_that_cannot_be_read(service, kind, body):
    reply = service.ask("POST", "/v1/runs", body, Content_Type=kind)
    assert reply.status == 400
    assert reply.error
    assert not list(service.root.iterdir())


def test_only_who_has_the_token(tmp_path):
    with serving(tmp_path, token="s3cret-enough") as service:
        for headers in ({}, {"Authorization": "Bearer s3cret"}, {"Cookie": "recon_token=s3cret-enough"}):
            for path in ("/", "/v1/runs", "/v1/openapi.json"):
                reply = service.ask("GET", path, **headers)
                assert reply.status == 401
                assert "s3cret-enough" not in reply.body.decode()
        assert service.ask("GET", "/v1/runs", Authorization="Bearer s3cret-enough").status == 200
        assert service.ask("GET", "/?token=wrong").status == 401
        reply = service.ask("GET", "/?token=s3cret-enough")
        assert (reply.status, reply.headers["location"]) == (303, "/")
        cookie = reply.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=strict" in cookie
        assert "s3cret" not in cookie
        assert service.ask("GET", "/v1/runs", Cookie=cookie.partition(";")[0]).status == 200
        assert service.form("/v1/runs", PHOTO).status == 401


def test_what_a_run_notes_tells_no_place_of_this_machine(service):
    run = service.form("/v1/runs", PHOTO).json["id"]
    folder = service.worker.begun.get(timeout=5)
    record = {
        "settings": {"inputs": [f"{folder}/input"], "weights": "/home/someone/weights dir/w.safetensors"},
        "images": [{"path": f"{folder}/input/a.jpg"}],
        "warnings": [f"'{folder}/input/a.jpg' is blurred, see /home/someone/x y"],
    }
    (folder / "result" / "run.json").write_text(json.dumps(record))
    service.worker.ends.put({**DONE, "files": [{"path": "run.json", "bytes": 1}]})
    service.wait_for(run, "done")
    sent = service.ask("GET", f"/v1/runs/{run}/files/run.json")
    assert sent.json == {
        "settings": {"inputs": ["input"], "weights": "w.safetensors"},
        "images": [{"path": "input/a.jpg"}],
        "warnings": ["'input/a.jpg' is blurred, see x y"],
    }


def test_a_client_that_stops_listening_stops_nothing(service):
    run = service.form("/v1/runs", PHOTO).json["id"]
    service.worker.begun.get(timeout=5)
    for _ in range(5):
        assert next(service.events(run))["state"] == "running"
    service.worker.ends.put(DONE)
    assert service.wait_for(run, "done") == "done"
    time.sleep(0.2)
    assert service.ask("GET", "/v1/runs").status == 200
