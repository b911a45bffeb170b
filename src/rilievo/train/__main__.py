"""``python -m rilievo.train small --shards DIR --real DIR --encoder FILE.npz -o RUN``."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import torch
import tyro

from rilievo.errors import OptionError, RilievoError, suggest
from rilievo.networks.mobilenet_v2 import load_published
from rilievo.networks.small import SmallNet
from rilievo.train.loop import Frames, train
from rilievo.train.nyu_frames import NyuFrames
from rilievo.train.recipes import RECIPES
from rilievo.train.shards import ShardPool


def main(
    recipe: tyro.conf.Positional[str],
    *,
    shards: Path,
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])],
    real: Path | None = None,
    encoder: Path | None = None,
    minutes: float | None = None,
    steps: int | None = None,
    threads: int | None = None,
    resume: bool = False,
) -> None:
    """Train a network by a recipe.

    Args:
        recipe: A name in ``rilievo.train.recipes.RECIPES``.
        shards: Folder of rendered shards; new ones are taken in while the run goes on.
        output: Folder of the run.
        real: Folder of NYU Depth V2's labelled frames; without it only rendered frames are used.
        encoder: ImageNet weights of MobileNetV2 (``.npz``, Gluon's names) to start from.
        minutes: Length of the run, if not the recipe's.
        steps: Length of the run in steps instead.
        threads: Of torch, if not the recipe's.
        resume: Go on with the run in ``output``.
    """
    if recipe not in RECIPES:
        raise OptionError(f"no recipe '{recipe}'; {suggest(recipe, RECIPES)}")
    length = {} if minutes is None and steps is None else {"minutes": minutes, "steps": steps}
    config = RECIPES[recipe](**length)
    if threads is not None:
        config = replace(config, threads=threads)
    torch.manual_seed(config.seed)
    network = SmallNet()
    if encoder is not None:
        load_published(network.encoder, encoder)
    frames = Frames(
        rendered=ShardPool(shards, outdoors=config.outdoors),
        real=None if real is None else NyuFrames(real),
    )
    train(config, network, frames, output, resume=resume)


if __name__ == "__main__":
    try:
        tyro.cli(main)
    except RilievoError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(2)
