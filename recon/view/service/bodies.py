"""What a client sends with a request for a run: how that is described, and how it is read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import PurePosixPath
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request

from recon.run.settings_file import settings_names
from recon.view.service.asked import client_options, model_names, takes_files
from recon.view.service.receiving import FILES, Limits, Received, body
from recon.view.service.schemas import GROUP, Schema, option_schema

NAME, PRESET, SETTINGS, UPLOAD = "name", "preset", "settings", "upload"
_LARGEST_JSON = 1_000_000
_LONGEST_NAME = 200
_FILE: Schema = {"type": "string", "format": "binary"}
_OWN: dict[str, Schema] = {
    NAME: {"type": "string", "maxLength": _LONGEST_NAME, "description": "What to call the run [by its files]."},
    PRESET: {"enum": list(settings_names()), "description": "Settings by name; others win over them."},
}


@dataclass(frozen=True)
class Asked:
    """A run that is asked for; its settings are not checked yet."""

    settings: Mapping[str, Any]
    preset: str | None = None
    name: str | None = None
    upload: str | None = None


def settings_schema() -> Schema:
    """Of the options that a client may choose by a value."""
    properties = {
        name: option_schema(one) for name, one in client_options().items() if not takes_files(one) or one.may_be_path
    }
    properties["model"] = {**properties["model"], "examples": list(model_names())}
    return {"type": "object", "properties": properties, "additionalProperties": False}


def form_schema() -> Schema:
    """Of a form with files; those of an option go by its name."""
    files: Schema = {"type": "array", "items": _FILE}
    by_value = settings_schema()["properties"]
    of_options: dict[str, Schema] = {}
    for name, one in client_options().items():
        if not takes_files(one):
            of_options[name] = by_value[name]
        elif name in by_value:
            of_options[name] = {"anyOf": [files, by_value[name]]}
        else:
            of_options[name] = {**files, **{key: option_schema(one)[key] for key in ("description", GROUP)}}
    said = {"description": "Photos, a video or a ZIP archive; names may have folders in them."}
    as_json = {"type": "string", "contentMediaType": "application/json", "description": "Settings as a JSON object."}
    return {
        "type": "object",
        "properties": {FILES: {**files, "minItems": 1, **said}, **_OWN, SETTINGS: as_json, **of_options},
        "required": [FILES],
        "additionalProperties": False,
    }


def json_schema() -> Schema:
    """Of a body that names files which were uploaded before."""
    upload = {"type": "string", "description": "`id` of the answer to `POST /v1/uploads`."}
    settings = {"$ref": "#/components/schemas/Settings"}
    return {
        "type": "object",
        "properties": {UPLOAD: upload, **_OWN, SETTINGS: settings},
        "required": [UPLOAD],
        "additionalProperties": False,
    }


def upload_schema() -> Schema:
    """Of a form with nothing but files."""
    said = "Files of options go by the option's name."
    described = {"type": "array", "items": _FILE, "minItems": 1, "description": said}
    return {"type": "object", "properties": {FILES: described}, "required": [FILES]}


async def read_json_body(request: Request, limits: Limits) -> Asked:
    """Raises HTTPException for anything that `json_schema` does not describe."""
    content = b"".join([chunk async for chunk in body(request, limits, _LARGEST_JSON)])
    return _checked(_parsed(content, "the body"))


def of_fields(fields: Mapping[str, list[str]]) -> Asked:
    """Of a form's fields: a preset, a name, settings as JSON, and single options. Raises HTTPException."""
    known = client_options()
    entries: dict[str, Any] = {}
    settings: dict[str, Any] = {}
    for name, texts in fields.items():
        if name in known and len(texts) > 1:
            settings[name] = texts
        elif len(texts) > 1:
            raise _bad(f"{name}: given {len(texts)} times")
        elif name == SETTINGS:
            of_json = _parsed(texts[0].encode() or b"{}", SETTINGS)
            if not isinstance(of_json, dict):
                raise _bad(f"{SETTINGS} must be a JSON object")
            settings = {**of_json, **settings}
        elif name in _OWN:
            entries[name] = texts[0] or None
        else:
            settings[name] = texts[0]
    return _checked({**entries, SETTINGS: settings, UPLOAD: ""})


def name_of(received: Received) -> str:
    """What a run is called whose client does not say it: its folder, its archive or its first photo."""
    places = [PurePosixPath(one["path"]) for one in received.inputs]
    folders = {place.parts[0] for place in places if len(place.parts) > 1}
    if len(folders) == 1 and all(len(place.parts) > 1 for place in places):
        return folders.pop()
    first = places[0].stem
    return first if len(places) == 1 else f"{first} and {len(places) - 1} more"


def _checked(asked: Any) -> Asked:
    if not isinstance(asked, dict):
        raise _bad("the body must be a JSON object")
    unknown = sorted(set(asked) - {*_OWN, SETTINGS, UPLOAD})
    if unknown:
        raise _bad(f"{unknown[0]!r} is not known here: {', '.join((UPLOAD, *_OWN, SETTINGS))}")
    settings, upload = asked.get(SETTINGS, {}), asked.get(UPLOAD)
    if not isinstance(settings, dict):
        raise _bad(f"{SETTINGS} must be an object")
    if not isinstance(upload, str):
        raise _bad(f"{UPLOAD} must be the id of an upload")
    for key in _OWN:
        if not isinstance(asked.get(key), (str, type(None))):
            raise _bad(f"{key} must be text")
    name = asked.get(NAME)
    if name is not None and len(name) > _LONGEST_NAME:
        raise _bad(f"{NAME} has more than {_LONGEST_NAME} characters")
    return Asked(settings, asked.get(PRESET), name, upload)


def _parsed(content: bytes, what: str) -> Any:
    def refuse(text: str) -> None:
        raise ValueError(f"{text} is no number")

    try:
        parsed = json.loads(content, parse_constant=refuse)
        json.dumps(parsed, ensure_ascii=False).encode()  # half a surrogate pair is no text
        return parsed
    except (ValueError, RecursionError) as error:
        raise _bad(f"{what} cannot be read as JSON") from error


def _bad(said: str) -> HTTPException:
    return HTTPException(HTTPStatus.BAD_REQUEST, said)
