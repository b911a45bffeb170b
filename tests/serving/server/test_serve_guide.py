"""The lines of docs/serve.md, run against a server; and what the Dockerfile starts."""

import json
import re
import shlex
import shutil
import subprocess
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import fields
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import skimage.data
from PIL import Image

from rilievo.cli import main
from rilievo.serving.server.openapi import REFUSALS
from rilievo.serving.server.server_options import ServeOptions
from support.browser import chromium
from support.serve_process import ServeProcess, serve_process
from support.static_host import hosted

ROOT = Path(__file__).parents[3]
GUIDE = (ROOT / "docs/serve.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.DOTALL | re.MULTILINE)
CURLS = [line for kind, code in BLOCK.findall(GUIDE) if kind == "sh" for line in code.splitlines()]
PROGRAMS = [code for kind, code in BLOCK.findall(GUIDE) if kind == "python"]


[PAGE] = [code for kind, code in BLOCK.findall(GUIDE) if kind == "html"]
ANSWERED = 30_000
"""Milliseconds in which a busy machine answers."""


def test_the_page_explains_every_status() -> None:
    statuses = re.findall(r"^\| (\d{3}) \| [^|]+ \|$", GUIDE, re.MULTILINE)
    # 405 is of the address, not of what was asked.
    assert statuses == sorted({*REFUSALS, "405"})


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
    if "ask" in names:
        assert names["answer"]["things"][0]["distance"]["value"] > 0
        with pytest.raises(ValueError, match=r"^fov must be between 0 and 180 degrees, got 500"):
            names["ask"]("/v1/predict", "photo.jpg", fov=500)


@pytest.mark.parametrize("is_named", [False, True])
def test_a_page_of_another_origin_asks_where_it_is_named(
    server: ServeProcess, user_folder: Path, is_named: bool
) -> None:
    from playwright.sync_api import Error

    with ExitStack() as stack:
        origin = stack.enter_context(hosted(user_folder)).rstrip("/")
        if is_named:
            folder = user_folder / "temporary"
            folder.mkdir()
            server = stack.enter_context(serve_process(folder, "--origins", origin))
        there = PAGE.replace(":8000", f":{server.port}")
        (user_folder / "page.html").write_text(there, encoding="utf-8")
        page = stack.enter_context(chromium()).new_page()
        page.goto(f"{origin}/page.html")
        if is_named:
            page.set_input_files("input", user_folder / "photo.jpg")
            page.wait_for_function("output.textContent", timeout=ANSWERED)
            assert re.fullmatch(r"\d+\.\d\d m", page.text_content("output"))
            with pytest.raises(Error, match="fov must be between 0 and 180 degrees, got 500"):
                page.evaluate("ask('/v1/predict', input.files[0], { fov: 500 })")
            depth = "ask('/v1/predict', input.files[0], { save: 'png16' })"
            assert page.evaluate(f"{depth}.then(({{ type }}) => type)") == "image/png"
        else:
            with pytest.raises(Error, match="Failed to fetch"):
                page.evaluate("ask('/v1/predict', new Blob(['x']))")


def test_there_are_lines_and_programs() -> None:
    assert len(CURLS) >= 5
    assert len(PROGRAMS) == 2
    for client in (PROGRAMS[0], PAGE):
        assert len(client.splitlines()) <= 30


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
