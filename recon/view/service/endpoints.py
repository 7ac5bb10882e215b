"""The table of what the service answers to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp

from recon.view.app import make_app
from recon.view.service.bodies import form_schema, json_schema, settings_schema, upload_schema
from recon.view.service.endpoint import Answer, Endpoint, describe, routes_of
from recon.view.service.handlers import JSON, Handlers
from recon.view.service.run_facts import RunFacts, RunList, UploadFacts
from recon.view.service.site import site_routes
from recon.view.service.token import TokenGuard

_FORM = "multipart/form-data"
_ID = {"id": {"type": "string"}}
_RECEIVING = (408, 413, 507)
"""Too slow, too much, and no room."""


def service_app(handlers: Handlers, hosts: Sequence[str] | None, token: str | None) -> ASGIApp:
    """The application: `hosts` as of `recon.view.app.make_app`, and the token that it asks for, if any."""
    endpoints = endpoints_of(handlers)
    described = describe(endpoints, {"Settings": settings_schema()}, (RunFacts, RunList, UploadFacts))

    def description(request: Request) -> Response:
        return JSONResponse(described)

    itself = Endpoint("GET", "/v1/openapi.json", description, "This description", {200: Answer("It", dict[str, Any])})
    guards = [] if token is None else [Middleware(TokenGuard, token=token)]
    return make_app([*routes_of([itself, *endpoints]), *site_routes()], hosts, guards)


def endpoints_of(handlers: Handlers) -> Sequence[Endpoint]:
    """All but the description of themselves."""
    run, files = Answer("The run", RunFacts), Answer("The files so far", UploadFacts)
    return (
        Endpoint(
            "GET",
            "/v1/about",
            handlers.about,
            "Version, limits, and what there is to choose from",
            {200: Answer("It", dict[str, Any])},
        ),
        Endpoint("GET", "/v1/runs", handlers.runs, "All runs, the latest first", {200: Answer("Runs", RunList)}),
        Endpoint(
            "POST",
            "/v1/runs",
            handlers.new_run,
            "Reconstruct photos, a video or an archive, sent along in a form or uploaded before",
            {201: run},
            (404, *_RECEIVING),
            {_FORM: form_schema(), JSON: json_schema()},
        ),
        Endpoint("GET", "/v1/runs/{id}", handlers.run, "A run", {200: run}, (404,), parameters=_ID),
        Endpoint(
            "DELETE",
            "/v1/runs/{id}",
            handlers.remove,
            "Remove a run with all its files; one that goes on is cancelled",
            {204: Answer("It is gone")},
            (404, 409),
            parameters=_ID,
        ),
        Endpoint(
            "POST",
            "/v1/runs/{id}/cancel",
            handlers.cancel,
            "Cancel a run that waits or goes on",
            {200: run},
            (404, 409),
            parameters=_ID,
        ),
        Endpoint(
            "GET",
            "/v1/runs/{id}/events",
            handlers.events,
            "How a run goes on: an event `run` for each change, with the run and its warnings, until it is over",
            {200: Answer("Server-sent events", media_type="text/event-stream")},
            (404,),
            parameters=_ID,
        ),
        _file("/v1/runs/{id}/files/{path:path}", handlers.file, "A file that a run lists", "*/*"),
        Endpoint(
            "GET",
            "/v1/runs/{id}/files.zip",
            handlers.all_files,
            "All files of a run in one archive",
            {200: Answer("A ZIP archive", media_type="application/zip")},
            (404,),
            parameters=_ID,
        ),
        _file("/v1/runs/{id}/view", handlers.view, "The result of a run in a page", "text/html"),
        _file("/v1/runs/{id}/picture", handlers.picture, "A photo of a run and its depth, small", "image/jpeg"),
        Endpoint(
            "POST",
            "/v1/uploads",
            handlers.upload,
            "Send files before a run is asked for",
            {201: files},
            _RECEIVING,
            {_FORM: upload_schema()},
        ),
        Endpoint(
            "POST",
            "/v1/uploads/{id}",
            handlers.upload_more,
            "Send more files",
            {200: files},
            (404, *_RECEIVING),
            {_FORM: upload_schema()},
            parameters=_ID,
        ),
        Endpoint(
            "DELETE",
            "/v1/uploads/{id}",
            handlers.forget,
            "Forget files that were sent",
            {204: Answer("They are gone")},
            (404,),
            parameters=_ID,
        ),
    )


def _file(path: str, handler: Any, what: str, media_type: str) -> Endpoint:
    """Of a file, or a range of its bytes."""
    parameters = {**_ID, "path": {"type": "string"}} if "{path" in path else _ID
    answers = {200: Answer("Its bytes", media_type=media_type), 206: Answer("Some of them", media_type=media_type)}
    return Endpoint("GET", path, handler, what, answers, (404, 416), parameters=parameters)
