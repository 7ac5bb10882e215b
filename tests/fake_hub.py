"""A small model hub on localhost: as much of the Hugging Face Hub as downloading a checkpoint takes.

Serves the folders `FOLDER/org/name/` as repositories; `FOLDER/org/name@tag/` is the revision `tag` of `org/name`.

    python -m tests.fake_hub FOLDER --port 8765
    HF_ENDPOINT=http://127.0.0.1:8765 HF_HUB_DISABLE_XET=1 recon run ...
"""

from __future__ import annotations

import argparse
import hashlib
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType

_RESOLVE = re.compile(r"/(?P<repo>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<filename>.+)")


@dataclass(frozen=True)
class Request:
    """What a client asked for."""

    method: str
    path: str
    authorization: str | None


@dataclass
class FakeHub:
    """The hub as a context manager: it serves, from a thread of its own, inside the block."""

    folder: Path
    port: int = 0
    """0: any free one."""
    gated: frozenset[str] = frozenset()
    """Repositories that ask everybody to accept their terms first."""
    private: dict[str, str] = field(default_factory=dict)
    """Token that each private repository wants to see."""
    cut_after: int | None = None
    """Drop the connection where the client has this many bytes of a file."""
    unavailable: bool = False
    """Answer 503 to everything."""
    requests: list[Request] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), type("Handler", (_Handler,), {"hub": self}))
        self.port = self._server.server_address[1]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> FakeHub:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def serve_forever(self) -> None:
        """Serve in this thread until interrupted."""
        self._server.serve_forever()

    def revisions(self, repo: str) -> dict[str, Path]:
        """Folder of each revision of `repo`, by tag or branch and again by commit hash."""
        main = self.folder / repo
        found = {"main": main} if main.is_dir() else {}
        found |= {p.name.split("@", 1)[1]: p for p in main.parent.glob(f"{main.name}@*") if p.is_dir()}
        return found | {commit_of(path): path for path in found.values()}


def commit_of(folder: Path) -> str:
    """A commit hash for the files of a folder: another one as soon as any of them changes."""
    digest = hashlib.sha1()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        digest.update(f"{path.relative_to(folder)} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()


class _Handler(BaseHTTPRequestHandler):
    hub: FakeHub
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def log_message(self, format: str, *args: object) -> None:
        """Requests are kept in `FakeHub.requests` instead."""

    def _answer(self, with_body: bool) -> None:
        token = self.headers.get("Authorization")
        self.hub.requests.append(Request(self.command, self.path, token))
        match = _RESOLVE.fullmatch(self.path)
        if self.hub.unavailable:
            return self._refuse(503, "ServiceUnavailable")
        if match is None:
            return self._refuse(404, "NotFound")
        repo, revision, filename = match["repo"], match["revision"], match["filename"]
        revisions = self.hub.revisions(repo)
        wanted_token = self.hub.private.get(repo)
        if not revisions or (wanted_token is not None and token != f"Bearer {wanted_token}"):
            return self._refuse(404 if token else 401, "RepoNotFound")
        if repo in self.hub.gated:
            return self._refuse(403 if token else 401, "GatedRepo")
        if revision not in revisions:
            return self._refuse(404, "RevisionNotFound")
        path = revisions[revision] / filename
        if not path.is_file():
            return self._refuse(404, "EntryNotFound", commit_of(revisions[revision]))
        return self._send(path, commit_of(revisions[revision]), with_body)

    def _refuse(self, status: int, error_code: str, commit: str | None = None) -> None:
        self.send_response(status)
        self.send_header("X-Error-Code", error_code)
        self.send_header("X-Error-Message", error_code)
        if commit is not None:
            self.send_header("X-Repo-Commit", commit)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _send(self, path: Path, commit: str, with_body: bool) -> None:
        content = path.read_bytes()
        start = 0
        if (requested := re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))) is not None:
            start = int(requested[1])
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - start))
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.send_header("X-Repo-Commit", commit)
        self.end_headers()
        if not with_body:
            return
        self.wfile.write(content[start : self.hub.cut_after])
        self.close_connection = self.hub.cut_after is not None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--port", type=int, default=0)
    arguments = parser.parse_args()
    hub = FakeHub(arguments.folder, port=arguments.port)
    print(f"HF_ENDPOINT={hub.url}", flush=True)
    try:
        hub.serve_forever()
    except KeyboardInterrupt:
        print("stopped")


if __name__ == "__main__":
    main()
