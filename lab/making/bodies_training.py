r"""Lessons of bodies for a layout network: people, heads and animals that stand upright.

A network from rendered frames, measured rooms and photographs learns further. Half of what is
rendered are people, heads, animals and hard shadows, and a term of the loss is the lean of a
surface: how much the error of log depth changes within 4 cells of one surface. Photographs keep
the depth that the network gives them, so that other scenes do not get worse.

Command::

    for kind in heads subjects people shadowed-grounds cast-shadows; do
        python -m lab.scenes --count 256 --seed 9911 --kind $kind -o bodies/$kind
    done
    for kind in near-occluders open-ground streets still-lifes rooms; do
        python -m lab.scenes --count 128 --seed 9912 --kind $kind -o others/$kind
    done
    for kind in heads subjects people streets; do
        python -m lab.scenes --count 32 --seed 9901 --kind $kind -o unseen/$kind
    done
    python -m lab.making.bodies_training --base src/rilievo/models/default/base.onnx \
        --bodies bodies/ --others others/ --unseen unseen/ --real nyu/ --photos photos/ -o run/
"""

import argparse
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from lab.making.distil.depth_losses import error_size, spread_loss
from lab.making.distil.frames.augment import crop, degrade, mirrored, sky_filled
from lab.making.distil.frames.shard_pool import ShardPool
from lab.making.distil.frames.training_frames import Frame
from lab.making.layout_learner import cells_of
from lab.making.layout_network import Layout, Levels
from lab.making.nyu_frames import NyuFrames
from lab.making.shipped_layout import shipped_layout, write_weights
from rilievo.training.losses.answer_losses import centred_error

_LANDSCAPE, _PORTRAIT = (192, 256), (256, 192)
_BATCH = {"real": 5, "bodies": 5, "others": 2, "photographs": 4}
_WARM_UP, _ENCODER_RATE, _LOG_STEPS = 50, 0.25, 100
_SKY, _SPREAD, _KEPT = 0.2, 0.05, 1.5
"""Weights of sky, of the expected error, and of the depth of photographs; that of depth is 1."""
_STEP = 0.12
"""Difference of log depth between neighbouring cells from which they lie on two surfaces."""
_LEAN_CELLS = 4

