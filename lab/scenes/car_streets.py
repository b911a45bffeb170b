"""Streets as the camera of a car sees them: in a lane, 1.4 m to 1.75 m above the road.

The road leads along x, and the camera looks along +x from the origin's lane.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from enum import Enum, auto

import numpy as np

from lab.scenes.buildings import house, wayside
from lab.scenes.dice import Dice
from lab.scenes.figures import somebody
from lab.scenes.furnishing import facing, footprint, pick, put
from lab.scenes.models import Use
from lab.scenes.outdoors import earth, fence, outside
from lab.scenes.plants import bush, foliage, tree
from lab.scenes.rotations import turn_x, turn_y
from lab.scenes.scene import BARS
from lab.scenes.stage import Stage
from lab.scenes.textures import Texture
from lab.scenes.vehicles import bicycle, car, lorry, van
from lab.scenes.venue import Approach, Standpoint, Venue

FIELD = (60.0, 100.0)
"""Least and largest field of view [degrees]."""
EYE = (1.48, 1.67)
"""Least and largest height of the camera [m], which moves by up to 0.08 m about it."""
BEHIND, FAR = -14.0, 170.0
"""Ends of what stands along the road [m]."""
LANE = 3.3
"""Width of a lane [m]."""
TRAFFIC: tuple[tuple[Callable[[Stage], None], float], ...] = (
    (car, 2.5), (car, 2.5), (car, 2.5), (car, 2.5), (van, 4.5), (van, 4.5), (lorry, 7.0),
)  # fmt: skip
"""Vehicles in lanes, with half of their largest lengths [m]."""


class Surroundings(Enum):
    """Surroundings of a road."""

    TOWN = auto()
    SUBURB = auto()
    COUNTRY = auto()
    MOTORWAY = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Crossing:
    """A street that crosses the road at a right angle.

    Attributes:
        x: Place of its middle [m].
        width: Width of its carriageway [m].
    """

    x: float
    width: float

    @property
    def gap(self) -> tuple[float, float]:
        """Ends along x of what its pavements and its carriageway leave free [m]."""
        half = self.width / 2 + 2.5
        return self.x - half, self.x + half


@dataclass(frozen=True, slots=True, kw_only=True)
class Street:
    """A road with what is beside it.

    Attributes:
        surroundings: Surroundings of the road.
        road: Width of the carriageway [m].
        front: Distance of houses from the middle of the road [m].
        side: Side of the camera's lane: 1 for the left (+y), -1 for the right.
        crossing: Street that crosses it; None for none.
    """

    surroundings: Surroundings
    road: float
    front: float
    side: int
    crossing: Crossing | None

    @property
    def lanes(self) -> int:
        """Number of lanes in one direction."""
        return max(1, int(self.road / 2 / LANE))

    def lane(self, number: int) -> float:
        """Middle of a lane [m] in the camera's direction; that number 0 is the innermost."""
        return self.side * (number + 0.5) * self.road / 2 / self.lanes

    def is_free(self, start: float, end: float) -> bool:
        """Whether no crossing street lies between two places along x [m]."""
        if self.crossing is None:
            return True
        low, high = self.crossing.gap
        return end <= low or start >= high


def car_street(stage: Stage) -> Venue:
    """Build a road ahead of a camera in one of its lanes."""
    dice = stage.dice
    street = choose_street(dice)
    earth(stage)
    carriageway(stage, street)
    own = dice.randrange(street.lanes)
    y = street.lane(own) + dice.normalvariate(0.0, 0.15)
    stage.claim((0.0, y, 0.0), 3.0)
    traffic(stage, street, own)
    if street.surroundings is not Surroundings.MOTORWAY:
        for side in (-1, 1):
            if dice.chance(0.6):
                parked_row(stage, street, side)
        passers_by(stage, street)
    for side in (-1, 1):
        flank(stage, street, side)
        if dice.chance(0.5):
            posts(stage, street, side)
    if dice.chance(0.2):
        overpass(stage, street)
    if street.crossing is not None:
        cross_traffic(stage, street.crossing, street.road)
    venue = weather(outside(stage, 8.0, 2 * street.front))
    # One in eight looks to the side, such as while the car turns or by a camera at its side.
    turn = dice.normalvariate(0.0, 0.05) if dice.chance(0.87) else dice.uniform(-1.5, 1.5)
    standpoint = Standpoint(
        origin=np.array([0.0, y, dice.uniform(*EYE)]), yaw=turn,
        pitch=dice.normalvariate(-0.01, 0.02), roll=0.02, yaw_spread=0.04, pitch_spread=0.02,
    )  # fmt: skip
    return replace(venue, approach=Approach.STANDPOINT, standpoint=standpoint, field=FIELD)


