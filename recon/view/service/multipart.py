"""A form with files (RFC 7578), part by part as it comes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from recon.errors import InputError

_LONGEST_HEADER = 8192
"""Bytes of all headers of a part."""


@dataclass(frozen=True)
class Part:
    """What a part says of itself."""

    name: str
    file_name: str | None
    """None for a plain field."""


class multipart_parser:
    """Calls `begin` with each part, `data` with its pieces, `end` behind it; what these raise goes through."""

    def __init__(
        self, content_type: str, begin: Callable[[Part], None], data: Callable[[bytes], None], end: Callable[[], None]
    ) -> None:
        """Raises InputError where `content_type` is that of no form."""
        kind, parameters = parse_options_header(content_type)
        boundary = parameters.get(b"boundary")
        if kind != b"multipart/form-data" or not boundary:
            raise InputError("send multipart/form-data")
        self._begin = begin
        self._headers: dict[bytes, bytes] = {}
        self._name, self._value = b"", b""
        callbacks: Any = {
            "on_part_begin": self._headers.clear,
            "on_header_field": self._header_field,
            "on_header_value": self._header_value,
            "on_header_end": self._header_end,
            "on_headers_finished": self._headers_finished,
            "on_part_data": lambda content, start, stop: data(content[start:stop]),
            "on_part_end": end,
            "on_end": self._finished,
        }
        self._is_finished = False
        self._parser = MultipartParser(boundary, callbacks)

    def write(self, content: bytes) -> None:
        """The next piece. Raises InputError where it is no form."""
        try:
            self._parser.write(content)
        except FormParserError as error:
            raise InputError(f"the form cannot be read: {error}") from error

    def finalize(self) -> None:
        """Raises InputError where the form is cut off."""
        if not self._is_finished:
            raise InputError("the form is cut off")

    def _finished(self) -> None:
        self._is_finished = True

    def _header_field(self, content: bytes, start: int, stop: int) -> None:
        self._name += content[start:stop]
        self._check()

    def _header_value(self, content: bytes, start: int, stop: int) -> None:
        self._value += content[start:stop]
        self._check()

    def _check(self) -> None:
        if len(self._name) + len(self._value) + sum(map(len, self._headers.values())) > _LONGEST_HEADER:
            raise InputError("the form cannot be read: headers are too long")

    def _header_end(self) -> None:
        self._headers[self._name.lower()] = self._value
        self._name, self._value = b"", b""

    def _headers_finished(self) -> None:
        kind, parameters = parse_options_header(self._headers.get(b"content-disposition", b""))
        name = parameters.get(b"name")
        if kind != b"form-data" or name is None:
            raise InputError("the form cannot be read: a part has no name")
        file_name = parameters.get(b"filename")
        self._begin(
            Part(name.decode("utf-8", "replace"), None if file_name is None else file_name.decode("utf-8", "replace"))
        )
