"""Examples in the docstrings of public names, run as a reader would run them."""

import ast
import doctest
import inspect
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import rilievo
from support.clips import Clip, write_clip
from support.viewed_spheres import write_navi

SLOW = (
    "evaluate",
    "fine_tune",
    "fuse_clip",
    "probe_correspondence",
    "sweep_probes",
    "train_probe",
)
"""Names whose examples train or score networks."""
NAMES = [
    pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name
    for name in rilievo.__all__
    if name != "__version__"
]
SWEEP = """
seeds = 1
probes = ["linear"]
size = [32, 32]

[data]
dataset = "folder"
root = "rooms"

[test]
limit = 2

[training]
epochs = 1

[[backbones]]
name = "timm/test_resnet"
weights = "random"
"""


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working folder with the photograph, clips, rooms and sweep that examples name."""
    monkeypatch.chdir(tmp_path)
    blocks = np.random.default_rng(0).integers(0, 255, (6, 8, 3), np.uint8)
    pixels = np.kron(blocks, np.ones((8, 8, 1), np.uint8))
    Image.fromarray(pixels).save("photo.jpg")
    write_clip(Path("clip.mp4"), Clip(pictures=[pixels]))
    millimetres = np.linspace(1000, 3000, 48 * 64).reshape(48, 64).astype(np.uint16)
    for folder in ("rooms/images", "rooms/depth", "clip/depth"):
        Path(folder).mkdir(parents=True)
    for number in range(4):
        Image.fromarray(pixels).save(f"rooms/images/{number}.png")
        Image.fromarray(millimetres).save(f"rooms/depth/{number}.png")
    for number in range(3):
        Image.fromarray(pixels).save(f"clip/{number}.png")
        Image.fromarray(np.full((48, 64), 2000, np.uint16)).save(f"clip/depth/{number}.png")
    Path("clip/poses.txt").write_text("1 0 0 0 0 1 0 0 0 0 1 0\n" * 3)
    Path("sweep.toml").write_text(SWEEP)
    write_navi(Path("navi/duck/wild_set"), (0, 12))
    write_navi(Path("navi/duck/multiview_00_pixel_5"), (0,))


def docstring(name: str) -> str:
    """Docstring of a public name; that of a table stands below it in its module."""
    thing = getattr(rilievo, name)
    if callable(thing):
        return inspect.cleandoc(vars(thing).get("__doc__") or thing.__doc__ or "")
    texts = []
    for path in Path(rilievo.__file__).parent.rglob("*.py"):
        source = path.read_text("utf-8")
        if re.search(rf"^{name}: (Registry|Mapping)\b", source, re.MULTILINE):
            body = ast.parse(source).body
            at = next(i for i, row in enumerate(body) if ast.unparse(row).startswith(f"{name}:"))
            below = body[at + 1]
            if isinstance(below, ast.Expr):
                texts.append(ast.literal_eval(below.value))
    # Other modules may have private tables of the same name.
    [text] = [text for text in texts if f"rilievo.{name}" in text]
    return text


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.usefixtures("workplace")
def test_every_public_name_has_an_example_that_runs(name: str) -> None:
    names: dict[str, Any] = {
        "rilievo": rilievo,
        "np": np,
        "Path": Path,
        name: getattr(rilievo, name),
    }
    example = doctest.DocTestParser().get_doctest(docstring(name), names, name, None, 0)
    assert example.examples, "no example"
    lines: list[str] = []
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    failures = runner.run(example, out=lines.append).failed
    assert not failures, "".join(lines)
