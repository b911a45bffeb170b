"""Batches prefetched for the training step in a thread of their own.

Every batch depends on the seed and its number alone (given the same frames), so a resumed run
continues as if it had not been stopped.
"""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from itertools import count, islice

import numpy as np
import torch
from jaxtyping import Bool, Float32, UInt8
from torch import Tensor

from rilievo.depth_map import DepthKind
from rilievo.train.augment import augment, batch_shape, blinded
from rilievo.train.config import Stage
from rilievo.train.frames import Frame, FrameSource
from rilievo.train.pasting import with_object
from rilievo.train.steps import steps_of

_AHEAD = 3
_SIGNS = {DepthKind.AFFINE: 1.0, DepthKind.AFFINE_INVERSE: -1.0}


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Frames of one shape, as tensors.

    Attributes:
        image: sRGB.
        log_depth: Log depth, depth or inverse depth, as in ``Frame``.
        camera: fx, fy, cx, cy [px]; NaN where unknown.
        sign: Quantity in ``log_depth``, per image: 0 log depth, 1 depth, -1 inverse depth.
        sky: Pixels that see no surface.
        steps: Pixels on a step of depth.
        marked: Pixels where ``sky`` and ``steps`` are known: those of rendered frames.
    """

    image: UInt8[Tensor, "b h w 3"]
    log_depth: Float32[Tensor, "b h w"]
    valid: Bool[Tensor, "b h w"]
    normals: Float32[Tensor, "b 3 h w"]
    normals_valid: Bool[Tensor, "b h w"]
    camera: Float32[Tensor, "b 4"]
    sign: Float32[Tensor, "b"]
    sky: Bool[Tensor, "b h w"]
    steps: Bool[Tensor, "b h w"]
    marked: Bool[Tensor, "b h w"]

    def to(self, device: torch.device) -> "Batch":
        """Return the batch on a device; memory is pinned for a GPU, to copy it meanwhile."""
        if device.type == "cpu":
            return self
        names = (each.name for each in fields(self))
        return Batch(
            **{
                name: getattr(self, name).pin_memory().to(device, non_blocking=True)
                for name in names
            }
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Mix:
    """Sources of frames for the batches of one stage of a run.

    Attributes:
        lessons: Photographs with a teacher's depth.
        stage: Shapes of the images, shares of the sources, and how frames are changed.
        size: Images per batch.
        blind: Share of images replaced by ones that show no scene, in [0, 1].
    """

    rendered: FrameSource
    real: FrameSource | None
    lessons: FrameSource | None = None
    stage: Stage
    size: int
    blind: float = 0.0


def make_batch(mix: Mix, *, seed: int, number: int) -> Batch:
    """Draw and augment batch ``number`` of a run."""
    random = np.random.default_rng([seed, number])
    stage = mix.stage
    shape = batch_shape(stage, random)
    frames = []
    for _ in range(mix.size):
        frame = _source(mix, random).draw(random)
        if stage.pasted and random.random() < stage.pasted:
            frame = with_object(frame, mix.rendered, random)
        frame = augment(frame, shape, random, turns=stage.turned)
        if random.random() < mix.blind:
            frame = replace(frame, image=blinded(frame.image, random))
        frames.append(frame)
    return collate(frames)


def _source(mix: Mix, random: np.random.Generator) -> FrameSource:
    """Choose a source by the shares of the stage."""
    chance = random.random()
    for source, share in ((mix.real, mix.stage.real), (mix.lessons, mix.stage.lessons)):
        if source is not None:
            if chance < share:
                return source
            chance -= share
    return mix.rendered


def collate(frames: list[Frame]) -> Batch:
    """Stack frames of equal shape."""
    normals = np.stack([frame.normals for frame in frames]).astype(np.float32) / 127
    return Batch(
        image=torch.from_numpy(np.stack([frame.image for frame in frames])),
        log_depth=torch.from_numpy(np.stack([frame.log_depth for frame in frames])),
        valid=torch.from_numpy(np.stack([frame.valid for frame in frames])),
        normals=torch.from_numpy(normals),
        normals_valid=torch.from_numpy(np.stack([frame.normals_valid for frame in frames])),
        camera=torch.tensor([frame.camera for frame in frames], dtype=torch.float32),
        sign=torch.tensor([_SIGNS.get(frame.kind, 0.0) for frame in frames]),
        sky=_stacked([frame.sky for frame in frames]),
        steps=_stacked([_steps_of(frame) for frame in frames]),
        marked=_stacked([_marked(frame) for frame in frames]),
    )


def _stacked(masks: list[Bool[np.ndarray, "h w"]]) -> Bool[Tensor, "b h w"]:
    return torch.from_numpy(np.stack(masks))


def _steps_of(frame: Frame) -> Bool[np.ndarray, "h w"]:
    return steps_of(frame) if frame.is_rendered else np.zeros_like(frame.valid)


def _marked(frame: Frame) -> Bool[np.ndarray, "h w"]:
    return (frame.valid | frame.sky) & frame.is_rendered


@contextmanager
def batches_ahead(make: Callable[[int], Batch], *, first: int) -> Iterator[Iterator[Batch]]:
    """Yield an iterator over ``make(first)``, ``make(first + 1)`` …, prefetched by a thread.

    An error in the thread is raised when its batch is requested.
    """
    with ThreadPoolExecutor(1, "batches") as pool:
        numbers = count(first)
        made = deque(pool.submit(make, number) for number in islice(numbers, _AHEAD))

        def take() -> Iterator[Batch]:
            for number in numbers:
                batch = made.popleft().result()
                made.append(pool.submit(make, number))
                yield batch

        try:
            yield take()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
