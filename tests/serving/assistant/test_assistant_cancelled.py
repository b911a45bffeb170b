"""Calls that an assistant cancels, or leaves behind, cost the next one nothing."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("mcp", reason="the extra 'mcp' is not installed")

_PATIENCE = 300
_CALLS = 30
_LARGE = 6
_CPU_SECONDS, _MEGABYTES = 3.0, 800
_TICKS = 100

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="it reads /proc")


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six photographs of 24 megapixels, and a small one."""
    folder = tmp_path_factory.mktemp("photographs")
    for number in range(_LARGE):
        rows = np.linspace(20 + number, 220, 4000).astype(np.uint8)
        pixels = np.broadcast_to(rows[:, None, None], (4000, 6000, 3))
        Image.fromarray(np.ascontiguousarray(pixels)).save(folder / f"{number}.jpg")
    Image.effect_noise((451, 300), 60).convert("RGB").save(folder / "small.png")
    return folder


class _Lines:
    """A client that writes lines of the protocol as fast as it likes."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self.process = process

    def send(self, *messages: dict[str, Any]) -> None:
        """Write messages in one piece."""
        assert self.process.stdin is not None
        text = "".join(json.dumps({"jsonrpc": "2.0", **message}) + "\n" for message in messages)
        self.process.stdin.write(text.encode())
        self.process.stdin.flush()

    def answer(self, number: int) -> dict[str, Any]:
        """The answer to one request; those to others are skipped."""
        while (message := self.next_answer()).get("id") != number:
            continue
        return message["result"]

    def next_answer(self) -> dict[str, Any]:
        """The next line of the server."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, "the server ended"
        return json.loads(line)

    def cpu_seconds(self) -> float:
        """CPU time of the server so far."""
        text = Path(f"/proc/{self.process.pid}/stat").read_text(encoding="utf-8")
        user, system = text.rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / _TICKS

    def most_megabytes(self) -> float:
        """Most memory that the server has held."""
        text = Path(f"/proc/{self.process.pid}/status").read_text(encoding="utf-8")
        return int(text.partition("VmHWM:")[2].split()[0]) / 1000


@contextmanager
def client(folder: Path) -> Iterator[_Lines]:
    words = [sys.executable, "-m", "rilievo", "mcp", "--folder", str(folder)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        lines = _Lines(process)
        version = {"name": "test", "version": "1"}
        hello = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": version}
        lines.send({"id": 0, "method": "initialize", "params": hello})
        lines.answer(0)
        lines.send({"method": "notifications/initialized"})
        try:
            yield lines
        finally:
            process.kill()


def call(number: int, tool: str, photo: str) -> dict[str, Any]:
    params = {"name": tool, "arguments": {"photo": photo}}
    return {"id": number, "method": "tools/call", "params": params}


def cancelled(number: int) -> dict[str, Any]:
    return {"method": "notifications/cancelled", "params": {"requestId": number}}


@pytest.mark.parametrize(
    "pause",
    [pytest.param(0.0, marks=pytest.mark.slow), 0.02],
    ids=["at once", "one after the other"],
)
def test_cancelled_calls_leave_time_and_memory_to_an_honest_one(
    pause: float, photographs: Path
) -> None:
    with client(photographs) as lines:
        lines.send(call(1, "depth", "small.png"))
        assert not lines.answer(1).get("isError")
        before = lines.cpu_seconds()
        calls = [
            call(100 + number, ("surface", "depth")[number % 2], f"{number % _LARGE}.jpg")
            for number in range(_CALLS)
        ]
        ends = [cancelled(100 + number) for number in range(_CALLS)]
        if pause:
            for begun, ended in zip(calls, ends, strict=True):
                lines.send(begun)
                time.sleep(pause)
                lines.send(ended)
        else:
            lines.send(*calls, *ends)
        lines.send(call(2, "describe", "small.png"))
        assert not lines.answer(2).get("isError")
        assert lines.cpu_seconds() - before <= _CPU_SECONDS
        assert lines.most_megabytes() <= _MEGABYTES
    assert not (photographs / "rilievo-output").exists(), "a cancelled call writes nothing"


@pytest.mark.slow
def test_calls_by_the_hundred_wait_for_their_turn(photographs: Path) -> None:
    """Those of one assistant are refused no sooner than they would take memory."""
    with client(photographs) as lines:
        lines.send(*(call(number, "describe", "small.png") for number in range(1, 81)))
        answers = [lines.next_answer() for _ in range(80)]
    assert {answer["id"] for answer in answers} == {*range(1, 81)}
    assert not [answer for answer in answers if answer["result"].get("isError")]


def test_the_end_of_input_ends_the_server_though_calls_wait(photographs: Path) -> None:
    with client(photographs) as lines:
        lines.send(call(1, "depth", "small.png"))
        lines.answer(1)
        before = lines.cpu_seconds()
        lines.send(*(call(number, "surface", f"{number}.jpg") for number in (2, 3, 4)))
        time.sleep(0.2)
        assert lines.process.stdin is not None
        lines.process.stdin.close()
        # Waiting would make the process a name that has no CPU time.
        while lines.process.poll() is None and lines.cpu_seconds() - before < _CPU_SECONDS:
            time.sleep(0.01)
        assert lines.process.wait(timeout=2) == 0
    assert not [*photographs.rglob("*rilievo-part*")]
