"""The job that every format writer receives."""

from dataclasses import dataclass
from pathlib import Path

from rilievo.io.outputs.facts import DepthFacts, FileFacts, Sidecar
from rilievo.io.outputs.save_options import SaveOptions
from rilievo.types import Prediction


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteJob:
    """One file to write.

    Attributes:
        path: Path to write to: a part file, whose name carries no meaning.
        file: Final name of the file.
        output: Name of the output in ``OUTPUTS``.
        prediction: Prediction to write; it has every part that the output needs.
        options: Options of saving.
        about: Description to embed in the file, where the format allows it.
        extent: Range of depth of all files that share one scale; None for a file of its own.
    """

    path: Path
    file: str
    output: str
    prediction: Prediction
    options: SaveOptions
    about: Sidecar
    extent: tuple[float, float] | None = None

    @property
    def depth_facts(self) -> DepthFacts:
        """Description of the depth map."""
        assert self.about.depth is not None, "described from the same prediction"
        return self.about.depth

    def float_depth_facts(self, holds: str) -> FileFacts:
        """Description of a file that holds float values, NaN where invalid."""
        return FileFacts(
            file=self.file,
            output=self.output,
            holds=holds,
            unit=self.depth_facts.unit,
            scale=1.0,
            offset=0.0,
            invalid="nan",
        )
