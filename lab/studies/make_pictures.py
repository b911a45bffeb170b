"""Make the pictures of the guides, as ``make pictures`` does.

    python lab/studies/make_pictures.py [FILE ...]

``pictures.toml`` says which command makes which. ``docs/pictures/made.json`` keeps a sum of what
each picture was made of: the command, the photograph, the tool, and the weights of the embedded
models. A test compares it with today's, so that no picture is older than what made it.
"""

import argparse
import hashlib
import json
import os
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from everyday_photographs import FOLDER, MORE, NAMES, photograph
from picture_grid import grid, of_height
from PIL import Image

ROOT = Path(__file__).parents[2]
PICTURES = ROOT / "docs" / "pictures"
MADE = PICTURES / "made.json"
TABLE = Path(__file__).with_name("pictures.toml")
_MODELS = ("base.onnx", "small.onnx")
_QUALITY, _FRAMES = 82, 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A row of ``pictures.toml``."""

    file: str
    guide: str
    run: str
    photo: str | None = None
    side: int | None = None
    take: Sequence[str] = ()
    width: int | None = None
    data: bool = False

    def __post_init__(self) -> None:
        if (self.photo is None) != self.is_tool or (bool(self.take) == self.is_tool):
            sys.exit(f"{TABLE.name}: {self.file} has photo and take, or runs a tool")
        if self.photo is not None and self.photo not in (*NAMES, *MORE):
            sys.exit(f"{TABLE.name}: {self.file}: no photograph '{self.photo}'")

    @property
    def is_tool(self) -> bool:
        """Whether a tool of this repository writes it."""
        return self.run.startswith("python ")

    @property
    def key(self) -> str:
        """Sum of all that it is made of."""
        total = hashlib.sha256()
        parts: list[object] = [self.run, self.photo, self.side, self.take, self.width]
        total.update(json.dumps(parts).encode())
        if self.photo is not None:
            file = FOLDER / f"{self.photo}.jpg"
            total.update(file.read_bytes() if file.exists() else photograph(self.photo).tobytes())
        if self.is_tool:
            total.update((ROOT / shlex.split(self.run)[1]).read_bytes())
        for model in _MODELS:
            total.update((files("rilievo.models.default") / model).read_bytes())
        return total.hexdigest()


def pictures() -> tuple[Picture, ...]:
    """Rows of the table."""
    return tuple(Picture(**row) for row in tomllib.loads(TABLE.read_text("utf-8"))["picture"])


def made_of() -> dict[str, str]:
    """Sums of what the pictures were made of."""
    return json.loads(MADE.read_text("utf-8")) if MADE.exists() else {}


def make(picture: Picture) -> None:
    """Run the command, and put what it shows beside the other pictures."""
    if picture.is_tool:
        _run(picture.run, ROOT)
        return
    with TemporaryDirectory() as name:
        folder = Path(name)
        _prepare(picture, folder)
        _run(picture.run, folder)
        _show(picture, folder)


def _prepare(picture: Picture, folder: Path) -> None:
    """Write the photograph, or the clip, that the command names."""
    assert picture.photo is not None
    image = Image.fromarray(photograph(picture.photo))
    if picture.side is not None:
        image.thumbnail((picture.side, picture.side), Image.Resampling.LANCZOS)
    image.save(folder / "photo.jpg", quality=92)
    if "clip.mp4" in picture.run:
        _run("rilievo predict photo.jpg --save turn-mp4", folder)
        shutil.move(folder / "rilievo-output/photo.turn.mp4", folder / "clip.mp4")


def _run(command: str, folder: Path) -> None:
    program, *rest = shlex.split(command)
    parts = [sys.executable, "-m", "rilievo"] if program == "rilievo" else [sys.executable]
    print(f"$ {command}", flush=True)
    places = [str(ROOT / "src"), str(ROOT)]
    subprocess.run(
        [*parts, *rest], cwd=folder, check=True, env=os.environ | {"PYTHONPATH": ":".join(places)}
    )


def _show(picture: Picture, folder: Path) -> None:
    found = [
        folder / name if (folder / name).exists() else folder / "rilievo-output" / name
        for name in picture.take
    ]
    place = PICTURES / picture.file
    if picture.width is None:
        shutil.copyfile(found[0], place)
        return
    columns = [[*_seen(path)] for path in found]
    height = min(each.height for cells in columns for each in cells)
    # Of a video its frames are beside one another, and below them those of its results.
    rows = columns if len(columns[0]) > 1 else [[cells[0] for cells in columns]]
    sheet = grid([[of_height(each, height) for each in cells] for cells in rows])
    sheet.thumbnail((picture.width, 10 * picture.width), Image.Resampling.LANCZOS)
    sheet.save(place, quality=_QUALITY, optimize=True)


def _seen(path: Path) -> Iterator[Image.Image]:
    """Yield a picture, or some frames of a video."""
    if path.suffix != ".mp4":
        with Image.open(path) as image:
            of_bytes = image if image.mode != "I;16" else Image.fromarray(np.asarray(image) // 257)
            clear = of_bytes.convert("RGBA")
        yield Image.alpha_composite(Image.new("RGBA", clear.size, "white"), clear).convert("RGB")
        return
    import av

    with av.open(str(path)) as container:
        frames = [each.to_ndarray(format="rgb24") for each in container.decode(video=0)]
    for number in np.linspace(0, len(frames) * 3 / 4, _FRAMES).astype(int):
        yield Image.fromarray(frames[number])


def main() -> None:
    """Make the pictures that are named, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="*", metavar="FILE")
    asked = parser.parse_args().files
    rows = pictures()
    if unknown := {*asked} - {each.file for each in rows}:
        sys.exit(f"error: {TABLE.name} has no {', '.join(sorted(unknown))}")
    for each in rows:
        if asked and each.file not in asked:
            continue
        if each.data and "RILIEVO_DATA" not in os.environ:
            print(f"{each.file} stays as it is: RILIEVO_DATA names no folder")
            continue
        make(each)
        # After each one, so that a run that is stopped loses nothing.
        made = {row.file: made_of().get(row.file, "") for row in rows} | {each.file: each.key}
        MADE.write_text(json.dumps(made, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
