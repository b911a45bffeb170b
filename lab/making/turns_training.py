"""Lessons of turned and grey pictures for a layout network, whose encoder is frozen.

The network is its own teacher, so that no true depth is needed: what it says of an upright picture
in colour, turned along, is the answer for the picture that is turned by 90, 180 or 270 degrees or
grey. Half of each batch are the upright pictures themselves, whose depth must stay as it is. Where
the answer for a turned picture still differs, the expected error grows by the difference.

The encoder does not learn, so it sees every view once, before the first step. Network 1 sees mirror
images when the model is used, and therefore also here.

Command::

    python -m lab.making turns --base src/rilievo/models/default/base.onnx --member 0 \
        --shards shards-normals/ --real nyu/ --photos photos/ -o run-turns-0/
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor

from lab.making.distil.frames.shard_pool import ShardPool
from lab.making.frozen_encoder import (
    RunLog,
    SeenView,
    by_shape,
    drawn,
    halved,
    learn,
    levels_of,
)
from lab.making.layout_network import Layout, LayoutNet, Levels
from lab.making.nyu_frames import NyuFrames
from lab.making.shipped_layout import shipped_layout, write_weights
from lab.making.turns_command import TurnsOptions
from rilievo.errors import InputError
from rilievo.io.files.names import printable

WEIGHTS = "layout.npz"
"""File of the network's weights in the folder of a run."""
_AREA, _MULTIPLE = 192 * 256, 32
_HELD_OUT = 8
"""One of so many photographs is held out."""
_GREY = 0.15
"""Share of the turned pictures that are grey, and of the upright ones that are seen grey too."""
_BATCH = 16
"""Views in a batch: a quarter each of upright and turned photographs, and of the other pictures."""
_SKY, _SPREAD = 0.2, 0.05
"""Weights of the losses of sky and of the expected error; that of log depth is 1."""
_ROUND = 0.01
"""Difference of log depth below which its loss is quadratic."""

