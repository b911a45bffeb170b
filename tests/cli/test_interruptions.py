"""Ctrl-C, pressed three times within a tenth of a second, at any moment of a command."""

import os
import random
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import pytest
from PIL import Image

from rilievo.system.signals import interruption_place
from support.interruptible import start_process

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")

_PATIENCE = 120
_SERVING = ("--port", "0", "-m", "rilievo/small")
_COMMANDS = {
    "predict": ("predict", "photos", "-o", "out", "-m", "rilievo/small"),
    "serve": ("serve", *_SERVING),
    "app": ("app", *_SERVING),
}
_STARTED = (
    "import sys; from rilievo.cli import run; print('begun', flush=True, file=sys.stderr); "
    "sys.exit(run())"
)
"""The script ``rilievo``; it says when it is ours, as Python's own start cannot be interrupted."""
_REPLACED = """
import os, signal, sys, threading, time
import rilievo.cli as cli

def press():
    os.kill(os.getpid(), signal.SIGINT)

class Dying:
    def __del__(self):
        press()

def main():
{}
    return 0

begin = time.monotonic()
cli.main = main
code = cli.run()
print(f"code {{code}}")
sys.exit(code)
"""


@pytest.mark.parametrize(
    "share",
    [*(pytest.param(share, marks=pytest.mark.slow) for share in (0.02, 0.3, 0.6, 1.3)), 0.9],
)
@pytest.mark.parametrize("command", _COMMANDS)
def test_three_interruptions_are_one(
    command: str, share: float, seconds: float, tmp_path: Path
) -> None:
    process = _started(_COMMANDS[command], tmp_path)
    time.sleep(share * seconds)
    for gap in random.Random(share).sample(range(50), 3):
        process.send_signal(signal.SIGINT)
        time.sleep(gap / 1000)
    _, said = process.communicate(timeout=_PATIENCE)
    *before, last = said.splitlines()
    assert process.returncode == 130, said
    assert last.startswith(("rilievo: stopped", "stopped; no result is half-written")), said
    assert all(" done in " in line for line in before), said
    assert not [*(tmp_path / "temporary").iterdir()]
    assert not [*tmp_path.rglob("*rilievo-part*")]


@pytest.fixture(scope="module")
def seconds(tmp_path_factory: pytest.TempPathFactory) -> float:
    """Time that a server takes to start on this machine."""
    if find_spec("uvicorn") is None:
        return 1.0
    process = _started(_COMMANDS["serve"], tmp_path_factory.mktemp("timed"))
    assert process.stdout is not None
    begin = time.monotonic()
    process.stdout.readline()
    found = time.monotonic() - begin
    process.kill()
    process.communicate()
    return found


def _started(words: tuple[str, ...], folder: Path) -> "subprocess.Popen[str]":
    if words[0] in ("serve", "app"):
        pytest.importorskip("uvicorn", reason="the extra 'serve' is not installed")
    for name in ("photos", "temporary"):
        (folder / name).mkdir()
    Image.effect_noise((640, 480), 60).convert("RGB").save(folder / "photos" / "0.jpg")
    content = (folder / "photos" / "0.jpg").read_bytes()
    for number in range(1, 90):
        (folder / "photos" / f"{number}.jpg").write_bytes(content)
    process = start_process(
        [sys.executable, "-c", _STARTED, *words],
        folder,
        env={**os.environ, "TMPDIR": str(folder / "temporary")},
        stdout=subprocess.PIPE,
    )
    assert process.stderr is not None
    assert process.stderr.readline() == "begun\n"
    return process


@pytest.mark.parametrize(
    ("body", "code", "said"),
    [
        # Python sends SIGINT to itself at the end where a KeyboardInterrupt left exec().
        ("exec('press()')", 130, "rilievo: stopped"),
        # Python prints and forgets what is raised where an object is deleted.
        ("Dying(); time.sleep(30)", 130, "rilievo: stopped"),
        # Extension modules clear errors while they are imported: onnxruntime, once in 150 starts.
        (
            "try: press(); time.sleep(1)\n    except BaseException: pass\n    time.sleep(30)",
            130,
            "rilievo: stopped",
        ),
        # Interpreters that end wait for threads.
        ("threading.Timer(0.2, press).start(); threading.Timer(0.3, press).start()", 0, ""),
    ],
)
def test_python_neither_prints_nor_forgets_nor_dies(body: str, code: int, said: str) -> None:
    program = _REPLACED.format("    " + body)
    process = start_process([sys.executable, "-c", program], stdout=subprocess.PIPE)
    output, error = process.communicate(timeout=_PATIENCE)
    assert (process.returncode, output, error.strip()) == (code, f"code {code}\n", said)


