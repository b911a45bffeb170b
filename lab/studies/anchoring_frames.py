"""Frames outside the panel with true depth, on which anchoring and its ranges are chosen.

Of NYU those that no training saw, rendered scenes of five kinds, and more cameras.
"""

from collections.abc import Iterator
from pathlib import Path

from real_frames import scored_samples
from real_sets import REAL_SETS

from lab.scenes import Kind, render
from rilievo.records.sample import Sample

LEARNED = ("nyu-kept", "sunrgbd", "realsense", "motorcycle", "replica-47",
           "replica-156", "icl", "tartanair", "tum-pair")  # fmt: skip
RENDERED = {"rooms": 40, "desks": 12, "bathrooms": 12, "corridors": 12, "streets": 12}


def learning_samples(data: Path) -> Iterator[tuple[str, Sample]]:
    """Frames to learn from, with the names of their sets."""
    for kind, count in RENDERED.items():
        for number in range(1, count + 1):
            yield kind, render(2**63 + number, size=(240, 320), kind=Kind(kind))
    for name in LEARNED:
        yield from ((name, sample) for sample in scored_samples(REAL_SETS[name], data))
