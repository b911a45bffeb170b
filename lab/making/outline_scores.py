"""Scores of embedded models on rendered shards: ``python -m lab.making.outline_scores``.

Steps against the truth (F1 within 2 px, invented ones), the relative error of depth, also beside
steps and beside the sky, and the width of outlines. Depth is compared at the size of the frames.
"""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from jaxtyping import Float32, UInt8

from lab.making.distil.frames.shards import check_shards, read_shard
from lab.making.outline_measures import outline_width, step_scores
from lab.making.program import run_program
from rilievo.cli.parsing import parse
from rilievo.errors import InputError
from rilievo.io.files.names import printable
from rilievo.schema.fields import option


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Options of the program."""

    models: Annotated[tuple[Path, ...], option(positional=True, metavar="MODEL")]
    """ONNX files of embedded models."""
    shards: Annotated[Path, option(metavar="FOLDER")]
    """Folder of rendered shards that no network has seen."""
    count: int = 64
    """Largest number of frames."""


class Network:
    """ONNX file of an embedded model, which sees frames at its own size."""

    def __init__(self, path: Path) -> None:
        import onnxruntime

        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads = 1
        settings.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(
            str(path), settings, providers=["CPUExecutionProvider"]
        )
        facts = {each.key: each.value for each in onnx.load(str(path)).metadata_props}
        self._area = int(facts["rilievo.area"])
        self._multiple = int(facts["rilievo.multiple"])

    def log_depth(self, image: UInt8[np.ndarray, "h w 3"]) -> Float32[np.ndarray, "h w"]:
        """Predict log depth of a frame, at its size."""
        height, width = image.shape[:2]
        scale = (self._area / (height * width)) ** 0.5 / self._multiple
        size = tuple(max(1, round(side * scale)) * self._multiple for side in (height, width))
        x = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float()
        if size != (height, width):
            x = F.interpolate(x, size=size, mode="bilinear", antialias=True).round().clamp(0, 255)
        pixels = x[0].permute(1, 2, 0).byte().numpy()[None]
        (depth,) = self._session.run(["depth"], {"image": pixels})
        logs = torch.from_numpy(depth)[:, None].log()
        if size != (height, width):
            logs = F.interpolate(logs, size=(height, width), mode="bilinear").float()
        return logs[0, 0].numpy()


def frames_of(folder: Path, count: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Give up to ``count`` images and log depths of shards, evenly spaced."""
    check_shards(folder)
    shards = [read_shard(path) for path in sorted(folder.rglob("shard-*.npz"))]
    places = [(shard, index) for shard in shards for index in range(len(shard.image))]
    if not places:
        raise InputError(f"{printable(folder)}: no shard-*.npz in it; render some first")
    for number in np.linspace(0, len(places) - 1, min(count, len(places))).round().astype(int):
        shard, index = places[number]
        yield np.array(shard.image[index]), shard.log_depth[index].astype(np.float32)


def main(arguments: Sequence[str]) -> None:
    """Print a line of scores for each model."""
    options = parse(
        Arguments,
        arguments,
        prog="python -m lab.making.outline_scores",
        description="Compare the outlines of embedded models on rendered frames.",
    )
    torch.set_num_threads(1)
    networks = [Network(path) for path in options.models]
    logs, widths = [list[np.ndarray]() for _ in networks], [list[float]() for _ in networks]
    truth = []
    for image, true in frames_of(options.shards, options.count):
        truth.append(true)
        for number, network in enumerate(networks):
            answer = network.log_depth(image)
            logs[number].append(answer)
            widths[number].append(outline_width(torch.from_numpy(answer)))
    for path, answers, width in zip(options.models, logs, widths, strict=True):
        batches = [torch.from_numpy(np.stack(each))[:, None] for each in (answers, truth)]
        scores = step_scores(*batches)
        sys.stdout.write(
            f"{printable(path)}: {len(truth)} frames, F1 {scores.f1:.3f}, invented "
            f"{scores.invented:.2f}%, AbsRel {scores.abs_rel:.4f}, beside steps "
            f"{scores.near_steps:.4f}, beside the sky {scores.near_sky:.4f}, width "
            f"{np.nanmedian(width):.2f}%\n"
        )


if __name__ == "__main__":
    run_program(main)
