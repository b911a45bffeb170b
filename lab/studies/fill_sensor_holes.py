"""Fill the holes of sensors: ``RILIEVO_DATA=... python lab/studies/fill_sensor_holes.py``.

``--seeds 1,2,3`` places the holes elsewhere, ``--frames other`` takes frames that no rule was
chosen on: the others of the same clips, a second clip of TUM RGB-D and one of 7-Scenes.

Half of the pixels that a sensor measured is hidden in blobs of 10 to 80 px, with a fixed seed, in
frames of four sets of RGB-D: RealSense, ICL-NUIM as Open3D has it, TUM RGB-D and SUN RGB-D. The
rest is given as ``sparse``. Printed are, for each set, the median relative error in the hidden
pixels of our answer, of the nearest measured pixel and of the network alone (scaled by the median
ratio), the share of the given pixels that stay within 1%, and the share of the hidden ones inside
the stated range. With a fifth of the given pixels multiplied by random factors it prints how many
of those, and how many of the others, were left out.
"""

import os
import sys
import warnings
from argparse import ArgumentParser
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.ndimage import distance_transform_edt

import rilievo

_BLOBS = (10, 80)
"""Axes of the blobs [px]."""
_EVERY = 3
"""Step between the frames of a set: neighbours are alike."""
_PLANTED = 0.2
_KNOWN = 0.01
_KINECT_FOCAL = 525 / 585
"""Focal length of 7-Scenes' colour camera over that of its depth camera."""
_KINECT_RANGE = (100, 8000)
"""Millimetres that 7-Scenes' depth is valid at."""


@dataclass
class _Scores:
    """Relative errors of hidden pixels by rule, and shares by name."""

    errors: dict[str, list[np.ndarray]] = field(default_factory=lambda: defaultdict(list))
    shares: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))


