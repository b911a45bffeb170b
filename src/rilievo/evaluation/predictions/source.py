"""Predictions that are ready to be scored."""

from dataclasses import dataclass
from pathlib import Path

from rilievo.evaluation.records import Unscored
from rilievo.evaluation.stored_predictions import Predictions


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Predictions to be scored, where results go, and what went wrong on the way."""

    predictions: Predictions
    folder: Path
    failed: tuple[Unscored, ...] = ()
    warnings: tuple[str, ...] = ()
