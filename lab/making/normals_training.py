"""Training of a decoder of its own for normals, on the frozen encoder of a layout network.

The layers with which ``rilievo/base`` made its normals read features that its depth shaped. Taught
again alone, they gain .4 degrees on the kept-out frames of NYU Depth V2; a decoder of its own, on
the same features of the encoder, gains 1.8.

The encoder does not learn, so it sees every frame once, before the first step. Of each frame it
sees one view, of NYU's frames three: the whole one, a mirrored crop, and one of a turned camera. A
part of the views is turned by 90 or 180 degrees, and a part is grey.

Command::

    python -m lab.making normals --base src/rilievo/models/default/base.onnx \
        --shards shards-normals/ --real nyu/ -o run-normals/
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from lab.making.distil.frames.augment import crop, mirrored
from lab.making.distil.frames.shard_pool import ShardPool
from lab.making.distil.frames.training_frames import Frame
from lab.making.frozen_encoder import (
    RunLog,
    SeenView,
    by_shape,
    drawn,
    halved,
    learn,
    levels_of,
)
from lab.making.layout_learner import cells_of
from lab.making.layout_network import LayoutNet, NormalsDecoder
from lab.making.normals_command import NormalsOptions
from lab.making.nyu_frames import NyuFrames
from lab.making.shipped_layout import shipped_layout, write_weights
from lab.making.turning import turned

WEIGHTS = "normals.npz"
"""File of the decoder's weights in the folder of a run."""
_SHAPE = (192, 256)
_QUARTER_TURNS = (0.85, 0.05, 0.05, 0.05)
"""Shares of the views that are turned by 0, 90, 180 and 270 degrees."""
_GREY = 0.1
_REAL, _RENDERED = 10, 6
"""Frames of NYU and rendered frames in a batch."""
_LEAST_LENGTH = 0.5
"""Least length of the mean normal of a cell; one across an edge is shorter and says little."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NormalsView(SeenView):
    """A view with its true normals in cells.

    Attributes:
        normals: Mean of the true normals over every cell.
        known: Cells that count.
    """

    normals: Float[Tensor, "3 h8 w8"]
    known: Bool[Tensor, "h8 w8"]


def train_normals(options: NormalsOptions) -> None:
    """Train, and write the weights and a log into the folder of the run."""
    log = RunLog(options.output)
    torch.manual_seed(options.seed)
    random = np.random.default_rng(options.seed)
    layout = shipped_layout(options.base, 0)
    nyu, rendered = NyuFrames(options.real), ShardPool(options.shards)
    held_out = {
        "NYU": [seen_view(layout, _whole(frame)) for frame in nyu.held_out],
        "rendered": [seen_view(layout, _whole(frame)) for frame in _held_out(rendered)],
    }
    real = [view for frame in nyu.all_frames for view in _views(layout, frame, random)]
    made = [seen_view(layout, _changed(_whole(frame), random)) for frame in rendered]
    log(f"{len(real)} views of NYU's frames, {len(made)} of rendered frames")
    decoder = NormalsDecoder()
    decoder.start_from(layout)
    decoder.eval()  # Norms keep the statistics that the shipped file has folded in.
    log(f"step 0: {_scores(decoder, held_out)}")

    def loss_of_batch() -> Tensor:
        batch = [*drawn(real, _REAL, random), *drawn(made, _RENDERED, random)]
        sums = [normals_angle(decoder, views) for views in by_shape(batch)]
        angle, cells = (torch.stack(each).sum() for each in zip(*sums, strict=True))
        return angle / cells.clamp(min=1)

    def logged(step: int, loss: float) -> None:
        log(f"step {step}: loss {math.degrees(loss):.2f} degrees, {_scores(decoder, held_out)}")
        write_weights(options.output / WEIGHTS, decoder.state_dict())

    learn([*decoder.parameters()], loss_of_batch, steps=options.steps, logged=logged)


@torch.no_grad()
def seen_view(layout: LayoutNet, frame: Frame) -> NormalsView:
    """Run the frozen encoder on a frame, and take means of the true normals over cells."""
    image = torch.from_numpy(np.ascontiguousarray(frame.image)[None])
    normals = torch.from_numpy(frame.normals[None].astype(np.float32) / 127)
    cells = cells_of(normals, torch.from_numpy(np.ascontiguousarray(frame.normals_valid))[None])
    known = cells.known[0] & (cells.mean[0].norm(dim=0) > _LEAST_LENGTH)
    levels = halved(layout(image).levels)
    return NormalsView(levels=levels, normals=cells.mean[0], known=known)


def normals_angle(
    decoder: NormalsDecoder, views: Sequence[NormalsView]
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """Sum of the angles [rad] between predicted and true normals, and the number of cells."""
    true, known = (torch.stack([getattr(view, name) for view in views]) for name in
                   ("normals", "known"))  # fmt: skip
    predicted = F.normalize(decoder(levels_of(views)), dim=1)
    cosine = (predicted * F.normalize(true, dim=1)).sum(dim=1)
    angle = torch.acos(cosine.clamp(-1 + 1e-4, 1 - 1e-4))  # Its slope is infinite at 0.
    return (angle * known).sum(), known.sum().float()


@torch.no_grad()
def _scores(decoder: NormalsDecoder, held_out: dict[str, list[NormalsView]]) -> str:
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


def _views(layout: LayoutNet, frame: Frame, random: np.random.Generator) -> list[NormalsView]:
    """Three views of a photograph: whole, a mirrored crop, and as a turned camera sees it."""
    shift = random.uniform(-0.5, 0.5, 2)
    part = crop(frame, _SHAPE, scale=random.uniform(0.7, 1.0), shift=(shift[0], shift[1]))
    frames = (_whole(frame), mirrored(part), turned(frame, _SHAPE, random))
    return [seen_view(layout, _changed(each, random)) for each in frames]


def _whole(frame: Frame) -> Frame:
    return crop(frame, _SHAPE)


def _changed(frame: Frame, random: np.random.Generator) -> Frame:
    """Make some frames grey, and turn some by 90, 180 or 270 degrees."""
    if random.random() < _GREY:
        grey = frame.image.mean(axis=2, keepdims=True).round().astype(np.uint8)
        frame = replace(frame, image=np.repeat(grey, 3, axis=2))
    return quarter_turned(frame, int(random.choice(4, p=_QUARTER_TURNS)))


def quarter_turned(frame: Frame, turns: int) -> Frame:
    """Turn a frame counter-clockwise by 90 degrees, ``turns`` times."""
    for _ in range(turns):
        x, y, z = (np.rot90(each) for each in frame.normals)
        fx, fy, cx, cy = frame.camera
        width = frame.image.shape[1]
        frame = replace(
            frame,
            image=np.rot90(frame.image),
            log_depth=np.rot90(frame.log_depth),
            valid=np.rot90(frame.valid),
            sky=np.rot90(frame.sky),
            normals=np.stack([y, -x, z]),
            normals_valid=np.rot90(frame.normals_valid),
            camera=(fy, fx, cy, width - 1 - cx),
        )
    return frame
