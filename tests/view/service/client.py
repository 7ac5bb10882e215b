"""What tests ask a service with: the standard library alone."""

from __future__ import annotations

import http.client
import json
import socket
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Files = Sequence[tuple[str, str, bytes]]
"""Part, name and content of each."""


@dataclass
class Reply:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> str:
        return str(self.json["error"])


@dataclass(frozen=True)
class Client:
    port: int
    host: str = "127.0.0.1"

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Reply:
        connection = http.client.HTTPConnection(self.host, self.port, timeout=30)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body, named)
        answer = connection.getresponse()
        return Reply(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())

    def json(self, method: str, path: str, content: Any) -> Reply:
        return self.ask(method, path, json.dumps(content), Content_Type="application/json")

    def form(self, path: str, files: Files, fields: Mapping[str, str] | None = None, **headers: str) -> Reply:
        kind, body = form_of(files, fields or {})
        return self.ask("POST", path, body, Content_Type=kind, **headers)

    def events(self, run: str) -> Iterator[dict[str, Any]]:
        connection = http.client.HTTPConnection(self.host, self.port, timeout=60)
        connection.request("GET", f"/v1/runs/{run}/events")
        answer = connection.getresponse()
        assert answer.headers["content-type"].startswith("text/event-stream")
        for line in answer:
            if line.startswith(b"data: "):
                yield json.loads(line[6:])

    def state(self, run: str) -> str:
        return str(self.ask("GET", f"/v1/runs/{run}").json["state"])

    def wait_for(self, run: str, *states: str) -> str:
        end = time.monotonic() + 60
        while (state := self.state(run)) not in states:
            assert time.monotonic() < end, state
            time.sleep(0.02)
        return state

    def connect(self) -> socket.socket:
        return socket.create_connection((self.host, self.port), 30)


def form_of(files: Files, fields: Mapping[str, str]) -> tuple[str, bytes]:
    boundary = uuid.uuid4().hex
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in fields.items()
    ]
    for part, name, content in files:
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="{part}"; filename="{name}"\r\n\r\n'
        parts.append(head.encode() + content + b"\r\n")
    return f"multipart/form-data; boundary={boundary}", b"".join(parts) + f"--{boundary}--\r\n".encode()
