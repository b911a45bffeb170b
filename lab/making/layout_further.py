r"""Further training of the layout pair on a GPU, by means of weights over short runs.

Every member of the pair is trained several times from the same weights with other seeds; half of
the start and half of the mean of the runs is better than each of them (M. Wortsman et al., "Model
soups", ICML 2022; docs/reference/training-record.md). A run's rate falls to zero by the clock, so
that what is lent for ten minutes is used for ten minutes. ``python -m lab.making.layout_further``::

    python -m lab.making.layout_further --base BASE.onnx --member 0 --shards frames \
        --runs 5 --seconds 60 --device cuda -o run-0

Everything that is learned lies in ``run-0``: ``run-1.npz`` … in float32, ``mean.npz`` of them,
``log.txt`` with the losses, ``state.pt`` of the run that is under way, from which it goes on.
"""

import argparse
import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lab.making.device_batches import DeviceMix, as_batch, make_device_batch
from lab.making.device_store import FrameStore, StoredFrames
from lab.making.device_windows import Turns, cut, seen_camera
from lab.making.distil.frames.augment import batch_shape
from lab.making.distil.frames.frame_batches import Batch
from lab.making.layout_learner import LayoutLearner, cells_of
from lab.making.layout_network import LayoutNet
from lab.making.layout_recipe import layout
from lab.making.shipped_layout import (
    Weights,
    mixture,
    read_weights,
    shipped_layout,
    write_weights,
)
from rilievo.io.files.atomic import replacing

HELD_OUT = "held"
"""Kind of the measured photographs that no run sees."""
_SHAPE = (192, 256)
_WARM_UP = 30
_DECAY = 0.995
_SAVE_SECONDS = 30.0
_SCAN_SECONDS = 20.0
_SHARDS_A_SCAN = 24
_LOG_STEPS = 100

