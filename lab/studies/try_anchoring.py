"""Try anchoring on real frames: ``RILIEVO_DATA=... python lab/studies/try_anchoring.py``.

The truth stands in the place of a strong model: the inverse depth of real frames with a random
scale and shift, exact, or seen at 288x224 pixels with a smooth error of 8%. It is anchored to the
depth of the embedded model. AbsRel is that of the panel (``lab/studies/panel.py``), depth scaled by
the ratio of medians, over the frames that are not refused. ``--frames learned`` tries the frames
outside the panel (``lab/studies/anchoring_frames.py``), on which the fit's constant was chosen.
"""

import argparse
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import panel
from anchoring_frames import learning_samples
from jaxtyping import Bool, Float32
from PIL import Image

import rilievo
from rilievo.alignment.anchor import anchor, anchored_depth
from rilievo.alignment.fit import Fit
from rilievo.models.base import Model
from rilievo.records.depth_map import DepthKind, DepthMap
from rilievo.records.sample import Sample

SIZE = (224, 288)
"""Rows and columns at which a strong model sees the scene."""
ERROR = 0.08
"""Deviation of its smooth error, of the logarithm."""
_LUMPS = (6, 8)
"""Rows and columns of the smooth error's grid."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """AbsRel on one frame."""

    camera: str
    refused: bool
    embedded: float
    exact: float
    blurred: float
    blurred_anchored: float


def inverse_of(
    true: Float32[np.ndarray, "h w"], valid: Bool[np.ndarray, "h w"]
) -> Float32[np.ndarray, "h w"]:
    """Inverse depth, 0 where there is no truth."""
    return np.where(valid, 1 / np.where(valid, true, 1), 0).astype(np.float32)


def seen_by_a_strong_model(
    true: Float32[np.ndarray, "h w"],
    valid: Bool[np.ndarray, "h w"],
    chance: np.random.Generator,
    error: float = ERROR,
) -> tuple[Float32[np.ndarray, "h w"], Bool[np.ndarray, "h w"]]:
    """Inverse depth blurred to ``SIZE`` with a smooth error, and where it is known."""
    weight = _resized(valid, SIZE, Image.Resampling.BOX)
    small = _resized(inverse_of(true, valid), SIZE, Image.Resampling.BOX)
    lumps = _resized(chance.normal(size=_LUMPS), SIZE, Image.Resampling.BICUBIC)
    noise = np.exp(error * lumps / lumps.std())
    small = np.where(weight > 0, small / np.maximum(weight, 1e-6) * noise, 0)
    share = _resized(weight > 0, true.shape, Image.Resampling.BILINEAR)
    seen = _resized(small, true.shape, Image.Resampling.BILINEAR) / np.maximum(share, 1e-6)
    return seen.astype(np.float32), valid & (share > 0.5)


def _resized(
    array: np.ndarray, size: tuple[int, ...], how: Image.Resampling
) -> Float32[np.ndarray, "h w"]:
    picture = Image.fromarray(array.astype(np.float32))
    return np.asarray(picture.resize((size[1], size[0]), how), np.float32)


def abs_rel(
    depth: Float32[np.ndarray, "h w"],
    true: Float32[np.ndarray, "h w"],
    valid: Bool[np.ndarray, "h w"],
) -> float:
    """Mean |predicted - true| / true, after scaling by the ratio of medians."""
    p, t = depth[valid].astype(np.float64), true[valid].astype(np.float64)
    return float(np.mean(np.abs(p * (np.median(t) / np.median(p)) - t) / t))


def affine(
    inverse: Float32[np.ndarray, "h w"],
    valid: Bool[np.ndarray, "h w"],
    chance: np.random.Generator,
) -> DepthMap:
    """Inverse depth with a random scale and shift."""
    scale, shift = float(np.exp(chance.normal())), float(chance.normal())
    values = (scale * inverse + shift).astype(np.float32)
    return DepthMap(values=values, kind=DepthKind.AFFINE_INVERSE, valid=valid)


def _anchored(depth: DepthMap, reference: DepthMap) -> tuple[DepthMap, Fit, bool]:
    found = anchor(depth, reference)
    return anchored_depth(depth, found.fit), found.fit, found.agrees(is_listed=True)


def trial(name: str, sample: Sample, model: Model, seed: int) -> Trial | None:
    """Anchor the truth of one frame; None where it has none."""
    assert sample.depth is not None
    true, valid, chance = sample.depth, panel.valid_of(name, sample), np.random.default_rng(seed)
    if not valid.any():
        return None
    [prediction] = model.predict_raw([np.ascontiguousarray(sample.image)])
    reference = prediction.depth
    exact, _, agrees = _anchored(affine(inverse_of(true, valid), valid, chance), reference)
    seen, known = seen_by_a_strong_model(true, valid, chance)
    blurred, _, also = _anchored(affine(seen, known, chance), reference)
    own = 1 / np.where(known, seen, 1)
    return Trial(
        camera=name,
        refused=not (agrees and also),
        embedded=abs_rel(reference.values, true, valid),
        exact=abs_rel(exact.values, true, exact.valid),
        blurred=abs_rel(own, true, known),
        blurred_anchored=abs_rel(blurred.values, true, blurred.valid),
    )


def panel_samples(data: Path) -> Iterator[tuple[str, Sample]]:
    """Frames of the panel's cameras, with the names of their sets."""
    for name in panel.DECIDING:
        yield from ((name, sample) for sample in panel.frames(name, data))


def trials(samples: Iterator[tuple[str, Sample]]) -> Iterator[Trial]:
    """Try every frame; each set has seeds of its own."""
    model, counts = rilievo.load_model(), Counter[str]()
    for name, sample in samples:
        if sample.depth is not None:
            found = trial(name, sample, model, counts[name])
            if found is not None:
                yield found
        counts[name] += 1


def table(found: list[Trial]) -> str:
    """Rows of docs/reference/models-measured.md."""
    rows = [
        "| camera (frames, refused) | embedded | truth, anchored | of the embedded's | "
        "blurred truth | the same, anchored | more |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for name in dict.fromkeys(each.camera for each in found):
        of = [each for each in found if each.camera == name]
        kept = [each for each in of if not each.refused]
        if not kept:
            continue
        columns = ("embedded", "exact", "blurred", "blurred_anchored")
        embedded, exact, blurred, anchored = (
            float(np.mean([getattr(each, column) for each in kept])) for column in columns
        )
        rows.append(
            f"| {name.removeprefix('panel-')} ({len(of)}, {len(of) - len(kept)}) | {embedded:.3f} |"
            f" {exact:.3f} | {exact / embedded:.2f} | {blurred:.3f} | {anchored:.3f} |"
            f" {anchored - blurred:+.3f} |"
        )
    return "\n".join(rows)


SAMPLES = {"panel": panel_samples, "learned": learning_samples}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--frames", choices=tuple(SAMPLES), default="panel")
    given = parser.parse_args()
    print(table(list(trials(SAMPLES[given.frames](Path(os.environ["RILIEVO_DATA"]))))))


if __name__ == "__main__":
    main()
