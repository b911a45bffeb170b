"""The lines of docs/serve.md, run against a server; and what the Dockerfile starts."""

import json
import re
import shlex
import shutil
import subprocess
import zipfile
from collections.abc import Iterator
from dataclasses import fields
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import skimage.data
from PIL import Image

from rilievo.cli import main
from rilievo.serving.server.openapi import REFUSALS
from rilievo.serving.server.serve_options import ServeOptions
from serve_process import ServeProcess, serve_process

ROOT = Path(__file__).parents[3]
GUIDE = (ROOT / "docs/serve.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.DOTALL | re.MULTILINE)
CURLS = [line for kind, code in BLOCK.findall(GUIDE) if kind == "sh" for line in code.splitlines()]
PROGRAMS = [code for kind, code in BLOCK.findall(GUIDE) if kind == "python"]


def test_the_page_says_what_to_do_about_every_status() -> None:
    told = re.findall(r"^\| (\d{3}) \| [^|]+ \| [^|]+ \|$", GUIDE, re.MULTILINE)
    # 405 is of the address, not of what was asked.
    assert told == sorted({*REFUSALS, "405"})


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServeProcess]:
    with serve_process(tmp_path_factory.mktemp("tmp")) as found:
        yield found


@pytest.fixture
def user_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    Image.fromarray(skimage.data.stereo_motorcycle()[0]).save(tmp_path / "photo.jpg")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize("line", CURLS)
def test_a_line_of_curl_does_what_it_says(
    server: ServeProcess, user_folder: Path, line: str
) -> None:
    words = shlex.split(line.replace(":8000", f":{server.port}"))
    # As users have them: no proxy between them and this machine.
    done = subprocess.run([*words, "-sS", "--noproxy", "*"], capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr
    if "-o" not in words:
        assert "error" not in json.loads(done.stdout)
        return
    [file] = [each for each in user_folder.iterdir() if each.name != "photo.jpg"]
    content = file.read_bytes()
    if file.suffix == ".zip":
        assert len(zipfile.ZipFile(BytesIO(content)).namelist()) == 4
    elif file.suffix == ".png":
        assert Image.open(BytesIO(content)).mode.startswith("I")
    else:
        assert content.startswith(b"glTF")


@pytest.mark.parametrize("code", PROGRAMS)
def test_a_client_runs_as_pasted(server: ServeProcess, user_folder: Path, code: str) -> None:
    there = code.replace(":8000", f":{server.port}")
    names: dict[str, Any] = {}
    exec(compile(there, "docs/serve.md", "exec"), names)
    shape = names["arrays"]["depth"].shape if "arrays" in names else names["depth"].shape
    assert shape == (500, 741)


def test_there_are_lines_and_programs() -> None:
    assert len(CURLS) >= 5
    assert len(PROGRAMS) == 2
    assert len(PROGRAMS[0].split("import numpy as np\n")[1].strip().splitlines()) <= 10


def test_the_guide_names_the_limits_that_there_are() -> None:
    defaults = {each.name: each.default for each in fields(ServeOptions)}
    for row in re.findall(r"^\| `(--[^|]*)\| ([^|]*)\|", GUIDE, re.MULTILINE):
        names = [name.replace("-", "_") for name in re.findall(r"--([a-z-]+)", row[0])]
        numbers = [float(number) for number in re.findall(r"[\d.]+", row[1])]
        assert [float(defaults[name]) for name in names] == numbers


def test_the_container_starts_a_command_of_the_program(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    [entry] = re.findall(r"^ENTRYPOINT (\[.*\])$", text, re.MULTILINE)
    program, *words = json.loads(entry)
    assert program == "rilievo"
    started: list[ServeOptions] = []
    monkeypatch.setattr(
        "rilievo.serving.commands.serve.serve", lambda options, ready: started.append(options)
    )
    assert main(words) == 0
    assert [each.host for each in started] == ["0.0.0.0"]
    assert not started[0].is_private
    assert re.search(r"^USER (?!root)", text, re.MULTILINE)
    for source in re.findall(r"^COPY (.*) \S+$", text, re.MULTILINE):
        # A wheel that is tested elsewhere (tools/try_wheel.py) has no sources beside its tests.
        names = [name for name in source.split() if name != "src"]
        assert all((ROOT / name).exists() for name in names)