def weather(venue: Venue) -> Venue:
    """The same place under clouds or in the evening, now and then."""
    dice = venue.stage.dice
    kind = dice.random()
    if kind > 0.4:
        return venue
    lights = venue.stage.lights
    share = dice.uniform(0.0, 0.15)
    lights[:] = [replace(light, colour=share * np.asarray(light.colour)) for light in lights]
    return replace(venue, overcast=True, dim=kind < 0.08)


def choose_street(dice: Dice) -> Street:
    """Draw the kind, the widths and the crossing of a street."""
    kinds, shares = tuple(Surroundings), (0.42, 0.28, 0.16, 0.14)
    surroundings = dice.weighted(kinds, shares)
    if surroundings is Surroundings.MOTORWAY:
        road, beside = dice.uniform(14, 26), dice.uniform(5, 12)
    elif surroundings is Surroundings.COUNTRY:
        road, beside = dice.uniform(4.6, 8), dice.uniform(1.5, 6)
    elif surroundings is Surroundings.SUBURB:
        road, beside = dice.uniform(5, 9), dice.uniform(4, 12)
    else:
        road = dice.weighted((dice.uniform(5, 9), dice.uniform(9, 20)), (0.6, 0.4))
        beside = dice.weighted((dice.uniform(1.6, 6), dice.uniform(6, 20)), (0.75, 0.25))
    is_crossed = surroundings is not Surroundings.MOTORWAY and dice.chance(0.45)
    crossing = Crossing(x=dice.uniform(8, 60), width=dice.uniform(5, 14)) if is_crossed else None
    return Street(
        surroundings=surroundings, road=road, front=road / 2 + beside, side=dice.sign(),
        crossing=crossing,
    )  # fmt: skip


def carriageway(stage: Stage, street: Street) -> None:
    """Asphalt with its markings, pavements or verges, and the crossing street."""
    dice, road = stage.dice, street.road
    tar = stage.material(
        Texture.SPECKLE, Texture.STONE, colour=np.full(3, dice.uniform(0.06, 0.3)),
        mix=dice.uniform(0.0, 0.6), scale=dice.uniform(1, 5), gloss=0.0,
        mirror=0.03 if dice.chance(0.15) else 0.0,
    )  # fmt: skip
    stage.box((0, 0, 0.01), (500, road, 0.03), tar)
    paint = stage.plain(np.full(3, dice.uniform(0.4, 0.8)), gloss=0.0)
    markings(stage, street, paint)
    if street.crossing is not None:
        crossing = street.crossing
        stage.box((crossing.x, 0, 0.006), (crossing.width, 300, 0.03), tar)
        if dice.chance(0.6):
            zebra(stage, crossing.gap[0] + 1.0, road, paint)
    elif dice.chance(0.15) and street.surroundings is not Surroundings.MOTORWAY:
        zebra(stage, dice.uniform(6, 30), road, paint)
    if street.surroundings in (Surroundings.TOWN, Surroundings.SUBURB):
        pavements(stage, street)


def markings(stage: Stage, street: Street, paint: int) -> None:
    """Lines between the lanes and at the edges of the carriageway."""
    dice, road = stage.dice, street.road
    if dice.chance(0.75):
        dash, pitch = dice.uniform(1.5, 4), dice.uniform(5, 10)
        step = road / 2 / street.lanes
        for lane in range(1 - street.lanes, street.lanes):
            if lane == 0 and dice.chance(0.3):
                stage.box((0, 0, 0.02), (500, 0.15, 0.014), paint)
                continue
            for k in range(-1, 12):
                stage.box((k * pitch, lane * step, 0.02), (dash, 0.13, 0.014), paint)
    if dice.chance(0.5):
        for side in (-1, 1):
            stage.box((0, side * (road / 2 - 0.3), 0.02), (500, 0.14, 0.014), paint)


def zebra(stage: Stage, x: float, road: float, paint: int) -> None:
    """A pedestrian crossing."""
    for k in range(int(road)):
        stage.box((x, k - road / 2 + 0.5, 0.02), (3, 0.5, 0.014), paint)


