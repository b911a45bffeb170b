"""Score labels of ``rilievo fuse --teach`` against true depth that lies beside the frames.

    python tools/evaluate_labels.py LABELS CLIP [MODEL]

Every third frame is scored. Beside the labels stands the depth of a model, by default the fast
one, on the same pixels. AbsRel is the mean over frames, each scaled by the median of these pixels:
of all that the surface covers, of those that weigh at least a half, and by weight.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Float64
from PIL import Image

from rilievo.data.clips.pose_files import stem_of
from rilievo.data.fuse.teaching.frame_labels import read_label, read_labels_record
from rilievo.models import FAST_MODEL, load_model
from rilievo.training.video.frames.depth_beside import depth_beside

_NEAREST, _FARTHEST = 0.3, 10.0
_SUFFIXES = (".png", ".jpg")
_HALF = 0.5
_STEP = 3


def abs_rel(
    found: Float32[np.ndarray, "n"],
    true: Float32[np.ndarray, "n"],
    weights: Float32[np.ndarray, "n"],
) -> float:
    """Weighted mean of |p - t| / t, p scaled by the median."""
    if not weights.sum():
        return float("nan")
    counted = weights > 0
    scaled = found * np.median(true[counted]) / np.median(found[counted])
    return float(np.average(np.abs(scaled - true) / true, weights=weights))


def nearest(
    values: Float32[np.ndarray, "h w"], size: tuple[int, int]
) -> Float32[np.ndarray, "a b"]:
    """Take the nearest pixels of a map, at another size."""
    rows, columns = (
        ((np.arange(new) + 0.5) * old / new).astype(int)
        for old, new in zip(values.shape, size, strict=True)
    )
    return values[rows[:, None], columns]


def frames_in(clip: Path) -> dict[str, Path]:
    """Pictures of a clip, by the names that labels have."""
    folder = clip / "images" if (clip / "images").is_dir() else clip
    files = [each for each in sorted(folder.iterdir()) if each.suffix in _SUFFIXES]
    return {stem_of(each.name): each for each in files if ".depth." not in each.name}


def scores(labels: Path, clip: Path, model: str) -> Float64[np.ndarray, "n 7"]:
    """Rows of a frame: covered share; AbsRel of model and labels, in the three ways."""
    record, frames, network = read_labels_record(labels), frames_in(clip), load_model(model)
    rows = []
    for name in record.names[::_STEP]:
        true = depth_beside(frames[name])
        assert true is not None, "true depth lies beside the frames"
        label = read_label(labels, name, record)
        pixels = np.asarray(Image.open(frames[name]).convert("RGB"))
        predicted = nearest(network(pixels).depth.values, record.size)
        true = nearest(true, record.size)
        known = (true > _NEAREST) & (true < _FARTHEST) & (label.depth > 0)
        ways = (np.ones_like(label.weight), label.weight >= _HALF, label.weight)
        row = [float((label.depth > 0).mean())]
        for way in ways:
            weights = way[known].astype(np.float32)
            row += [abs_rel(each[known], true[known], weights) for each in (predicted, label.depth)]
        rows.append(row)
    return np.array(rows)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print one line."""
    labels, clip, *model = sys.argv[1:] if arguments is None else arguments
    found = np.nanmean(scores(Path(labels), Path(clip), model[0] if model else FAST_MODEL), axis=0)
    print(
        f"{found[0]:.0%} covered; AbsRel of "
        f"model and labels {found[1]:.3f}, {found[2]:.3f}; where at least half agree "
        f"{found[3]:.3f}, {found[4]:.3f}; by weight {found[5]:.3f}, {found[6]:.3f}"
    )


if __name__ == "__main__":
    main()
