"""Batches of training frames made on the device: drawn by kinds, cut, pasted, degraded."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Bool, Float32
from torch import Tensor

from lab.making.device_faults import degraded
from lab.making.device_store import FrameStore, StoredFrames
from lab.making.device_windows import Turns, Windows, windows
from lab.making.distil.frames.augment import SKY_MARGIN
from lab.making.distil.frames.frame_batches import Batch

REAL = "real"
"""Kind of the measured photographs in a store."""
_PLACES = 1024
"""Pixels of a frame among which a gap of depth is looked for."""
_GAP = 0.15
"""Least gap of log depth between a thing that is pasted and what is behind it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceMix:
    """Shares of what a batch is made from.

    Attributes:
        real: Share of measured photographs.
        native: Share of natively wide frames among the rendered ones of a wide batch.
        weights: Weights of kinds of rendered frames; those that are not named share the rest.
        turns: Turns of cameras.
        pasted: Share of the frames before which a near thing of another frame is put.
    """

    real: float = 0.2
    native: float = 0.6
    weights: Mapping[str, float]
    turns: Turns = field(default_factory=Turns)
    pasted: float = 0.12


def make_device_batch(
    store: FrameStore,
    mix: DeviceMix,
    shape: tuple[int, int],
    size: int,
    random: torch.Generator,
    draws: torch.Generator,
) -> Batch:
    """Draw and change the frames of one batch, on the store's device.

    Args:
        store: Frames.
        mix: Shares of what the batch is made from.
        shape: Height and width [px].
        size: Number of images.
        random: Generator of the store's device.
        draws: Generator of the processor, which chooses the kinds without waiting for the device.
    """
    parts_of = _draws(store, mix, shape, size, random, draws)
    parts = [windows(frames, rows, shape, mix.turns, random) for frames, rows in parts_of]
    rendered = torch.cat(
        [
            torch.full((len(rows),), frames.is_rendered, device=store.device)
            for frames, rows in parts_of
        ]
    )
    seen = _joined(parts)
    order = torch.randperm(size, device=store.device, generator=random)
    seen, rendered = _ordered(seen, order), rendered[order]
    seen = pasted(seen, rendered, mix.pasted, random)
    return as_batch(replace(seen, image=degraded(seen.image, random)), rendered)


def as_batch(seen: Windows, rendered: Bool[Tensor, "b"] | None = None) -> Batch:
    """Batch of windows, with the depth of their sky; ``rendered`` marks those that know it."""
    count, device = len(seen.image), seen.image.device
    if rendered is None:
        rendered = torch.zeros(count, dtype=torch.bool, device=device)
    return Batch(
        image=seen.image.to(torch.uint8).permute(0, 2, 3, 1).contiguous(),
        log_depth=_sky_filled(seen),
        valid=seen.valid | seen.sky,
        normals=seen.normals,
        normals_valid=seen.normals_valid,
        camera=seen.camera,
        sign=torch.zeros(count, device=device),
        sky=seen.sky,
        marked=(seen.valid | seen.sky) & rendered[:, None, None],
    )


def _draws(
    store: FrameStore,
    mix: DeviceMix,
    shape: tuple[int, int],
    size: int,
    random: torch.Generator,
    draws: torch.Generator,
) -> list[tuple[StoredFrames, Tensor]]:
    """Rows of every chunk that a batch takes."""
    is_wide = shape[1] > 1.7 * shape[0]
    plain = [(kind, chunk) for kind, chunk in store.pools(wide=False) if kind != REAL]
    native = list(store.pools(wide=True)) if is_wide or not plain else []
    photographs = [chunk for kind, chunk in store.pools(wide=False) if kind == REAL]
    chunks: list[tuple[StoredFrames, float]] = []
    real = mix.real if photographs else 0.0
    chunks += [(chunk, real / len(photographs)) for chunk in photographs]
    share = mix.native if native and plain else 1.0 if native else 0.0
    chunks += _weighted(native, (1 - real) * share, {})
    chunks += _weighted(plain, (1 - real) * (1 - share), mix.weights)
    shares = torch.tensor([share for _, share in chunks])
    numbers = torch.multinomial(shares, size, replacement=True, generator=draws)
    counts = torch.bincount(numbers, minlength=len(chunks)).tolist()
    return [
        (chunk, torch.randint(len(chunk), (count,), device=store.device, generator=random))
        for (chunk, _), count in zip(chunks, counts, strict=True)
        if count
    ]


