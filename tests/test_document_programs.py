"""Every Python block of README and the guides runs as pasted: alone, with its own imports."""

import json
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from PIL import Image

from rilievo.models.default.embedded import embedded_file
from rilievo.prediction.saving import OUTPUTS, save
from support.clips import Clip, numbered, write_clip
from support.predictions import prediction

ROOT = Path(__file__).parents[1]
PAGES = [path for pattern in ("*.md", "docs/**/*.md") for path in sorted(ROOT.glob(pattern))]
FENCE = re.compile(r"^```python\b[^\n]*\n(.*?)^```", re.DOTALL | re.MULTILINE)
PROGRAMS = {
    f"{page.relative_to(ROOT).as_posix()}:{number}": code
    for page in PAGES
    for number, code in enumerate(FENCE.findall(page.read_text("utf-8")), 1)
}
NOTEBOOKS = sorted(ROOT.glob("examples/*.ipynb"))
# Its textures take a minute; tests/rendering/test_rendered_guide.py runs them with few.
WITH_TEXTURES = "docs/synthetic.md"
# Its programs ask a server: tests/serving/server/test_serve_guide.py runs them.
WITH_SERVER = "docs/serve.md"
# It trains for minutes, on more photographs: tests/training/tuning/test_fine_tune.py trains.
WITH_TRAINING = "docs/reference/fine-tuning.md"
# It needs NAVI: tests/training/correspondence/test_correspondence.py has files of that layout.
WITH_NAVI = "docs/probes.md:2"
# Their programs build on one another: tests/test_tutorials.py follows each page in its order.
TUTORIALS = "docs/tutorials/"
ELSEWHERE = (WITH_TEXTURES, WITH_SERVER, WITH_TRAINING, WITH_NAVI, TUTORIALS)


@pytest.fixture(scope="module")
def shown_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The photographs, results, videos and datasets that the guides name."""
    folder = tmp_path_factory.mktemp("shown")
    photo, _, disparity = skimage.data.stereo_motorcycle()
    small = Image.fromarray(photo).resize((370, 250))
    for name in ("photo.jpg", "one.jpg", "two.jpg", "photos/a.jpg"):
        (folder / name).parent.mkdir(exist_ok=True)
        small.save(folder / name)
    # The guides point at pixels of a camera that sees 640 × 480.
    for name in ("room.jpg", "table.jpg"):
        small.resize((640, 480)).save(folder / name)
    small.resize((500, 250)).save(folder / "panorama.jpg")
    np.save(folder / "depth.npy", np.linspace(1, 4, 250 * 370, dtype="f4").reshape(250, 370))
    [function] = [code for code in PROGRAMS.values() if "\ndef floor(" in code]
    (folder / "lab_floor.py").write_text(function)
    wall = np.linspace(1, 3, 48 * 64).reshape(48, 64)
    save(prediction(values=wall), folder / "photo", tuple(OUTPUTS))
    write_clip(folder / "clip.mp4", Clip(pictures=numbered(30, (480, 640))))
    for name in ("small", "base"):
        shutil.copy(embedded_file(f"rilievo/{name}"), folder / f"{name}.onnx")
    metres = 994.978 * 0.193001 / (np.nan_to_num(disparity, posinf=30) + 31.086)
    for name in ("images", "depth"):
        (folder / "mine" / name).mkdir(parents=True)
    guide = (ROOT / "docs/datasets.md").read_text("utf-8")
    [layout] = re.findall(r"^```yaml\n(.*?)^```", guide, re.DOTALL | re.MULTILINE)
    (folder / "mine/rilievo.yaml").write_text(layout)
    (folder / "mine/test.txt").write_text("0\n1\n")
    for number in range(2):
        part = (slice(20, 480, 5), slice(20 * number, 20 * number + 600, 5))
        Image.fromarray(photo[part]).save(folder / f"mine/images/{number}.jpg")
        stored = (metres[part] * 1000).astype(np.uint16)
        Image.fromarray(stored).save(folder / f"mine/depth/{number}.png")
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("place", [each for each in PROGRAMS if not each.startswith(ELSEWHERE)])
def test_a_program_that_is_shown_runs_as_pasted(
    place: str, shown_files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = PROGRAMS[place]
    folder = tmp_path / "user"
    shutil.copytree(shown_files, folder)
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(sys.modules, "lab_floor", raising=False)
    exec(compile(code, place, "exec"), {"__name__": "__main__"})


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.name)
def test_a_notebook_runs_from_top_to_bottom(
    notebook: Path, shown_files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cells = json.loads(notebook.read_text("utf-8"))["cells"]
    assert not any(cell.get("outputs") for cell in cells), "kept without its results"
    shutil.copytree(shown_files, tmp_path / "user")
    monkeypatch.chdir(tmp_path / "user")
    names: dict[str, object] = {}
    for cell in cells:
        if cell["cell_type"] == "code":
            exec(compile("".join(cell["source"]), notebook.name, "exec"), names)
    assert "mesh" in names


def test_most_pages_with_programs_are_here() -> None:
    assert {"README.md:1", "docs/reference/formats.md:13", "docs/videos.md:1"} <= set(PROGRAMS)
