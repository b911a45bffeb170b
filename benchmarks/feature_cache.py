"""An epoch of the linear probe on a ViT-B, with a warm feature cache and without one."""

import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from benchmarks.measure import in_turns, spread
from benchmarks.report import Bar, Report, Table
from benchmarks.settings import Settings
from rilievo.training.networks.backbones import Backbone, make_backbone
from rilievo.training.networks.blueprint import DepthChoice
from rilievo.training.networks.features import Features
from rilievo.training.networks.probes import DepthHead, make_probe
from rilievo.training.probe.feature_cache import FeatureCache
from rilievo.training.probe.stored_features import Storage

LEAST_RATIO = 10.0
BACKBONE = "timm/vit_base_patch16_224"
SIDE, BATCH, BINS = 480, 4, 256
COLUMNS = (
    "cache",
    "CPU s an epoch",
    "times as fast",
    "CPU s to fill",
    "MB an image",
    "RMS error",
    "largest error",
)


def run(settings: Settings) -> Report:
    count = settings.count(8, quick=2)
    torch.manual_seed(0)
    images = torch.randint(0, 256, (count, SIDE, SIDE, 3), dtype=torch.uint8)
    backbone = make_backbone(BACKBONE, pretrained=False)
    caches = {
        storage: FeatureCache(settings.folder(storage.value), backbone, storage=storage)
        for storage in Storage
    }
    filling = {storage: _cpu_seconds(_fill(caches[storage], images)) for storage in Storage}
    epochs: dict[str, Callable[[], float]] = {
        "without": lambda: _epoch(images, lambda batch: _computed(backbone, batch), backbone)
    }
    for storage, cache in caches.items():
        epochs[storage.value] = lambda cache=cache: _epoch(images, cache.features, backbone)
    costs = in_turns(epochs, rounds=settings.count(2, quick=1))
    medians = {name: spread(each).median for name, each in costs.items()}
    ratio = medians["without"] / medians["fp16"]
    rows = [("without", str(spread(costs["without"])), "1", "", "", "", "")]
    for storage, cache in caches.items():
        cost = str(spread(costs[storage.value]))
        times = f"{medians['without'] / medians[storage.value]:.1f}"
        size = f"{cache.layout((SIDE, SIDE)).bytes_each / 1e6:.2f}"
        errors = _errors(cache, backbone, images[:BATCH])
        rows.append((storage.value, cost, times, f"{filling[storage]:.1f}", size, *errors))
    bar = Bar(
        promise=f"a warm cache makes an epoch at least {LEAST_RATIO:g} times as fast",
        measured=f"{ratio:.1f} times",
        kept=ratio >= LEAST_RATIO,
    )
    table = Table(columns=COLUMNS, rows=rows)
    return Report(name="feature_cache", about=_about(count), tables=(table,), bars=(bar,))


def _about(count: int) -> str:
    return (
        f"CPU seconds of an epoch over {count} images of {SIDE}x{SIDE} in batches of {BATCH}: "
        f"the linear probe, {BINS} bins of depth, forward, backward and step, on four layers of a "
        "ViT-B/16 with random weights; in turns. Errors of what is kept: root mean square and "
        "largest, as shares of the channels' largest magnitude."
    )


def _epoch(images: Tensor, features: Callable[[Tensor], Features], backbone: Backbone) -> float:
    torch.manual_seed(1)
    probe = make_probe("linear", backbone.channels, 0, BINS)
    head = DepthHead(DepthChoice(bins=BINS))
    optimizer = torch.optim.AdamW(probe.parameters(), lr=5e-4)

    def train() -> None:
        for batch in images.split(BATCH):
            depth = head(probe.logits(features(batch)), (SIDE, SIDE))
            loss = nn.functional.l1_loss(depth, torch.full_like(depth, 3.0))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    return _cpu_seconds(train)


def _computed(backbone: Backbone, batch: Tensor) -> Features:
    with torch.no_grad():
        return backbone(batch.permute(0, 3, 1, 2).float() / 255)


def _fill(cache: FeatureCache, images: Tensor) -> Callable[[], None]:
    def fill() -> None:
        for batch in images.split(BATCH):
            cache.features(batch)

    return fill


def _errors(cache: FeatureCache, backbone: Backbone, batch: Tensor) -> tuple[str, str]:
    kept, true = cache.features(batch).maps, _computed(backbone, batch).maps
    errors = torch.cat(
        [
            ((a - b).abs() / b.abs().amax((2, 3), keepdim=True)).flatten()
            for a, b in zip(kept, true, strict=True)
        ]
    )
    return f"{errors.square().mean().sqrt():.1e}", f"{errors.max():.1e}"


def _cpu_seconds(work: Callable[[], None]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start
