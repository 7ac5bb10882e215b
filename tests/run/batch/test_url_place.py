"""Results in an object store."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from recon.cli import main as main_module
from recon.errors import InputError
from recon.run.batch.leases import FOLDER, Leases
from recon.run.batch.open_place import open_place
from recon.run.batch.place import LocalPlace, Place
from recon.run.batch.url_place import UrlPlace
from tests.run.batch.small_scenes import OPTIONS, make_bad_scenes, make_scenes


@pytest.fixture(scope="module")
def s3() -> Iterator[Any]:
    """A server like S3 with the bucket `scenes`, found by the environment, as by workers; gives a client of it."""
    boto3 = pytest.importorskip("boto3", reason="moto, a local S3, is not installed")
    server_module = pytest.importorskip("moto.server", reason="moto, a local S3, is not installed")
    server = server_module.ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    environment = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        client = boto3.client("s3")
        client.create_bucket(Bucket="scenes")
        yield client
    server.stop()


@pytest.fixture(params=["folder", "memory", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "s3":
        request.getfixturevalue("s3")
        return open_place(f"s3://scenes/{tmp_path.name}/results/")
    return LocalPlace(tmp_path) if request.param == "folder" else open_place(f"memory://{tmp_path.name}/results")


def test_places_are_alike(place: Place) -> None:
    place.check()
    assert place.read("a/b.json") is None
    assert place.size("a/b.json") is None
    assert list(place.names("a")) == []
    assert place.create("a/b.json", b"one")
    assert not place.create("a/b.json", b"two")
    assert place.read("a/b.json") == b"one"
    place.write("a/b.json", b"three")
    place.write("a/c", b"")
    assert (place.read("a/b.json"), place.size("a/b.json"), place.size("a/c")) == (b"three", 5, 0)
    assert list(place.names("a")) == ["b.json", "c"]
    place.remove("a/b.json")
    place.remove("a/b.json")
    assert list(place.names("a")) == ["c"]
    with place.results("a") as folder:
        (folder / "exports/x").mkdir(parents=True, exist_ok=True)
        (folder / "exports/x/y.bin").write_bytes(b"y")
        (folder / "run.json").write_text("{}")
    assert place.read("a/exports/x/y.bin") == b"y"
    assert place.read("a/run.json") == b"{}"


def test_one_of_many_gets_a_lease_in_s3(s3: Any) -> None:
    many = [Leases(open_place("s3://scenes/leases")) for _ in range(4)]
    together, got = threading.Barrier(len(many)), []

    def ask(leases: Leases) -> None:
        together.wait()
        got.append(leases.take("a"))

    threads = [threading.Thread(target=ask, args=(leases,)) for leases in many]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(got) == [False, False, False, True]
    assert list(open_place("s3://scenes/leases").names(FOLDER)) == ["a.1"]


def test_files_of_an_earlier_run_go_and_what_is_of_use_only_here_stays_here(s3: Any) -> None:
    place = open_place("s3://scenes/again")
    for name, hidden in (("old.ply", "cache/a.npz"), ("new.ply", ".note")):
        with place.results("a") as folder:
            (folder / "cache").mkdir(parents=True)
            (folder / name).write_bytes(b"points")
            (folder / hidden).write_bytes(b"for this machine")
            entry = {"files": [{"path": name, "bytes": 6}]}
            (folder / "run.json").write_text(json.dumps({"exports": {"ply": entry}}))
    assert list(place.names("a")) == ["new.ply", "run.json"]
    with contextlib.suppress(ZeroDivisionError), place.results("b") as folder:
        folder.mkdir()
        (folder / "half.ply").touch()
        raise ZeroDivisionError
    assert list(place.names("b")) == []


def test_a_batch_into_s3(s3: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_bad_scenes(make_scenes(tmp_path / "in", 2))
    arguments = ["batch", str(tmp_path / "in"), "--out", "s3://scenes/out", *OPTIONS, "--workers", "1"]
    assert main_module.main(arguments) == 1
    keys = {one["Key"] for one in s3.list_objects_v2(Bucket="scenes", Prefix="out/")["Contents"]}
    for name in ("a00", "a01"):
        assert {f"out/{name}/run.json", f"out/{name}/exports/mini_npz/results.npz"} <= keys
    assert "out/empty/run.json" in keys
    assert not [key for key in keys if "/cache/" in key or "/leases/" in key]
    content = json.loads(s3.get_object(Bucket="scenes", Key="out/batch.json")["Body"].read())
    assert content["counts"] == {"done": 2, "failed": 3, "open": 0}
    capsys.readouterr()
    assert main_module.main([*arguments, "--shard", "1/5"]) == 0
    assert "done in" not in capsys.readouterr().err  # done before


def test_places_of_no_use(s3: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for address, said in (
        ("s3://nobody-has-this/out", r"s3://nobody-has-this/out.*(bucket|exist)"),
        ("nothing://a/b", "nothing"),
    ):
        with pytest.raises(InputError, match=said) as refused:
            open_place(address).check()
        assert "\n" not in str(refused.value)
    monkeypatch.setattr("s3fs.S3FileSystem._call_s3", _forbidden)
    with pytest.raises(InputError, match=r"s3://scenes/x.*Access Denied"):
        open_place("s3://scenes/x").check()
    make_scenes(tmp_path / "in", 1)
    assert main_module.main(["batch", str(tmp_path / "in"), "--out", "s3://scenes/x", *OPTIONS]) == 2


async def _forbidden(self: Any, *arguments: Any, **more: Any) -> None:
    """As s3fs has it where a bucket gives no right to write."""
    from botocore.exceptions import ClientError
    from s3fs.errors import translate_boto_error

    answer: Any = {"Error": {"Code": "AccessDenied", "Message": "Access Denied"}}
    raise translate_boto_error(ClientError(answer, "PutObject"))


def test_a_package_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*arguments: Any, **more: Any) -> None:
        raise ImportError("Please install s3fs to access S3")

    monkeypatch.setattr("fsspec.core.url_to_fs", missing)
    with pytest.raises(InputError, match=r"s3fs.*recon\[s3\]"):
        UrlPlace("s3://a/b")