def pavements(stage: Stage, street: Street) -> None:
    """Raised pavements with kerbs, which the crossing street interrupts."""
    dice = stage.dice
    wide = min(dice.uniform(1.2, 4.0), street.front - street.road / 2)
    grey = dice.uniform(0.1, 0.5) * np.array(dice.vector(0.85, 1.0))
    slab = stage.material(
        Texture.TILES, Texture.STONE, Texture.SPECKLE, colour=grey, mix=dice.uniform(0, 0.8),
        scale=2.0, gloss=0.0,
    )  # fmt: skip
    kerb = stage.plain(np.full(3, dice.uniform(0.15, 0.5)), gloss=0.0)
    ends = [(-60.0, 260.0)]
    if street.crossing is not None:
        low, high = street.crossing.gap
        ends = [(-60.0, low + 1.5), (high - 1.5, 260.0)]
    for side in (-1, 1):
        edge = street.road / 2
        for start, end in ends:
            middle, long = (start + end) / 2, end - start
            stage.box((middle, side * (edge + wide / 2), 0.06), (long, wide, 0.14), slab)
            stage.box((middle, side * (edge + 0.07), 0.07), (long, 0.14, 0.14), kerb)


def traffic(stage: Stage, street: Street, own: int) -> None:
    """Vehicles in the lanes: a jam, or now and then one."""
    dice = stage.dice
    is_jam = dice.chance(0.35)
    gaps = (1.2, 6.0) if is_jam else (8.0, 70.0)
    for number in range(street.lanes):
        if number == own:
            first = dice.uniform(4.0, 12.0) if is_jam else dice.uniform(9.0, 80.0)
        else:
            first = dice.uniform(-8.0, 6.0) if is_jam else dice.uniform(-5.0, 40.0)
        if is_jam or dice.chance(0.7):
            queue(stage, street.lane(number), first, gaps, heading=0.0)
        if dice.chance(0.7):
            is_slow = dice.chance(0.3)
            start = dice.uniform(-4.0, 30.0)
            ends = (1.5, 8.0) if is_slow else (10.0, 60.0)
            queue(stage, -street.lane(number), start, ends, heading=math.pi)


def queue(
    stage: Stage, y: float, start: float, gaps: tuple[float, float], *, heading: float
) -> None:
    """Vehicles one behind the other along x, from ``start`` [m] on, with gaps between them [m]."""
    dice, x = stage.dice, start
    while x < 90.0 and not stage.is_full:
        build, half = dice.choice(TRAFFIC)
        at = (x + half, y + dice.normalvariate(0.0, 0.12), 0.0)
        with stage.frame(at, heading + dice.normalvariate(0.0, 0.015)):
            build(stage)
        x += 2 * half + dice.uniform(*gaps)


def parked_row(stage: Stage, street: Street, side: int) -> None:
    """Vehicles at the kerb, in closed rows or here and there."""
    dice = stage.dice
    y = side * (street.road / 2 - 0.9)
    if street.lanes == 1 and street.road < 6.5:
        y = side * (street.road / 2 + 0.5)
    x, share = dice.uniform(-6.0, 12.0), dice.uniform(0.3, 1.0)
    while x < 70.0 and not stage.is_full:
        if dice.chance(share) and street.is_free(x - 2.5, x + 2.5) and stage.claim((x, y, 0), 1.2):
            with stage.frame((x, y, 0.0), dice.choice((0.0, math.pi)) + dice.gauss(0.0, 0.03)):
                vehicle_at_kerb(stage)
        x += dice.uniform(5.2, 6.5)


def vehicle_at_kerb(stage: Stage) -> None:
    """A parked vehicle: a model where there is one, or of solids."""
    dice = stage.dice
    model = pick(stage, Use.ROAD, 0.5, lambda model: model.size.max() < 5.5)
    if model is None:
        dice.choice((car, car, car, car, car, van, bicycle))(stage)
    else:
        put(stage, model, yaw=facing(stage, replace(model, back=None)))


def passers_by(stage: Stage, street: Street) -> None:
    """People on the pavements, and a few who cross the road."""
    dice = stage.dice
    edge, beside = street.road / 2, max(0.4, min(3.0, street.front - street.road / 2))
    for _ in range(dice.count(0, 7)):
        y = dice.sign() * (edge + dice.uniform(0.3, 1.0) * beside)
        if dice.chance(0.2):
            y = dice.uniform(-1, 1) * edge
        at = (dice.log_uniform(4, 45), y, 0.1 if abs(y) > edge else 0.0)
        if not stage.is_full and stage.claim(at, 0.35):
            with stage.frame(at, dice.angle()):
                somebody(stage)