def _weighted(
    pools: list[tuple[str, StoredFrames]], total: float, weights: Mapping[str, float]
) -> list[tuple[StoredFrames, float]]:
    """Chunks with shares that add up to ``total``: a kind's own, in parts by its frames."""
    sizes: dict[str, int] = {}
    for kind, chunk in pools:
        sizes[kind] = sizes.get(kind, 0) + len(chunk)
    known = sum(weights.get(kind, 0.0) for kind in sizes)
    others = sum(1 for kind in sizes if kind not in weights)
    rest = max(0.0, 1 - known) / max(others, 1)
    raw = {kind: weights.get(kind, rest) for kind in sizes}
    whole = sum(raw.values()) or 1.0
    return [
        (chunk, total * raw[kind] / whole * len(chunk) / sizes[kind])
        for kind, chunk in pools
        if total
    ]


def pasted(
    seen: Windows,
    rendered: Bool[Tensor, "b"],
    share: float,
    random: torch.Generator,
) -> Windows:
    """Put the near things of rendered frames before others, nearer than all that they cover.

    A thing is all that lies nearer than the widest gap of depth between a tenth and a half of the
    frame's pixels; frames without such a gap give none.
    """
    if not share:
        return seen
    count = len(rendered)
    # A neighbour of the batch, which is in random order, is a random frame.
    other = _ordered(seen, torch.arange(count, device=rendered.device).roll(1))
    whole = rendered.roll(1) & (other.valid | other.sky).all(dim=2).all(dim=1)
    far = other.log_depth.amax(dim=(1, 2), keepdim=True) + SKY_MARGIN
    depth = torch.where(other.sky, far, other.log_depth)
    pixels = depth[0].numel()
    place = torch.randint(pixels, (min(_PLACES, pixels),), device=rendered.device, generator=random)
    ordered = depth.flatten(1)[:, place].sort(dim=1).values
    low, high = round(0.1 * len(place)), round(0.5 * len(place))
    gaps = ordered[:, low + 1 : high + 1] - ordered[:, low:high]
    gap, at = gaps.max(dim=1)
    border = ordered.gather(1, (low + at)[:, None])[:, :, None] + gap[:, None, None] / 2
    chosen = torch.rand(count, device=rendered.device, generator=random) < share
    chosen = chosen & whole & (gap > _GAP)
    mask = chosen[:, None, None] & (depth < border)
    behind = torch.where(mask & seen.valid, seen.log_depth, torch.inf).amin(dim=(1, 2))
    behind = torch.where(torch.isfinite(behind), behind, seen.log_depth.amin(dim=(1, 2)))
    farthest = torch.where(mask, depth, -torch.inf).amax(dim=(1, 2))
    nearer = 0.05 + torch.rand(count, device=rendered.device, generator=random)
    shift = torch.where(chosen, behind - farthest - nearer, 0.0)
    moved = depth + shift[:, None, None]
    each = mask[:, None]
    return Windows(
        image=torch.where(each, other.image, seen.image),
        log_depth=torch.where(mask, moved, seen.log_depth),
        valid=seen.valid | mask,
        sky=seen.sky & ~mask,
        normals=torch.where(each, other.normals, seen.normals),
        normals_valid=torch.where(mask, other.normals_valid, seen.normals_valid),
        camera=seen.camera,
    )


def _sky_filled(seen: Windows) -> Float32[Tensor, "b h w"]:
    """Put the sky at twice the farthest surface (at 200 m where an image shows nothing else)."""
    farthest = torch.where(seen.valid, seen.log_depth, -torch.inf).amax(dim=(1, 2), keepdim=True)
    farthest = torch.where(torch.isfinite(farthest), farthest, 5.2983)
    return torch.where(seen.sky, farthest + SKY_MARGIN, seen.log_depth)


def _joined(parts: list[Windows]) -> Windows:
    def joined(name: str) -> Tensor:
        return torch.cat([getattr(part, name) for part in parts])

    return Windows(**{name: joined(name) for name in Windows.__slots__})


def _ordered(seen: Windows, order: Tensor) -> Windows:
    return Windows(**{name: getattr(seen, name)[order] for name in Windows.__slots__})
