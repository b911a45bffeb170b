"""Score the embedded model on photographs with measured depth that it never saw.

    RILIEVO_DATA=folder python tools/measure_default_model.py [--model FILE.onnx] [--json FILE]

Prints a Markdown table; the JSON is what the model's card quotes. Depth is scored on a grid about
256 pixels wide, after one factor (medians agree) or two numbers (least squares in log depth) were
fitted to each image; normals as they are. Below each set stands what a model scores that knows
nothing but how far the rows of a NYU training frame are on average.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Float64, UInt8
from real_sets import REAL_SETS, Truth, nyu

from rilievo.models import load_model

_GRID_WIDTH = 256
_BANDS = 48

Answer = tuple[Float32[np.ndarray, "h w"], Float32[np.ndarray, "3 h w"]]
Predictor = Callable[[UInt8[np.ndarray, "h w 3"]], Answer]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Means over the images of one set.

    Attributes:
        set: Its name.
        model: What was scored.
        frames: How many images.
        abs_rel: Mean |predicted - true| / true, medians brought together.
        delta1: Share of pixels right within a factor of 1.25, likewise.
        abs_rel_log_affine: The same after scale and power were fitted in log depth.
        delta1_log_affine: Likewise.
        normals_mean: Angle [degrees]; None where the set has no normals.
        normals_below_30: Share of pixels whose angle is below 30 degrees.
    """

    set: str
    model: str
    frames: int
    abs_rel: float
    delta1: float
    abs_rel_log_affine: float
    delta1_log_affine: float
    normals_mean: float | None
    normals_below_30: float | None


def score(name: str, model: str, truths: list[Truth], predict: Predictor) -> Row:
    """Means of one set."""
    depth, normals = [], []
    for truth in truths:
        answer, directions = predict(truth.image)
        stride = max(1, round(truth.depth.shape[1] / _GRID_WIDTH))
        grid = (slice(stride // 2, None, stride), slice(stride // 2, None, stride))
        valid = truth.valid[grid]
        depth.append(depth_scores(answer[grid][valid], truth.depth[grid][valid]))
        true = truth.normals[:, *grid]
        known = valid & (np.abs(true).sum(axis=0) > 0)
        if known.sum() > 500:
            cosine = (directions[:, *grid] * true).sum(axis=0)[known]
            angles = np.degrees(np.arccos(np.clip(cosine, -1, 1)))
            normals.append((angles.mean(), (angles < 30).mean()))
    abs_rel, delta1, abs_rel_fitted, delta1_fitted = (float(x) for x in np.mean(depth, axis=0))
    mean, below = (float(x) for x in np.mean(normals, axis=0)) if normals else (None, None)
    return Row(
        set=name,
        model=model,
        frames=len(truths),
        abs_rel=abs_rel,
        delta1=delta1,
        abs_rel_log_affine=abs_rel_fitted,
        delta1_log_affine=delta1_fitted,
        normals_mean=mean,
        normals_below_30=below,
    )


def depth_scores(
    predicted: Float32[np.ndarray, "n"], true: Float32[np.ndarray, "n"]
) -> tuple[float, float, float, float]:
    """AbsRel and δ1 by median, AbsRel and δ1 by a line in log depth."""
    p, t = predicted.astype(np.float64), true.astype(np.float64)
    scaled = p * np.median(t) / np.median(p)
    design = np.stack([np.log(p), np.ones_like(p)], axis=1)
    slope, offset = np.linalg.lstsq(design, np.log(t), rcond=None)[0]
    if slope < 0:  # a prediction upside down earns nothing by being turned over
        slope, offset = 0.0, np.log(t).mean()
    return *_errors(scaled, t), *_errors(np.exp(slope * np.log(p) + offset), t)


def row_prior(root: Path, *, every: int = 16) -> Predictor:
    """Depth and normals of each row, averaged over every 16th NYU training frame."""
    depths, normals = [], []
    for truth in nyu(root, "train.txt", every=every):
        log_depth = np.log(truth.depth)
        bands = np.array_split(log_depth - np.median(log_depth), _BANDS)
        depths.append([band.mean() for band in bands])
        normals.append(
            [band.mean(axis=(1, 2)) for band in np.array_split(truth.normals, _BANDS, axis=1)]
        )
    depth_by_band, normal_by_band = np.mean(depths, axis=0), np.mean(normals, axis=0)

    def predict(image: UInt8[np.ndarray, "h w 3"]) -> Answer:
        height, width = image.shape[:2]
        band = np.arange(height) * _BANDS // height
        depth = np.exp(depth_by_band)[band][:, None].repeat(width, axis=1)
        direction = normal_by_band[band].T[:, :, None].repeat(width, axis=2)
        direction /= np.linalg.norm(direction, axis=0)
        return depth.astype(np.float32), direction.astype(np.float32)

    return predict


def main() -> None:
    """Read the options, score, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="rilievo/small", help="a name or an ONNX file")
    parser.add_argument("--json", type=Path, help="where to write the rows")
    parser.add_argument("--sets", nargs="*", default=list(REAL_SETS), help="only these")
    options = parser.parse_args()
    if "RILIEVO_DATA" not in os.environ:
        sys.exit("error: set RILIEVO_DATA to the folder that holds the sets")
    root = Path(os.environ["RILIEVO_DATA"])
    model = load_model(options.model)

    def predict(image: UInt8[np.ndarray, "h w 3"]) -> Answer:
        (prediction,) = model.predict([image])
        assert prediction.depth is not None
        assert prediction.normals is not None
        return prediction.depth.values, prediction.normals

    prior, rows = row_prior(root), []
    for name in options.sets:
        truths = list(REAL_SETS[name](root))
        rows.append(score(name, model.card.name, truths, predict))
        rows.append(score(name, "row prior", truths, prior))
    sys.stdout.write(table(rows))
    if options.json:
        options.json.write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n")


def table(rows: list[Row]) -> str:
    """The rows as Markdown."""
    lines = [
        "| set | model | frames | AbsRel / δ1, median | AbsRel / δ1, log-affine | normals, < 30° |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        normals = "–"
        if row.normals_mean is not None and row.normals_below_30 is not None:
            normals = f"{row.normals_mean:.1f}°, {row.normals_below_30:.0%}"
        lines.append(
            f"| {row.set} | {row.model} | {row.frames} | {row.abs_rel:.3f} / {row.delta1:.3f} "
            f"| {row.abs_rel_log_affine:.3f} / {row.delta1_log_affine:.3f} | {normals} |"
        )
    return "\n".join(lines) + "\n"


def _errors(
    predicted: Float64[np.ndarray, "n"], true: Float64[np.ndarray, "n"]
) -> tuple[float, float]:
    ratio = predicted / true
    return float(np.abs(ratio - 1).mean()), float((np.maximum(ratio, 1 / ratio) < 1.25).mean())


if __name__ == "__main__":
    main()
