"""Writes clips to disk, one folder each, for rilievo's ``folder`` dataset and other tools.

``clip-00000/`` holds ``images/000000.png`` and so on, ``depth/000000.png`` (16 bits, with the scale
in ``rilievo.yaml``; 65535 is sky), ``intrinsics.txt`` (K [px], three rows), ``poses.txt`` (KITTI's
odometry format: one line per frame, the twelve numbers of the upper three rows of ``world_T_cam``,
row by row [m]; the world's z points up) and ``rilievo.yaml``.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from jaxtyping import UInt16

from lab.scenes.clip import Clip, render_clip
from lab.scenes.plan import Plan, write_all
from lab.scenes.textures import TextureBank
from rilievo.errors import OptionError
from rilievo.io.files.atomic import replacing_folder
from rilievo.io.png import write_png
from rilievo.records.sample import Sample

SKY = 65535
"""Stored value of pixels without a surface."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipPlan(Plan):
    """Plan of clips to render into folders.

    Attributes:
        frames: Number of frames of each clip.
        step: Distance between frames [m]; None for the default of ``render_clip``.
        hand_held: Whether the camera is carried by hand.
    """

    counted_by: ClassVar[str] = "--clips"

    frames: int = 8
    step: float | None = None
    hand_held: bool = False

    def __post_init__(self) -> None:
        Plan.__post_init__(self)
        if self.frames < 1:
            raise OptionError(f"--frames is at least 1, got {self.frames}")
        if self.step is not None and not 0 < self.step < math.inf:
            raise OptionError(f"--step is a positive number of metres, got {self.step}")


def clip_path(plan: ClipPlan, index: int) -> Path:
    """Folder of a clip."""
    return plan.folder / f"clip-{index:05d}"


def missing_clips(plan: ClipPlan) -> Sequence[int]:
    """Numbers of the clips of a plan that do not exist yet."""
    return [index for index in range(plan.count) if not clip_path(plan, index).exists()]


def write_clips(plan: ClipPlan, workers: int) -> Iterator[Path]:
    """Render missing clips, and yield the folder of each as it is finished.

    A clip depends only on the plan and its own number, so neither the number of workers nor a
    stop and restart changes it.

    Raises:
        OptionError: If ``workers`` is less than 1.
        OutputError: If the folder cannot be written.
    """
    return write_all(plan, missing_clips(plan), write_clip, workers)


def write_clip(plan: ClipPlan, index: int, textures: TextureBank) -> Path:
    """Render one clip and write its folder atomically.

    Raises:
        OutputError: If the folder cannot be written.
    """
    clip = render_clip(
        plan.seed_of(index),
        frames=plan.frames,
        size=plan.size,
        textures=textures,
        kind=plan.kind,
        step=plan.step,
        hand_held=plan.hand_held,
    )
    path = clip_path(plan, index)
    with replacing_folder(path) as part:
        fill_folder(part, clip)
    return path


def fill_folder(folder: Path, clip: Clip) -> None:
    """Write the files of a clip.

    Raises:
        OSError: If a file cannot be written.
    """
    scale = depth_scale(clip)
    (folder / "images").mkdir()
    (folder / "depth").mkdir()
    for number, frame in enumerate(clip.frames):
        name = f"{number:06d}.png"
        write_png(folder / "images" / name, frame.image, {})
        write_png(folder / "depth" / name, stored_depth(frame, scale), {})
    camera = clip.frames[0].camera
    assert camera is not None, "frames of a clip have their camera"
    (folder / "intrinsics.txt").write_text(lines_of(camera.K), encoding="utf-8")
    poses = [frame.world_T_cam for frame in clip.frames]
    rows = np.array([pose[:3].ravel() for pose in poses if pose is not None])
    (folder / "poses.txt").write_text(lines_of(rows), encoding="utf-8")
    (folder / "rilievo.yaml").write_text(described(clip, scale), encoding="utf-8")


def depth_scale(clip: Clip) -> float:
    """Metres per stored step: the least of 1, 2, 5 times powers of ten that covers the range."""
    farthest = max(float(np.max(frame.depth)) for frame in clip.frames if frame.depth is not None)
    finest = farthest / (SKY - 1)
    power = 10.0 ** math.floor(math.log10(max(finest, 1e-5)))
    # Rounded to the nearest decimal, so that the file has 0.0002, not 0.00020000000000000001.
    return next(float(f"{k * power:.6g}") for k in (1, 2, 5, 10) if k * power >= finest)


def stored_depth(frame: Sample, scale: float) -> UInt16[np.ndarray, "h w"]:
    """Quantise depth to steps of ``scale`` [m], at least 1; ``SKY`` where there is none."""
    assert frame.depth is not None, "a rendered frame has depth"
    assert frame.depth_valid is not None, "which is known where it is"
    steps = np.clip(np.round(frame.depth / scale), 1, SKY - 1)
    return np.where(frame.depth_valid, steps, SKY).astype(np.uint16)


def lines_of(rows: np.ndarray) -> str:
    """Format numbers with 12 significant digits, one line per row."""
    return "".join(" ".join(f"{number:.12g}" for number in row) + "\n" for row in rows)


def described(clip: Clip, scale: float) -> str:
    """YAML description for the ``folder`` dataset."""
    return (
        f"# {clip.id}: frames of one walk through a rendered scene that stands still.\n"
        "# poses.txt: 3x4 world_T_cam of each frame, row by row [m], as KITTI writes poses.\n"
        'image: "images/{id}.png"\n'
        "depth:\n"
        '  file: "depth/{id}.png"\n'
        f"  scale: {np.format_float_positional(scale)}\n"
        f"  sky: [{SKY}]\n"
        "camera:\n"
        "  file: intrinsics.txt\n"
    )
