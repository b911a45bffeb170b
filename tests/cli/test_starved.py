"""Commands to which the system refuses what every program needs: one line, no traceback."""

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from rilievo.cli import main

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="limits of POSIX")

_BEFORE = {
    "gone": "import os, tempfile; os.chdir(tempfile.mkdtemp()); os.rmdir(os.getcwd())",
    "threads": (
        "import threading\n"
        'def refuse(*_, **__): raise RuntimeError("can\'t start new thread")\n'
        "threading._start_new_thread = threading._start_joinable_thread = refuse"
    ),
    "files": "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (%d, 64))",
}


@pytest.mark.parametrize(
    ("before", "output", "words"),
    [
        (_BEFORE["gone"], "out", "the working folder was deleted"),
        (_BEFORE["threads"], "{}/out", "no more threads can be started"),
        (_BEFORE["files"] % 3, "{}/out", "too many open files"),
        (_BEFORE["files"] % 4, "{}/out", "oo many open files"),
    ],
    ids=["gone", "threads", "files", "more files"],
)
def test_what_the_system_refuses_is_one_line(
    before: str, output: str, words: str, tmp_path: Path
) -> None:
    photo = tmp_path / "photo.png"
    Image.effect_noise((160, 120), 60).convert("RGB").save(photo)
    program = f"import sys\nfrom rilievo.cli import run\n{before}\nsys.exit(run())"
    words_of_command = ["predict", str(photo), "-m", "rilievo/small", "-o", output.format(tmp_path)]
    done = subprocess.run(
        [sys.executable, "-c", program, *words_of_command], capture_output=True, text=True
    )
    assert "Traceback" not in done.stderr
    assert words in done.stderr.splitlines()[-1]
    assert done.returncode != 0


@pytest.mark.parametrize(
    "raising",
    [
        "raise RuntimeError('operator torchvision::nms does not exist')",
        "raise RuntimeError('Detected that PyTorch and torchvision were compiled with different "
        "CUDA major versions.')",
    ],
)
def test_a_torchvision_that_was_built_for_another_torch_is_one_line(
    raising: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail_by_import(arguments: object) -> int:
        # As transformers wraps it.
        try:
            exec(raising)
        except RuntimeError as error:
            raise ModuleNotFoundError("Could not import module 'AutoModel'") from error
        return 0

    versions = {"torch": "2.15.0", "torchvision": "0.28.1"}
    monkeypatch.setattr("importlib.metadata.version", versions.__getitem__)
    monkeypatch.setattr("rilievo.cli.find_command", lambda name: fail_by_import)
    assert main(["predict", "photo.jpg"]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert "torchvision 0.28.1 does not fit torch 2.15.0" in line
