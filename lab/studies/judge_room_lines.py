"""Compare depth with and without the correction that lines of rooms make.

    python lab/studies/judge_room_lines.py [MODEL] [--cameras hospital nyu]
    python lab/studies/judge_room_lines.py --focal 0.85
    python lab/studies/judge_room_lines.py --cut left
    python lab/studies/judge_room_lines.py --corners

By default, the frames of ``judge_frames`` are predicted with their own cameras. ``--focal`` gives
the model a focal length that is wrong by this factor. ``--cut`` cuts 30% of each photograph off at
one side, and gives a camera whose principal point is in the middle of what is left. ``--corners``
takes all labelled frames of NYUv2 and their four corners in place of the judged frames.

AbsRel is the mean relative error after depth was scaled to the median of the true depth. Changes
are stated for sets of at least 20 frames, with intervals of 90%.
"""

import argparse
import os
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float32, UInt8
from judge_frames import CAMERAS, judged_frames
from panel_rule import FEWEST, Change, compare
from real_frames import scored_samples
from real_sets import REAL_SETS

import rilievo
from rilievo.geometry.cameras.camera import Camera, CameraSource
from rilievo.geometry.intrinsics import crop_K
from rilievo.models.base import Model

_CUT = 0.3
_CORNER = 0.75
"""Sides of the corners, as fractions of the frame's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomFrame:
    """A photograph with its camera and its true depth [m], 0 where it is not scored."""

    image: UInt8[np.ndarray, "h w 3"]
    camera: Camera
    depth: Float32[np.ndarray, "h w"]

    def cropped(self, rows: slice, columns: slice) -> "RoomFrame":
        """Part of the frame, with the camera of this part."""
        K = crop_K(self.camera.K, top=rows.start, left=columns.start)
        return RoomFrame(
            image=self.image[rows, columns],
            camera=Camera(K=K, source=self.camera.source),
            depth=self.depth[rows, columns],
        )


def main() -> None:
    """Read the options, predict, and print a line for each camera."""
    options = _read_options()
    # Cut photographs have their principal point far from the middle, on purpose.
    warnings.simplefilter("ignore")
    model = rilievo.load_model(options.model)
    without: dict[str, np.ndarray] = {}
    corrected: dict[str, np.ndarray] = {}
    names = ["nyu-corners"] if options.corners else options.cameras
    for name in names:
        frames = _nyu_corners(options.data) if options.corners else _frames(name, options.data)
        errors = [_errors(model, _changed(frame, options)) for frame in frames]
        without[name], corrected[name] = np.array(errors).T
        _print_counts(name, without[name], corrected[name])
    judged = [name for name in names if len(without[name]) >= FEWEST]
    verdict = compare(*({name: each[name] for name in judged} for each in (without, corrected)))
    for name, change in verdict.cameras.items():
        sys.stdout.write(f"{name:12} {_in_words(change)}\n")
    sys.stdout.write(f"{'together':12} {_in_words(verdict.together)}\n")


def _read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", nargs="?", default="rilievo/base")
    parser.add_argument("--cameras", nargs="+", choices=list(CAMERAS), default=list(CAMERAS))
    parser.add_argument("--focal", type=float, default=1.0, help="factor of the focal length (1)")
    parser.add_argument("--cut", choices=("left", "right", "top", "bottom"))
    parser.add_argument("--corners", action="store_true", help="all of NYUv2 and its corners")
    parser.add_argument("--data", type=Path, default=os.environ.get("RILIEVO_DATA"))
    options = parser.parse_args()
    if options.data is None:
        parser.error("set RILIEVO_DATA or --data to the folder that holds the sets")
    return options


def _frames(name: str, data: Path) -> Iterator[RoomFrame]:
    for frame in judged_frames(name, data):
        if frame.sample.camera is not None:
            yield RoomFrame(
                image=np.ascontiguousarray(frame.sample.image),
                camera=frame.sample.camera,
                depth=frame.depth,
            )


def _nyu_corners(data: Path) -> Iterator[RoomFrame]:
    """All labelled frames of NYUv2 inside their white border, and their four corners."""
    real = replace(REAL_SETS["nyu"], takes=slice(None))
    for split in ("train", "test"):
        for sample in scored_samples(replace(real, split=split), data):
            assert sample.depth is not None
            assert sample.camera is not None
            depth = sample.depth
            if sample.depth_valid is not None:
                depth = np.where(sample.depth_valid, depth, 0)
            frame = RoomFrame(
                image=sample.image, camera=sample.camera, depth=depth.astype(np.float32)
            )
            yield frame
            yield from _corners(frame)


def _corners(frame: RoomFrame) -> Iterator[RoomFrame]:
    height, width = frame.depth.shape
    tall, wide = int(_CORNER * height), int(_CORNER * width)
    for top in (0, height - tall):
        for left in (0, width - wide):
            yield frame.cropped(slice(top, top + tall), slice(left, left + wide))


def _changed(frame: RoomFrame, options: argparse.Namespace) -> RoomFrame:
    """The frame with the wrong camera that the options ask for."""
    height, width = frame.depth.shape
    if options.cut is not None:
        down, across = int(_CUT * height), int(_CUT * width)
        rows, columns = {
            "left": (slice(0, height), slice(across, width)),
            "right": (slice(0, height), slice(0, width - across)),
            "top": (slice(down, height), slice(0, width)),
            "bottom": (slice(0, height - down), slice(0, width)),
        }[options.cut]
        frame = frame.cropped(rows, columns)
        height, width = frame.depth.shape
        K = frame.camera.K.copy()
        K[:2, 2] = (width - 1) / 2, (height - 1) / 2
        frame = replace(frame, camera=Camera(K=K, source=frame.camera.source))
    if options.focal != 1.0:
        K = frame.camera.K.copy()
        K[[0, 1], [0, 1]] *= options.focal
        frame = replace(frame, camera=Camera(K=K, source=CameraSource.GIVEN))
    return frame


def _errors(model: Model, frame: RoomFrame) -> tuple[float, float]:
    """AbsRel without and with the correction."""
    photo = np.ascontiguousarray(frame.image)
    prediction = rilievo.predict(photo, model=model, camera=frame.camera)
    corrected = _abs_rel(prediction, frame)
    if not any("lines of the photograph" in note for note in prediction.notes):
        return corrected, corrected
    network_alone = rilievo.predict(photo, model=model, camera=frame.camera, manhattan=False)
    return _abs_rel(network_alone, frame), corrected


def _abs_rel(prediction: rilievo.Prediction, frame: RoomFrame) -> float:
    known = frame.depth > 0
    true, depth = frame.depth[known], prediction.depth.values[known]
    depth = depth * (np.median(true) / np.median(depth))
    return float(np.mean(np.abs(depth - true) / true))


def _print_counts(name: str, without: np.ndarray, corrected: np.ndarray) -> None:
    changed = without != corrected
    better = np.count_nonzero(corrected < without)
    worse = np.count_nonzero(corrected > without)
    sys.stdout.write(
        f"{name:12} {np.count_nonzero(changed)} of {len(without)} corrected, {better} better, "
        f"{worse} worse; all {without.mean():.4f} -> {corrected.mean():.4f}"
    )
    if changed.any():
        sys.stdout.write(
            f"; the corrected {without[changed].mean():.4f} -> {corrected[changed].mean():.4f}"
        )
    sys.stdout.write("\n")
    sys.stdout.flush()


def _in_words(change: Change) -> str:
    """A change and its interval in percent."""
    mean, low, high = (100 * each for each in (change.mean, change.low, change.high))
    return f"{mean:+.1f}% [{low:+.1f}, {high:+.1f}]"


if __name__ == "__main__":
    main()
