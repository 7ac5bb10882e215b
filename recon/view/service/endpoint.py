"""What a service answers to: one table, of which the routes and their description are made."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, TypeAlias

from starlette.endpoints import HTTPEndpoint
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from recon.version import __version__
from recon.view.service.run_facts import Refusal
from recon.view.service.schemas import Schema, definitions_of, schema_of

Handler: TypeAlias = Callable[[Request], Response] | Callable[[Request], Awaitable[Response]]
"""Plain functions are called in threads."""


@dataclass(frozen=True)
class Answer:
    """One that an endpoint may give."""

    what: str
    kind: Any = None
    """Type of its JSON; None where it has none."""
    media_type: str | None = None
    """Of an answer that is no JSON."""


@dataclass(frozen=True)
class Endpoint:
    """One method at one path."""

    method: str
    path: str
    """With parameters as starlette has them: `/v1/runs/{id}`."""
    handler: Handler
    what: str
    """One line."""
    answers: Mapping[int, Answer]
    refusals: Sequence[int] = ()
    """Statuses of refusals, beside those that every endpoint may give."""
    body: Mapping[str, Schema] = field(default_factory=dict)
    """By media type."""
    parameters: Mapping[str, Schema] = field(default_factory=dict)
    """Of the path."""

    @property
    def name(self) -> str:
        """That no other has."""
        return self.handler.__name__


def routes_of(endpoints: Sequence[Endpoint]) -> list[BaseRoute]:
    """For `recon.view.app.make_app`."""
    by_path: dict[str, list[Endpoint]] = {}
    for one in endpoints:
        by_path.setdefault(one.path, []).append(one)
    return [Route(path, _methods(found)) for path, found in by_path.items()]


def _methods(endpoints: Sequence[Endpoint]) -> Any:
    """All methods of one path in one class, so that what is refused names each of them."""
    return type("Methods", (HTTPEndpoint,), {one.method.lower(): staticmethod(one.handler) for one in endpoints})


def describe(endpoints: Sequence[Endpoint], named: Mapping[str, Schema], kinds: Sequence[Any]) -> dict[str, Any]:
    """The description in OpenAPI 3.1; `named` schemas, and those of the types in `kinds`, are referred to by it."""
    paths: dict[str, dict[str, Any]] = {}
    for one in endpoints:
        path = re.sub(r"{(\w+):path}", r"{\1}", one.path)
        of_made = [other for other in endpoints if other.path.startswith(f"{one.path}/{{id}}")]
        paths.setdefault(path, {})[one.method.lower()] = _operation(one, of_made)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "recon",
            "version": __version__,
            "description": "Photos, a video or an archive to depth, cameras, point clouds, meshes and splats.",
        },
        "paths": paths,
        "components": {"schemas": {**definitions_of(*kinds, Refusal), **named}},
    }


def _operation(one: Endpoint, of_made: Sequence[Endpoint]) -> dict[str, Any]:
    """Of one method at one path; `of_made`: what can be done with what it makes."""
    said: dict[str, Any] = {"operationId": one.name, "summary": one.what, "responses": {}}
    if one.parameters:
        said["parameters"] = [
            {"name": name, "in": "path", "required": True, "schema": schema} for name, schema in one.parameters.items()
        ]
    if one.body:
        said["requestBody"] = {
            "required": True,
            "content": {media_type: {"schema": schema} for media_type, schema in one.body.items()},
        }
    for status, answer in one.answers.items():
        content = {} if answer.kind is None else {"application/json": {"schema": schema_of(answer.kind)}}
        if answer.media_type is not None:
            content = {answer.media_type: {}}
        said["responses"][str(status)] = {"description": answer.what, **({"content": content} if content else {})}
        if status == HTTPStatus.CREATED:
            links = {
                other.name: {"operationId": other.name, "parameters": {"id": "$response.body#/id"}} for other in of_made
            }
            said["responses"][str(status)]["links"] = links
    refused = {"application/json": {"schema": schema_of(Refusal)}}
    for status in sorted({400, 401, 403, *one.refusals}):
        said["responses"][str(status)] = {"description": HTTPStatus(status).phrase, "content": refused}
    return said
