"""Consoles that do not write every character: other code pages, ASCII, the C locale."""

import os
import subprocess
import sys
from collections.abc import Mapping
from io import BytesIO, TextIOWrapper
from pathlib import Path

import pytest
from PIL import Image

from rilievo.cli import COMMANDS
from rilievo.cli.streams import open_streams
from rilievo.data.datasets import DATASETS
from rilievo.evaluation.benchmarks import BENCHMARKS
from rilievo.models import MODELS
from support.tiny_dataset import write_tiny

CONSOLES: Mapping[str, Mapping[str, str]] = {
    "cp1252": {"PYTHONIOENCODING": "cp1252"},
    "ascii": {"PYTHONIOENCODING": "ascii"},
    "C locale": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
}
ALL_IN_ONE = """
import os, shlex, sys
from rilievo.cli import run

faults = []
for line in os.fsdecode(sys.stdin.buffer.read()).splitlines():
    sys.argv = ["rilievo", *shlex.split(line)]
    try:
        run()
    except SystemExit:
        pass
    except BaseException as error:
        faults.append(f"{line}: {type(error).__name__}: {error}")
sys.exit("\\n".join(map(ascii, faults)) or 0)
"""
PHOTO = "büro-写真→½.png"


def lines() -> list[str]:
    """Command lines of everything that prints: help, cards, tables, results, errors."""
    tiny = "--dataset tiny_dataset:Tiny --root data"
    return [
        "--help",
        "--version",
        *(f"{name} --help" for name in COMMANDS),
        "models",
        "models --all",
        "models --json",
        *(f"models {name}" for name in MODELS),
        "datasets",
        *(f"datasets {name}" for name in DATASETS),
        "benchmarks",
        *(f"benchmarks {name}" for name in BENCHMARKS),
        f"check tiny_dataset:Tiny data --sheet {PHOTO}.jpg",
        f"predict {PHOTO} -m rilievo/small -o out --save colour,npy --json --verbose",
        f"predict missing-{PHOTO} -o out",
        f"measure {PHOTO} 20,30 50,40 --known 32,24,2.35 -m rilievo/small",
        f"measure {PHOTO} 20,30 --known 32,24,½",
        "verify out",
        *(
            f"evaluate -b {name} {tiny} -m rilievo/small -o e-{name}"
            for name in ("depth", "normals")
        ),
        f"evaluate -b depth {tiny} -o e-base",
        "compare e-depth e-base",
        "evaluate -b ½ --root data -o no",
        f"report tiny_dataset:Tiny data -o {PHOTO}.html",
        "example",
        "example blender -o ½.py",
        *(f"completion {shell}" for shell in ("bash", "zsh", "fish")),
        "½ photo.jpg",
        "predict --½",
        "models ½",
    ]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("consoles")
    write_tiny(folder / "data", 3)
    return folder


@pytest.mark.parametrize(
    "console",
    [pytest.param(each, marks=[] if each == "cp1252" else pytest.mark.slow) for each in CONSOLES],
)
def test_no_command_fails_for_a_character_that_the_console_lacks(
    console: str, folder: Path
) -> None:
    place = folder / console
    place.mkdir()
    (place / "data").symlink_to(folder / "data")
    Image.linear_gradient("L").resize((64, 48)).convert("RGB").save(place / PHOTO)
    tests = str(Path(__file__).parent)
    done = subprocess.run(
        [sys.executable, "-c", ALL_IN_ONE],
        input="\n".join(lines()).encode(),
        capture_output=True,
        cwd=place,
        env={**os.environ, "PYTHONPATH": tests, **CONSOLES[console]},
    )
    assert b"Traceback" not in done.stderr, done.stderr.decode("ascii", "backslashreplace")
    assert done.returncode == 0, done.stderr.decode("ascii", "backslashreplace")[-3000:]


@pytest.mark.parametrize(
    ("encoding", "text", "written"),
    [
        ("cp1252", "21 → 12, δ1, 3.5°, ±2", b"21 -> 12, delta1, 3.5\xb0, \xb12"),
        ("ascii", "½ m², 45°, 1–2 × büro", b"1/2 m2, 45deg, 1-2 x buro"),
        ("ascii", "写真 Ω", b"?? omega"),
        ("cp437", "δ ≥ ‖n‖ – ½", "δ ≥ ||n|| - ½".encode("cp437")),
        ("ascii", "caf\udce9.jpg", b"caf\xe9.jpg"),
        ("utf-8", "caf\udce9 → δ", b"caf\xe9 " + "→ δ".encode()),
    ],
)
def test_what_a_console_lacks_is_written_as_plain_text(
    monkeypatch: pytest.MonkeyPatch, encoding: str, text: str, written: bytes
) -> None:
    for name in ("stdout", "stderr"):
        stream = TextIOWrapper(BytesIO(), encoding=encoding, write_through=True)
        monkeypatch.setattr(sys, name, stream)
    open_streams()
    for stream in (sys.stdout, sys.stderr):
        print(text, end="", file=stream)
        assert stream.buffer.getvalue() == written


def test_what_the_user_asked_for_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = TextIOWrapper(BytesIO(), encoding="ascii", errors="xmlcharrefreplace")
    monkeypatch.setattr(sys, "stdout", stream)
    open_streams()
    assert sys.stdout.errors == "xmlcharrefreplace"
