"""The renderer: frames a second of one core, alone and in clips."""

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.measure import answer_of
from benchmarks.report import Bar, Report, Table
from benchmarks.settings import Settings

PROMISE = 15.0
"""Frames a second of one core, 192x256."""
PER_CLIP = 8


def run(settings: Settings) -> Report:
    count = settings.count(200, quick=16)
    rates: dict[str, float] = answer_of("synthetic", str(count))
    slowest = min(rates["frames, 192x256"], rates["clips of 8 frames, 192x256"])
    return Report(
        name="synthetic",
        about=(
            "To train a model, you can let rilievo [render](../synthetic.md) photographs of "
            "invented scenes. How many can it render per second? The table shows the number of "
            f"frames per second of CPU time, measured over {count} scenes. Each frame consists of "
            "a photograph with its depth, normals, K and pose. We prepare kernels and textures "
            "before the measurement, so they do not count."
        ),
        tables=(
            Table(
                columns=("what", "frames a CPU second"),
                rows=[(what, f"{rate:.1f}") for what, rate in rates.items()],
            ),
        ),
        bars=(
            Bar(
                promise=f"{PROMISE:g} frames of 192x256 a second and core, in clips too",
                measured=f"{slowest:.1f}",
                kept=slowest >= PROMISE,
            ),
        ),
    )


def _main(count: int) -> dict[str, float]:
    from lab.scenes import (
        Kind,
        make_textures,
        render,
        render_clip,
        scikit_image_photographs,
    )
    from lab.scenes.model_files import with_models

    bank = make_textures(scikit_image_photographs())
    render(0, textures=bank)
    render_clip(0, frames=1, textures=bank)
    few = max(1, count // 4)
    rates = {
        "frames, 192x256": _rate(lambda k: render(k, textures=bank), count),
        "clips of 8 frames, 192x256": PER_CLIP
        * _rate(lambda k: render_clip(k, frames=PER_CLIP, textures=bank), -(-count // PER_CLIP)),
        "frames, 240x320": _rate(lambda k: render(k, size=(240, 320), textures=bank), few),
        "frames, 480x640": _rate(lambda k: render(k, size=(480, 640), textures=bank), few),
    }
    kinds = [kind for kind in Kind if kind not in (Kind.ALL, Kind.FURNISHED)]
    for kind in kinds:
        rates[f"{kind}, 192x256"] = _rate(
            lambda k, kind=kind: render(k, textures=bank, kind=kind), few
        )
    if folders := _model_folders():
        full = with_models(bank, folders)
        render(0, textures=full, kind=Kind.FURNISHED)
        rates["furnished, 192x256"] = _rate(
            lambda k: render(k, textures=full, kind=Kind.FURNISHED), few
        )
    return rates


def _model_folders() -> list[Path]:
    """Folders of models below ``RILIEVO_DATA``; none where it is not set."""
    data = os.environ.get("RILIEVO_DATA")
    return sorted(Path(data).glob("furniture_*")) if data else []


def _rate(make: Callable[[int], object], count: int) -> float:
    start = time.process_time()
    for seed in range(count):
        make(seed)
    return count / (time.process_time() - start)


if __name__ == "__main__":
    print(json.dumps(_main(int(sys.argv[1]))))