KIND_WEIGHTS = {
    "corridors": 0.12,
    "turned-corridors": 0.09,
    "near-occluders": 0.10,
    "robot-floors": 0.07,
    "cut-foregrounds": 0.08,
    "dark-rooms": 0.05,
    "car-streets": 0.06,
    "low-views": 0.04,
    "near-views": 0.06,
}
"""Weights of kinds of rendered frames; the other kinds share the rest alike."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FurtherConfig:
    """Configuration of the runs of one member.

    Attributes:
        runs: Number of runs.
        seconds: Length of each run.
        batch_size: Images a step.
        rate: Largest learning rate of the decoder.
        encoder_factor: Rate of the encoder, as a share of the decoder's.
        gradient_norm: Largest norm of the gradients.
        seed: Seed of the first run; the others follow.
        areas: Areas of the images [px] with their shares are those of the recipe ``layout``.
        graphs: Whether a GPU replays a step's kernels as one graph, a graph a shape.
    """

    runs: int
    seconds: float
    batch_size: int = 96
    rate: float = 3e-4
    encoder_factor: float = 0.25
    gradient_norm: float = 2.0
    weight_decay: float = 1e-2
    seed: int = 71
    mix: DeviceMix = field(default_factory=lambda: DeviceMix(weights=KIND_WEIGHTS))
    graphs: bool = True


class Steps:
    """One member in training: its losses, the optimizer and the average of the weights."""

    def __init__(self, network: LayoutNet, config: FurtherConfig, device: torch.device) -> None:
        recipe = layout()
        network.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        self.network = network.to(device)
        learner = LayoutLearner(self.network, replace(recipe, encoder_after=0))
        learner.begin(recipe.steps)
        self.learner, self.config, self.device = learner, config, device
        # Norms are folded into the file that the run starts from, so they keep their statistics.
        learner.train()
        self.network.eval()
        encoder = list(self.network.encoder.parameters())
        of_encoder = {id(parameter) for parameter in encoder}
        decoder = [each for each in self.network.parameters() if id(each) not in of_encoder]
        self.parameters = encoder + decoder
        self.rates = (config.rate * config.encoder_factor, config.rate)
        self.optimizer = torch.optim.AdamW(
            [{"params": encoder}, {"params": decoder}],
            lr=config.rate,
            weight_decay=config.weight_decay,
            foreach=True,
        )
        for parameter in self.parameters:
            parameter.grad = torch.zeros_like(parameter)
        self._graphs: dict[tuple[int, int], Callable[[Batch], Tensor]] = {}

    def losses(self, batch: Batch) -> Tensor:
        """Compute the gradients of a batch; returns the loss and its parts, on the device."""
        shape = (batch.image.shape[1], batch.image.shape[2])
        if not (self.config.graphs and self.device.type == "cuda"):
            return self._plain(batch)
        if shape not in self._graphs:
            self._graphs[shape] = self._captured(batch)
        return self._graphs[shape](batch)

    def step(self, progress: float, number: int) -> None:
        """Change the weights by the gradients; ``progress`` in [0, 1] sets the rate."""
        factor = min(1.0, (number + 1) / _WARM_UP) * 0.5 * (1 + math.cos(math.pi * progress))
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate * factor
        torch.nn.utils.clip_grad_norm_(self.parameters, self.config.gradient_norm, foreach=True)
        self.optimizer.step()

    def _plain(self, batch: Batch) -> Tensor:
        gradients = [each.grad for each in self.parameters if each.grad is not None]
        torch._foreach_zero_(gradients)
        low = self.device.type == "cuda"
        with torch.autocast(self.device.type, torch.bfloat16, enabled=low, cache_enabled=False):
            losses = self.learner(batch)
        losses["loss"].backward()
        names = ("loss", "depth_loss", "normals_loss", "sky_loss", "spread_loss")
        return torch.stack([losses[name].detach() for name in names])

    def _captured(self, batch: Batch) -> Callable[[Batch], Tensor]:
        """Record a step's kernels for one shape; later batches are copied into its inputs."""
        static = Batch(**{name: getattr(batch, name).clone() for name in Batch.__slots__})
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(3):
                self._plain(static)
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            losses = self._plain(static)

        def replay(batch: Batch) -> Tensor:
            for name in Batch.__slots__:
                getattr(static, name).copy_(getattr(batch, name))
            graph.replay()
            return losses.clone()

        return replay


def train(
    start: LayoutNet,
    store: FrameStore,
    config: FurtherConfig,
    output: Path,
    *,
    scan: Path | None,
    log: Callable[[str], None],
    held_out: Batch | None = None,
) -> None:
    """Train the runs of one member into a folder, from the last one that is not complete."""
    first = {name: value.clone() for name, value in start.state_dict().items()}
    steps = Steps(start, config, store.device)
    first = {name: value.to(store.device) for name, value in first.items()}
    if store.device.type == "cuda":
        _compile(steps, store, config)
        log("kernels of every shape are compiled")
    for run in range(1, config.runs + 1):
        path = output / f"run-{run}.npz"
        if path.exists():
            continue
        weights = _run(steps, first, store, config, run, output, scan=scan, log=log)
        write_weights(path, weights)
        if held_out is not None:
            before, after = (_score(steps.network, each, held_out) for each in (first, weights))
            log(f"run {run}: AbsRel of kept-out photographs {before:.4f} -> {after:.4f}")
        done = [read_weights(output / f"run-{number}.npz") for number in range(1, run + 1)]
        mean = mixture([(1 / len(done), each) for each in done])
        half = mixture([(0.5, {k: v.cpu() for k, v in first.items()}), (0.5, mean)])
        write_weights(output / "mean.npz", mean)
        if held_out is not None:
            log(f"mean of {run}: {_score(steps.network, mean, held_out):.4f}, half start "
                f"{_score(steps.network, half, held_out):.4f}")  # fmt: skip


