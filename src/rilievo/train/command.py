"""Command ``python -m rilievo.train``: train a network by a recipe."""

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated

import torch
import tyro

from rilievo.errors import OptionError, suggest
from rilievo.networks.mobilenet_v2 import load_published
from rilievo.networks.small import SmallNet
from rilievo.train.embedded_task import Frames, first_batches, train
from rilievo.train.export import Provenance, provenance_of
from rilievo.train.nyu_frames import NyuFrames
from rilievo.train.recipes import RECIPES, Recipe
from rilievo.train.shards import ShardPool
from rilievo.train.start import start_from
from rilievo.train.unfold import measure_statistics, read_exported


def main(
    recipe: tyro.conf.Positional[str],
    *,
    shards: Path,
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])],
    real: Path | None = None,
    encoder: Path | None = None,
    start: Path | None = None,
    minutes: float | None = None,
    steps: int | None = None,
    threads: int | None = None,
    resume: bool = False,
) -> None:
    """Train a network by a recipe.

    A recipe that starts from another one runs that one first, in a folder of its own beside
    ``output``, unless ``start`` names the folder of such a run.

    Args:
        recipe: small, small-further, tiny, small-rendered, distilled, or small-first, which small
            starts from.
        shards: Folder of rendered shards, or of such folders; shards added during the run are used
            too.
        output: Folder of the run.
        real: Folder of NYU Depth V2's labelled frames; without it only rendered frames are used.
        encoder: ImageNet weights of MobileNetV2 (``.npz``, Gluon's names) to start from.
        start: Folder of the run to start from, for a recipe that starts from another; or, for any,
            an ONNX file of the same network, such as ``weights/small-further.onnx``.
        minutes: Length of the run in minutes, if not the recipe's; a run before it keeps its own.
        steps: Length of the run in steps instead, likewise.
        threads: Number of torch threads, if not the recipe's.
        resume: Continue the run in ``output``.
    """
    if recipe not in RECIPES:
        raise OptionError(f"no recipe '{recipe}'; {suggest(recipe, RECIPES)}")
    length = {} if minutes is None and steps is None else {"minutes": minutes, "steps": steps}
    chosen = RECIPES[recipe](**length)
    if real is not None and not chosen.photographs:
        raise OptionError(f"recipe '{recipe}' learns from shards alone; leave --real out")
    is_exported = start is not None and start.suffix == ".onnx"
    if start is not None and chosen.first is None and not is_exported:
        raise OptionError(
            f"recipe '{recipe}' starts from no run; leave --start out, or name an ONNX file of its "
            "network"
        )
    frames = Frames(
        rendered=ShardPool(shards, outdoors=chosen.config.outdoors),
        real=None if real is None else NyuFrames(real),
    )
    told = partial(provenance_of, photographs=real is not None)
    if chosen.first is not None and start is None:
        start = output.with_name(f"{output.name}-{chosen.first}")
        first = RECIPES[chosen.first]()
        origin = _Origin(encoder=encoder, provenance=told(chosen.first))
        _run(first, frames, start, origin, threads=threads, resume=True)
    origin = _Origin(encoder=encoder, run=start, provenance=told(recipe))
    _run(chosen, frames, output, origin, threads=threads, resume=resume)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Origin:
    """Source of the first weights (ImageNet's or a run's), and the provenance to record."""

    provenance: Provenance
    encoder: Path | None
    run: Path | None = None


def _run(
    recipe: Recipe,
    frames: Frames,
    output: Path,
    origin: _Origin,
    *,
    threads: int | None,
    resume: bool,
) -> None:
    config = recipe.config if threads is None else replace(recipe.config, threads=threads)
    torch.manual_seed(config.seed)
    network = SmallNet(recipe.widths)
    if origin.run is not None and origin.run.suffix == ".onnx":
        read_exported(network, origin.run)
        measure_statistics(network, first_batches(config, frames))
    elif origin.run is not None:
        start_from(network, origin.run, takes=recipe.takes)
    elif origin.encoder is not None:
        load_published(network.encoder, origin.encoder)
    train(config, network, frames, output, resume=resume, provenance=origin.provenance)
