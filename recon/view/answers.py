"""Answers that have one form everywhere."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

from starlette.responses import JSONResponse, Response


def refusal(status: int, said: str = "", headers: Mapping[str, str] | None = None) -> Response:
    """`{"error": TEXT}`, for people and programs alike."""
    return JSONResponse({"error": said or HTTPStatus(status).phrase}, status, headers)
