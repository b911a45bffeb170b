"""Neighbouring frames of a video, brought to metres and to one another."""

from dataclasses import dataclass

import numpy as np

from rilievo.alignment.fit import Fit
from rilievo.errors import InputError
from rilievo.evaluate.answers import Answer
from rilievo.evaluate.benchmark import Benchmark
from rilievo.evaluate.metres import Metres, in_metres
from rilievo.evaluate.records import Score
from rilievo.evaluate.regions import truth_for
from rilievo.metrics.stability import StabilityPair
from rilievo.types import Truth


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedFrames:
    """Two frames to be compared, and what there is to be said of them.

    Attributes:
        pair: Depth of both frames.
        facts: Record of the first frame, without values of metrics.
    """

    pair: StabilityPair
    facts: Score


def stability_pair(
    benchmark: Benchmark,
    frames: tuple[Answer, Answer],
    truths: tuple[Truth, Truth],
    fit: Fit | None,
) -> PairedFrames:
    """Predicted depth of a frame and the next one, with the true motion between them.

    Raises:
        RilievoError: If the frame has no score.
    """
    first, second = (truth_for(benchmark, each) for each in truths)
    if first.camera is None or first.world_T_cam is None or second.world_T_cam is None:
        raise InputError("the dataset has no camera or no pose for this frame or the next one")
    metres: list[Metres] = []
    for answer, truth in zip(frames, (first, second), strict=True):
        if answer.depth is None:
            raise InputError("the prediction has no depth")
        metres.append(in_metres(benchmark, answer.depth, truth, fit))
    seen = [each.aligned.depth.valid for each in metres]
    depths = [
        np.where(valid, each.depth, np.float32(0)).astype(np.float64)
        for each, valid in zip(metres, seen, strict=True)
    ]
    pair = StabilityPair(
        first=depths[0],
        second=depths[1],
        first_seen=seen[0],
        second_seen=seen[1],
        first_K=first.camera.K,
        second_T_first=np.linalg.inv(second.world_T_cam) @ first.world_T_cam,
    )
    facts = Score(
        id=first.id,
        values={},
        pixels=pair.count,
        true_share=1.0 if first.depth_valid is None else float(first.depth_valid.mean()),
        scene=first.scene,
        notes=metres[0].notes,
    )
    return PairedFrames(pair=pair, facts=facts)
