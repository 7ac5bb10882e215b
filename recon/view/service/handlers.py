"""What the endpoints do."""

from __future__ import annotations

import json
import mimetypes
import re
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path, PurePosixPath
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse

from recon.choices import RunOptions
from recon.errors import InputError
from recon.export import EXPORTERS
from recon.export.html import FILE_NAME as VIEW_NAME
from recon.export.page_file import POLICY
from recon.files import read_json
from recon.run.record import FILE_NAME as RECORD_NAME
from recon.run.settings_file import read_settings_file, settings_names
from recon.version import __version__
from recon.view.service.asked import as_json, check_asked, model_names
from recon.view.service.bodies import Asked, name_of, of_fields, read_json_body
from recon.view.service.events import event_stream
from recon.view.service.job import Job, new_id
from recon.view.service.job_queue import JobQueue
from recon.view.service.job_store import PICTURE, RESULT
from recon.view.service.packed import packed
from recon.view.service.plain_paths import plain_entries
from recon.view.service.receiving import FILES, Limits, Received, receive_form
from recon.view.service.run_facts import UploadFacts, brief, facts
from recon.view.service.uploads import Upload, Uploads

JSON = "application/json"
_SHOWN = ("image/jpeg", "image/png", "image/gif", "image/webp", "video/mp4")
"""What a browser may show; everything else is to be saved."""
_OF_PAGE = f"sandbox allow-scripts allow-downloads allow-pointer-lock; {POLICY}; frame-ancestors 'self'"
"""A page that holds what strangers sent can reach nothing of this server."""


