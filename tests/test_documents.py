"""Examples of README and the guides are run, line by line; those that cannot be run here are
parsed.
"""

import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skimage.data
from PIL import ExifTags, Image, ImageDraw

from rilievo.cli import main, parsing
from support.catalogue_mirror import CatalogueMirror, catalogue
from support.clips import Clip, write_clip
from support.moge_lookalike import write_moge
from support.object_files import write_boxes

__all__ = ["catalogue"]

ROOT = Path(__file__).parents[1]
DOCUMENTS = (
    "README.md",
    "docs/index.md",
    "docs/quickstart.md",
    "docs/metres.md",
    "docs/measure.md",
    "docs/videos.md",
    "docs/cookbook.md",
    "docs/coming-from.md",
    "docs/troubleshooting.md",
    "docs/reference/index.md",
)
# Their programs are run by tests of their own.
COMMANDS_ALONE = ("docs/outputs.md", "docs/reference/formats.md", "docs/reference/benchmarks.md")
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
INLINE = re.compile(r"`(rilievo [a-z][^`]*)`")
PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), ROOT / "benchmarks/README.md")
)
# Words in capitals stand for something of the reader's, and dots for more of it.
PLACEHOLDER = re.compile(r"(?<![\w/.-])[A-Z][A-Z_]+(?![\w/.-])|\.\.\.|…")
# Commands that run until they are stopped or for hours, and those that need a camera, a network or
# a GPU.
UNENDING_OR_ELSEWHERE = re.compile(
    r"^rilievo (app|serve|mcp|train|probe correspondence)\b|--live|://|--device cuda"
)


def blocks(document: str, language: str) -> list[str]:
    text = (ROOT / document).read_text(encoding="utf-8")
    return [code for name, code in BLOCK.findall(text) if name == language]


def commands(document: str) -> list[str]:
    """Commands of blocks and, where it names an argument first, of the running text."""
    text = (ROOT / document).read_text(encoding="utf-8")
    lines = [line for code in blocks(document, "") for line in code.splitlines()]
    inline = [
        each
        for each in INLINE.findall(BLOCK.sub("", text))
        if len(each.split()) > 2 and not each.split()[2].startswith("-")
    ]
    found = [line.split(" #")[0].strip() for line in [*lines, *inline]]
    found = [line for line in found if line.startswith("rilievo ") and "NAME" not in line]
    found = [line for line in found if not UNENDING_OR_ELSEWHERE.search(line)]
    # Those build on one another: test_evaluation_documents runs them, in their order.
    return [line for line in found if line.split()[1] not in ("check", "compare", "evaluate")]


def shown_commands(document: str) -> list[str]:
    """Every command of a page, in blocks of any language and in the running text."""
    text = (ROOT / document).read_text(encoding="utf-8")
    blocks = [code.replace("\\\n", " ") for _, code in BLOCK.findall(text)]
    lines = [line.strip().removeprefix("$ ") for code in blocks for line in code.splitlines()]
    found = [*lines, *INLINE.findall(BLOCK.sub("", text))]
    commands = [re.split(r"\s#\s|\s[|>]\s|\s&&\s", line)[0].strip() for line in found]
    return [each for each in commands if each.startswith("rilievo ")]


class Parsed(BaseException):
    """The command line was understood; nothing of it is done."""


