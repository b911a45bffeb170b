"""Settings of all benchmarks."""

from dataclasses import dataclass
from pathlib import Path

from benchmarks.measure import ROOT

_DEFAULT = ROOT / "src" / "rilievo" / "models" / "default"
SHIPPED, FAST = _DEFAULT / "base.onnx", _DEFAULT / "small.onnx"
"""Weights inside the package: of the default for photographs, and of that for videos."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Settings of all benchmarks.

    Attributes:
        quick: Small counts, to see that everything runs; the figures mean little.
        work: Folder for temporary files; removed at the end.
        weights: The ONNX file that is measured.
    """

    quick: bool
    work: Path
    weights: Path

    @property
    def model_options(self) -> list[str | Path]:
        """Options of ``rilievo predict`` for these weights; empty if they are its default."""
        return [] if self.weights == SHIPPED else ["--model", self.weights]

    def count(self, usual: int, *, quick: int) -> int:
        """Number of repetitions."""
        return quick if self.quick else usual

    def folder(self, name: str) -> Path:
        """Create an empty folder below ``work``."""
        path = self.work / name
        path.mkdir(parents=True)
        return path
