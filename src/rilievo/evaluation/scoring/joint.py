"""Joint scoring of one image by several benchmarks."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from rilievo.evaluation.records import Unscored
from rilievo.evaluation.scoring.pool import ScoreJob, scored_or_not
from rilievo.evaluation.scoring.score import Scored
from rilievo.evaluation.scoring.solved import Solved
from rilievo.evaluation.stored_predictions import Predictions
from rilievo.types import Prediction, Truth


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """A benchmark, and the images that it scores."""

    job: ScoreJob
    ids: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class JointJob:
    """Work of several benchmarks on the same predictions and the same truth.

    Attributes:
        turns: All have the dataset and the predictions of the first.
    """

    turns: Sequence[Turn]

    def score(self, id: str) -> tuple[Scored | Unscored | None, ...]:
        """The score of one image under each benchmark; None under those that leave it out."""
        first = self.turns[0].job
        read = scored_or_not(id, partial(_read, first, id))
        if isinstance(read, Unscored):
            return tuple(read if id in turn.ids else None for turn in self.turns)
        solved = Solved()
        return tuple(
            scored_or_not(id, partial(turn.job.score_read, id, read.prediction, read.truth, solved))
            if id in turn.ids
            else None
            for turn in self.turns
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    prediction: Prediction
    truth: Truth


def _read(job: ScoreJob, id: str) -> _Read:
    return _Read(prediction=job.predictions.read(id), truth=job.dataset.truth(id))


def joined(turns: Sequence[Turn]) -> list[list[int]]:
    """Places of the turns that share predictions and truth, in groups."""
    groups: list[tuple[Predictions, object, list[int]]] = []
    for place, turn in enumerate(turns):
        key = turn.job.dataset.request
        for predictions, request, places in groups:
            if predictions == turn.job.predictions and request == key:
                places.append(place)
                break
        else:
            groups.append((turn.job.predictions, key, [place]))
    return [places for *_, places in groups]