@pytest.mark.parametrize(
    ("pause", "code", "last"), [(0.0, 130, "rilievo: stopped"), (1.5, 1, "TypeError: arguments")]
)
def test_an_error_that_code_makes_of_an_interruption_is_no_other_error(
    pause: float, code: int, last: str
) -> None:
    """An error such as pybind11 makes, for a second; a later one keeps its traceback."""
    body = f"""
    try:
        press()
        time.sleep(5)
    except BaseException as error:
        error.is_taken = {bool(pause)}
    time.sleep({pause})
    raise TypeError("arguments")
"""
    # The command itself is replaced, not what handles its errors.
    program = _REPLACED.format(body).replace(
        "cli.main = main", "cli._run_command = lambda words: main()"
    )
    process = start_process([sys.executable, "-c", program], stdout=subprocess.PIPE)
    _, output = process.communicate(timeout=_PATIENCE)
    assert (process.returncode, output.splitlines()[-1]) == (code, last), output
    assert ("Traceback" in output) == (code == 1)
    assert code == 1 or output == f"{last}\n"


def test_words_of_a_codec_are_not_those_of_an_interruption() -> None:
    """``zipfile`` decodes names, and Python 3.11 says what it did when Ctrl-C came."""
    stopped = KeyboardInterrupt("stopped after 3 of 7 photographs")
    assert interruption_place(stopped) == "stopped after 3 of 7 photographs"
    worded = KeyboardInterrupt("decoding with 'cp437' codec failed (Interruption: )")
    worded.__cause__ = KeyboardInterrupt()
    assert interruption_place(worded) == "stopped"


def test_what_hangs_is_ended_by_a_later_interruption() -> None:
    body = "    threading.Thread(target=time.sleep, args=(60,)).start()"
    program = _REPLACED.format(body)
    with start_process([sys.executable, "-uc", program], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(1.2)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20) == 0


def test_a_signal_that_a_script_ignores_for_its_background_stays_ignored() -> None:
    program = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n" + _REPLACED.format(
        "    press(); time.sleep(0.1)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=_PATIENCE
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("package", ["onnx", "torch", "triton"])
def test_an_import_that_aborts_on_errors_is_finished_first(tmp_path: Path, package: str) -> None:
    """The C++ of these packages aborts where Python raises in it."""
    (tmp_path / f"{package}.py").write_text(
        "import os, signal, time\n"
        "os.kill(os.getpid(), signal.SIGINT)\n"
        "time.sleep(0.2)\n"
        "print('imported', flush=True)\n"
    )
    body = f"    sys.path.insert(0, {str(tmp_path)!r}); import {package}; time.sleep(30)"
    process = start_process([sys.executable, "-c", _REPLACED.format(body)], stdout=subprocess.PIPE)
    output, error = process.communicate(timeout=_PATIENCE)
    assert (output, error.strip()) == ("imported\ncode 130\n", "rilievo: stopped")


def test_a_process_that_starts_is_not_reached(tmp_path: Path) -> None:
    """It printed a traceback of the modules that it was importing."""
    body = """
    import multiprocessing
    from rilievo.system import signals
    child = multiprocessing.get_context("spawn").Process(target=signals.ignore_ctrl_c)
    with signals.block_in_children():
        child.start()
        for _ in range(20):
            time.sleep(0.01)
            os.kill(child.pid, signal.SIGINT)
    child.join()
    print(child.exitcode)
"""
    path = tmp_path / "script.py"
    path.write_text(
        _REPLACED.format(body).replace(
            "begin = time", "if __name__ != '__main__':\n    sys.exit()\nbegin = time"
        )
    )
    process = start_process([sys.executable, str(path)], stdout=subprocess.PIPE)
    output, error = process.communicate(timeout=_PATIENCE)
    assert (output, error) == ("0\ncode 0\n", "")
