"""The pages of the service, in a real browser."""

from __future__ import annotations

import json
import time

import pytest

from tests.export.browser import browse, find_browser
from tests.view.service.conftest import DONE

pytestmark = pytest.mark.skipif(find_browser() is None, reason="no chromium to open the page with")

DROP = """(() => {
  const transfer = new DataTransfer();
  for (const name of ["<img src=x onerror=alert(1)>.jpg", "b.jpg"])
    transfer.items.add(new File(["1"], name, { type: "image/jpeg" }));
  dispatchEvent(new DragEvent("drop", { dataTransfer: transfer, bubbles: true, cancelable: true }));
})()"""


def until(page, expression, wanted):
    end = time.monotonic() + 20
    while (found := page.run(expression)) != wanted:
        assert time.monotonic() < end, f"{expression}: {found}"
        time.sleep(0.05)


def test_from_drop_to_result_to_deletion(service, tmp_path):
    def text(element):
        return f"document.getElementById('{element}').textContent"

    with browse(f"http://127.0.0.1:{service.port}/", tmp_path / "browser") as page:
        until(page, "document.querySelectorAll('.setting').length > 40", True)
        until(page, "document.querySelectorAll('[name=preset]').length", 4)
        page.run(DROP)
        until(page, text("chosen-text"), "2 files, 1 kB")
        page.run("const limit = document.getElementById('setting-limit'); limit.value = '7'")
        page.run("document.querySelector('[value=quick]').click(); document.getElementById('ask').requestSubmit()")
        folder = service.worker.begun.get(timeout=20)
        assert service.worker.settings["limit"] == 7
        assert service.worker.settings["model"] == "da3-small"
        service.worker.tell({"progress": {"stage": "predict", "part": "depth", "done": 1, "total": 2, "stages": 4}})
        until(page, text("run-state"), "running: predict: depth 1/2")
        until(page, "document.getElementById('run-progress').value", 0.125)
        assert page.run(text("run-name")) == "_img src=x onerror=alert(1)_ and 1 more"
        service.worker.ends.put({**DONE, "files": [{"path": "view.html", "bytes": 15}]})
        until(page, "document.getElementById('viewer').hidden", False)
        until(page, "document.querySelector('#file-list a')?.textContent", "view.html")
        page.run("location.hash = ''")
        until(page, "document.querySelectorAll('.card img.picture').length", 1)
        page.run("window.confirm = () => true; document.querySelector('.card a').click()")
        until(page, "document.getElementById('delete').offsetParent !== null", True)
        until(page, text("run-state") + ".startsWith('done')", True)
        page.run("document.getElementById('delete').click()")
        until(page, "document.getElementById('no-runs').offsetParent !== null", True)
        assert not folder.exists()
        unlabelled = "[...document.querySelectorAll('input, select, button')].filter((e) => !e.labels?.length && "
        assert page.run(f"{unlabelled} !e.ariaLabel && !e.textContent.trim()).map((e) => e.outerHTML)") == []
        assert [error for error in page.errors if "picture" not in error] == []
        outside = [url for url in page.requests if not url.startswith((f"http://127.0.0.1:{service.port}/", "blob:"))]
        assert outside == []


def test_a_refusal_is_shown(service, tmp_path):
    with browse(f"http://127.0.0.1:{service.port}/", tmp_path / "browser") as page:
        until(page, "document.querySelectorAll('.setting').length > 40", True)
        page.run(DROP)
        page.run("document.getElementById('setting-input_kind').value = 'x'")
        page.run("document.getElementById('setting-export').value = 'exe'")
        page.run("document.getElementById('ask').requestSubmit()")
        until(page, "document.getElementById('refused').textContent.includes('exe')", True)
        assert json.loads(service.ask("GET", "/v1/runs").body) == {"runs": []}