@dataclass(frozen=True)
class Handlers:
    """Each answers one kind of request; what it refuses, it raises as HTTPException."""

    queue: JobQueue
    limits: Limits
    uploads: Uploads

    def runs(self, request: Request) -> Response:
        return JSONResponse({"runs": [brief(job, self.queue.position(job)) for job in self.queue.all()]})

    async def new_run(self, request: Request) -> Response:
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != JSON:
            upload = _room(self.uploads)
            try:
                await receive_form(request, upload.received, self.limits)
                return await run_in_threadpool(self._add, upload.received, of_fields(upload.received.fields))
            finally:
                self.uploads.forget(upload)
        asked = await read_json_body(request, self.limits)
        with self.uploads.taken(asked.upload or "") as found:
            if found is None:
                raise HTTPException(HTTPStatus.NOT_FOUND, "there is no such upload; send its files again")
            answer = await run_in_threadpool(self._add, found.received, asked)
            self.uploads.forget(found)
            return answer

    def _add(self, received: Received, asked: Asked) -> Response:
        """Make a job of what was received; its folder moves."""
        if not received.inputs:
            raise HTTPException(HTTPStatus.BAD_REQUEST, f"no photos, video or archive: send files as {FILES!r}")
        try:
            job = Job(
                id=new_id(),
                name=asked.name or name_of(received),
                settings=check_asked(asked.settings, asked.preset, received.given),
                preset=asked.preset,
                inputs=received.inputs,
            )
            self.queue.add(received.folder, job)
        except InputError as error:
            raise HTTPException(HTTPStatus.BAD_REQUEST, str(error)) from error
        except OSError as error:
            raise _no_room() from error
        answer = facts(job, self.queue.position(job))
        return JSONResponse(answer, HTTPStatus.CREATED, {"Location": f"/v1/runs/{job.id}"})

    def run(self, request: Request) -> Response:
        job = self._job(request)
        return JSONResponse(facts(job, self.queue.position(job)))

    def cancel(self, request: Request) -> Response:
        job = self._job(request)
        if not self.queue.cancel(job):
            raise HTTPException(HTTPStatus.CONFLICT, f"the run is {job.state} already")
        return self.run(request)

    def remove(self, request: Request) -> Response:
        try:
            gone = self.queue.remove(self._job(request))
        except OSError as error:
            raise HTTPException(HTTPStatus.CONFLICT, "its files cannot be removed") from error
        if not gone:
            raise HTTPException(HTTPStatus.CONFLICT, "the run does not end; try again")
        return Response(status_code=HTTPStatus.NO_CONTENT)

    async def events(self, request: Request) -> Response:
        return event_stream(self.queue, self._job(request))

    def file(self, request: Request) -> Response:
        job, name = self._job(request), request.path_params["path"]
        _require(any(file["path"] == name for file in job.files), "the run lists no such file")
        path = self._folder(job) / RESULT / name
        if name == RECORD_NAME:
            return Response(self._record(job), media_type=JSON)
        kind = mimetypes.guess_type(name)[0]
        if kind not in _SHOWN:
            return _sent(path, "application/octet-stream", name=PurePosixPath(name).name)
        return _sent(path, kind)

    def all_files(self, request: Request) -> Response:
        job = self._job(request)
        found = [(file["path"], self._folder(job) / RESULT / file["path"]) for file in job.files]
        _require(bool(found) and all(path.is_file() for _, path in found), "the run has no files")
        named = [(name, self._record(job) if name == RECORD_NAME else path) for name, path in found]
        shown = re.sub(r"[^\w.-]+", "_", job.name, flags=re.ASCII) or "run"
        saved = {"Content-Disposition": f'attachment; filename="{shown}.zip"'}
        return StreamingResponse(packed(named), media_type="application/zip", headers=saved)

    def view(self, request: Request) -> Response:
        job = self._job(request)
        _require(any(file["path"] == VIEW_NAME for file in job.files), "the run has no page")
        policy = {"Content-Security-Policy": _OF_PAGE}
        return _sent(self._folder(job) / RESULT / VIEW_NAME, "text/html", policy)

    def picture(self, request: Request) -> Response:
        return _sent(self._folder(self._job(request)) / PICTURE, "image/jpeg")

    async def upload(self, request: Request) -> Response:
        upload = _room(self.uploads)
        try:
            await receive_form(request, upload.received, self.limits)
        except BaseException:
            self.uploads.forget(upload)
            raise
        upload.is_busy = False
        return JSONResponse(_uploaded(upload), HTTPStatus.CREATED, {"Location": f"/v1/uploads/{upload.id}"})

    async def upload_more(self, request: Request) -> Response:
        with self.uploads.taken(request.path_params["id"]) as upload:
            if upload is None:
                raise HTTPException(HTTPStatus.NOT_FOUND, "there is no such upload, or more of it is being sent")
            count = len(upload.received.files)
            try:
                await receive_form(request, upload.received, self.limits)
            except BaseException:
                upload.received.forget_from(count)
                raise
            return JSONResponse(_uploaded(upload))

    def forget(self, request: Request) -> Response:
        with self.uploads.taken(request.path_params["id"]) as upload:
            if upload is None:
                raise HTTPException(HTTPStatus.NOT_FOUND, "there is no such upload")
            self.uploads.forget(upload)
        return Response(status_code=HTTPStatus.NO_CONTENT)

    def about(self, request: Request) -> Response:
        presets = [
            {"name": name, "settings": {key: as_json(value) for key, value in _preset(name).items()}}
            for name in settings_names()
        ]
        return JSONResponse(
            {
                "version": __version__,
                "presets": presets,
                "models": list(model_names()),
                "formats": list(EXPORTERS),
                "most_files": self.limits.most_files,
                "most_bytes": self.limits.most_bytes,
            }
        )

    def _job(self, request: Request) -> Job:
        job = self.queue.get(request.path_params["id"])
        if job is None:
            raise HTTPException(HTTPStatus.NOT_FOUND, "there is no such run")
        return job

    def _record(self, job: Job) -> bytes:
        """`run.json`, without what it says of places on this machine."""
        folder = self._folder(job)
        try:
            return json.dumps(plain_entries(read_json(folder / RESULT / RECORD_NAME), folder), indent=1).encode()
        except (OSError, ValueError) as error:
            raise HTTPException(HTTPStatus.NOT_FOUND, "the file is gone") from error

    def _folder(self, job: Job) -> Path:
        return self.queue.store.folder(job)


def _preset(name: str) -> dict[str, Any]:
    return read_settings_file(name, RunOptions)


def _room(uploads: Uploads) -> Upload:
    """A new upload, in use."""
    try:
        return uploads.new()
    except OSError as error:
        raise _no_room() from error


def _no_room() -> HTTPException:
    return HTTPException(HTTPStatus.INSUFFICIENT_STORAGE, "the disk of the server is full")


def _uploaded(upload: Upload) -> UploadFacts:
    return {"id": upload.id, "files": upload.received.files}


def _require(holds: bool, said: str) -> None:
    if not holds:
        raise HTTPException(HTTPStatus.NOT_FOUND, said)


def _sent(path: Path, kind: str, headers: Mapping[str, str] | None = None, name: str | None = None) -> Response:
    """A file; to be saved as `name`, where there is one."""
    _require(path.is_file(), "the file is gone")
    return FileResponse(path, headers=headers, media_type=kind, filename=name)
