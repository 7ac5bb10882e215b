"""Results of a batch in an object store or anywhere else that fsspec reaches: `s3://`, `gs://`, `az://`, …"""

from __future__ import annotations

import contextlib
import json
import secrets
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from recon.errors import InputError, MissingExtraError
from recon.files import temporary_folder
from recon.run.batch.place import STATE_FOLDER
from recon.run.record import CACHE_NAME, FILE_NAME, listed_files

_EXTRAS = {"s3": ("s3fs", "s3"), "s3a": ("s3fs", "s3"), "gs": ("gcsfs", "gs"), "gcs": ("gcsfs", "gs")}
"""For each protocol the package that it needs, and the extra that brings it."""


class UrlPlace:
    """A URL of fsspec. Credentials and addresses of services are those of the environment, as for other programs."""

    def __init__(self, address: str) -> None:
        """Raises InputError for a protocol that is not known, or one whose package is not installed."""
        self.address = address.rstrip("/")
        protocol = address.partition("://")[0]
        try:
            import fsspec

            self._files, self._root = fsspec.core.url_to_fs(self.address, use_listings_cache=False)
        except ImportError as error:
            package, extra = _EXTRAS.get(protocol, (_package(error), None))
            if extra is None:
                raise InputError(f"{self.address}: {protocol}:// needs the package {package}: pip install") from error
            raise MissingExtraError(f"{self.address}: {protocol}://", package, extra) from error
        except (ValueError, TypeError) as error:
            raise InputError(f"{self.address}: not an address that results can go to: {_said(error)}") from error
        self._root = str(self._root).rstrip("/")

    def check(self) -> None:
        """Write a small file and remove it."""
        probe = f"{STATE_FOLDER}/probe-{secrets.token_hex(6)}"
        self.write(probe, b"probe")
        self.remove(probe)

    def read(self, path: str) -> bytes | None:
        """See `Place`."""
        try:
            return bytes(self._files.cat_file(self._at(path)))
        except FileNotFoundError:
            return None
        except Exception as error:  # each service has its own
            raise self._refused("cannot be read", path, error) from error

    def size(self, path: str) -> int | None:
        """See `Place`."""
        try:
            found = self._files.info(self._at(path), **self._anew)["size"]
            return None if found is None else int(found)
        except FileNotFoundError:
            return None
        except Exception as error:
            raise self._refused("cannot be read", path, error) from error

    def write(self, path: str, content: bytes) -> None:
        """See `Place`."""
        try:
            self._make_folder(path)
            self._files.pipe_file(self._at(path), content)
        except Exception as error:
            raise self._refused("cannot be written", path, error) from error

    def create(self, path: str, content: bytes) -> bool:
        """See `Place`; of several at once one succeeds where the store tells (S3, GCS)."""
        try:
            self._make_folder(path)
            self._files.pipe_file(self._at(path), content, mode="create")
            return True
        except FileExistsError:
            return False
        except Exception as error:
            if self.size(path) is not None:  # stores call it by many names
                return False
            raise self._refused("cannot be written", path, error) from error

    def remove(self, path: str) -> None:
        """See `Place`."""
        with contextlib.suppress(Exception):
            self._files.rm_file(self._at(path))

    def names(self, folder: str) -> Sequence[str]:
        """See `Place`."""
        try:
            entries = self._files.ls(self._at(folder), detail=True, **self._anew)
        except FileNotFoundError:
            return ()
        except Exception as error:
            raise self._refused("cannot be read", folder, error) from error
        return sorted(str(entry["name"]).rpartition("/")[2] for entry in entries if entry["type"] == "file")

    def results(self, name: str) -> AbstractContextManager[Path]:
        """A temporary folder, whose files are sent when the block ends without an exception, `run.json` last."""
        return self._sent(name)

    @contextlib.contextmanager
    def _sent(self, name: str) -> Iterator[Path]:
        with temporary_folder("recon-batch-results-") as folder:
            yield folder / name
            self._send(name, folder / name)

    def _send(self, name: str, folder: Path) -> None:
        """What an earlier run lists as its files, and this one does not write, is removed behind."""
        found = [path for path in sorted(folder.rglob("*")) if path.is_file()] if folder.is_dir() else []
        names = [path.relative_to(folder).as_posix() for path in found]
        sent = [one for one in names if not one.startswith((".", f"{CACHE_NAME}/")) and one != FILE_NAME]
        earlier = self._listed(name)
        for one in [*sent, *([FILE_NAME] if FILE_NAME in names else [])]:
            try:
                self._make_folder(f"{name}/{one}")
                self._files.put_file(str(folder / one), self._at(f"{name}/{one}"))
            except Exception as error:
                raise self._refused("cannot be written", f"{name}/{one}", error) from error
        if FILE_NAME in names:
            for one in earlier - set(sent):
                self.remove(f"{name}/{one}")

    def _listed(self, name: str) -> set[str]:
        with contextlib.suppress(ValueError, TypeError, KeyError, AttributeError):
            content = self.read(f"{name}/{FILE_NAME}")
            paths = [] if content is None else [file["path"] for file in listed_files(json.loads(content))]
            return {path for path in paths if not path.startswith("/") and ".." not in path.split("/")}
        return set()

    def _at(self, path: str) -> str:
        return f"{self._root}/{path}"

    def _make_folder(self, path: str) -> None:
        """Where the store has folders."""
        if not self._has_no_folders:
            self._files.makedirs(self._at(path).rpartition("/")[0], exist_ok=True)

    @property
    def _has_no_folders(self) -> bool:
        return bool({*self._protocols} & {"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss"})

    @property
    def _anew(self) -> dict[str, Any]:
        """What makes S3 look again, and not at what it remembers of a moment ago."""
        return {"refresh": True} if {*self._protocols} & {"s3", "s3a", "gs", "gcs"} else {}

    @property
    def _protocols(self) -> tuple[str, ...]:
        found = self._files.protocol
        return (found,) if isinstance(found, str) else tuple(found)

    def _refused(self, what: str, path: str, error: Exception) -> InputError:
        return InputError(f"{self.address}/{path} {what}: {_said(error)}")


def _said(error: BaseException) -> str:
    said = " ".join(str(error).split()) or type(error).__name__
    strerror = getattr(error, "strerror", None)
    return str(strerror) if strerror else said


def _package(error: ImportError) -> str:
    return str(getattr(error, "name", None) or "of that protocol")
