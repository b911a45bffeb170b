"""Forward and backward pass of a probe on features as of a ViT-S/14, in a process of its own.

Usage: python -m benchmarks.probe_step plain|ours|bf16|light BATCH FILE

The loss and all gradients go to FILE, under the names of Probe3D's program where it has one. One
thread: on a machine with other work, waiting threads would count as cost.
"""

import json
import resource
import sys
import time
from pathlib import Path

import torch

from benchmarks.plain_probe import PlainProbe
from rilievo.training.losses.supervised import log_gradient_loss, scale_invariant_loss
from rilievo.training.networks.blueprint import DepthChoice
from rilievo.training.networks.features import Box, Features
from rilievo.training.networks.probes import DepthHead, Probe, load_original, make_probe

CHANNELS, CELLS, PADDED, SIDE, BINS = 384, 35, 490, 480, 256


def _main(side: str, batch: int, path: Path) -> dict[str, float]:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    plain = PlainProbe(2 * CHANNELS, BINS)
    maps = [torch.randn(batch, CHANNELS, CELLS, CELLS) for _ in range(4)]
    tokens = [torch.randn(batch, CHANNELS) for _ in range(4)]
    true = torch.rand(batch, SIDE, SIDE) * 9.5 + 0.5
    edge = (PADDED - SIDE) // 2
    features = Features(
        maps=tuple(maps),
        tokens=tuple(tokens),
        padded=(PADDED, PADDED),
        box=Box(top=edge, left=edge, height=SIDE, width=SIDE),
    )
    kind = "light" if side == "light" else "dpt"
    preset = "default" if side == "light" else "probe3d"
    probe = make_probe(kind, (CHANNELS,) * 4, CHANNELS, BINS, preset=preset)
    if side != "light":
        load_original(probe, plain.state_dict())
    head = DepthHead(DepthChoice(bins=BINS))
    start = time.process_time()
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=side == "bf16"):
        if side == "plain":
            depth = plain(maps, tokens, SIDE)
        else:
            depth = head(probe.logits(features), (SIDE, SIDE))
    loss = 10 * scale_invariant_loss(depth, true, true > 0)
    loss = loss + 0.5 * log_gradient_loss(depth, true, true > 0)
    loss.backward()
    cpu = time.process_time() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    if side != "light":
        _save(plain, probe, path, from_plain=side == "plain")
    return {"cpu": cpu, "peak": peak, "loss": loss.item()}


def _save(plain: PlainProbe, probe: Probe, path: Path, *, from_plain: bool) -> None:
    """All gradients, under the names of our probe."""
    if from_plain:
        given = {n: p.grad for n, p in plain.named_parameters() if p.grad is not None}
        load_original(probe, given)
        gradients = {n: p.data for n, p in probe.named_parameters()}
    else:
        gradients = {n: p.grad for n, p in probe.named_parameters()}
    torch.save(gradients, path)


if __name__ == "__main__":
    print(json.dumps(_main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))))
