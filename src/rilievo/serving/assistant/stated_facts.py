"""Facts that were stated about one photograph: lengths, distances, the camera."""

from collections.abc import Mapping
from dataclasses import replace

from rilievo.calibration.lengths import Known, KnownLength, KnownPoint
from rilievo.calibration.rectangles import KnownRectangle
from rilievo.frozen import frozen

_SAME = 1.0
"""Most pixels between two facts about one place, of which the later one holds."""
_FLAGS: Mapping[type[Known], str] = {
    KnownPoint: "--known",
    KnownLength: "--known-length",
    KnownRectangle: "--known-rectangle",
}


@frozen(slots=False)
class StatedFacts:
    """Facts about one photograph, in the order in which they were stated.

    Attributes:
        known: Known lengths, distances and rectangles.
        words: The same in words, such as "door: 2 m".
        camera_height: Height of the camera above the floor [m].
        fov: Horizontal field of view [degrees].
        projection: Lens in words, such as "equirect".
    """

    known: tuple[Known, ...] = ()
    words: tuple[str, ...] = ()
    camera_height: float | None = None
    fov: float | None = None
    projection: str | None = None

    def with_fact(self, fact: Known, words: str) -> "StatedFacts":
        """Add a fact, in place of one about the same points."""
        pairs = [
            pair for pair in zip(self.known, self.words, strict=True) if not _same(pair[0], fact)
        ]
        facts, texts = ([*column] for column in zip(*pairs, strict=True)) if pairs else ([], [])
        return replace(self, known=(*facts, fact), words=(*texts, words))

    @property
    def told(self) -> tuple[str, ...]:
        """All facts in words."""
        height, fov = self.camera_height, self.fov
        return (
            *self.words,
            *(() if height is None else (f"the camera is {height:g} m above the floor",)),
            *(() if fov is None else (f"the field of view is {fov:g} degrees",)),
            *(() if self.projection is None else (f"the lens is {self.projection}",)),
        )

    @property
    def flags(self) -> tuple[str, ...]:
        """The same as options of the command line."""
        flags = []
        for fact in self.known:
            flags += [_FLAGS[type(fact)], str(fact)]
        if self.camera_height is not None:
            flags += ["--camera-height", repr(self.camera_height)]
        flags += [] if self.fov is None else ["--fov", repr(self.fov)]
        return (*flags, *(() if self.projection is None else ("--projection", self.projection)))


def _same(one: Known, other: Known) -> bool:
    def off(at: tuple[float, float]) -> float:
        return min(max(abs(at[0] - u), abs(at[1] - v)) for u, v in other.places)

    return type(one) is type(other) and max(map(off, one.places)) <= _SAME
