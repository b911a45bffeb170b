"""What README and the guides show is run, line by line."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from PIL import Image

from clips import write_clip
from rilievo.cli import main

ROOT = Path(__file__).parents[1]
DOCUMENTS = ("README.md", "docs/quickstart.md", "docs/metres.md", "docs/videos.md")
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
INLINE = re.compile(r"`(rilievo [a-z][^`]*)`")


def blocks(document: str, language: str) -> list[str]:
    text = (ROOT / document).read_text(encoding="utf-8")
    return [code for name, code in BLOCK.findall(text) if name == language]


def commands(document: str) -> list[str]:
    """Whole commands: in blocks and, with an argument that exists, in the running text."""
    text = (ROOT / document).read_text(encoding="utf-8")
    lines = [line for code in blocks(document, "") for line in code.splitlines()]
    inline = INLINE.findall(BLOCK.sub("", text))
    found = [line.split(" #")[0].strip() for line in [*lines, *inline]]
    found = [line for line in found if line.startswith("rilievo ") and "NAME" not in line]
    # Those build on one another: test_evaluation_documents runs them, in their order.
    return [line for line in found if line.split()[1] not in ("check", "compare", "evaluate")]


@pytest.fixture
def user_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The files that the documents speak of, in the current folder."""
    motorcycle = Image.fromarray(skimage.data.stereo_motorcycle()[0])
    for name in ("photo.jpg", "room.jpg", "street.jpg", "one.jpg", "two.jpg", "photos/a.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        motorcycle.save(tmp_path / name)
    for index in range(3):
        (tmp_path / "frames").mkdir(exist_ok=True)
        motorcycle.resize((160, 120)).save(tmp_path / f"frames/{index}.png")
    write_clip(tmp_path / "clip.mp4")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("document", "command"),
    [(document, command) for document in DOCUMENTS for command in commands(document)],
)
def test_every_command_that_is_shown_works(user_folder: Path, document: str, command: str) -> None:
    assert main(shlex.split(command)[1:]) == 0, f"{document}: {command}"


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_program_that_is_shown_works(user_folder: Path, document: str) -> None:
    for code in blocks(document, "python"):
        exec(compile(code, document, "exec"), {"np": np})


def test_every_link_leads_somewhere() -> None:
    for document in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("benchmarks/*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", document.read_text("utf-8")):
            assert (document.parent / target).exists(), f"{document.name}: {target}"
