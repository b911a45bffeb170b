"""Measure flicker of video depth: ``RILIEVO_DATA=... python tools/measure_flicker.py``.

The frames of a KITTI drive in which the car stands: share of pixels whose depth changes by more
than 5 % from one frame to the next, with each frame by itself, with the scales of frames aligned,
and steadied over time. A drive and a walk with measured depth: AbsRel after one median scale a
frame, with scales alone and steadied.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32, UInt8
from PIL import Image
from real_frames import samples
from real_sets import REAL_SETS

from rilievo.models import DEFAULT_MODEL, load_model
from rilievo.models.base import Model
from rilievo.models.resampling.sampling import shrink
from rilievo.predicting.videos.frame_answers import ScaledFrame, steadied, still_frames
from rilievo.predicting.videos.looks import sample_of
from rilievo.predicting.videos.temporal import ScaleTrack
from rilievo.types import DepthMap, Photo

CHANGE = 1.05
STANDING = slice(542, 556)
"""Frames of the drive between which the car moves by less than 2 cm, and the next."""
AROUND = 42


@dataclass(frozen=True, slots=True, kw_only=True)
class Depths:
    """Log depth of a clip's frames at the network's resolution.

    Attributes:
        alone: Depth of each frame by itself.
        scaled: Depth with scales aligned over time.
        steady: Depth averaged over time too.
        still: First and last frame of each stretch that was averaged.
    """

    alone: Float32[np.ndarray, "n h w"]
    scaled: Float32[np.ndarray, "n h w"]
    steady: Float32[np.ndarray, "n h w"]
    still: tuple[tuple[int, int], ...]


def depths_of(model: Model, frames: Sequence[UInt8[np.ndarray, "h w 3"]], rate: float) -> Depths:
    """Predict a clip as ``rilievo predict`` does, up to the size of the network's answer."""
    assert model.card.kind is not None, "of depth"
    track, alone, greys = ScaleTrack(model.card.kind), [], []
    for pixels in frames:
        [answer] = model.infer([Photo(pixels=pixels)])
        assert answer.depth is not None, "of depth"
        small = Photo(pixels=shrink(pixels, answer.depth.shape))
        track.watch(sample_of(DepthMap(values=answer.depth, kind=model.card.kind), small))
        alone.append(np.log(answer.depth))
        greys.append(np.asarray(Image.fromarray(small.pixels).convert("L")))
    scales = np.array([each.scale for each in track.corrections(rate)], np.float32)
    scaled = np.stack(alone) + np.log(scales)[:, None, None]
    stretches = track.stretches(rate)
    moments = [
        ScaledFrame(numbers=each, valid=np.ones(each.shape, bool), grey=grey, stretch=stretch)
        for each, grey, stretch in zip(scaled, greys, stretches, strict=True)
    ]
    return Depths(
        alone=np.stack(alone),
        scaled=scaled,
        steady=np.stack(list(steadied(moments))),
        still=still_frames(stretches),
    )


def changing(logs: Float32[np.ndarray, "n h w"]) -> float:
    """Share of pixels that change by more than 5 % from one frame to the next."""
    return float((np.abs(np.diff(logs, axis=0)) > np.log(CHANGE)).mean())


def abs_rel(logs: Float32[np.ndarray, "h w"], true: Float32[np.ndarray, "a b"]) -> float:
    """AbsRel of one frame where depth was measured, after its median scale."""
    height, width = true.shape
    image = Image.fromarray(np.exp(logs)).resize((width, height), Image.Resampling.BILINEAR)
    known = (true > 0.3) & (true < 80)
    found, real = np.asarray(image)[known], true[known]
    return float(np.abs(found * np.median(real / found) / real - 1).mean())


def _read(paths: Sequence[Path]) -> list[UInt8[np.ndarray, "h w 3"]]:
    return [np.asarray(Image.open(path).convert("RGB")) for path in paths]


def main() -> None:
    """Print one line a measurement."""
    data, model = Path(os.environ["RILIEVO_DATA"]), load_model(DEFAULT_MODEL)
    start = STANDING.start - AROUND
    drive = sorted((data / "kitti_video_416x128/rgb").iterdir())[start : STANDING.stop + AROUND]
    found = depths_of(model, _read(drive), 10.0)
    chosen = slice(STANDING.start - start, STANDING.stop - start)
    print(f"the car stands: still stretches {[(a + start, b + start) for a, b in found.still]}")
    for name, logs in (("alone", found.alone), ("scaled", found.scaled), ("steady", found.steady)):
        print(f"  {name}: {100 * changing(logs[chosen]):.1f} % of pixels change by more than 5 %")
    kitti = data / "kitti_raw/2011_09_26/2011_09_26_drive_9002_sync/image_02/data"
    clips = (
        ("kitti-raw", sorted(kitti.iterdir()), 10.0),
        ("7scenes", sorted((data / "7scenes_redkitchen").glob("*.color.jpg")), 30.0),
    )
    for name, files, rate in clips:
        clip = depths_of(model, _read(files), rate)
        numbers = {int(path.name.split(".")[0].split("-")[-1]): k for k, path in enumerate(files)}
        true = {
            numbers[int(each.id.split("/")[-1].split("-")[-1])]: each.depth
            for each in samples(REAL_SETS[name], data, len(files))
            if each.depth is not None
        }
        frames = sum(last - first + 1 for first, last in clip.still)
        scores = [
            np.mean([abs_rel(logs[k], np.where(np.isfinite(d), d, 0)) for k, d in true.items()])
            for logs in (clip.scaled, clip.steady)
        ]
        print(
            f"{name}: {len(true)} of {len(files)} frames measured, {frames} taken as still; AbsRel "
            f"{scores[0]:.4f} scaled, {scores[1]:.4f} steady"
        )


if __name__ == "__main__":
    main()