def flank(stage: Stage, street: Street, side: int) -> None:
    """Build one side of the road, from behind the camera to 170 m."""
    surroundings = street.surroundings
    if surroundings is Surroundings.TOWN:
        frontage(stage, street, side, houses=0.85, trees=0.1, apart=1.5)
    elif surroundings is Surroundings.SUBURB:
        frontage(stage, street, side, houses=0.6, trees=0.35, apart=9.0)
        bounds(stage, street, side)
    elif surroundings is Surroundings.COUNTRY:
        if stage.dice.chance(0.35):
            embankment(stage, street, side)
        frontage(stage, street, side, houses=0.12, trees=0.65, apart=12.0)
        bounds(stage, street, side)
    else:
        barrier(stage, street, side)
        kind = stage.dice.random()
        if kind < 0.35:
            noise_wall(stage, street, side)
        elif kind < 0.75:
            embankment(stage, street, side)
        frontage(stage, street, side, houses=0.15, trees=0.6, apart=15.0)


def plots(stage: Stage, street: Street, apart: float) -> Iterator[tuple[float, float]]:
    """Middles and widths of plots along the road [m], wider where they are far."""
    dice = stage.dice
    x = BEHIND + dice.uniform(0.0, 8.0)
    while x < FAR:
        wide = dice.uniform(6, 20) * (1.0 if x < 70 else 1.8)
        if street.is_free(x, x + wide):
            yield x + wide / 2, wide
            x += wide + dice.uniform(0.0, apart)
        else:
            assert street.crossing is not None
            low, high = street.crossing.gap
            room = low - x
            if room > 4:
                yield x + room / 2, room
            x = high + dice.uniform(0.0, apart)


def frontage(
    stage: Stage, street: Street, side: int, *, houses: float, trees: float, apart: float
) -> None:
    """Houses and trees on the plots of one side; shares of plots, and gaps between them [m]."""
    dice = stage.dice
    back = 0.0 if street.surroundings is Surroundings.TOWN else dice.uniform(0, 8)
    for x, wide in plots(stage, street, apart):
        kind = dice.random()
        front = street.front + back
        with stage.frame((x, side * front, 0.0), 0.0 if side > 0 else math.pi):
            if kind < houses:
                home(stage, wide, is_near=2 < x < 34)
            elif kind < houses + trees:
                for _ in range(dice.count(1, 3)):
                    at = (dice.uniform(-0.5, 0.5) * wide, dice.uniform(0.5, 7), 0.0)
                    with stage.frame(at):
                        tree(stage, dice.uniform(4, 13))
    if dice.chance(0.35) and not stage.is_full:
        avenue(stage, street, side)


def home(stage: Stage, wide: float, *, is_near: bool) -> None:
    """A house whose front is on y = 0."""
    dice = stage.dice
    depth = dice.uniform(6, 13)
    model = pick(stage, Use.PLOT, 0.25)
    if model is not None:
        yaw = dice.count(0, 3) * math.pi / 2
        put(stage, model, (0, footprint(model, yaw)[1] / 2, 0), yaw)
        return
    with stage.frame((0, depth / 2 + dice.choice((0.0, 0.0, dice.uniform(0, 2))), 0)):
        house(stage, wide, depth, is_near=is_near and not stage.is_full)


def avenue(stage: Stage, street: Street, side: int) -> None:
    """Trees of one kind in a row at the road."""
    dice = stage.dice
    step, tall = dice.uniform(6, 14), dice.uniform(4, 10)
    y = side * min(street.road / 2 + dice.uniform(0.8, 2.0), street.front - 0.4)
    x = dice.uniform(2, 12)
    while x < 80 and not stage.is_full:
        if street.is_free(x - 1, x + 1):
            with stage.frame((x, y, 0.0), dice.angle()):
                tree(stage, tall * dice.uniform(0.8, 1.2))
        x += step


