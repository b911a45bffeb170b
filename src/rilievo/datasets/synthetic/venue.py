"""A built scene, and where a camera may stand in it."""

from dataclasses import dataclass
from enum import Enum, StrEnum, auto

import numpy as np

from rilievo.datasets.synthetic.dice import Dice
from rilievo.datasets.synthetic.scene import Ambience
from rilievo.datasets.synthetic.stage import Point, Stage


class Kind(StrEnum):
    """What scenes are made of."""

    ALL = "all"
    ROOMS = "rooms"
    CLOSE_UPS = "close-ups"
    PEOPLE = "people"
    STREETS = "streets"
    OPEN_GROUND = "open-ground"
    NEAR_VIEWS = "near-views"


class Approach(Enum):
    """How a photographer moves in a venue."""

    ROOM = auto()
    STREET = auto()
    SUBJECT = auto()
    STANDPOINT = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What a close-up is taken of, and from where.

    Attributes:
        point: What the camera looks at [m].
        bearing: Direction in the plane from it to the camera [rad].
        away: Distance to the camera [m].
        rise: Elevation of the camera above it [rad].
    """

    point: Point
    bearing: float
    away: float
    rise: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Standpoint:
    """A camera that a scene was built around.

    Attributes:
        origin: Where it is [m].
        yaw: Direction that it looks in, in the plane [rad].
        pitch: Elevation of that direction [rad].
    """

    origin: Point
    yaw: float
    pitch: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Venue:
    """A scene before a camera is chosen.

    Attributes:
        stage: Solids, materials, lights and subjects.
        approach: How it is photographed.
        width: Extent along x [m], around the origin, that a camera keeps to.
        length: Extent along y [m].
        height: Height [m] under which a camera stays.
        ambience: Light from everywhere.
        subject: Only where the approach is ``SUBJECT``.
        standpoint: Only where the approach is ``STANDPOINT``.
    """

    stage: Stage
    approach: Approach
    width: float
    length: float
    height: float
    ambience: Ambience
    subject: Subject | None = None
    standpoint: Standpoint | None = None

    @property
    def is_outdoors(self) -> bool:
        """Whether the sun shines here."""
        return any(light.distant for light in self.stage.lights)


def unit(direction: Point) -> Point:
    """A direction with length 1."""
    return direction / np.linalg.norm(direction)


def indoor_ambience(dice: Dice) -> Ambience:
    """Light that walls and windows scatter: brighter from one side, warm or cold."""
    colour = np.array([1.0, dice.uniform(0.85, 1.0), dice.uniform(0.75, 1.1)])
    bright = dice.uniform(0.1, 0.7)
    return Ambience(
        direction=unit(np.array([dice.gauss(0, 1), dice.gauss(0, 1), dice.gauss(0.5, 1)])),
        bright=bright * colour,
        dark=bright * dice.uniform(0.3, 0.9) * colour,
        reach=dice.uniform(0.4, 1.5),
    )


def outdoor_ambience(dice: Dice) -> Ambience:
    """Light from the sky, and what the ground sends back."""
    bright = dice.uniform(0.3, 1.0)
    sky = np.array([dice.uniform(0.75, 1.0), dice.uniform(0.85, 1.0), 1.0])
    return Ambience(
        direction=unit(np.array([dice.gauss(0, 0.3), dice.gauss(0, 0.3), 1.0])),
        bright=bright * sky,
        dark=bright * dice.uniform(0.25, 0.6) * np.array([1.0, 0.95, 0.85]),
        reach=dice.uniform(1.0, 4.0),
    )