Picture = UInt8[np.ndarray, "h w 3"]


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A picture with the depth that the network shall give it.

    Attributes:
        levels: Features of the encoder, in half precision; None if the encoder learns.
        depth: Mean log depth of every cell.
        known: Cells with depth.
        sky: Log-odds of sky of the network before the first step.
        source: Where the picture comes from, a name of ``_BATCH``.
    """

    image: UInt8[Tensor, "h w 3"]
    levels: Levels | None
    depth: Float[Tensor, "h8 w8"]
    known: Bool[Tensor, "h8 w8"]
    sky: Float[Tensor, "h8 w8"]
    source: str


class Lessons:
    """Network 0 of the pair in training, with its views."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.random = np.random.default_rng(options.seed)
        self.network = shipped_layout(options.base, 0)
        nyu = NyuFrames(options.real)
        self.unseen = {"nyu": [self._view(crop(each, _LANDSCAPE), "real") for each in nyu.held_out]}
        for folder in sorted(options.unseen.iterdir()):
            frames = ShardPool(folder, holds_out=False)
            views = [self._view(crop(each, _LANDSCAPE), "bodies") for each in frames]
            self.unseen[folder.name] = views
        self.views = {
            "real": self._views_of(nyu.all_frames, "real"),
            "bodies": self._views_of(ShardPool(options.bodies, holds_out=False), "bodies"),
            "others": self._views_of(ShardPool(options.others, holds_out=False), "others"),
            "photographs": [self._kept(each) for each in sorted(options.photos.glob("*.jpg"))],
        }

    def decode(self, views: Sequence[View]) -> Layout:
        """Answer of the network for views of one shape."""
        if self.options.encoder:
            return self.network(torch.stack([view.image for view in views]))
        every = [view.levels for view in views if view.levels is not None]
        eighth, sixteenth, coarsest = (
            torch.stack(level).float() for level in zip(*every, strict=True)
        )
        return self.network.decode((eighth, sixteenth, coarsest))

    def loss(self, views: Sequence[View]) -> Float[Tensor, ""]:
        """Sum of the losses of views of one shape."""
        answer = self.decode(views)
        depth, known, sky = (
            torch.stack([getattr(view, name) for view in views])
            for name in ("depth", "known", "sky")
        )
        error = centred_error(answer.log_depth, depth, known)
        weights = torch.tensor([_KEPT if view.source == "photographs" else 1.0 for view in views])
        loss = (error_size(error, known, scales=3) * weights).sum()
        loss = loss + _SPREAD * spread_loss(answer.log_spread, error.detach(), known).sum()
        sky_error = F.binary_cross_entropy_with_logits(answer.sky, sky.sigmoid(), reduction="none")
        loss = loss + _SKY * sky_error.mean(dim=(1, 2)).sum()
        is_body = torch.tensor([view.source == "bodies" for view in views])
        if self.options.lean and is_body.any():
            leans = lean(error[is_body], depth[is_body], known[is_body])
            loss = loss + self.options.lean * leans * is_body.sum()
        return loss

    @torch.no_grad()
    def scores(self) -> str:
        """AbsRel after the medians are matched, and lean, of every set of unseen frames."""
        texts = []
        for name, views in self.unseen.items():
            errors, leans = [], []
            for view in views:
                error = self.decode([view]).log_depth[0] - view.depth
                error = error - error[view.known].median()
                errors.append(float(torch.expm1(error[view.known]).abs().mean()))
                leans.append(float(lean(error[None], view.depth[None], view.known[None])))
            texts.append(f"{name} {np.mean(errors):.4f} {np.mean(leans):.4f}")
        return ", ".join(texts)

    def train(self) -> None:
        """Train, and write weights and a log."""
        options, network = self.options, self.network
        encoder = list(network.encoder.parameters()) if options.encoder else []
        decoder = [
            parameter
            for name, parameter in network.named_parameters()
            if not name.startswith("encoder.")
        ]
        groups = [{"params": decoder, "share": 1.0}, {"params": encoder, "share": _ENCODER_RATE}]
        optimizer = torch.optim.AdamW([each for each in groups if each["params"]], lr=options.rate)
        print("step 0:", self.scores(), flush=True)
        for step in range(1, options.steps + 1):
            fall = 0.5 * (1 + math.cos(math.pi * step / options.steps))
            for group in optimizer.param_groups:
                rate = options.rate * min(1.0, step / _WARM_UP) * fall
                group["lr"] = rate * group["share"]
            batch = [view for name in _BATCH for view in self._drawn(name)]
            loss = torch.stack([self.loss(views) for views in _by_shape(batch)]).sum() / len(batch)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(encoder + decoder, 1.0)
            optimizer.step()
            if step % _LOG_STEPS == 0 or step == options.steps:
                print(f"step {step}: loss {loss:.4f},", self.scores(), flush=True)
                write_weights(options.output / "layout.npz", network.state_dict())

    def _drawn(self, source: str) -> list[View]:
        views = self.views[source]
        numbers = self.random.integers(len(views), size=_BATCH[source])
        return [views[int(number)] for number in numbers]

    def _views_of(self, frames: Iterable[Frame], source: str) -> list[View]:
        """Two views of every frame: all of it, and a mirrored part or a portrait."""
        views = []
        for frame in frames:
            views.append(self._view(self._degraded(crop(frame, _LANDSCAPE)), source))
            if source != "real" and self.random.random() < 0.4:
                part = crop(frame, _PORTRAIT)
            else:
                down, right = self.random.uniform(-0.5, 0.5, 2)
                scale = self.random.uniform(0.7, 1.0)
                part = mirrored(crop(frame, _LANDSCAPE, scale=scale, shift=(down, right)))
            views.append(self._view(self._degraded(part), source))
        return views

    def _degraded(self, frame: Frame) -> Frame:
        return replace(frame, image=degrade(frame.image, self.random))

    @torch.no_grad()
    def _view(self, frame: Frame, source: str) -> View:
        depth = sky_filled(frame.log_depth, frame.valid, frame.sky).astype(np.float32)
        valid = np.ascontiguousarray(frame.valid | frame.sky)[None]
        cells = cells_of(
            torch.from_numpy(np.ascontiguousarray(depth)[None]), torch.from_numpy(valid)
        )
        return self._seen(frame.image, source, cells.mean[0], cells.known[0])

    @torch.no_grad()
    def _kept(self, path: Path) -> View:
        picture = cv2.imread(str(path))
        assert picture is not None, path
        height, width = picture.shape[:2]
        size = (_LANDSCAPE if width >= height else _PORTRAIT)[::-1]
        picture = cv2.resize(picture[..., ::-1], size, interpolation=cv2.INTER_AREA)
        return self._seen(np.asarray(picture), "photographs", None, None)

    def _seen(
        self,
        picture: Picture,
        source: str,
        depth: Float[Tensor, "h8 w8"] | None,
        known: Bool[Tensor, "h8 w8"] | None,
    ) -> View:
        image = torch.from_numpy(np.ascontiguousarray(picture)[None])
        answer = self.network(image)
        eighth, sixteenth, coarsest = (level[0].half() for level in answer.levels)
        return View(
            image=image[0],
            levels=None if self.options.encoder else (eighth, sixteenth, coarsest),
            depth=answer.log_depth[0] if depth is None else depth,
            known=torch.ones_like(answer.sky[0], dtype=torch.bool) if known is None else known,
            sky=answer.sky[0],
            source=source,
        )


