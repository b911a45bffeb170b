"""Bodies that hardly arrive, from many places at once, beside an honest client."""

import http.client
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress

import pytest

from support.serve_process import ServeProcess, serve_process
from support.served import picture

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="127.0.0.2 is an address on Linux alone"
)
_BODIES, _PLACES, _HONEST = 300, 5, 8
_PATIENCE = 60.0
_PHOTO = picture(size=(160, 120))


@pytest.fixture(scope="module", params=["serve", "app"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServeProcess]:
    name = request.param
    with serve_process(tmp_path_factory.mktemp(name), app=name == "app") as server:
        yield server


def head(forwarded: str, count: int) -> bytes:
    """The head of a request and the first bytes of its body."""
    lines = ["POST /v1/predict HTTP/1.1", "Host: localhost", "Content-Length: 1000000"]
    lines += [f"X-Forwarded-For: {forwarded}"] if forwarded else []
    return "\r\n".join([*lines, "", ""]).encode() + bytes(count)


class _SlowBodies:
    """Connections whose bodies hardly arrive; those that are refused are made anew."""

    def __init__(self, server: ServeProcess, addresses: list[str], *, forwarded: bool) -> None:
        self._server, self._addresses, self._forwarded = server, addresses, forwarded
        self._held: list[socket.socket] = []
        self.made = 0

    def fill(self, most: int = _BODIES) -> None:
        """Open connections up to a number."""
        for number in range(len(self._held), most):
            address = self._addresses[number % len(self._addresses)]
            source = "127.0.0.1" if self._forwarded else address
            channel = socket.create_connection(
                ("127.0.0.1", self._server.port), _PATIENCE, source_address=(source, 0)
            )
            channel.sendall(head(address if self._forwarded else "", 500))
            channel.setblocking(False)
            self._held.append(channel)
            self.made += 1

    def renew(self) -> None:
        """Close what was answered, and open as many."""
        self._held = [channel for channel in self._held if not _is_answered(channel)]
        self.fill()

    def close(self) -> None:
        """Close all."""
        for channel in self._held:
            channel.close()
        self._held.clear()


def _is_answered(channel: socket.socket) -> bool:
    try:
        channel.recv(10_000)
    except BlockingIOError:
        return False
    except OSError:
        pass
    channel.close()
    return True


@contextmanager
def attacked(bodies: _SlowBodies, seconds: float, *, anew: bool) -> Iterator[None]:
    """Renew slow bodies all the time, perhaps all of them although none was answered."""
    over = threading.Event()

    def act() -> None:
        while not over.wait(seconds):
            with suppress(OSError):
                if anew:
                    bodies.close()
                bodies.renew()

    bodies.fill()
    thread = threading.Thread(target=act)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(_PATIENCE)
        bodies.close()


def ask(server: ServeProcess) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=_PATIENCE)
    with closing(connection):
        connection.request("POST", "/v1/predict", _PHOTO)
        answer = connection.getresponse()
        answer.read()
        return answer.status


@pytest.mark.parametrize(
    ("addresses", "seconds", "anew"),
    [
        ([f"127.0.0.{2 + number}" for number in range(_PLACES)], 0.2, False),
        pytest.param(
            [f"2001:db8:{number}::1" for number in range(_PLACES)],
            0.2,
            False,
            marks=pytest.mark.slow,
        ),
        # As many networks as bodies, and bodies that are never old enough to be slow.
        pytest.param(
            [f"2001:db8:{number}::1" for number in range(_BODIES)],
            0.2,
            False,
            marks=pytest.mark.slow,
        ),
        pytest.param(
            [f"127.0.0.{2 + number}" for number in range(_PLACES)],
            0.6,
            True,
            marks=pytest.mark.slow,
        ),
    ],
    ids=["addresses", "networks", "many networks", "young"],
)
def test_slow_bodies_leave_an_honest_client_all_its_answers(
    server: ServeProcess, addresses: list[str], seconds: float, anew: bool
) -> None:
    forwarded = ":" in addresses[0]
    bodies = _SlowBodies(server, addresses, forwarded=forwarded)
    with attacked(bodies, seconds, anew=anew):
        time.sleep(1.2)
        answers = [ask(server) for _ in range(_HONEST)]
    assert answers == [200] * _HONEST
    assert bodies.made >= _BODIES, "the attack took place"
