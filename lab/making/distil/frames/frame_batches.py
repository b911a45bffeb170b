"""Batches of training frames, as tensors."""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from itertools import count, islice

import numpy as np
import torch
from torch import Tensor

from lab.making.distil.distil_config import Stage
from lab.making.distil.frames.augment import Window, augment, batch_shape, random_crop
from lab.making.distil.frames.blind_images import blinded
from lab.making.distil.frames.training_frames import Frame, FrameSource
from rilievo.arrays.shapes import Bool, Float32, UInt8
from rilievo.records.depth_map import DepthKind

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
        marked: Pixels where ``sky`` is known: those of rendered frames.
    """

    image: UInt8[Tensor, "b h w 3"]
    log_depth: Float32[Tensor, "b h w"]
    valid: Bool[Tensor, "b h w"]
    normals: Float32[Tensor, "b 3 h w"]
    normals_valid: Bool[Tensor, "b h w"]
    camera: Float32[Tensor, "b 4"]
    sign: Float32[Tensor, "b"]
    sky: Bool[Tensor, "b h w"]
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
    """Frames and their changes, from which the batches of one stage of a run are made.

    Attributes:
        stage: Shapes of the images.
        size: Images per batch.
        blind: Share of images replaced by ones that show no scene, in [0, 1].
        window: Way to cut windows out of frames.
    """

    source: FrameSource
    stage: Stage
    size: int
    blind: float = 0.0
    window: Window = random_crop


def make_batch(mix: Mix, *, seed: int, number: int) -> Batch:
    """Draw and augment batch ``number`` of a run.

    It depends on the seed and the number alone (given the same frames), so a resumed run continues
    as if it had not been stopped.
    """
    random = np.random.default_rng([seed, number])
    shape = batch_shape(mix.stage, random)
    frames = []
    for _ in range(mix.size):
        frame = augment(mix.source.draw(random), shape, random, window=mix.window)
        if random.random() < mix.blind:
            frame = replace(frame, image=blinded(frame.image, random))
        frames.append(frame)
    return collate(frames)


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
        marked=_stacked([_marked(frame) for frame in frames]),
    )


def _stacked(masks: list[Bool[np.ndarray, "h w"]]) -> Bool[Tensor, "b h w"]:
    return torch.from_numpy(np.stack(masks))


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