def _compile(steps: Steps, store: FrameStore, config: FurtherConfig) -> None:
    """Compute the gradients of a batch of every shape, so that no run waits for kernels."""
    random, draws = torch.Generator(store.device).manual_seed(0), torch.Generator().manual_seed(0)
    shapes = {_shapes(config.seed)(number) for number in range(200)}
    for shape in sorted(shapes):
        batch = make_device_batch(store, config.mix, shape, config.batch_size, random, draws)
        steps.losses(batch)


def _run(
    steps: Steps,
    first: Weights,
    store: FrameStore,
    config: FurtherConfig,
    run: int,
    output: Path,
    *,
    scan: Path | None,
    log: Callable[[str], None],
) -> Weights:
    """One run from the first weights; returns the average of its weights."""
    device, seed = store.device, config.seed + run - 1
    random, draws = torch.Generator(device).manual_seed(seed), torch.Generator().manual_seed(seed)
    shapes = _shapes(seed)
    network = steps.network
    network.load_state_dict(first)
    steps.optimizer.state.clear()
    average = [value.detach().clone() for value in network.parameters()]
    number, before = 0, 0.0
    state = output / "state.pt"
    if state.exists():
        saved = torch.load(state, map_location=device, weights_only=True)
        if saved["run"] == run:
            network.load_state_dict(saved["network"])
            steps.optimizer.load_state_dict(saved["optimizer"])
            average = [each.to(device) for each in saved["average"]]
            number, before = saved["step"], saved["seconds"]
            random.set_state(saved["random"].cpu())
            draws.set_state(saved["draws"].cpu())
            log(f"run {run} goes on at step {number}")
    began = saved_at = scanned_at = time.monotonic()
    sums = torch.zeros(5, device=device)
    while (elapsed := before + time.monotonic() - began) < config.seconds:
        if scan is not None and time.monotonic() - scanned_at > _SCAN_SECONDS:
            if added := store.scan(scan, most=_SHARDS_A_SCAN):
                store.joined()
                log(f"{added} more frames, {sum(store.counts().values())} in all")
            scanned_at = time.monotonic()
        batch = make_device_batch(
            store, config.mix, shapes(number), config.batch_size, random, draws
        )
        sums += steps.losses(batch)
        steps.step(elapsed / config.seconds, number)
        number += 1
        decay = min(_DECAY, (1 + number) / (10 + number))
        torch._foreach_lerp_(average, [each.detach() for each in network.parameters()], 1 - decay)
        if number % _LOG_STEPS == 0:
            values = " ".join(f"{value:.4f}" for value in (sums / _LOG_STEPS).tolist())
            images = number * config.batch_size
            log(f"run {run} step {number} losses {values} images {images} "
                f"{images / (before + time.monotonic() - began):.0f}/s")  # fmt: skip
            sums.zero_()
        if time.monotonic() - saved_at > _SAVE_SECONDS:
            _save(state, steps, average, run, number, elapsed, random, draws)
            saved_at = time.monotonic()
    log(f"run {run} ended after {number} steps of {config.batch_size}, {elapsed:.0f} s")
    weights = {name: value.clone() for name, value in network.state_dict().items()}
    for (name, _), value in zip(network.named_parameters(), average, strict=True):
        weights[name] = value
    return {name: value.cpu() for name, value in weights.items()}


def _shapes(seed: int) -> Callable[[int], tuple[int, int]]:
    """Shapes of the batches of a run by their numbers."""
    stage = layout().stage
    return lambda number: batch_shape(stage, np.random.default_rng([seed, number]))


def _save(
    path: Path,
    steps: Steps,
    average: list[Tensor],
    run: int,
    number: int,
    seconds: float,
    random: torch.Generator,
    draws: torch.Generator,
) -> None:
    state: dict[str, Any] = {
        "run": run,
        "step": number,
        "seconds": seconds,
        "network": steps.network.state_dict(),
        "optimizer": steps.optimizer.state_dict(),
        "average": average,
        "random": random.get_state(),
        "draws": draws.get_state(),
    }
    with replacing(path) as part:
        torch.save(state, part)


