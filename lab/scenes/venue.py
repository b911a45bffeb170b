"""A built scene, with the positions that a camera may take."""

from dataclasses import dataclass
from enum import Enum, StrEnum, auto

import numpy as np

from lab.scenes.dice import Dice
from lab.scenes.scene import Ambience
from lab.scenes.stage import Point, Stage


class Kind(StrEnum):
    """Kind of scene."""

    ALL = "all"
    ROOMS = "rooms"
    CLOSE_UPS = "close-ups"
    PEOPLE = "people"
    STREETS = "streets"
    OPEN_GROUND = "open-ground"
    NEAR_VIEWS = "near-views"
    FURNISHED = "furnished"
    BATHROOMS = "bathrooms"
    DESKS = "desks"
    CORRIDORS = "corridors"
    LOW_VIEWS = "low-views"
    FALSE_EDGES = "false-edges"
    PALE_SKIES = "pale-skies"
    CAST_SHADOWS = "cast-shadows"
    FLAT_PICTURES = "flat-pictures"
    SUBJECTS = "subjects"
    WIRES = "wires"
    NIGHTS = "nights"
    STILL_LIFES = "still-lifes"
    CAR_STREETS = "car-streets"
    NEAR_OCCLUDERS = "near-occluders"
    ROBOT_FLOORS = "robot-floors"
    CUT_FOREGROUNDS = "cut-foregrounds"
    DARK_ROOMS = "dark-rooms"
    TURNED_CORRIDORS = "turned-corridors"
    TEXTURED_BODIES = "textured-bodies"
    HEADS = "heads"
    SKYLINES = "skylines"
    LATTICES = "lattices"
    LEAVES = "leaves"
    SHADOWED_GROUNDS = "shadowed-grounds"


class Approach(Enum):
    """Way of choosing camera positions in a venue."""

    ROOM = auto()
    STREET = auto()
    SUBJECT = auto()
    STANDPOINT = auto()
    LAYOUT = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """Subject of a close-up, with the position of the camera.

    Attributes:
        point: Point that the camera looks at [m].
        bearing: Horizontal direction from the point to the camera [rad].
        away: Distance to the camera [m].
        rise: Elevation angle of the camera above the point [rad].
    """

    point: Point
    bearing: float
    away: float
    rise: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Standpoint:
    """Camera position that a scene was built around.

    Attributes:
        origin: Position of the camera [m].
        yaw: Horizontal direction of the view [rad].
        pitch: Elevation angle of the view [rad].
        roll: Standard deviation of the camera's roll [rad]; None for that of other cameras.
        yaw_spread: Standard deviation of the view's horizontal direction [rad].
        pitch_spread: Standard deviation of its elevation angle [rad].
    """

    origin: Point
    yaw: float
    pitch: float
    roll: float | None = None
    yaw_spread: float = 0.2
    pitch_spread: float = 0.08


@dataclass(frozen=True, slots=True, kw_only=True)
class Cover:
    """Share of a picture that near surfaces cover.

    Attributes:
        within: Depth up to which a surface is near [m].
        least: Least share of the picture.
        most: Largest share of the picture.
    """

    within: float
    least: float
    most: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Venue:
    """A scene before a camera is chosen.

    Attributes:
        stage: Solids, materials, lights and subjects.
        approach: Way of choosing camera positions.
        width: Extent of camera positions along x, around the origin [m].
        length: Extent of camera positions along y, around the origin [m].
        height: Largest height of a camera [m].
        ambience: Ambient light.
        subject: Subject, if the approach is ``SUBJECT``; else None.
        standpoint: Camera position, if the approach is ``STANDPOINT`` or ``LAYOUT``; else None.
        flares: Whether lamps flare in the lens.
        overcast: Whether clouds cover the whole sky.
        dramatic: Whether the sky is a sunset, a storm or twilight, unless it is overcast.
        daylight: Light of the sky as a share of a day's.
        field: Least and largest field of view along the longer side [degrees]; None for any.
        focus: Distance that the lens is focused on [m]; None where all is sharp.
        blur: Deviation of the blur of what is at infinity then, as a share of the longer side.
        cover: Share of every view that near surfaces cover; None for any.
        dim: Whether the light is too low for the camera, so that pictures are dark and noisy.
    """

    stage: Stage
    approach: Approach
    width: float
    length: float
    height: float
    ambience: Ambience
    subject: Subject | None = None
    standpoint: Standpoint | None = None
    flares: bool = False
    overcast: bool = False
    dramatic: bool = False
    daylight: float = 1.0
    field: tuple[float, float] | None = None
    focus: float | None = None
    blur: float = 0.0
    cover: Cover | None = None
    dim: bool = False

    @property
    def is_outdoors(self) -> bool:
        """Whether the venue is outdoors."""
        return any(light.distant for light in self.stage.lights)


def unit(direction: Point) -> Point:
    """Normalise a direction to length 1."""
    return direction / np.linalg.norm(direction)


def indoor_ambience(dice: Dice) -> Ambience:
    """Random ambient light indoors: brighter from one side, warm or cold."""
    colour = np.array([1.0, dice.uniform(0.85, 1.0), dice.uniform(0.75, 1.1)])
    bright = dice.uniform(0.1, 0.7)
    return Ambience(
        direction=unit(np.array([dice.gauss(0, 1), dice.gauss(0, 1), dice.gauss(0.5, 1)])),
        bright=bright * colour,
        dark=bright * dice.uniform(0.3, 0.9) * colour,
        reach=dice.uniform(0.4, 1.5),
    )


def outdoor_ambience(dice: Dice) -> Ambience:
    """Random ambient light from the sky and the ground."""
    bright = dice.uniform(0.3, 1.0)
    sky = np.array([dice.uniform(0.75, 1.0), dice.uniform(0.85, 1.0), 1.0])
    return Ambience(
        direction=unit(np.array([dice.gauss(0, 0.3), dice.gauss(0, 0.3), 1.0])),
        bright=bright * sky,
        dark=bright * dice.uniform(0.25, 0.6) * np.array([1.0, 0.95, 0.85]),
        reach=dice.uniform(1.0, 4.0),
    )
