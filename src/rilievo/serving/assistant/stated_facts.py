"""Facts that were stated about one photograph: lengths, distances, the camera."""

from dataclasses import replace

from rilievo.calibration.lengths import Known, KnownLength, KnownPoint
from rilievo.frozen import frozen

_SAME = 1.0
"""Most pixels between two facts about one place, of which the later one holds."""


@frozen(slots=False)
class StatedFacts:
    """Facts about one photograph, in the order in which they were stated.

    Attributes:
        known: Known lengths and distances.
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
        kept = [
            pair for pair in zip(self.known, self.words, strict=True) if not _same(pair[0], fact)
        ]
        known, told = ([*each] for each in zip(*kept, strict=True)) if kept else ([], [])
        return replace(self, known=(*known, fact), words=(*told, words))

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
        found = []
        for each in self.known:
            name = "--known" if isinstance(each, KnownPoint) else "--known-length"
            found += [name, str(each)]
        if self.camera_height is not None:
            found += ["--camera-height", repr(self.camera_height)]
        found += [] if self.fov is None else ["--fov", repr(self.fov)]
        return (*found, *(() if self.projection is None else ("--projection", self.projection)))


def _same(one: Known, other: Known) -> bool:
    if isinstance(one, KnownPoint) and isinstance(other, KnownPoint):
        return _near(_ends(one), _ends(other))
    if isinstance(one, KnownLength) and isinstance(other, KnownLength):
        a, b = _ends(one), _ends(other)
        return _near(a, b) or _near(a, b[::-1])
    return False


def _ends(fact: Known) -> list[tuple[float, float]]:
    if isinstance(fact, KnownPoint):
        return [(fact.u, fact.v)]
    return [(fact.u1, fact.v1), (fact.u2, fact.v2)]


def _near(one: list[tuple[float, float]], other: list[tuple[float, float]]) -> bool:
    pairs = zip(one, other, strict=True)
    return all(max(abs(a[0] - b[0]), abs(a[1] - b[1])) <= _SAME for a, b in pairs)
