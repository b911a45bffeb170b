"""Images at addresses: the internet alone, within limits, after every redirect."""

import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from rilievo.serving.listener.request_refusals import Refusal
from rilievo.serving.server.requests import fetching
from rilievo.serving.server.requests.fetching import fetch_public
from rilievo.serving.server.requests.public_addresses import is_public
from served import check_refused, picture, served


class _Handler(BaseHTTPRequestHandler):
    """A photograph, a large file, one that comes slowly, and redirects."""

    cut_off, ended = threading.Event(), threading.Event()

    def do_GET(self) -> None:
        if self.path.startswith("/to/"):
            self.send_response(302)
            self.send_header("Location", self.path.removeprefix("/to/"))
            self.end_headers()
            return
        if self.path == "/slow":
            self._drip(b"HTTP/1.0 200 OK\r\n\r\n", b"x")
            return
        if self.path == "/heads":
            self._drip(b"HTTP/1.1 200 OK\r\n", b"X-A: b\r\n")
            return
        if self.path == "/extensions":
            head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5"
            self._drip(head, b";a=b")
            return
        content = picture() if self.path == "/photo" else bytes(500_000)
        self.send_response(404 if self.path == "/missing" else 200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _drip(self, head: bytes, piece: bytes) -> None:
        """Send a piece now and then, for as long as somebody reads, but never what is awaited."""
        try:
            self.wfile.write(head)
            for _ in range(400):
                self.wfile.write(piece)
                time.sleep(0.05)
        except OSError:
            self.cut_off.set()
        finally:
            self.ended.set()

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing."""


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def fetch(url: str, port: int = 0, *, seconds: float = 30) -> bytes:
    """Fetch where one port of this machine counts as the internet."""
    return fetch_public(
        url,
        max_bytes=100_000,
        seconds=seconds,
        allowed=lambda address, asked: asked == port or is_public(address, asked),
    )


def port_of(site: str) -> int:
    return int(site.rpartition(":")[2])


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "10.1.2.3", "192.168.1.1", "172.16.0.1", "169.254.169.254", "0.0.0.0"),
        *("100.64.0.1", "224.0.0.1", "255.255.255.255", "::1", "::", "fe80::1%eth0", "fc00::1"),
        *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "ff02::1"),
        *("fec0::1", "64:ff9b:1::1", "::7f00:1"),
        # Metadata of clouds, and networks that some versions of Python take for public ones.
        *("192.0.0.192", "168.63.129.16", "169.254.0.23", "100.100.100.200", "192.88.99.1"),
        *("fd00:ec2::254", "fd20:ce::254", "fd00:c1::a9fe:a9fe", "3fff::1", "5f00::1", "2001::1"),
        *(
            "2001:db8::1",
            "2001:20::1",
            "100::1",
            "4000::1",
            "198.19.0.1",
            "203.0.113.9",
            "240.0.0.1",
        ),
        *("::ffff:168.63.129.16", "::ffff:192.0.0.192"),
    ],
)
def test_addresses_that_are_not_of_the_internet(address: str) -> None:
    assert not is_public(address, 80)


def test_addresses_of_the_internet_at_the_ports_of_the_web() -> None:
    assert is_public("93.184.215.14", 443)
    assert is_public("2606:2800:21f::1", 80)
    assert is_public("::ffff:93.184.215.14", 80)
    assert is_public("168.63.129.17", 80)
    assert not is_public("93.184.215.14", 22)


def test_an_image_is_fetched(site: str) -> None:
    assert fetch(f"{site}/photo", port_of(site)) == picture()
    assert fetch(f"{site}/to//photo", port_of(site)) == picture()


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/large", 413),
        ("/missing", 422),
        ("/to/file:///etc/passwd", 422),
        ("/to/ftp://127.0.0.1/a", 422),
        ("/to/http://localhost:9/a", 403),
        ("/to/http://169.254.169.254/latest/meta-data", 403),
    ],
)
def test_what_is_refused_behind_an_address(site: str, path: str, status: int) -> None:
    with pytest.raises(Refusal) as error:
        fetch(site + path, port_of(site))
    assert error.value.status == status
    assert error.value.line.startswith("url: ")


@pytest.mark.parametrize("path", ["/slow", "/heads", "/extensions"])
def test_a_host_that_sends_a_byte_now_and_then_is_refused_when_the_time_is_over(
    site: str, path: str
) -> None:
    _Handler.ended.clear()
    _Handler.cut_off.clear()
    with pytest.raises(Refusal) as error:
        fetch(site + path, port_of(site), seconds=0.5)
    assert (error.value.status, "too slowly" in error.value.line) == (422, True)
    assert _Handler.ended.wait(60)
    assert _Handler.cut_off.is_set(), "refused before the host had ended"


def test_a_fetch_ends_when_the_server_stops(site: str) -> None:
    _Handler.ended.clear()
    _Handler.cut_off.clear()
    stopping = threading.Event()
    threading.Timer(0.3, stopping.set).start()
    with pytest.raises(Refusal) as error:
        fetch_public(
            f"{site}/heads",
            max_bytes=1000,
            seconds=600,
            allowed=lambda address, port: True,
            is_stopping=stopping.is_set,
        )
    assert error.value.status == 503
    assert _Handler.ended.wait(60)
    assert _Handler.cut_off.is_set()


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://example.org/a", "/etc/passwd"])
def test_what_is_no_address_of_the_web(url: str) -> None:
    with pytest.raises(Refusal, match="neither http:// nor https://"):
        fetch(url)


def test_the_address_that_was_checked_is_the_one_that_is_connected_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A name that stands for another address at the second look-up has none."""
    looked_up, connected = [], []

    def look_up(host: str, port: int, **options: object) -> list[tuple[object, ...]]:
        looked_up.append(host)
        place = ("93.184.215.14" if len(looked_up) == 1 else "127.0.0.1", port)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", place)]

    def connect(place: tuple[str, int], **options: object) -> socket.socket:
        connected.append(place)
        raise OSError("not here")

    monkeypatch.setattr(fetching.socket, "getaddrinfo", look_up)
    monkeypatch.setattr(fetching.socket, "create_connection", connect)
    with pytest.raises(Refusal, match="cannot be reached"):
        fetch("http://rebinding.example/a.jpg")
    assert connected == [("93.184.215.14", 80)]


def test_a_request_may_name_an_address_where_the_server_takes_them(
    site: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with served(tmp_path, urls="public") as server:
        address = f"/v1/predict?url={site}/photo"
        check_refused(server.client.post(address), 403, "not on the public internet")
        monkeypatch.setattr(
            "rilievo.serving.server.work.service.fetch_public",
            lambda url, **limits: fetch(url, port_of(site)),
        )
        assert server.client.post(address).json()["source"]["width"] == 96
        check_refused(server.client.post(address, content=picture()), 400, "one of the two")
        assert server.disk.taken == 0