def lean(
    error: Float[Tensor, "b h w"], depth: Float[Tensor, "b h w"], known: Bool[Tensor, "b h w"]
) -> Float[Tensor, ""]:
    """Mean change of the error of log depth over 4 cells of one surface, down and across."""
    total, count = torch.zeros(()), torch.zeros(())
    for axis in (1, 2):
        length = depth.shape[axis] - _LEAN_CELLS
        padding = (0, 0, 1, 0) if axis == 1 else (1, 0)
        steps = F.pad((depth.diff(dim=axis).abs() > _STEP).float(), padding).cumsum(dim=axis)
        ends = [
            [each.narrow(axis, start, length) for start in (0, _LEAN_CELLS)]
            for each in (steps, known, error)
        ]
        (first_steps, last_steps), (first_known, last_known), (first_error, last_error) = ends
        same = (first_steps == last_steps) & first_known & last_known
        total = total + ((last_error - first_error).abs() * same).sum()
        count = count + same.sum()
    return total / count.clamp(min=1)


def _by_shape(views: Sequence[View]) -> list[list[View]]:
    groups: dict[torch.Size, list[View]] = {}
    for view in views:
        groups.setdefault(view.known.shape, []).append(view)
    return list(groups.values())


def main() -> None:
    """Read the options and train."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    add = parser.add_argument
    for name in ("base", "bodies", "others", "unseen", "real", "photos"):
        add(f"--{name}", type=Path, required=True)
    add("-o", "--output", type=Path, required=True)
    add("--encoder", action="store_true", help="train the encoder, too")
    add("--lean", type=float, default=0.5, help="weight of the lean (0.5)")
    add("--rate", type=float, default=3e-4, help="largest learning rate (3e-4)")
    add("--steps", type=int, default=800)
    add("--seed", type=int, default=1)
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(options.seed)
    torch.set_num_threads(1)
    lessons: Lessons = Lessons(options)
    lessons.train()


if __name__ == "__main__":
    main()
