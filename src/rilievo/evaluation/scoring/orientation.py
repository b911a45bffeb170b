"""Notes on predictions that are turned, mirrored or in other axes, or swap near and far."""

from collections.abc import Sequence
from dataclasses import replace

from rilievo.alignment.turned_maps import SWAPPED, TURNS, detect_turn
from rilievo.arrays.shapes import Field, Mask, Values
from rilievo.evaluation.records import Score
from rilievo.records.depth_map import DepthKind, DepthMap

_TURN_NOTES = tuple(
    f"the prediction seems to be {turn}, because it agrees much better with the ground truth if "
    "this is undone"
    for turn in TURNS
)
_SWAPPED_NOTE = (
    "near and far seem to be swapped: check the kind of the prediction, which is affine_inverse "
    "for inverse depth and disparity"
)
_OTHER_AXES_NOTE = (
    "the normals are more than 90 degrees off on average: check the axes of the prediction and "
    "those of the ground truth"
)
ORIENTATION_NOTES = (_SWAPPED_NOTE, *_TURN_NOTES, _OTHER_AXES_NOTE)
_MIN_SWAPPED_FRACTION = 0.5
"""Least fraction of the images that seem to be swapped in a run of swapped predictions.

It is 0.94 for inverse depth of 94 rooms, 0.01 for depth that is upside down, and 0.36 for depth
that rises from the upper border to the lower one in every image.
"""


def orientation_note(predicted: DepthMap, true: Field, both_valid: Mask) -> str | None:
    """Note on a prediction that seems to be turned or swapped; None if it seems to be neither.

    ``both_valid`` are the pixels with prediction and truth.
    """
    is_inverse = predicted.kind is DepthKind.AFFINE_INVERSE
    turn = detect_turn(predicted.values, predicted.valid, true, both_valid, is_inverse=is_inverse)
    if turn is None:
        return None
    if turn == SWAPPED:
        return _SWAPPED_NOTE
    return _TURN_NOTES[list(TURNS).index(turn)]


def axes_note(angles: Values) -> str | None:
    """Note on normals that seem to have other axes than the true ones; None if they seem right.

    ``angles`` are those between predicted and true normals [°]. All visible surfaces face the
    camera, so even a prediction that faces the camera everywhere is less than 90 degrees off.
    """
    return _OTHER_AXES_NOTE if angles.mean() > 90 else None


def settle_orientation_notes(scores: Sequence[Score]) -> list[Score]:
    """Remove the notes on swapped or on turned predictions, whichever the run does not confirm.

    A wrong kind swaps near and far in all images of a run. Some of them then agree better with the
    truth after a turn, by chance. If only a few seem to be swapped, these are bad predictions.
    """
    swapped_count = sum(_has_note(score, (_SWAPPED_NOTE,)) for score in scores)
    is_swapped = swapped_count >= _MIN_SWAPPED_FRACTION * len(scores)
    refuted = _TURN_NOTES if is_swapped else (_SWAPPED_NOTE,)
    return [
        replace(score, notes=tuple(note for note in score.notes if not note.endswith(refuted)))
        if _has_note(score, refuted)
        else score
        for score in scores
    ]


def _has_note(score: Score, notes: tuple[str, ...]) -> bool:
    return any(note.endswith(notes) for note in score.notes)
