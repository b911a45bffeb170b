"""What every benchmark is told."""

from dataclasses import dataclass
from pathlib import Path

from benchmarks.measure import ROOT

SHIPPED = ROOT / "src" / "rilievo" / "models" / "default" / "small.onnx"
"""The weights inside the package."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What every benchmark is told.

    Attributes:
        quick: Small counts, to see that everything runs; the figures mean little.
        work: A folder for whatever is made on the way; gone at the end.
        weights: The ONNX file that is measured.
    """

    quick: bool
    work: Path
    weights: Path

    @property
    def model_options(self) -> list[str | Path]:
        """For ``rilievo predict``: nothing where it takes these weights by itself."""
        return [] if self.weights == SHIPPED else ["--model", self.weights]

    def count(self, usual: int, *, quick: int) -> int:
        """How many to do."""
        return quick if self.quick else usual

    def folder(self, name: str) -> Path:
        """An empty folder under ``work``."""
        path = self.work / name
        path.mkdir(parents=True)
        return path