@torch.no_grad()
def _score(network: LayoutNet, weights: Weights, batch: Batch) -> float:
    """Mean AbsRel over cells of images, with medians of the logarithms matched."""
    kept = {name: value.clone() for name, value in network.state_dict().items()}
    network.load_state_dict(weights)
    scores = []
    for start in range(0, len(batch.image), 20):
        rows = slice(start, start + 20)
        predicted = network(batch.image[rows]).log_depth
        true = cells_of(batch.log_depth[rows], batch.valid[rows])
        for p, t, known in zip(predicted, true.mean, true.known, strict=True):
            error = (p - t)[known]
            scores.append(float(torch.expm1(error - error.median()).abs().mean()))
    network.load_state_dict(kept)
    return sum(scores) / len(scores)


def held_out_batch(frames: StoredFrames) -> Batch:
    """Kept-out photographs at the network's size, upright and whole."""
    count, device = len(frames), frames.image.device
    still = torch.eye(3, device=device).repeat(count, 1, 1)
    scale, shift = torch.ones(count, device=device), torch.zeros(count, 2, device=device)
    camera = seen_camera(frames.camera, frames.size, still, _SHAPE, scale, shift)
    upright = torch.zeros(count, dtype=torch.bool, device=device)
    rows = torch.arange(count, device=device)
    return as_batch(cut(frames, rows, still, camera, _SHAPE, mirrored=upright))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m lab.making.layout_further", description=(__doc__ or "").split("\n")[0]
    )
    add = parser.add_argument
    add("--base", type=Path, required=True, help="file of the pair to start from")
    add("--start", type=Path, help="weights of the member to start from instead (.npz)")
    add("--member", type=int, required=True, choices=(0, 1), help="1 sees mirror images")
    add("--shards", type=Path, required=True,
        help="folder of folders of shards and of carried frames, one a kind")  # fmt: skip
    add("--runs", type=int, default=5, help="number of runs (5)")
    add("--seconds", type=float, default=60.0, help="length of each run (60)")
    add("--batch", type=int, default=96, help="images a step (96)")
    add("--rate", type=float, default=3e-4, help="largest learning rate of the decoder (3e-4)")
    add("--seed", type=int, default=71, help="seed of the first run (71)")
    add("--device", default="cpu", help="device (cpu)")
    add("--no-graphs", action="store_true", help="launch a step's kernels one by one")
    add("-o", "--output", type=Path, required=True, help="folder of the runs")
    return parser.parse_args()


def main() -> None:
    """Read the options and train."""
    options = _options()
    device = torch.device(options.device)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    options.output.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()

    def log(text: str) -> None:
        line = f"{time.monotonic() - began:7.1f} s  {text}"
        print(line, flush=True)
        with (options.output / "log.txt").open("a") as file:
            file.write(line + "\n")

    network = shipped_layout(options.base, options.member)
    if options.start is not None:
        network.load_state_dict(read_weights(options.start))
    store, held_out = FrameStore(device), None
    store.scan(options.shards)
    if HELD_OUT in store.chunks:
        held_out = held_out_batch(store.chunks.pop(HELD_OUT)[0])
    store.joined()
    log(f"frames {store.counts()}")
    config = FurtherConfig(
        runs=options.runs,
        seconds=options.seconds,
        batch_size=options.batch,
        rate=options.rate,
        seed=options.seed,
        graphs=not options.no_graphs,
        mix=DeviceMix(weights=KIND_WEIGHTS, turns=Turns()),
    )
    try:
        train(network, store, config, options.output,
              scan=options.shards, log=log, held_out=held_out)  # fmt: skip
    except KeyboardInterrupt:
        log("stopped")
        sys.exit(130)


if __name__ == "__main__":
    main()
