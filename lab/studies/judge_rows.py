"""Scores of one network, frame by frame, and the folder that keeps them."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from judge_changes import Scores

import rilievo


class Rows:
    """Scores by measure and group, in the order of the frames."""

    def __init__(self, values: dict[str, dict[str, list[float]]] | None = None) -> None:
        self.values = {} if values is None else values

    def add(self, measure: str, group: str, score: float) -> None:
        """Add the score of one frame."""
        self.values.setdefault(measure, {}).setdefault(group, []).append(float(score))

    def scores(self, measure: str) -> Scores:
        """Scores of a measure by group."""
        return {group: np.array(each) for group, each in self.values[measure].items()}


def network_hash(path: Path) -> str:
    """Hash of a network and of the ranges that its answers have, a cache's key."""
    ranges = Path(rilievo.__file__).parent / "measure" / "ranges.json"
    return hashlib.sha256(path.read_bytes() + ranges.read_bytes()).hexdigest()[:16]


def stored(path: Path, make: Callable[[], Rows]) -> Rows:
    """Read rows from a JSON file, which is made first if it is missing."""
    if not path.exists():
        part = path.with_suffix(".part")
        part.write_text(json.dumps(make().values) + "\n", encoding="utf-8")
        part.replace(path)
    return Rows(json.loads(path.read_text(encoding="utf-8")))