def bounds(stage: Stage, street: Street, side: int) -> None:
    """Hedges, fences, walls and bushes between the road and the plots."""
    dice = stage.dice
    y = side * min(street.road / 2 + dice.uniform(0.8, 3.0), street.front)
    kind, tall, x = dice.randrange(5), dice.uniform(0.6, 2.6), dice.uniform(-10, 10)
    leaves = foliage(stage)
    stone = stage.material(Texture.BRICK, Texture.STONE, mix=dice.uniform(0.3, 1), scale=2.0)
    while x < 110:
        long = dice.uniform(4, 25)
        if street.is_free(x, x + long) and not stage.is_full:
            middle = (x + long / 2, y, tall / 2)
            if kind < 2:
                high = tall * dice.uniform(0.85, 1.1)
                stage.box((middle[0], y, high / 2), (long, dice.uniform(0.5, 1.3), high), leaves)
            elif kind == 2:
                stage.box(middle, (long, 0.25, tall), stone)
            elif kind == 3:
                with stage.frame((middle[0], y, 0.0)):
                    fence(stage, long)
            else:
                with stage.frame((middle[0], y, 0.0)):
                    bush(stage, dice.uniform(0.5, 1.6))
        x += long + dice.choice((0.0, 0.5, dice.uniform(2, 20)))


def embankment(stage: Stage, street: Street, side: int) -> None:
    """A grown slope that rises from the edge of the road."""
    dice = stage.dice
    lean, rise = dice.uniform(0.3, 0.8), dice.uniform(1.0, 6.0)
    run = rise / math.sin(lean)
    start = street.road / 2 + dice.uniform(0.8, 4.0)
    grass = stage.material(
        Texture.GRASS, Texture.FOLIAGE, Texture.STONE, mix=dice.uniform(0.3, 1),
        colour=np.array([0.1, 0.16, 0.06]) * dice.uniform(0.6, 1.6), scale=dice.uniform(2, 6),
        gloss=0.0,
    )  # fmt: skip
    deep = 3.0  # thickness of the slab, which is mostly in the ground
    along, down = start + run / 2 * math.cos(lean), deep / 2
    at = (60.0, side * (along + down * math.sin(lean)), rise / 2 - down * math.cos(lean))
    stage.box(at, (260.0, run, deep), grass, turn_x(side * lean))
    top = start + run * math.cos(lean)
    stage.box((60.0, side * (top + 10.0), rise / 2), (260.0, 20.0, rise), grass)
    for _ in range(dice.count(0, 6)):
        up = dice.random()
        place = (dice.uniform(5, 70), side * (start + up * run * math.cos(lean)), up * rise)
        with stage.frame(place):
            bush(stage, dice.uniform(0.5, 1.5))


def barrier(stage: Stage, street: Street, side: int) -> None:
    """A guard rail or a concrete barrier at the edge, and one in the middle of the road."""
    dice = stage.dice
    metal = stage.plain(np.full(3, dice.uniform(0.3, 0.6)), gloss=0.2)
    places = [side * (street.road / 2 + dice.uniform(0.5, 2.0))]
    if side > 0 and dice.chance(0.7):
        places.append(0.0)
    for y in places:
        if dice.chance(0.6):
            stage.box((100, y, 0.62), (400, 0.08, 0.3), metal)
            for k in range(16):
                stage.box((4.0 * k - 2.0, y + 0.06 * side, 0.35), (0.1, 0.08, 0.7), metal)
        else:
            concrete = stage.material(Texture.STONE, mix=0.5, scale=2.0, gloss=0.0)
            stage.box((100, y, 0.4), (400, 0.3, 0.85), concrete)
            stage.box((100, y, 0.12), (400, 0.6, 0.25), concrete)


def noise_wall(stage: Stage, street: Street, side: int) -> None:
    """A wall against noise, on posts."""
    dice = stage.dice
    tall, y = dice.uniform(2.0, 5.0), side * (street.road / 2 + dice.uniform(2.2, 4.5))
    board = stage.material(
        Texture.WOOD, Texture.STONE, Texture.BRICK, Texture.SPECKLE, mix=dice.uniform(0.2, 1),
        scale=dice.uniform(1, 4), gloss=0.0,
    )  # fmt: skip
    stage.box((60, y, tall / 2), (260, 0.2, tall), board)
    post = stage.plain()
    for k in range(20):
        stage.box((4.0 * k - 3.0, y, tall / 2), (0.2, 0.3, tall + 0.1), post)


