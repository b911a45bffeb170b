"""Training of a decoder of its own for normals, on the frozen encoder of a layout network.

The layers with which ``rilievo/base`` made its normals read features that its depth shaped. Taught
again alone, they gain .4 degrees on the kept-out frames of NYU Depth V2; a decoder of its own, on
the same features of the encoder, gains 1.8.

The encoder does not learn, so it sees every view once, before the first step: the whole frames,
mirrored crops of NYU's, and wide crops of what is rendered. NYU's frames show rooms alone. So that
streets and open country do not get worse, photographs are seen too, whole and as wide crops, whose
normals shall stay those of the layout network.

Turned and upside-down views were tried. Normals of a camera that rolls were better with them, but
mountains and skies of photographs faced down like ceilings.

Command::

    python -m lab.making normals --base src/rilievo/models/default/base.onnx \
        --shards shards-normals/ --real nyu/ --photos photos/ -o run-normals/
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from lab.making.distil.frames.augment import crop, mirrored
from lab.making.distil.frames.shard_pool import ShardPool
from lab.making.distil.frames.training_frames import Frame
from lab.making.layout_learner import cells_of
from lab.making.layout_network import LayoutNet, Levels, NormalsDecoder
from lab.making.normals_command import NormalsOptions
from lab.making.nyu_frames import NyuFrames
from lab.making.shipped_layout import shipped_layout, write_weights
from rilievo.errors import InputError
from rilievo.io.files.names import printable

Picture = UInt8[np.ndarray, "h w 3"]

WEIGHTS = "normals.npz"
"""File of the decoder's weights in the folder of a run."""
_SHAPE, _WIDE_SHAPE = (192, 256), (128, 384)
_REAL, _RENDERED, _PHOTOGRAPHS = 8, 5, 3
"""Views of NYU's frames, of rendered frames and of photographs in a batch."""
_RATE, _WEIGHT_DECAY, _GRADIENT_NORM, _WARM_UP = 4e-4, 1e-2, 1.0, 50
_LOG_STEPS = 100
_LEAST_LENGTH = 0.5
"""Least length of the mean normal of a cell; one across an edge is shorter and says little."""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A frame as the frozen encoder sees it, with its true normals in cells.

    Attributes:
        levels: Features at 1/8, 1/16 and 1/32 of the frame, in half precision.
        normals: Mean of the true normals over every cell.
        known: Cells that count.
    """

    levels: Levels
    normals: Float[Tensor, "3 h8 w8"]
    known: Bool[Tensor, "h8 w8"]


def train_normals(options: NormalsOptions) -> None:
    """Train, and write the weights and a log into the folder of the run."""
    options.output.mkdir(parents=True, exist_ok=True)

    def log(text: str) -> None:
        print(text, flush=True)
        with (options.output / "log.txt").open("a", encoding="utf-8") as file:
            file.write(f"{text}\n")

    torch.manual_seed(options.seed)
    random = np.random.default_rng(options.seed)
    pictures = _photographs(options.photos)
    layout = shipped_layout(options.base, 0)
    nyu, rendered = NyuFrames(options.real), ShardPool(options.shards)
    held_out = {
        "NYU": [seen_view(layout, _whole(frame)) for frame in nyu.held_out],
        "rendered": [seen_view(layout, _whole(frame)) for frame in _held_out(rendered)],
    }
    real = [view for frame in nyu.all_frames for view in _views(layout, frame, random)]
    made = [
        seen_view(layout, crop(frame, shape))
        for frame in rendered
        for shape in (_SHAPE, _WIDE_SHAPE)
    ]
    photographs = [
        photograph_view(layout, part)
        for picture in pictures
        for part in (_fitted(picture, _SHAPE), _fitted(picture, _WIDE_SHAPE))
    ]
    log(f"views of NYU's frames, rendered frames and photographs: {len(real)}, {len(made)}, "
        f"{len(photographs)}")  # fmt: skip
    decoder = NormalsDecoder()
    decoder.start_from(layout)
    decoder.eval()  # Norms keep the statistics that the shipped file has folded in.
    log(f"step 0: {_scores(decoder, held_out)}")
    optimiser = torch.optim.AdamW(decoder.parameters(), lr=_RATE, weight_decay=_WEIGHT_DECAY)
    for step in range(1, options.steps + 1):
        fall = 0.5 * (1 + math.cos(math.pi * step / options.steps))
        for group in optimiser.param_groups:
            group["lr"] = _RATE * min(1.0, step / _WARM_UP) * fall
        batch = _drawn(real, _REAL, random) + _drawn(made, _RENDERED, random)
        batch += _drawn(photographs, _PHOTOGRAPHS, random)
        sums = [normals_angle(decoder, views) for views in by_shape(batch)]
        angle, cells = (torch.stack(each).sum() for each in zip(*sums, strict=True))
        loss = angle / cells.clamp(min=1)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(decoder.parameters(), _GRADIENT_NORM)
        optimiser.step()
        if step % _LOG_STEPS == 0 or step == options.steps:
            degrees = math.degrees(loss.item())
            log(f"step {step}: loss {degrees:.2f} degrees, {_scores(decoder, held_out)}")
            write_weights(options.output / WEIGHTS, decoder.state_dict())


@torch.no_grad()
def seen_view(layout: LayoutNet, frame: Frame) -> View:
    """Run the frozen encoder on a frame, and take means of the true normals over cells."""
    image = torch.from_numpy(np.ascontiguousarray(frame.image)[None])
    normals = torch.from_numpy(frame.normals[None].astype(np.float32) / 127)
    cells = cells_of(normals, torch.from_numpy(np.ascontiguousarray(frame.normals_valid))[None])
    known = cells.known[0] & (cells.mean[0].norm(dim=0) > _LEAST_LENGTH)
    eighth, sixteenth, coarsest = (level[0].half() for level in layout(image).levels)
    levels = (eighth, sixteenth, coarsest)
    return View(levels=levels, normals=cells.mean[0], known=known)


@torch.no_grad()
def photograph_view(layout: LayoutNet, picture: Picture) -> View:
    """Run the layout network on a photograph, whose normals it shall keep."""
    answer = layout(torch.from_numpy(np.ascontiguousarray(picture)[None]))
    eighth, sixteenth, coarsest = (level[0].half() for level in answer.levels)
    normals = F.normalize(answer.normals[0], dim=0)
    known = torch.ones(normals.shape[1:], dtype=torch.bool)
    return View(levels=(eighth, sixteenth, coarsest), normals=normals, known=known)


def by_shape(views: Sequence[View]) -> list[list[View]]:
    """Views in groups of one shape each."""
    groups: dict[torch.Size, list[View]] = {}
    for view in views:
        groups.setdefault(view.known.shape, []).append(view)
    return list(groups.values())


def normals_angle(
    decoder: NormalsDecoder, views: Sequence[View]
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """Sum of the angles [rad] between predicted and true normals, and the number of cells."""
    true, known = (torch.stack([getattr(view, name) for view in views]) for name in
                   ("normals", "known"))  # fmt: skip
    eighth, sixteenth, coarsest = (
        torch.stack(levels).float() for levels in zip(*(view.levels for view in views), strict=True)
    )
    predicted = F.normalize(decoder((eighth, sixteenth, coarsest)), dim=1)
    cosine = (predicted * F.normalize(true, dim=1)).sum(dim=1)
    angle = torch.acos(cosine.clamp(-1 + 1e-4, 1 - 1e-4))  # Its slope is infinite at 0.
    return (angle * known).sum(), known.sum().float()


def _drawn(views: Sequence[View], count: int, random: np.random.Generator) -> list[View]:
    return [views[int(number)] for number in random.integers(len(views), size=count)]


@torch.no_grad()
def _scores(decoder: NormalsDecoder, held_out: dict[str, list[View]]) -> str:
    """Mean angle over the kept-out frames of every source."""
    texts = []
    for name, views in held_out.items():
        sums = [normals_angle(decoder, [view]) for view in views]
        angles = [math.degrees(total / count) for total, count in sums if count]
        texts.append(f"{name} {np.mean(angles):.2f} degrees")
    return ", ".join(texts)


def _held_out(pool: ShardPool) -> list[Frame]:
    shard = pool.held_out
    return [] if shard is None else [shard.frame(index) for index in range(len(shard.image))]


def _views(layout: LayoutNet, frame: Frame, random: np.random.Generator) -> list[View]:
    """Two views of a photograph: the whole one, and a mirrored crop."""
    shift = random.uniform(-0.5, 0.5, 2)
    part = crop(frame, _SHAPE, scale=random.uniform(0.7, 1.0), shift=(shift[0], shift[1]))
    return [seen_view(layout, each) for each in (_whole(frame), mirrored(part))]


def _whole(frame: Frame) -> Frame:
    return crop(frame, _SHAPE)


def _photographs(folder: Path) -> list[Picture]:
    paths = sorted(folder.glob("*.jpg"))
    if not paths:
        raise InputError(f"{printable(folder)}: no .jpg files; give a folder of photographs")
    pictures = (cv2.imread(str(path)) for path in paths)
    return [np.ascontiguousarray(each[..., ::-1]) for each in pictures if each is not None]


def _fitted(picture: Picture, shape: tuple[int, int]) -> Picture:
    """Cut the largest part of this aspect out of the middle, and scale it to ``shape``."""
    height, width = picture.shape[:2]
    tall = min(height, round(width * shape[0] / shape[1]))
    wide = min(width, round(height * shape[1] / shape[0]))
    top, left = (height - tall) // 2, (width - wide) // 2
    part = np.ascontiguousarray(picture[top : top + tall, left : left + wide])
    interpolation = cv2.INTER_AREA if tall > shape[0] else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(part, shape[::-1], interpolation=interpolation))