def _counts(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.array(image).astype(np.uint16)


def _rotated(counts: np.ndarray) -> np.ndarray:
    """SUN RGB-D's millimetres, whose bits are turned by three."""
    return ((counts >> 3) | (counts << 13)).astype(np.uint16)


def frames(root: Path) -> Iterator[tuple[str, Path, np.ndarray]]:
    """Set, photograph and measured depth [m], 0 where there is none, of the frames of the rules."""
    yield from _of_folder(root, "realsense_10", slice(None, None, _EVERY))
    yield from _of_folder(root, "open3d_testdata_rgbd", slice(None, None, _EVERY))
    yield from _of_times(root / "tum_fr1_desk_9", slice(None, None, _EVERY))
    sun = root / "sunrgbd_original/img_0063"
    yield (
        "sunrgbd",
        sun / "image/img_0063.jpg",
        _rotated(_counts(sun / "depth/img_0063_abs.png")) / 1000,
    )
    other = root / "open3d_testdata_rgbd/other_formats"
    yield "sunrgbd", other / "SUN_color.jpg", _rotated(_counts(other / "SUN_depth.png")) / 1000


def other_frames(root: Path) -> Iterator[tuple[str, Path, np.ndarray]]:
    """Frames that no rule was chosen on."""
    for first in (1, 2):
        yield from _of_folder(root, "realsense_10", slice(first, None, _EVERY))
        yield from _of_folder(root, "open3d_testdata_rgbd", slice(first, None, _EVERY))
    yield from _of_times(root / "tum_fr1_desk_9", slice(1, None, _EVERY))
    yield from _of_times(root / "panel_tum_rpy", slice(None, None, _EVERY))
    for path in sorted((root / "panel_7scenes").glob("*.depth.png"))[:: 2 * _EVERY]:
        photo = path.with_name(path.name.replace("depth.png", "color.jpg"))
        yield "panel_7scenes", photo, _in_colour(_counts(path)) / 1000


def _of_folder(root: Path, name: str, which: slice) -> Iterator[tuple[str, Path, np.ndarray]]:
    for path in sorted((root / name / "depth").glob("*.png"))[which]:
        [photo] = (root / name / "color").glob(f"{path.stem}.*")
        yield name, photo, _counts(path) / 1000


def _of_times(folder: Path, which: slice) -> Iterator[tuple[str, Path, np.ndarray]]:
    photos = sorted((folder / "rgb").iterdir())
    for path in sorted((folder / "depth").glob("*.png"))[which]:
        time = float(path.stem)
        photo = min(photos, key=lambda photo: abs(float(photo.stem) - time))
        yield folder.name, photo, _counts(path) / 5000


def _in_colour(counts: np.ndarray) -> np.ndarray:
    """Millimetres of a Kinect's depth camera at the pixels of its colour camera; nearest wins."""
    counts = np.where((counts >= _KINECT_RANGE[0]) & (counts <= _KINECT_RANGE[1]), counts, 0)
    rows, columns = np.nonzero(counts)
    depth = counts[rows, columns]
    farthest = np.argsort(-depth.astype(int), kind="stable")
    v = np.rint(_KINECT_FOCAL * (rows - 240) + 240).astype(int)[farthest]
    u = np.rint(_KINECT_FOCAL * (columns - 320) + 320).astype(int)[farthest]
    registered = np.zeros_like(counts)
    registered[v, u] = depth[farthest]
    return registered


def blobs(valid: np.ndarray, chance: np.random.Generator) -> np.ndarray:
    """Ellipses that cover half of the valid pixels."""
    height, width = valid.shape
    v, u = np.mgrid[:height, :width]
    hidden = np.zeros_like(valid)
    while (hidden & valid).sum() < 0.5 * valid.sum():
        first, second = chance.uniform(_BLOBS[0] / 2, _BLOBS[1] / 2, 2)
        angle, y, x = chance.uniform(0, np.pi), chance.uniform(0, height), chance.uniform(0, width)
        along = (u - x) * np.cos(angle) + (v - y) * np.sin(angle)
        across = (v - y) * np.cos(angle) - (u - x) * np.sin(angle)
        hidden |= (along / first) ** 2 + (across / second) ** 2 < 1
    return hidden


def _nearest(given: np.ndarray) -> np.ndarray:
    places = distance_transform_edt(given <= 0, return_distances=False, return_indices=True)
    assert isinstance(places, np.ndarray), "places alone were asked for"
    return given[places[0], places[1]]


def _predicted(photo: Path, sparse: np.ndarray) -> rilievo.Prediction:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return rilievo.predict(photo, sparse=sparse)


def _score(found: _Scores, photo: Path, true: np.ndarray, seed: int) -> None:
    chance = np.random.default_rng(seed)
    valid = true > 0
    hidden = blobs(valid, chance)
    given = np.where(hidden, 0, true)
    made = _predicted(photo, given)
    calibration, network = made.calibration, made.network_depth
    assert calibration is not None
    assert calibration.expected_error is not None
    assert network is not None
    test, kept = hidden & valid, given > 0
    answer = np.abs(made.depth.values[test] / true[test] - 1)
    alone = network.values * np.nanmedian(true[kept] / network.values[kept])
    found.errors["ours"].append(answer)
    found.errors["nearest"].append(np.abs(_nearest(given)[test] / true[test] - 1))
    found.errors["network"].append(np.abs(alone[test] / true[test] - 1))
    stay = np.abs(made.depth.values[kept] / true[kept] - 1) < _KNOWN
    found.shares["within 1%"].append(float(stay.mean()))
    found.shares["in range"].append(float((answer <= calibration.expected_error).mean()))
    planted = kept & (chance.random(true.shape) < _PLANTED)
    factors = np.exp(chance.choice([-1, 1], true.shape) * chance.uniform(0.3, 1.2, true.shape))
    spoilt = np.where(planted, given * factors, given)
    again = _predicted(photo, spoilt).depth.values
    left = np.abs(again / np.where(kept, spoilt, 1) - 1) > 1e-3
    found.shares["planted left out"].append(float(left[planted].mean()))
    found.shares["others left out"].append(float(left[kept & ~planted].mean()))


def main(arguments: Sequence[str]) -> int:
    """Print a line for each set."""
    parser = ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seeds", default="0", help="seeds of the holes, with commas between")
    parser.add_argument("--frames", choices=("chosen", "other"), default="chosen")
    options = parser.parse_args(arguments)
    if "RILIEVO_DATA" not in os.environ:
        sys.exit("RILIEVO_DATA is not set: name the folder of the sets")
    root = Path(os.environ["RILIEVO_DATA"])
    seeds = [int(seed) for seed in options.seeds.split(",")]
    scores: dict[str, _Scores] = defaultdict(_Scores)
    for name, photo, true in (frames if options.frames == "chosen" else other_frames)(root):
        for seed in seeds:
            _score(scores[name], photo, true.astype(np.float32), seed)
        sys.stderr.write(f"{photo}\n")
    for name, found in scores.items():
        errors = (
            f"{rule} {np.median(np.concatenate(each)):.4f}" for rule, each in found.errors.items()
        )
        shares = (f"{what} {np.mean(each):.4f}" for what, each in found.shares.items())
        views = len(found.shares["in range"])
        sys.stdout.write(
            f"{name}, {views} views: median error {', '.join(errors)}; {', '.join(shares)}\n"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