def posts(stage: Stage, street: Street, side: int) -> None:
    """Lamps in a row, sometimes with cables, and objects of the wayside."""
    dice = stage.dice
    metal, tall = stage.plain(np.full(3, dice.uniform(0.02, 0.4))), dice.uniform(5, 10)
    y = side * (street.road / 2 + dice.uniform(0.4, 1.2))
    step, arm = dice.uniform(15, 35), dice.uniform(0.8, 2.5)
    first = dice.uniform(3, 20)
    for k in range(int(100 / step)):
        x = first + k * step
        if not street.is_free(x - 0.5, x + 0.5):
            continue
        stage.cylinder((x, y, tall / 2), dice.uniform(0.06, 0.12), tall, metal, taper=0.6)
        stage.box((x, y - side * arm / 2, tall), (0.08, arm, 0.08), metal)
        stage.box((x, y - side * arm, tall - 0.05), (0.25, 0.6, 0.12), metal)
    if dice.chance(0.3):
        for lift in (0.2, 0.5):
            start, end = (np.array([x, y, tall - lift]) for x in (-20.0, 120.0))
            stage.limb(start, end, 0.02, metal, 1.0)
    for _ in range(dice.count(0, 4)):
        at = (dice.uniform(4, 40), y + side * dice.uniform(0.0, 0.6), 0.0)
        if street.is_free(at[0] - 0.5, at[0] + 0.5) and stage.claim(at, 0.4):
            with stage.frame(at, (math.pi / 2) + dice.normalvariate(0.0, 0.2)):
                wayside(stage)


def overpass(stage: Stage, street: Street) -> None:
    """A bridge over the road; the camera may be under it."""
    dice = stage.dice
    x, wide = dice.uniform(-4, 55), dice.uniform(4, 20)
    low, deck = dice.uniform(4.3, 6.5), dice.uniform(0.6, 1.6)
    span = 2 * street.front + 60
    stone = stage.material(
        Texture.STONE,
        Texture.BRICK,
        Texture.SPECKLE,
        mix=dice.uniform(0, 0.7),
        scale=3.0,
        gloss=0.0,
    )
    stage.box((x, 0, low + deck / 2), (wide, span, deck), stone)
    rail = stage.plain()
    for end in (-1, 1):
        edge = x + end * (wide / 2 - 0.1)
        if dice.chance(0.5):
            stage.box((edge, 0, low + deck + 0.45), (0.2, span, 0.9), stone)
        else:
            at = (edge, 0.0, low + deck + 0.5)
            with stage.frame(at, math.pi / 2):
                stage.card((0, 0, 0), span, 1.0, rail, turn_x(math.pi / 2), holes=BARS,
                           pitch=0.15, share=0.25)  # fmt: skip
                stage.box((0, 0, 0.5), (span, 0.08, 0.08), rail)
    if dice.chance(0.55):
        thick = dice.uniform(2, 12)
        for side in (-1, 1):
            y = side * (street.road / 2 + dice.uniform(0.8, 3.5) + thick / 2)
            stage.box((x, y, low / 2), (wide, thick, low), stone)
    else:
        for side in (-1, 1):
            for k in range(2):
                at = (x + (k - 0.5) * 0.6 * wide, side * (street.road / 2 + 1.2), low / 2)
                stage.cylinder(at, dice.uniform(0.3, 0.7), low, stone)


def cross_traffic(stage: Stage, crossing: Crossing, road: float) -> None:
    """Vehicles and houses along the street that crosses, and its lights."""
    dice = stage.dice
    for side in (-1, 1):
        y = side * (road / 2 + dice.uniform(1.5, 4))
        while abs(y) < 45 and dice.chance(0.55):
            build, half = dice.choice(TRAFFIC)
            y += side * half
            at = (crossing.x - side * crossing.width / 4, y, 0.0)
            with stage.frame(at, side * math.pi / 2):
                build(stage)
            y += side * (half + dice.uniform(1, 15))
    if dice.chance(0.12):
        with stage.frame((crossing.x, dice.uniform(-1, 1) * road / 2, 0.0), math.pi / 2):
            dice.choice((car, van, lorry))(stage)
    if dice.chance(0.5):
        metal, glow = stage.plain(np.full(3, 0.03)), stage.plain((1, 0.1, 0.05), emission=4.0)
        x = crossing.gap[0] if dice.chance(0.5) else crossing.gap[1]
        for side in (-1, 1):
            y, tall = side * (road / 2 + 0.6), dice.uniform(2.8, 3.6)
            stage.cylinder((x, y, tall / 2), 0.07, tall, metal)
            stage.box((x, y, tall), (0.2, 0.3, 0.9), metal)
            stage.cylinder((x - 0.1, y, tall + 0.28), 0.1, 0.06, glow, turn_y(math.pi / 2))