Picture = UInt8[np.ndarray, "h w 3"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnedView(SeenView):
    """A view with the answer for the upright picture in colour, turned along.

    Attributes:
        log_depth: Log depth, up to one summand.
        sky: Log-odds of sky.
        log_spread: Logarithm of the expected error of the upright picture's depth.
        turns: Quarter turns counter-clockwise.
    """

    log_depth: Float[Tensor, "h8 w8"]
    sky: Float[Tensor, "h8 w8"]
    log_spread: Float[Tensor, "h8 w8"]
    turns: int


def train_turns(options: TurnsOptions) -> None:
    """Train, and write the weights and a log into the folder of the run."""
    log = RunLog(options.output)
    torch.manual_seed(options.seed)
    random = np.random.default_rng(options.seed)
    network = shipped_layout(options.base, options.member)
    photographs = _photographs(options.photos)
    nyu = NyuFrames(options.real)
    mirror = options.member == 1

    def seen(picture: Picture, turns: Sequence[int], grey: float = 0.0) -> list[TurnedView]:
        picture = fitted(picture[:, ::-1] if mirror else picture)
        return views(network, picture, turns, grey=grey, random=random)

    held_out = {
        "NYU": [view for frame in nyu.held_out for view in seen(frame.image, (1, 2, 3))],
        "photographs": [
            view for picture in photographs[::_HELD_OUT] for view in seen(picture, (1, 2, 3))
        ],
    }
    of_photographs = [
        view
        for number, picture in enumerate(photographs)
        if number % _HELD_OUT
        for view in seen(picture, (1, 2, 3), _GREY)
    ]
    of_frames = [
        view
        for picture in _pictures(nyu, ShardPool(options.shards))
        for view in seen(picture, (int(random.integers(1, 4)),), _GREY)
    ]
    quarters = [
        [view for view in learned if bool(view.turns) == is_turned]
        for learned in (of_photographs, of_frames)
        for is_turned in (False, True)
    ]
    log(f"views of photographs and of frames, upright and turned: {[*map(len, quarters)]}")
    log(f"step 0: {_scores(network, held_out)}")
    learning = [
        parameter
        for name, parameter in network.named_parameters()
        if not name.startswith("encoder.")
    ]

    def loss_of_batch() -> Tensor:
        batch = [view for part in quarters for view in drawn(part, _BATCH // 4, random)]
        losses = [turns_loss(network, group) * len(group) for group in by_shape(batch)]
        return torch.stack(losses).sum() / len(batch)

    def logged(step: int, loss: float) -> None:
        log(f"step {step}: loss {loss:.4f}, {_scores(network, held_out)}")
        write_weights(options.output / WEIGHTS, network.state_dict())

    learn(learning, loss_of_batch, steps=options.steps, logged=logged)


def fitted(picture: Picture) -> Picture:
    """Scale a picture to the layout network's area, with sides that are multiples of 32."""
    height, width = picture.shape[:2]
    scale = (_AREA / (height * width)) ** 0.5
    size = [max(1, round(side * scale / _MULTIPLE)) * _MULTIPLE for side in (width, height)]
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(np.ascontiguousarray(picture), size, interpolation=interpolation))


@torch.no_grad()
def views(
    network: LayoutNet,
    picture: Picture,
    turns: Sequence[int],
    *,
    grey: float = 0.0,
    random: np.random.Generator,
) -> list[TurnedView]:
    """Upright view of a picture, and turned views with the upright one's answer, turned along.

    A share ``grey`` of the turned views is grey, and the upright one is seen grey too as often.
    """
    answer = network(_batch(picture))
    grey_picture = np.asarray(picture.mean(axis=2, keepdims=True).round().astype(np.uint8))
    grey_picture = grey_picture.repeat(3, axis=2)
    found = [_view(answer.levels, answer, 0)]
    if random.random() < grey:
        found.append(_view(network(_batch(grey_picture)).levels, answer, 0))
    for turn in turns:
        source = grey_picture if random.random() < grey else picture
        levels = network(_batch(np.rot90(source, turn))).levels
        found.append(_view(levels, answer, turn))
    return found


def turns_loss(network: LayoutNet, group: Sequence[TurnedView]) -> Float[Tensor, ""]:
    """Mean over views of one shape of how far the network is from the upright answer."""
    answer = network.decode(levels_of(group))
    depth, sky, spread = (
        torch.stack([getattr(view, name) for view in group])
        for name in ("log_depth", "sky", "log_spread")
    )
    apart = centred(answer.log_depth - depth)
    error = torch.sqrt(apart**2 + _ROUND**2).mean()
    sky_error = F.binary_cross_entropy_with_logits(answer.sky, sky.sigmoid())
    expected = torch.log(spread.exp() + apart.detach().abs())
    return error + _SKY * sky_error + _SPREAD * (answer.log_spread - expected).abs().mean()


def centred(values: Float[Tensor, "b h w"]) -> Float[Tensor, "b h w"]:
    """Subtract the mean of every picture."""
    return values - values.mean(dim=(1, 2), keepdim=True)


def _view(levels: Levels, answer: Layout, turns: int) -> TurnedView:
    depth, sky, spread = (
        torch.rot90(each[0], turns) for each in (answer.log_depth, answer.sky, answer.log_spread)
    )
    return TurnedView(
        levels=halved(levels), log_depth=depth, sky=sky, log_spread=spread, turns=turns
    )


def _batch(picture: Picture) -> UInt8[Tensor, "1 h w 3"]:
    return torch.from_numpy(np.ascontiguousarray(picture)[None])


@torch.no_grad()
def _scores(network: LayoutNet, held_out: dict[str, list[TurnedView]]) -> str:
    """Mean difference of log depth from the upright answer, for every turn."""
    texts = []
    for name, views in held_out.items():
        means = []
        for turns in range(4):
            apart = [
                centred(network.decode(levels_of([view])).log_depth - view.log_depth).abs().mean()
                for view in views
                if view.turns == turns
            ]
            means.append(f"{torch.stack(apart).mean():.4f}")
        texts.append(f"{name} {' '.join(means)}")
    return ", ".join(texts)


def _photographs(folder: Path) -> list[Picture]:
    paths = sorted(folder.glob("*.jpg"))
    if not paths:
        raise InputError(f"{printable(folder)}: no .jpg files; give a folder of photographs")
    pictures = (cv2.imread(str(path)) for path in paths)
    return [np.ascontiguousarray(each[..., ::-1]) for each in pictures if each is not None]


def _pictures(nyu: NyuFrames, rendered: ShardPool) -> Iterator[Picture]:
    for frame in nyu.all_frames:
        yield frame.image
    for frame in rendered:
        yield frame.image
