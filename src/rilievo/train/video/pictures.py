"""Pictures of a run to look at: a target, its depth, its warped sources and the auto-mask."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, UInt8
from torch import Tensor

from rilievo.io.atomic import make_folder, replacing
from rilievo.io.colour import colourise
from rilievo.io.png import write_png
from rilievo.train.engine.folder import Journal
from rilievo.train.video.batches import collate
from rilievo.train.video.frames import VideoFrames
from rilievo.train.video.learner import Learner
from rilievo.train.video.measures import BatchResult
from rilievo.types import DepthKind, DepthMap

FOLDER = "pictures"


@torch.no_grad()
def save_pictures(
    learner: Learner, frames: VideoFrames, run: Path, log: Journal, fabric: Any, step: int
) -> Path | None:
    """Write a picture of the first held-out target, or of the first training target without any.

    Returns:
        The file; None in other processes than the first.

    Raises:
        OutputError: If the file cannot be written.
    """
    if not fabric.is_global_zero:
        return None
    shown = frames.held_out if len(frames.held_out) else frames.training
    one = shown.views_of(0, rng=np.random.default_rng(0))
    views = collate([one], fabric.device)
    learner.eval()
    with fabric.autocast():
        picture = picture_of(learner.explain(views=views, generator=None))
    make_folder(run / FOLDER)
    path = run / FOLDER / f"step-{step:07d}.png"
    with replacing(path) as part:
        write_png(part, picture, {})
    log.show("pictures", picture, step)
    return path


def picture_of(result: BatchResult) -> UInt8[np.ndarray, "h w 3"]:
    """Draw the first target of a batch, its depth, its warped sources and the auto-mask.

    Near depth is bright; pixels that the auto-mask leaves out are black.
    """
    loss, views = result.loss, result.views
    depth = DepthMap(values=_array(loss.depth[0]), kind=DepthKind.UP_TO_SCALE)
    kept = np.repeat(_array(loss.automask[0].float())[..., None], 3, axis=-1)
    rows = [
        _image(views.target[0]),
        colourise(depth),
        *(_image(each[0]) for each in loss.warped),
        (255 * kept).astype(np.uint8),
    ]
    return np.concatenate(rows, axis=0)


def _image(colours: Tensor) -> UInt8[np.ndarray, "h w 3"]:
    levels = np.rint(255 * _array(colours).transpose(1, 2, 0))
    return np.clip(levels, 0, 255).astype(np.uint8)


def _array(values: Tensor) -> Float32[np.ndarray, "..."]:
    return values.detach().float().cpu().numpy()
