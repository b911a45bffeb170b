"""Scores of whole answers on the judged cameras: depth, normals, ranges, confidence, turns."""

from pathlib import Path

import numpy as np
from jaxtyping import Float32, Float64, UInt8
from judge_changes import Scores, interval
from judge_frames import CAMERAS, JudgedFrame, judged_frames
from judge_rows import Rows
from judge_turns import ANGLES, FEWEST, turned
from panel import FrameScores, scored
from panel_rule import DRAWS, Change
from panel_rule import FEWEST as FEWEST_FRAMES

import rilievo
from rilievo.models.base import Model

BAD = 0.125
"""Share of the frames, those of the largest AbsRel, that are called bad."""


def panel_rows(model: Model, data: Path) -> Rows:
    """Score a network on every frame of every camera."""
    rows = Rows()
    for camera in CAMERAS:
        for frame in judged_frames(camera, data):
            scores = _scored(model, frame)
            rows.add("abs_rel", camera, scores.abs_rel)
            rows.add("delta1", camera, scores.delta1)
            rows.add("angle", camera, scores.angle)
            rows.add("ause", camera, scores.ause)
            rows.add("inside", camera, float(np.mean(scores.errors <= scores.ranges)))
            rows.add("range", camera, float(np.median(scores.ranges)))
            rows.add("confidence", camera, scores.confidence)
            rows.add("doubt", camera, scores.doubt)
    return rows


def _scored(model: Model, frame: JudgedFrame) -> FrameScores:
    normals = CAMERAS[frame.camera].normals
    return scored(frame.set, model, frame.sample, frame.number, normals=normals)


def turned_rows(model: Model, data: Path) -> Rows:
    """Score a network on turned frames: one score a frame, the mean over the angles."""
    rows = Rows()
    for camera, described in CAMERAS.items():
        for frame in judged_frames(camera, data) if described.turned else ():
            if not frame.turned:
                continue
            squares = [turned(frame.sample.image, frame.depth, angle) for angle in ANGLES]
            if min(np.count_nonzero(depth) for _, depth in squares) >= FEWEST:
                errors = [_abs_rel(model, *square) for square in squares]
                rows.add("turned", camera, float(np.mean(errors)))
    return rows


def _abs_rel(
    model: Model, image: UInt8[np.ndarray, "h w 3"], depth: Float32[np.ndarray, "h w"]
) -> float:
    predicted = rilievo.predict(np.ascontiguousarray(image), model=model).depth.values
    known = depth > 0
    p, t = predicted[known].astype(np.float64), depth[known].astype(np.float64)
    return float(np.mean(np.abs(p * np.median(t) / np.median(p) - t) / t))


def warning_chance(
    doubts: Float64[np.ndarray, "n"], errors: Float64[np.ndarray, "n"], seed: int = 0
) -> Change:
    """Chance that a bad frame is doubted more than a good one, with its interval.

    Args:
        doubts: Doubt of every frame; only its order counts.
        errors: AbsRel of every frame.
        seed: Seed of the draws.
    """
    more = _more(doubts, errors)
    random = np.random.default_rng(seed)
    rows, columns = (random.integers(count, size=(DRAWS, count)) for count in more.shape)
    draws = np.array([more[np.ix_(r, c)].mean() for r, c in zip(rows, columns, strict=True)])
    return interval(float(more.mean()), draws)


def warning_chance_within(doubts: Scores, errors: Scores, seed: int = 0) -> Change:
    """Mean over cameras of the chance within each, so bad cameras are no clue.

    Args:
        doubts: Doubt of every frame by camera; cameras of few frames are left out.
        errors: AbsRel of every frame.
        seed: Seed of the draws.
    """
    chances = [
        warning_chance(doubts[camera], errors[camera], seed + place)
        for place, camera in enumerate(errors)
        if len(errors[camera]) >= FEWEST_FRAMES
    ]
    # Cameras are independent, so half widths add up as squares.
    low, high = (
        np.sqrt(np.sum([(getattr(each, end) - each.mean) ** 2 for each in chances])) / len(chances)
        for end in ("low", "high")
    )
    mean = float(np.mean([each.mean for each in chances]))
    return Change(mean=mean, low=float(mean - low), high=float(mean + high))


def _more(
    doubts: Float64[np.ndarray, "n"], errors: Float64[np.ndarray, "n"]
) -> Float64[np.ndarray, "bad good"]:
    """1 where a bad frame is doubted more than a good one, a half where both are alike."""
    bad = errors > np.quantile(errors, 1 - BAD)
    of_bad, of_good = doubts[bad, None], doubts[~bad]
    return (of_bad > of_good) + 0.5 * (of_bad == of_good)
