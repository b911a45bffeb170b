"""Writes frames as files, for rilievo's dataset ``synthetic`` and other tools.

A folder holds ``images/0000000001.png`` and so on, ``truth/0000000001.npz`` (``depth`` float32
(h, w) [m], 0 where there is sky, and ``normals`` float32 (h, w, 3)), ``cameras/0000000001.txt``
(K [px], three rows) and ``rilievo.yaml``, which describes them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lab.scenes.clip_folders import lines_of
from lab.scenes.plan import Plan, write_all
from lab.scenes.renderer import render
from lab.scenes.textures import TextureBank
from rilievo.io.files.atomic import make_folder, replacing
from rilievo.io.png import write_png

LAYOUT = """\
image: "images/{id}.png"
depth:
  file: "truth/{id}.npz"
  array: depth
  sky: [0]
normals:
  file: "truth/{id}.npz"
  array: normals
camera:
  file: "cameras/{id}.txt"
"""
"""Description of the files for rilievo's datasets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FilePlan(Plan):
    """Plan of frames to render into files; the first one has the number 1."""

    def seed_of(self, number: int) -> int:
        """Seed of a frame, from its place in the plan."""
        return Plan.seed_of(self, number + 1)


def image_path(plan: FilePlan, index: int) -> Path:
    """Photograph of a frame, the last of its files to be written."""
    return plan.folder / "images" / f"{index + 1:010d}.png"


def missing_files(plan: FilePlan) -> Sequence[int]:
    """Places in the plan of frames that do not exist yet."""
    return [index for index in range(plan.count) if not image_path(plan, index).exists()]


def write_files(plan: FilePlan, workers: int) -> Iterator[Path]:
    """Render missing frames, and yield the photograph of each as it is finished.

    Raises:
        OptionError: If ``workers`` is less than 1.
        OutputError: If the folder cannot be written.
    """
    for name in ("images", "truth", "cameras"):
        make_folder(plan.folder / name)
    with replacing(plan.folder / "rilievo.yaml") as part:
        part.write_text(LAYOUT, encoding="utf-8")
    return write_all(plan, missing_files(plan), write_frame, workers)


def write_frame(plan: FilePlan, index: int, textures: TextureBank) -> Path:
    """Render one frame, and write each of its files atomically.

    Raises:
        OutputError: If a file cannot be written.
    """
    sample = render(plan.seed_of(index), size=plan.size, textures=textures, kind=plan.kind)
    assert sample.depth is not None, "a rendered frame has all of its truth"
    assert sample.normals is not None, "the same"
    assert sample.normals_valid is not None, "the same"
    assert sample.camera is not None, "the same"
    path = image_path(plan, index)
    normals = np.where(sample.normals_valid, sample.normals, 0).transpose(1, 2, 0)
    with replacing(plan.folder / "truth" / f"{path.stem}.npz") as part, part.open("wb") as file:
        np.savez_compressed(file, depth=sample.depth, normals=normals)
    with replacing(plan.folder / "cameras" / f"{path.stem}.txt") as part:
        part.write_text(lines_of(sample.camera.K), encoding="utf-8")
    with replacing(path) as part:
        write_png(part, sample.image, {})
    return path
