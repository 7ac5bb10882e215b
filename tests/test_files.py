"""Files appear whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

import pytest

from recon.errors import InputError, why
from recon.files import atomic_write, check_readable, read_json, read_text, remove_abandoned, temporary_folder


def test_the_file_appears_at_the_end(tmp_path):
    path = tmp_path / "new" / "folder" / "a.txt"
    with atomic_write(path) as temporary:
        assert temporary.parent == path.parent
        assert temporary.suffix == ".txt"
        temporary.write_text("done")
        assert not path.exists()
    assert path.read_text() == "done"
    assert list(path.parent.iterdir()) == [path]


def fail_halfway(path, error):
    with atomic_write(path) as temporary:
        temporary.write_text("half")
        raise error


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError, SystemExit])
def test_an_exception_keeps_the_old_file(error, tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(error):
        fail_halfway(path, error)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_refusing_machine_is_an_input_error(tmp_path):
    path = tmp_path / "a.txt"
    with pytest.raises(InputError, match=r"cannot write .*a\.txt: No space left"):
        fail_halfway(path, OSError(errno.ENOSPC, "No space left on device"))
    assert not list(tmp_path.iterdir())
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"cannot write .*a\.txt"), atomic_write(tmp_path / "file" / "a.txt"):
        pytest.fail("the folder is a file")


def test_two_writers_of_one_file_do_not_meet(tmp_path):
    path = tmp_path / "a.txt"
    with atomic_write(path) as first, atomic_write(path) as second:
        assert first != second
        first.write_text("1")
        second.write_text("2")
    assert path.read_text() == "1"
    assert list(tmp_path.iterdir()) == [path]


def leave_behind(code: str, **places: object) -> None:
    """Run `code` in a process that then kills itself, as SIGKILL from outside would."""
    script = "import os, signal\nfrom pathlib import Path\nfrom recon.files import *\n" + code
    script += "\nos.kill(os.getpid(), signal.SIGKILL)\n"
    environment = {**os.environ, **{name: str(place) for name, place in places.items()}}
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], env=environment, check=False)
    assert done.returncode == -signal.SIGKILL


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="processes cannot be killed so")
class TestWhatAKilledProcessLeaves:
    def test_a_half_written_file_is_removed_by_the_next_writer_into_its_folder(self, tmp_path):
        write = 'block = atomic_write(Path(os.environ["PLACE"])); block.__enter__().write_text("half")'
        leave_behind(write, PLACE=tmp_path / "0011.jpg")
        (left,) = tmp_path.iterdir()
        assert left.name.startswith(".0011.")
        users = [tmp_path / ".hidden.jpg", tmp_path / ".0011.abcdef.jpg", tmp_path / "0011.0123456789ab.jpg"]
        for path in users:
            path.write_text("the user's")
        with atomic_write(tmp_path / "0000.jpg") as temporary:
            temporary.write_text("done")
        assert sorted(tmp_path.iterdir()) == sorted([*users, tmp_path / "0000.jpg"])

    def test_one_that_is_being_written_stays(self, tmp_path):
        with atomic_write(tmp_path / "a.txt") as temporary:
            temporary.write_text("being written")
            remove_abandoned(tmp_path)
            assert temporary.exists()
        assert (tmp_path / "a.txt").read_text() == "being written"

    def test_folders_below_only_where_asked_for(self, tmp_path):
        write = 'block = atomic_write(Path(os.environ["PLACE"])); block.__enter__().write_text("half")'
        leave_behind(write, PLACE=tmp_path / "exports" / "npz" / "results.npz")
        remove_abandoned(tmp_path)
        assert len(list(tmp_path.rglob("*.npz"))) == 1
        remove_abandoned(tmp_path, deep=True)
        assert not list(tmp_path.rglob("*.npz"))

    def test_a_temporary_folder_is_removed_by_the_next(self, tmp_path):
        work = 'block = temporary_folder("recon-test-"); (block.__enter__() / "big").write_text("x")'
        leave_behind(work, TMPDIR=tmp_path)
        (left,) = tmp_path.iterdir()
        with temporary_folder_in(tmp_path) as folder:
            assert not left.exists()
            assert [path.name for path in tmp_path.iterdir()] == [folder.name]
            with temporary_folder_in(tmp_path) as other:  # at the same time
                assert folder.exists()
                assert other != folder
        assert not list(tmp_path.iterdir())


@contextlib.contextmanager
def temporary_folder_in(folder):
    before = tempfile.tempdir
    tempfile.tempdir = str(folder)
    try:
        with temporary_folder("recon-test-") as made:
            yield made
    finally:
        tempfile.tempdir = before


def test_what_can_be_read(tmp_path: Path) -> None:
    file = tmp_path / "a"
    with pytest.raises(InputError, match=r"a: no such file"):
        check_readable(file)
    file.touch()
    check_readable(file)
    with pytest.raises(InputError, match="cannot be read: Is a directory"):
        check_readable(tmp_path)


def test_the_reason_of_an_error_is_one_line() -> None:
    assert why(PermissionError(13, "Permission denied", "a/b")) == "Permission denied"
    assert why(ValueError("two\nlines")) == "two lines"
    assert why(KeyError()) == "KeyError"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_text_as_windows_programs_write_it(tmp_path: Path, encoding: str) -> None:
    mark = "\ufeff" if encoding in ("utf-16-le", "utf-16-be") else ""
    (tmp_path / "a.json").write_bytes(f'{mark}{{"name":\r\n"é"}}'.encode(encoding))
    assert read_text(tmp_path / "a.json") == '{"name":\n"é"}'
    assert read_json(tmp_path / "a.json") == {"name": "é"}


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "\ufeff"])
def test_what_is_no_json(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=r"."):
        read_json(tmp_path / "a.json")
