"""The page that shows a result, with everything inside: `recon/export/page/` and blocks of data in one HTML file.

The page is plain HTML, CSS and JavaScript modules. They find one another by names in an import map whose addresses are
the modules themselves, so that the file opens from a disk, where browsers load no other file. The page's own content
security policy allows no address to be loaded at all.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

PAGE = Path(__file__).with_name("page")
"""Static files; nothing is imported from there."""
_MAIN = "main.js"
POLICY = (
    "default-src 'none'; script-src 'unsafe-inline' data: blob:; style-src 'unsafe-inline'; img-src data: blob:; "
    "worker-src blob:"
)
"""The content security policy: nothing is loaded."""
SERVED_POLICY = POLICY.replace("img-src", "connect-src 'self'; img-src 'self'")
"""Of a page whose data come from the server it comes from."""


def page_size() -> int:
    """Bytes of the page without data."""
    return len(make_page({}, {}))


def text_size(data: bytes) -> int:
    """Bytes that a block takes in the page, its tag included."""
    return 4 * ((len(data) + 2) // 3) + 80


def make_page(
    scene: Mapping[str, Any],
    blocks: Mapping[str, bytes],
    facts: Mapping[str, Any] | None = None,
    *,
    from_server: bool = False,
) -> bytes:
    """The file that shows `scene` (see `recon.export.page_content.describe`), whose data are `blocks` by name.

    `facts` are for programs that read the file; see `recon.export.page_facts`. `from_server`: what is not among the
    blocks comes from `data/NAME` beside the page.
    """

    def read(name: str) -> str:
        return (PAGE / name).read_text(encoding="utf-8")

    modules = {
        f"recon/{path.name}": "data:text/javascript;charset=utf-8,"
        + quote(read(path.name), safe=" ;,/?:@&=+$()*![]{}^|")
        for path in sorted(PAGE.glob("*.js"))
        if path.name != _MAIN
    }
    parts = [_script("importmap", None, _json({"imports": modules}))]
    parts.append(_script("application/json", "scene", _json(scene)))
    parts.append(_script("application/json", "facts-json", _json(facts or {})))
    parts += [_script("text/plain", name, base64.b64encode(data).decode()) for name, data in blocks.items()]
    parts.append(_script("module", None, read(_MAIN)))
    html = read("page.html").replace("/* page.css */", read("page.css"))
    html = html.replace("<!-- policy -->", SERVED_POLICY if from_server else POLICY)
    return html.replace("<!-- scene -->", "\n".join(parts)).encode()


def _json(value: Any) -> str:
    """Text that ends no script, whatever names are in it."""
    return json.dumps(value, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")


def _script(kind: str, name: str | None, text: str) -> str:
    named = "" if name is None else f' id="{name}"'
    return f'<script type="{kind}"{named}>{text}</script>'
