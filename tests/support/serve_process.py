"""``rilievo serve``, or ``rilievo app``, as a process of its own."""

import os
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

_PATIENCE = 90.0
# Without PyAV, as in the container of Dockerfile.
_PROGRAM = "import sys; sys.modules['av'] = None; {}; from rilievo.cli import run; sys.exit(run())"


@dataclass
class ServeProcess:
    """A running server."""

    process: "subprocess.Popen[str]"
    port: int
    temporary: Path
    log: list[str]
    """Lines that it has written so far."""

    @property
    def address(self) -> str:
        """Address of the server."""
        return f"http://127.0.0.1:{self.port}/"

    @property
    def folders(self) -> list[Path]:
        """Folders of servers in its place for temporary files."""
        return sorted(self.temporary.glob("rilievo-serve-*"))

    def kill(self) -> None:
        """End it without a chance to tidy up."""
        self.process.kill()
        self.process.wait(_PATIENCE)


@contextmanager
def serve_process(
    temporary: Path, *options: str, app: bool = False, changed: str = "pass"
) -> Iterator[ServeProcess]:
    """Serve the fast model until the block ends, perhaps after a ``changed`` line of Python."""
    start = ("-m", "rilievo", "app") if app else ("-c", _PROGRAM.format(changed), "serve")
    command = [sys.executable, *start, "--port", "0", "-m", "rilievo/small"]
    environment = {**os.environ, "TMPDIR": str(temporary)}
    with subprocess.Popen(
        [*command, *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
    ) as process:
        try:
            assert process.stdout is not None
            log: list[str] = []
            yield ServeProcess(process, _port(process.stdout, log), temporary, log)
        finally:
            process.terminate()
            process.wait(_PATIENCE)


def _port(output: IO[str], log: list[str]) -> int:
    said: queue.Queue[str] = queue.Queue()
    threading.Thread(target=_listen, args=(output, said, log), daemon=True).start()
    while (line := said.get(timeout=_PATIENCE)) and not line.startswith(("serving: ", "the app: ")):
        continue
    assert line, f"the server did not start: {''.join(log)}"
    return int(line.partition(" (")[0].rstrip("/").rpartition(":")[2])


def _listen(output: IO[str], said: "queue.Queue[str]", log: list[str]) -> None:
    for line in output:
        log.append(line)
        said.put(line)
    said.put("")
