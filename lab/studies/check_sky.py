"""Check from which chance on a pixel counts as sky: ``lab/studies/check_sky.py --shards FOLDER``.

Intersection over union with the true sky of rendered frames that have some, and the share of the
pixels of the others that are taken for it, for several least chances. A network whose best chance
is far from ``SKY`` has chances that are wrong.
"""

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float32
from PIL import Image

import rilievo
from lab.making.distil.frames.shards import read_shard
from lab.making.recalibrate import frames_of, picture_of
from rilievo.system.telemetry import import_onnxruntime

SKY = 0.5
"""Chance from which on predictions have sky."""
LEAST = (0.3, 0.4, 0.5, 0.6, 0.7)
_FAR = 0.005
"""Difference of IoU that is told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Skies:
    """Chance of sky of one frame, and its true sky, at one size."""

    chance: Float32[np.ndarray, "h w"]
    true: Bool[np.ndarray, "h w"]


def skies(folder: Path) -> Iterator[Skies]:
    """Yield the default's chance of sky on every frame of a folder of shards."""
    model = rilievo.load_model(device="cpu", threads=1)
    file = Path(rilievo.__file__).parent / "models" / "default" / "base.onnx"
    session = import_onnxruntime().InferenceSession(
        file.read_bytes(), providers=["CPUExecutionProvider"]
    )
    area = model.card.area
    assert area is not None, "the embedded models have one"
    for path in sorted(folder.rglob("shard-*.npz")):
        for frame in frames_of(read_shard(path)):
            [chance] = session.run(["sky"], {"image": picture_of(frame.image, area)})
            size = (chance.shape[2], chance.shape[1])
            true = Image.fromarray(frame.sky).resize(size, Image.Resampling.NEAREST)
            yield Skies(chance=chance[0], true=np.asarray(true))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--shards", type=Path, required=True, help="rendered frames")
    found = list(skies(parser.parse_args().shards))
    outdoors = [each for each in found if each.true.any()]
    indoors = [each for each in found if not each.true.any()]
    if not outdoors:
        sys.exit("error: no frame has sky")
    scores = dict[float, float]()
    print("| from a chance of | IoU | taken for sky where there is none |\n|---:|---:|---:|")
    for least in LEAST:
        both = sum(float(((each.chance > least) & each.true).mean()) for each in outdoors)
        either = sum(float(((each.chance > least) | each.true).mean()) for each in outdoors)
        false = np.mean([(each.chance > least).mean() for each in indoors] or [0])
        scores[least] = both / either
        print(f"| {least} | {scores[least]:.3f} | {false:.3%} |")
    best = max(scores, key=lambda least: scores[least])
    if scores[best] > scores[SKY] + _FAR:
        print(f"\nThe chances are wrong: {best} is better than {SKY}.")


if __name__ == "__main__":
    main()
