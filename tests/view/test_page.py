"""A result that is served: to whom, and what."""

from __future__ import annotations

import http.client
import socket

import pytest

from recon.errors import InputError
from recon.export.page_stream import StreamedPage
from recon.view.app import make_app
from recon.view.page import page_routes
from recon.view.server import LOOPBACK, Address, Server

PAGE = b"<!doctype html>page"


def gone():
    raise InputError("photo.jpg: no such file")


SHOWN = StreamedPage(PAGE, {"points-0": lambda: b"abc", "photo-0": lambda: b"\xff\xd8\xff", "photo-1": gone})


@pytest.fixture(scope="module")
def address():
    with Address(18080) as address, Server(make_app(page_routes(SHOWN), address.hosts), address):
        yield address


def ask(address, method="GET", path="/", host=None, **headers):
    connection = http.client.HTTPConnection(LOOPBACK, address.port, timeout=10)
    connection.request(method, path, headers={"Host": host or f"{LOOPBACK}:{address.port}", **headers})
    answer = connection.getresponse()
    return answer.status, answer.read()


def test_the_page_and_nothing_else_is_there(address):
    assert ask(address) == (200, PAGE)
    assert ask(address, path="/?a=b") == (200, PAGE)
    assert ask(address, "HEAD") == (200, b"")
    assert ask(address, host=f"localhost:{address.port}") == (200, PAGE)
    assert ask(address, path="/data/points-0") == (200, b"abc")
    for path in ("/data/", "/data/points-1", "/data/photo-1", "/data/../run.json", "/data/%2e%2e%2frun.json"):
        status, said = ask(address, path=path)
        assert status == 404
        assert b"photo.jpg" not in said
    for path in ("/view.html", "/../etc/passwd", "//etc/passwd", "/%2e%2e/run.json"):
        status, said = ask(address, path=path)
        assert status == 404
        assert b"passwd" not in said
    assert ask(address, "POST")[0] == 405


def test_only_this_machine_under_its_own_name_is_answered(address):
    assert address.socket.getsockname()[0] == "127.0.0.1"
    assert ask(address, host="elsewhere.example")[0] == 403
    assert ask(address, host=f"elsewhere.example:{address.port}")[0] == 403
    assert ask(address, "POST", Origin="http://elsewhere.example")[0] == 403
    assert ask(address, "POST", Origin=f"http://127.0.0.1:{address.port}")[0] == 405


def test_pieces_say_what_they_are(address):
    for name, kind in (("points-0", "application/octet-stream"), ("photo-0", "image/jpeg")):
        connection = http.client.HTTPConnection(LOOPBACK, address.port, timeout=10)
        connection.request("GET", f"/data/{name}")
        assert dict(connection.getresponse().getheaders())["content-type"] == kind


def test_the_page_loads_from_here_alone_and_is_kept_nowhere(address):
    connection = http.client.HTTPConnection(LOOPBACK, address.port, timeout=10)
    connection.request("GET", "/")
    headers = dict(connection.getresponse().getheaders())
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "connect-src 'self'" in policy
    assert "http:" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"
    assert "server" not in headers


def test_connections_that_ask_for_nothing_are_closed(monkeypatch):
    monkeypatch.setattr("recon.view.server.SECONDS_TO_ASK", 0.1)
    with Address(18080) as address, Server(make_app([], address.hosts), address):
        for begun in (b"", b"GET / HTTP/1.1\r\nHost: ", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\nGET /"):
            with socket.create_connection((LOOPBACK, address.port), 10) as connection:
                connection.sendall(begun)
                while connection.recv(1000):
                    pass


def test_the_next_free_port_is_taken(address):
    with Address(address.port) as second:
        assert address.port < second.port <= address.port + 99
        assert second.url == f"http://127.0.0.1:{second.port}/"
        assert f"port {address.port} " in second.moved
        assert f"{second.port} is used" in second.moved


def test_no_port_left():
    with socket.socket() as taken:
        try:
            taken.bind((LOOPBACK, 65535))
        except OSError:
            pytest.skip("port 65535 is in use here")
        with pytest.raises(InputError, match="--port"):
            Address(65535)


def test_an_address_of_another_machine():
    with pytest.raises(InputError, match=r"198\.51\.100\.1"):
        Address(18080, "198.51.100.1")
