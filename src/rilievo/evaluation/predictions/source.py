"""Predictions that are ready to be scored."""

from dataclasses import dataclass
from pathlib import Path

from rilievo.evaluation.answers import Answers
from rilievo.evaluation.records import Unscored


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Predictions to be scored, where results go, and what went wrong on the way."""

    answers: Answers
    folder: Path
    failed: tuple[Unscored, ...] = ()
    warnings: tuple[str, ...] = ()
