"""Attacks from one address beside honest photographs from another (bar B2 of issue 31)."""

import http.client
import json
import socket
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from functools import cache
from io import BytesIO

import numpy as np
import pytest
from PIL import Image
from websockets.sync.client import connect

from support.photographs_with_depth import gdepth, segment
from support.scan_bombs import empty_scans, scan_bomb
from support.serve_process import ServeProcess, serve_process

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="127.0.0.2 is an address on Linux alone"),
]
PATIENCE = 120.0
ATTACKER, HONEST = "127.0.0.2", "127.0.0.1"
HONEST_COUNT, AT_ONCE = 20, 4
MOST_LATER, SLOWER = 5, 10.0


@dataclass
class Attack:
    """Requests of the attacker: when each was sent and answered, and with what."""

    server: ServeProcess
    over: threading.Event = field(default_factory=threading.Event)
    jobs: list[tuple[float, float, int]] = field(default_factory=list)

    def requests(self, body: bytes, path: str) -> None:
        """Send one photograph again and again."""
        while not self.over.is_set():
            start = time.monotonic()
            with suppress(OSError, http.client.HTTPException):
                status = ask(self.server, body, path, ATTACKER)
                self.jobs.append((start, time.monotonic(), status))

    def frames(self, body: bytes, path: str) -> None:
        """Send one frame again and again, over one stream."""
        channel = socket.create_connection(
            (HONEST, self.server.port), timeout=PATIENCE, source_address=(ATTACKER, 0)
        )
        address = f"ws://127.0.0.1:{self.server.port}{path}"
        with suppress(Exception), connect(address, sock=channel, max_size=None) as stream:
            while not self.over.is_set():
                start = time.monotonic()
                stream.send(body)
                said = json.loads(stream.recv(PATIENCE))
                if "error" not in said:
                    stream.recv(PATIENCE)
                self.jobs.append((start, time.monotonic(), 422 if "error" in said else 200))

    def later(self, start: float, end: float) -> int:
        """Jobs that were sent after a time, and done before another."""
        return sum(sent > start and done < end and code == 200 for sent, done, code in self.jobs)


def ask(server: ServeProcess, body: bytes, path: str, source: str) -> int:
    connection = http.client.HTTPConnection(
        "127.0.0.1", server.port, timeout=PATIENCE, source_address=(source, 0)
    )
    with closing(connection):
        connection.request("POST", path, body)
        answer = connection.getresponse()
        answer.read()
        return answer.status


@cache
def noise(width: int, height: int) -> bytes:
    """A photograph that is dear to decode."""
    small = np.random.default_rng(0).integers(0, 256, (height // 8, width // 8, 3), np.uint8)
    stream = BytesIO()
    Image.fromarray(small).resize((width, height), Image.Resampling.BILINEAR).save(
        stream, "JPEG", quality=80, progressive=True
    )
    return stream.getvalue()


def slow_header() -> bytes:
    """A million segments before the first pixel."""
    photo = scan_bomb(0)
    return photo[:2] + segment(0xFE, b"") * 900_000 + photo[2:]


def scans_behind_a_slow_header() -> bytes:
    photo = slow_header()[:-2]
    return photo + empty_scans(500, (96, 64)) + b"\xff\xd9"


ATTACKS = {
    "A1: scan bombs": (lambda: scan_bomb(150_000, (2000, 1990)), "/v1/predict", "requests"),
    "A1: bombs inside": (
        lambda: gdepth(data=scan_bomb(3_000), extended=True),
        "/v1/predict",
        "requests",
    ),
    "A1: large, to glb": (lambda: noise(6000, 3992), "/v1/predict?save=glb", "requests"),
    "A2: slow headers": (slow_header, "/v1/predict", "requests"),
    "A2: bombs behind them": (scans_behind_a_slow_header, "/v1/predict", "requests"),
    "A6: large frames": (lambda: noise(6000, 3992), "/v1/stream?frames=all", "frames"),
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServeProcess]:
    with serve_process(tmp_path_factory.mktemp("tmp")) as found:
        yield found


def honest(server: ServeProcess, pause: float = 0.0) -> list[tuple[float, float, int]]:
    photo, found = noise(160, 120), []
    for _ in range(HONEST_COUNT):
        start = time.monotonic()
        status = ask(server, photo, "/v1/predict", HONEST)
        found.append((start, time.monotonic(), status))
        time.sleep(pause)
    return found


@pytest.mark.parametrize("name", ATTACKS)
def test_honest_photographs_pass_beside_an_attack(server: ServeProcess, name: str) -> None:
    make, path, kind = ATTACKS[name]
    body = make()
    quiet = statistics.median(end - start for start, end, _ in honest(server))
    attack = Attack(server)
    act: Callable[[bytes, str], None] = getattr(attack, kind)
    threads = [threading.Thread(target=act, args=(body, path)) for _ in range(AT_ONCE)]
    for thread in threads:
        thread.start()
    try:
        time.sleep(1.0)
        answers = honest(server, pause=0.05)
    finally:
        attack.over.set()
        for thread in threads:
            thread.join(PATIENCE)
    waits = [end - start for start, end, _ in answers]
    median, worst = statistics.median(waits), max(waits)
    later = max(attack.later(start, end) for start, end, _ in answers)
    statuses = {code: sum(each[2] == code for each in attack.jobs) for _, _, code in attack.jobs}
    print(  # noqa: T201
        f"\n{name}: quiet {quiet:.3f} s; beside it median {median:.3f} s, worst {worst:.3f} s, "
        f"most later jobs first {later}; attacker's answers {statuses}"
    )
    assert [code for _, _, code in answers] == [200] * HONEST_COUNT
    assert later <= MOST_LATER
    assert median <= SLOWER * quiet
    assert attack.jobs, "the attack took place"


def test_the_server_is_as_before(server: ServeProcess) -> None:
    assert all(code == 200 for _, _, code in honest(server))
    assert len(server.folders) == 1