@pytest.fixture
def parser_only(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Take a command as the program does, up to the moment when its work would begin."""
    real: Callable[..., Any] = parsing.build_record

    def build(*arguments: Any) -> Any:
        real(*arguments)
        raise Parsed

    def take(command: str) -> None:
        words = shlex.split(command)[1:]
        # Where the running text names a command, it has no arguments: its help is asked for.
        most = 2 if words[0] == "train" or words[:2] == ["probe", "correspondence"] else 1
        if len(words) <= most and not words[-1].startswith("-"):
            words.append("--help")
        with monkeypatch.context() as patch:
            patch.setattr(parsing, "build_record", build)
            try:
                code = main(words)
            except Parsed:
                code = 0
            except SystemExit as ended:
                code = ended.code
        assert not code, f"not understood: {command}"

    return take


@pytest.mark.parametrize("document", PAGES)
def test_every_command_that_is_shown_is_one_of_the_program(
    document: str,
    parser_only: Callable[[str], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    # Cameras, poses and masks are read with the command line; a tutorial writes them first.
    Path("camera.yaml").write_text("camera_matrix: {data: [400, 0, 239.5, 0, 400, 179.5, 0, 0, 1]}")
    Path("lidar.txt").write_text("0 -1 0 0.05  0 0 -1 -0.1  1 0 0 -0.25")
    Image.new("L", (64, 48), 255).save("circle.png")
    for command in shown_commands(document):
        if not PLACEHOLDER.search(command):
            parser_only(command)


@pytest.mark.parametrize(
    "command", ["rilievo predict photo.jpg --sav npy", "rilievo predikt", "rilievo train probes"]
)
def test_a_command_that_the_program_does_not_have_is_found(
    command: str, parser_only: Callable[[str], None]
) -> None:
    with pytest.raises(AssertionError, match="not understood"):
        parser_only(command)


def write_scan(folder: Path) -> None:
    """Write points of a lidar, 3 to 8 m ahead, and the lidar's pose in the camera."""
    random = np.random.default_rng(0)
    # A lidar looks along x, with y to the left and z up.
    points = random.uniform((3, -2, -1), (8, 2, 1), (200, 3))
    rows = "\n".join(" ".join(f"{value:.3f}" for value in point) for point in points)
    header = (
        "VERSION .7\nFIELDS x y z\nSIZE 4 4 4\nTYPE F F F\nCOUNT 1 1 1\n"
        "WIDTH 200\nHEIGHT 1\nPOINTS 200\nDATA ascii\n"
    )
    (folder / "scan.pcd").write_text(f"{header}{rows}\n")
    (folder / "lidar.txt").write_text("0 -1 0 0\n0 0 -1 0\n1 0 0 0\n0 0 0 1\n")


@pytest.fixture
def user_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, catalogue: CatalogueMirror
) -> Path:
    """The files that the documents speak of, in the current folder, and a mirror of the hub."""
    catalogue.offer("moge-2/small", write_moge)
    motorcycle = Image.fromarray(skimage.data.stereo_motorcycle()[0])
    exif = Image.Exif()
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.FocalLengthIn35mmFilm] = 48
    for name in (
        "photo.jpg",
        "room.jpg",
        "street.jpg",
        "one.jpg",
        "two.jpg",
        "photos/a.jpg",
        "heap.jpg",
        "bowl.jpg",
        "door.jpg",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        motorcycle.save(tmp_path / name, exif=exif)
    for index in range(3):
        (tmp_path / "frames").mkdir(exist_ok=True)
        motorcycle.resize((160, 120)).save(tmp_path / f"frames/shot.{index:04d}.png")
    write_clip(tmp_path / "clip.mp4")
    walk = [np.asarray(motorcycle)[:120, 4 * step : 160 + 4 * step] for step in range(3)]
    write_clip(tmp_path / "walk.mp4", Clip(pictures=walk))
    write_boxes(tmp_path, motorcycle.size[::-1])
    lidar = np.zeros(motorcycle.size[::-1], np.uint16)
    lidar[::40, ::40] = 2500
    Image.fromarray(lidar).save(tmp_path / "lidar.png")
    Image.fromarray(np.full_like(lidar, 2500)).save(tmp_path / "depth.png")
    write_scan(tmp_path)
    circle = Image.new("L", motorcycle.size)
    ImageDraw.Draw(circle).ellipse(
        (20, 20, motorcycle.width - 20, motorcycle.height - 20), fill=255
    )
    circle.save(tmp_path / "circle.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def arguments(command: str) -> list[str]:
    """Arguments of a command; one that needs markers, or earlier results, is given them."""
    words = shlex.split(command)[1:]
    for folder in {"results/", "room/"}.intersection(words):
        if words[0] == "predict" and not Path(folder).exists():
            assert main(["predict", "room.jpg", "-o", folder]) == 0
    if "--markers" in words:
        assert main(["markers", "page.png"]) == 0
        words[1] = "desk.jpg"
        Image.open("page.png").resize((620, 877)).save(words[1])
    return words


@pytest.mark.slow
@pytest.mark.parametrize(
    ("document", "command"),
    [
        (document, command)
        for document in (*DOCUMENTS, *COMMANDS_ALONE)
        for command in commands(document)
    ],
)
def test_every_command_that_is_shown_works(user_folder: Path, document: str, command: str) -> None:
    if "verify" in command:
        assert main(["predict", "photos", "-o", "results"]) == 0
    assert main(arguments(command)) == 0, f"{document}: {command}"


@pytest.mark.slow
def test_the_quick_start_works_in_one_folder_in_its_order(user_folder: Path) -> None:
    for command in commands("docs/quickstart.md"):
        assert main(arguments(command)) == 0, command


def anchors(document: Path) -> set[str]:
    """Anchors of the headings, as GitHub and the site make them."""
    titles = re.findall(r"^#+ (.+)$", BLOCK.sub("", document.read_text("utf-8")), re.MULTILINE)
    plain = (re.sub(r"[^\w\s-]", "", title).strip().lower() for title in titles)
    return {re.sub(r"\s+", "-", title) for title in plain}


@pytest.mark.parametrize("document", PAGES)
def test_every_link_leads_somewhere(document: str) -> None:
    page = ROOT / document
    text = BLOCK.sub("", page.read_text("utf-8"))
    for target, anchor in re.findall(r"\]\(([^)#:]*)(?:#([^):]*))?\)", text):
        there = page.parent / target if target else page
        assert there.exists(), f"{document}: {target}"
        # Anchors of the reference are names of Python; building the site checks them.
        if anchor and not anchor.startswith("rilievo."):
            assert anchor in anchors(there), f"{document}: {target}#{anchor}"
