"""A result that is served: to whom, and what."""

from __future__ import annotations

import http.client
import socket
import threading

import pytest

from recon.cli.main import main
from recon.errors import InputError
from recon.view import HOST, PageServer

PAGE = b"<!doctype html>page"


@pytest.fixture
def server():
    with PageServer(PAGE, 18080) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def ask(server, method="GET", path="/", host=None):
    connection = http.client.HTTPConnection(HOST, server.server_port, timeout=10)
    headers = {"Host": host or f"{HOST}:{server.server_port}"}
    connection.request(method, path, headers=headers)
    answer = connection.getresponse()
    return answer.status, answer.read()


def test_the_page_and_nothing_else_is_there(server):
    assert ask(server) == (200, PAGE)
    assert ask(server, path="/?a=b") == (200, PAGE)
    assert ask(server, "HEAD") == (200, b"")
    assert ask(server, host=f"localhost:{server.server_port}") == (200, PAGE)
    for path in ("/view.html", "/../etc/passwd", "//etc/passwd", "/%2e%2e/run.json"):
        status, said = ask(server, path=path)
        assert status == 404
        assert b"passwd" not in said
    assert ask(server, "POST")[0] == 501


def test_only_this_machine_under_its_own_name_is_answered(server):
    assert server.server_address[0] == "127.0.0.1"
    assert ask(server, host="elsewhere.example")[0] == 403
    assert ask(server, host=f"elsewhere.example:{server.server_port}")[0] == 403


def test_the_next_free_port_is_taken(server):
    with PageServer(PAGE, server.server_port) as second:
        assert server.server_port < second.server_port <= server.server_port + 99
        assert second.address == f"http://127.0.0.1:{second.server_port}/"


def test_no_port_left():
    with socket.socket() as taken:
        try:
            taken.bind((HOST, 65535))
        except OSError:
            pytest.skip("port 65535 is in use here")
        with pytest.raises(InputError, match="--port"):
            PageServer(PAGE, 65535)


def test_a_folder_that_is_no_run(tmp_path, capsys):
    assert main(["view", str(tmp_path), "--no-browser"]) == 2
    assert str(tmp_path) in capsys.readouterr().err
