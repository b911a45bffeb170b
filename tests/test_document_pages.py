"""Each page that needs nothing but the core runs as pasted: in one folder, in its order.

Lines of other programs (Blender, ROS) are not run: the pages say what was tried of them.
"""

import json
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from PIL import ExifTags, Image

from support.core_alone import link_core, run_core
from support.object_files import write_boxes

ROOT = Path(__file__).parents[1]
FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
# A step is one command line or one block of Python; the first that fails ends the page.
RUN_STEPS = """
import json, shlex, sys
from rilievo.cli import main

for language, text in json.load(sys.stdin):
    print("step:", text.strip().splitlines()[0], file=sys.stderr)
    if language == "python":
        exec(compile(text, "page", "exec"), {"__name__": "__main__"})
    elif code := main(shlex.split(text)[1:]):
        sys.exit(code)
"""


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """Steps of a page that need more than the core and a folder of photographs."""

    step: str
    """Words that these steps hold, and no others of the page."""
    said: str
    """Words by which the page says what they need."""


ELSEWHERE = {
    "outputs": [],
    "reference/formats": [
        Elsewhere("import OpenEXR", "`formats` extra"),
        Elsewhere("import trimesh", "`pip install trimesh`"),
        Elsewhere("--save turn-mp4", "`video` extra"),
    ],
    "metres": [
        Elsewhere("rilievo markers", "need `rilievo[markers]`"),
        Elsewhere("--markers", "need `rilievo[markers]`"),
        Elsewhere("--quality good", "downloads its file (141 MB) once"),
        Elsewhere("moge-2/small", "downloads its file (141 MB) once"),
    ],
    "measure": [Elsewhere("walk.mp4", "needs `rilievo[video,markers]`")],
    "cookbook": [Elsewhere("clip.mp4", "need the `video` extra")],
    "python": [Elsewhere("clip.mp4", "need the `video` extra")],
}
QUICK = {"outputs"}
SMALL = {"outputs"}
"""Pages that name no pixel: every output is written of a quarter of the photograph's pixels."""


def steps(page: str) -> list[tuple[str, str]]:
    """The commands and the Python blocks of a page, in its order."""
    found: list[tuple[str, str]] = []
    for language, code in FENCE.findall((ROOT / f"docs/{page}.md").read_text("utf-8")):
        if language == "python":
            found.append((language, code))
        elif not language:
            lines = [line.split(" #")[0] for line in code.replace("\\\n", " ").splitlines()]
            found += [("command", line) for line in lines if line.startswith("rilievo ")]
    return found


def run_page(
    found: list[tuple[str, str]], folder: Path, *, small: bool = False
) -> subprocess.CompletedProcess[str]:
    """Run steps with the core's packages alone, in a folder with the photographs they name."""
    # The pages speak of photographs of 740x500.
    photo = Image.fromarray(skimage.data.stereo_motorcycle()[0][:, :740])
    photo = photo.reduce(2) if small else photo
    exif = Image.Exif()
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.FocalLengthIn35mmFilm] = 48
    names = ("photo", "room", "table", "street", "heap", "bowl", "door", "one", "two", "photos/a")
    for name in names:
        path = folder / f"user/{name}.jpg"
        path.parent.mkdir(exist_ok=True, parents=True)
        photo.save(path, exif=exif)
    width, height = photo.size
    millimetres = np.full((height, width), 2500, np.uint16)
    Image.fromarray(millimetres).save(folder / "user/depth.png")
    write_boxes(folder / "user", (height, width))
    mask = np.zeros((height, width), np.uint8)
    mask[10:-10, 10:-10] = 255
    Image.fromarray(mask).save(folder / "user/circle.png")
    _write_lidar(folder / "user")
    packages = folder / "packages"
    packages.mkdir()
    link_core(packages)
    return run_core(packages, ["-c", RUN_STEPS], folder / "user", json.dumps(found))


def _write_lidar(folder: Path) -> None:
    """Write a wall as a lidar with axes forward, left and up sees it, and the lidar's pose."""
    (folder / "lidar.txt").write_text("0 -1 0 0.05  0 0 -1 -0.1  1 0 0 -0.25")
    left, up = np.meshgrid(np.linspace(-2, 2, 30), np.linspace(-1, 1, 20))
    points = np.stack([np.full(left.size, 4.0), left.ravel(), up.ravel()], axis=1)
    fields = "FIELDS x y z\nSIZE 4 4 4\nTYPE F F F\nCOUNT 1 1 1\n"
    size = f"WIDTH {len(points)}\nHEIGHT 1\nPOINTS {len(points)}\n"
    header = f"VERSION 0.7\n{fields}{size}DATA binary\n"
    (folder / "scan.pcd").write_bytes(header.encode() + points.astype("<f4").tobytes())


@pytest.mark.parametrize(
    "page",
    [pytest.param(each, marks=[] if each in QUICK else pytest.mark.slow) for each in ELSEWHERE],
)
def test_a_page_runs_in_one_folder_in_its_order(page: str, tmp_path: Path) -> None:
    left_out = [each.step for each in ELSEWHERE[page]]
    found = [step for step in steps(page) if not any(each in step[1] for each in left_out)]
    assert len(found) > 1
    done = run_page(found, tmp_path, small=page in SMALL)
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.parametrize("page", ELSEWHERE)
def test_a_page_says_what_its_other_steps_need(page: str) -> None:
    text = " ".join((ROOT / f"docs/{page}.md").read_text("utf-8").split())
    for each in ELSEWHERE[page]:
        assert any(each.step in code for _, code in steps(page)), f"{page}: no step {each.step}"
        assert each.said in text, f"{page}: {each.step}"


def test_a_page_ends_at_the_first_step_that_fails(tmp_path: Path) -> None:
    found = [
        ("command", "rilievo models"),
        ("python", "open('elsewhere.png')"),
        ("python", "open('after', 'w')"),
    ]
    assert "elsewhere.png" in run_page(found, tmp_path).stderr
    assert not (tmp_path / "user/after").exists()
    refused = run_page([("command", "rilievo predict no.jpg"), found[2]], tmp_path / "second")
    assert refused.returncode == 2
    assert not (tmp_path / "second/user/after").exists()
