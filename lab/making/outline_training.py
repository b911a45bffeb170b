"""Training of an outline head on rendered frames, which come in while it runs.

All that a step needs is on the device: frames get faults of cameras, the frozen networks look at
them, depth is melted in places, the target is made, and the loss is that of whole pixels, with the
gradients of bilinear picks ("straight-through"; Y. Bengio, N. Léonard and A. Courville, 2013).
"""

import math
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from lab.making.outline_faults import photographed, turned
from lab.making.outline_frames import FramePool, Frames, joined, read_photographs
from lab.making.outline_frozen import SIZE, Views, read_frozen
from lab.making.outline_head import Head, head_arrays, read_head, straight_through
from lab.making.outline_lessons import (
    CELL,
    Lesson,
    LessonStore,
    lesson_of,
    softened,
    softened_wholly,
)
from lab.making.outline_losses import (
    error_loss,
    facet_loss,
    fray_loss,
    layout_loss,
    slope_loss,
    still_loss,
)
from lab.making.outline_measures import outline_width, step_scores
from lab.making.outline_network import fuse, sharpened, sharpened_softly
from lab.making.outline_options import OutlineOptions
from rilievo.errors import InputError, OutputError
from rilievo.io.files.atomic import replacing
from rilievo.io.files.names import printable

CHECKPOINT, HEAD, AVERAGE, LOG = "checkpoint.pt", "head.npz", "average.npz", "log.txt"
_WARM_UP, _FLAT, _LEAST_RATE = 50, 0.35, 1e-5
_SLOPES, _STAY = 0.5, 5e-5
_MEMORY = 0.998
"""Share of the averaged weights that a step leaves."""
_LOGGED, _SCAN = 100, 3.0
_PATIENCE = 300.0
_LESSONS, _FIRST_LESSONS = 300, 12
"""Largest number of frames in memory as the networks see them, and batches before the first step.
"""
_HELD_NAMES = ("clean", "melted")
_PARTS = ("loss", "error", "slopes", "fray", "facets", "still", "layout", "before", "moved")


@dataclass
class Held:
    """Frames held out, as the frozen networks see them, their log depth, and the truth."""

    name: str
    views: Views
    fused: Float[Tensor, "b 1 h w"]
    true: Float[Tensor, "b 1 h w"]


