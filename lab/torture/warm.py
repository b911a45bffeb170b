"""A process that has imported what a job needs, and forks for each run of it.

Imports are most of a short run's time. The first run is cold; what it imported is imported here
before the second. Runs are modules as ``python -m`` starts them, each in a process group of its
own; nothing here has computed yet, so no thread is lost to a fork.
"""

import atexit
import json
import os
import runpy
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

from lab.torture.power import JOURNAL, record_this_process

SECONDS = "TORTURE_SECONDS"
"""Environment variable: seconds after which a run is ended."""
LONGEST = 900


class Warm:
    """The process, as seen from the campaign."""

    def __init__(self, base: Path) -> None:
        self._said = base / "said.txt"
        self._process = subprocess.Popen(
            [sys.executable, "-m", "lab.torture.warm", str(base / "modules.json")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            cwd=Path(__file__).parents[2],
        )

    def run(self, command: Sequence[str], environment: Mapping[str, str]) -> tuple[int, str]:
        """Run ``python -m MODULE ...`` to its end: its exit code and what it said on stderr."""
        assert self._process.stdin is not None, "it has a pipe"
        assert self._process.stdout is not None, "it has a pipe"
        request = {"arguments": list(command[2:]), "environment": dict(environment)}
        line = json.dumps(request | {"said": str(self._said)}).encode()
        self._process.stdin.write(line + b"\n")
        self._process.stdin.flush()
        code = int(self._process.stdout.readline())
        return code, self._said.read_text(errors="replace").strip()

    def stop(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()


def main(modules: Path) -> None:
    """Serve the campaign until it closes the pipe."""
    talk = os.fdopen(os.dup(1), "w", buffering=1)
    for line in sys.stdin:
        request = json.loads(line)
        if modules.exists():
            for name in json.loads(modules.read_text()):
                if name not in sys.modules:
                    with suppress(Exception):
                        import_module(name)
            modules.unlink()
        child = os.fork()
        if child == 0:
            _serve(request, modules)
        talk.write(f"{os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}\n")


def _serve(request: Mapping[str, Any], modules: Path) -> None:
    """Do one run in this process, and end it."""
    os.setsid()
    signal.alarm(int(request["environment"].get(SECONDS, LONGEST)))
    os.environ.update(request["environment"])
    os.dup2(os.open(os.devnull, os.O_RDWR), 0)
    os.dup2(0, 1)
    os.dup2(os.open(request["said"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
    before = set(sys.modules)
    if JOURNAL in request["environment"]:
        record_this_process()
    code: object = 0
    try:
        sys.argv = request["arguments"]
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        code = ended.code
        if isinstance(code, str):
            sys.stderr.write(f"{code}\n")
    except BaseException as error:
        code = 1
        sys.excepthook(type(error), error, error.__traceback__)
    atexit._run_exitfuncs()
    sys.stderr.flush()
    if not before > set(sys.modules) and code == 0:
        modules.write_text(json.dumps([name for name in sys.modules if name not in before]))
    os._exit(code if isinstance(code, int) else int(code is not None))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