class OutlineTraining:
    """A head, what it learns from, and its run.

    Attributes:
        step: Number of steps done.
        seconds: Seconds of training done.
    """

    def __init__(self, options: OutlineOptions) -> None:
        self.options = options
        self.device = _device(options.device)
        torch.manual_seed(options.seed)
        self._random = np.random.default_rng(options.seed)
        self.step, self.seconds, self._held = 0, 0.0, list[Held]()
        self._looked = 0
        if self.device.type == "cuda":
            torch.backends.cudnn.benchmark = True
            torch.set_float32_matmul_precision("high")
        size = options.size or SIZE
        frozen = read_frozen(options.start)
        self.frozen = (frozen.quicken() if self.device.type == "cuda" else frozen).to(self.device)
        self.photographs = (
            read_photographs(options.photos, size, self.device) if options.photos else None
        )
        self.pool = FramePool(options.shards, size, self.device, held_out=options.held_out)
        self.head = Head(pick=options.pick).to(self.device)
        self.average = Head(pick=options.pick).to(self.device)
        self.optimiser = torch.optim.AdamW(
            self.head.parameters(), lr=options.rate, weight_decay=1e-4
        )
        self.lessons, self._lesson_step = LessonStore(_LESSONS), 0
        self._sums, self._counted = torch.zeros(len(_PARTS), device=self.device), 0

    def run(self) -> None:
        """Train for the given seconds, and write the weights."""
        options, run = self.options, self.options.output
        _check_folder(run, resume=options.resume)
        run.mkdir(parents=True, exist_ok=True)
        self._wait()
        self._hold_out()
        if options.resume and (run / CHECKPOINT).is_file():
            self._restore(run / CHECKPOINT)
        else:
            if options.init is None:
                self.head.measure(self.frozen(self._batch(16).image))
            else:
                self._begin_with(options.init)
            self.average.load_state_dict(self.head.state_dict())
        begun = time.monotonic() - self.seconds
        self.log(f"begins at step {self.step} with {len(self.pool)} frames on {self.device}")
        try:
            self._learn(begun)
        finally:
            self.seconds = time.monotonic() - begun
            self.save()
        self.log(f"ended at step {self.step}, {self.measured()}")

    def _learn(self, begun: float) -> None:
        """Take steps until the time is over."""
        options, scanned, saved = self.options, time.monotonic(), time.monotonic()
        while (share := (time.monotonic() - begun) / options.seconds) < 1:
            self.train_step(share)
            if self.step % _LOGGED == 0 or self.step == 20:
                self._log_losses(time.monotonic() - begun)
            if time.monotonic() - scanned > _SCAN:
                self.pool.scan(12)
                self._hold_out()
                scanned = time.monotonic()
            if time.monotonic() - saved > options.every:
                self.seconds = time.monotonic() - begun
                self.save()
                self.log(self.measured())
                saved = time.monotonic()

    def train_step(self, share: float) -> None:
        """Take one step; ``share`` is that of the run that is over."""
        rate = self.options.rate * min(1, (self.step + 1) / _WARM_UP)
        if share > _FLAT:
            rate *= 0.5 + 0.5 * math.cos(math.pi * (share - _FLAT) / (1 - _FLAT))
        for group in self.optimiser.param_groups:
            group["lr"] = rate + _LEAST_RATE
        parts = self.losses(self._lesson())
        self.optimiser.zero_grad(set_to_none=True)
        parts[0].backward()
        for each in self.head.parameters():
            if each.grad is not None:
                each.grad.nan_to_num_(0.0, 0.0, 0.0)
        nn.utils.clip_grad_norm_(self.head.parameters(), 1.0)
        self.optimiser.step()
        self.step += 1
        self._counted += 1
        self._sums += torch.stack([each.detach() for each in parts])
        memory = min(_MEMORY, self.step / (self.step + 10))
        torch._foreach_lerp_(
            [each.data for each in self.average.parameters()],
            [each.data for each in self.head.parameters()],
            1 - memory,
        )

    def losses(self, lesson: Lesson) -> list[Tensor]:
        """Loss of a batch, then its parts before their weights."""
        options, aim, head = self.options, lesson.aim, self.head
        picks = head.pick is not None
        soft = softened(lesson, self._random, picks=picks)
        answer = head(soft)
        logs, fused = straight_through(answer, soft.sky), answer.fused.detach()
        error, slopes = error_loss(logs, aim), slope_loss(logs, aim)
        fray, facets = fray_loss(logs, aim), facet_loss(logs, fused, aim)
        still = still_loss(logs, fused, aim)
        moved = answer.displacement.abs().mean()
        layout = torch.zeros_like(error)
        if answer.coarse is not None:
            own = F.avg_pool2d(soft.coarse, CELL)
            layout = layout_loss(answer.coarse, own, lesson.layout, lesson.cells, lesson.quiet)
        loss = (
            error
            + _SLOPES * slopes
            + options.fray * fray
            + options.facets * facets
            + options.still * still
            + _STAY * moved
            + options.layout * layout
        )
        return [loss, error, slopes, fray, facets, still, layout, error_loss(fused, aim), moved]

    def _lesson(self) -> Lesson:
        """Lesson of a step: new frames, or some of those in memory."""
        options = self.options
        picks = self.head.pick is not None
        if options.reuse == 1:
            return lesson_of(self._batch(options.batch), self.frozen, self._random, picks=picks)
        fewest = _FIRST_LESSONS * options.batch
        while len(self.lessons) < fewest or self.step > self._lesson_step + options.reuse:
            frames = self._batch(options.batch)
            self.lessons.add(lesson_of(frames, self.frozen, self._random, picks=picks))
            self._lesson_step = self.step
        return self.lessons.draw(options.batch, self._random)

    @torch.no_grad()
    def _batch(self, count: int) -> Frames:
        """Frames with the faults of cameras, and photographs with measured depth."""
        options, parts = self.options, list[Frames]()
        measured = int(self._random.binomial(count, options.measured))
        if measured:
            assert self.photographs is not None
            parts.append(self.photographs.draw(measured, self._random))
        if count > measured:
            parts.append(self._rendered(count - measured))
        return joined(parts)

    def _rendered(self, count: int) -> Frames:
        frames = self.pool.draw(count, self._random)
        image, true = turned(frames.image, frames.true)
        overlays = None
        if self.photographs is not None:
            places = self._random.integers(len(self.photographs.image), size=count)
            overlays = torch.stack([self.photographs.image[each] for each in places]).float()
        plain = torch.rand(count, 1, 1, 1, device=image.device) < self.options.plain
        image = torch.where(plain, image.round(), photographed(image, overlays))
        return frames._replace(image=image, true=true, plain=plain)

    def _wait(self) -> None:
        """Wait for the first shard."""
        begun = time.monotonic()
        while not self.pool.scan(1_000_000):
            if time.monotonic() - begun > _PATIENCE:
                raise InputError(f"{self.options.shards}: no shard-*.npz in it; render some first")
            time.sleep(1.0)

    @torch.no_grad()
    def _hold_out(self) -> None:
        """Look at new frames held out: as they are, and with faults and melted depth."""
        for number, frames in enumerate(self.pool.held_out):
            if number < self._looked:
                continue
            self._looked += 1
            for name in _HELD_NAMES:
                image = frames.image if name == _HELD_NAMES[0] else photographed(frames.image)
                views = self.frozen(image)
                if name != _HELD_NAMES[0]:
                    views = softened_wholly(views, self._random)
                fused = fuse(views.coarse, views.fine, views.sky)
                self._held.append(Held(name, views, fused, frames.true))

    @torch.no_grad()
    def measured(self) -> str:
        """Scores of the averaged weights on the frames held out, before and after the head."""
        texts = []
        for name in _HELD_NAMES:
            held = [each for each in self._held if each.name == name]
            after, gap = [], []
            for each in held:
                answer, sky = self.average(each.views), each.views.sky
                exact = sharpened(answer.fused, answer.displacement, sky)
                soft = sharpened_softly(answer.fused, answer.displacement, sky)
                after.append(exact)
                gap.append((exact - soft).abs().mean())
            if held:
                before, true = ([getattr(x, part) for x in held] for part in ("fused", "true"))
                text = _compared(torch.cat(before), torch.cat(after), torch.cat(true))
                texts.append(
                    f"{name}: {text}, whole less soft {float(torch.stack(gap).mean()):.4f}"
                )
        return "; ".join(texts)

    def save(self) -> None:
        """Write the weights, their average and the state of the run, each atomically."""
        run = self.options.output
        for name, head in ((HEAD, self.head), (AVERAGE, self.average)):
            with replacing(run / name) as part, part.open("wb") as file:
                np.savez(file, allow_pickle=False, **head_arrays(head.state_dict()))
        state = {
            "head": self.head.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "step": self.step,
            "seconds": self.seconds,
        }
        with replacing(run / CHECKPOINT) as part:
            torch.save(state, part)

    def _begin_with(self, path: Path) -> None:
        """Take the weights of another run."""
        head = read_head(path)
        if (head.pick is None) != (self.head.pick is None):
            raise InputError(f"{printable(path)}: with a picking or without, unlike this run")
        self.head.load_state_dict(head.state_dict())

    def _restore(self, path: Path) -> None:
        try:
            state = torch.load(path, map_location=self.device, weights_only=True)
            self.head.load_state_dict(state["head"])
            self.average.load_state_dict(state["average"])
            self.optimiser.load_state_dict(state["optimiser"])
            self.step, self.seconds = int(state["step"]), float(state["seconds"])
        except Exception as error:  # torch.load raises whatever its unpickler does
            raise InputError(f"{path}: no checkpoint of this run ({error})") from error
        self._random = np.random.default_rng((self.options.seed, self.step))
        torch.manual_seed(self.options.seed + self.step)

    def _log_losses(self, seconds: float) -> None:
        means = (self._sums / max(1, self._counted)).tolist()
        self._sums.zero_()
        self._counted = 0
        numbers = ", ".join(f"{n} {x:.4f}" for n, x in zip(_PARTS, means, strict=True))
        pace = self.step / max(seconds, 1e-9)
        memory = ""
        if self.device.type == "cuda":
            memory = f", {torch.cuda.max_memory_allocated() / 2**30:.1f} GiB"
        self.log(
            f"step {self.step}, {seconds:.0f} s, {pace:.1f} steps/s, {len(self.pool)} frames"
            f"{memory}: {numbers}"
        )

    def log(self, line: str) -> None:
        """Write a line to the run's log, and to standard output."""
        print(line, flush=True)
        with (self.options.output / LOG).open("a") as file:
            file.write(f"{line}\n")


def _compared(before: Tensor, after: Tensor, true: Tensor) -> str:
    rows = []
    for logs in (before, after):
        widths = [width for each in logs[:, 0] if not math.isnan(width := outline_width(each))]
        width = float(np.median(widths)) if widths else math.nan
        rows.append((width, *step_scores(logs, true)))
    names = ("width", "F1", "invented", "AbsRel", "by steps", "by sky")
    return ", ".join(
        f"{name} {old:.3f} to {new:.3f}" for name, old, new in zip(names, *rows, strict=True)
    )


def _device(name: str) -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def _check_folder(run: Path, *, resume: bool) -> None:
    if (run / CHECKPOINT).exists() and not resume:
        raise OutputError(f"{run}: holds a run already; go on with --resume or choose another")


def train_outlines(options: OutlineOptions) -> None:
    """Train an outline head into the folder of the run, or go on with it."""
    OutlineTraining(options).run()
