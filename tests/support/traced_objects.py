"""Scenes of one object that are traced ray by ray, with its true extent along the view.

The world has its origin on the floor below the camera: x to the right, y up, z forward.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from rilievo.geometry.cameras.camera import Camera
from rilievo.prediction import Prediction
from rilievo.records.depth_map import DepthKind, DepthMap
from rilievo.records.prediction_record import MadeBy

MADE_BY = MadeBy(model="none", weights_sha256="", licence="", settings={}, version="0")
_FAR = np.inf


def turned(degrees: float) -> np.ndarray:
    """Rotation about the vertical."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])


def tilted(degrees: float) -> np.ndarray:
    """Rotation about the forward axis, to one side."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])


@dataclass(frozen=True, slots=True, kw_only=True)
class Cuboid:
    """Cuboid with a centre, sides and a rotation ``world_R_cuboid``."""

    centre: tuple[float, float, float]
    sides: tuple[float, float, float]
    R: np.ndarray = field(default_factory=lambda: np.eye(3))

    def trace(self, origin: np.ndarray, rays: np.ndarray) -> np.ndarray:
        start, own = self.R.T @ (origin - np.array(self.centre)), rays @ self.R
        half = np.array(self.sides) / 2
        with np.errstate(divide="ignore", invalid="ignore"):
            ends = np.stack([(side * half - start) / own for side in (-1, 1)])
        enter, leave = ends.min(axis=0).max(axis=-1), ends.max(axis=0).min(axis=-1)
        return np.where((enter < leave) & (enter > 0), enter, _FAR)

    def reach(self, axis: np.ndarray) -> tuple[float, float]:
        middle = float(axis @ np.array(self.centre))
        half = float(np.abs(self.R.T @ axis) @ np.array(self.sides)) / 2
        return middle - half, middle + half


@dataclass(frozen=True, slots=True, kw_only=True)
class Sphere:
    """Sphere with a centre and a radius."""

    centre: tuple[float, float, float]
    radius: float

    def trace(self, origin: np.ndarray, rays: np.ndarray) -> np.ndarray:
        start = origin - np.array(self.centre)
        a, b = np.square(rays).sum(axis=-1), rays @ start
        inner = b**2 - a * (start @ start - self.radius**2)
        enter = (-b - np.sqrt(np.maximum(inner, 0))) / a
        return np.where((inner > 0) & (enter > 0), enter, _FAR)

    def reach(self, axis: np.ndarray) -> tuple[float, float]:
        middle = float(axis @ np.array(self.centre))
        return middle - self.radius, middle + self.radius


@dataclass(frozen=True, slots=True, kw_only=True)
class Cylinder:
    """Upright cylinder that stands at the height of its base."""

    base: tuple[float, float, float]
    radius: float
    height: float

    def trace(self, origin: np.ndarray, rays: np.ndarray) -> np.ndarray:
        start = origin - np.array(self.base)
        flat, level = rays[..., [0, 2]], start[[0, 2]]
        a, b = np.square(flat).sum(axis=-1), flat @ level
        inner = b**2 - a * (level @ level - self.radius**2)
        with np.errstate(divide="ignore", invalid="ignore"):
            enter = (-b - np.sqrt(np.maximum(inner, 0))) / a
            lid = (self.height - start[1]) / rays[..., 1]
            up = start[1] + enter * rays[..., 1]
            on_lid = np.square(level + lid[..., None] * flat).sum(axis=-1) < self.radius**2
        side = (inner > 0) & (enter > 0) & (up >= 0) & (up <= self.height)
        top = on_lid & (lid > 0) & (rays[..., 1] < 0)
        return np.minimum(np.where(side, enter, _FAR), np.where(top, lid, _FAR))

    def reach(self, axis: np.ndarray) -> tuple[float, float]:
        low = float(axis @ np.array(self.base))
        ends = np.array([low, low + self.height * float(axis[1])])
        round_half = self.radius * float(np.hypot(axis[0], axis[2]))
        return float(ends.min()) - round_half, float(ends.max()) + round_half


Solid = Cuboid | Sphere | Cylinder


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """Camera at a height [m], pitched down and rolled [degrees]."""

    height: float = 1.4
    pitch: float = 0.0
    roll: float = 0.0
    focal: float = 520.0
    size: tuple[int, int] = (480, 640)

    @property
    def world_R_cam(self) -> np.ndarray:
        p, r = np.radians(self.pitch), np.radians(self.roll)
        forward = np.array([0, -np.sin(p), np.cos(p)])
        right, down = np.array([1.0, 0, 0]), np.array([0, -np.cos(p), -np.sin(p)])
        return np.stack(
            [np.cos(r) * right + np.sin(r) * down, np.cos(r) * down - np.sin(r) * right, forward],
            axis=1,
        )

    @property
    def camera(self) -> Camera:
        height, width = self.size
        return Camera(
            K=np.array(
                [[self.focal, 0, (width - 1) / 2], [0, self.focal, (height - 1) / 2], [0, 0, 1]]
            )
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TracedScene:
    """Exact depth of a scene, the mask of its object, and the object's true sizes [m].

    Attributes:
        sizes: Whole width, height and depth of the object, along the view's own horizontal
            axes and the vertical.
    """

    depth: np.ndarray
    mask: np.ndarray
    camera: Camera
    sizes: dict[str, float]
    name: str = ""

    def prediction(self, depth: np.ndarray | None = None) -> Prediction:
        """Prediction with the exact depth, or another one."""
        values = (self.depth if depth is None else depth).astype(np.float32)
        valid = np.isfinite(values) & (values > 0)
        return Prediction(
            depth_or_none=DepthMap(values=values, kind=DepthKind.METRIC)
            if valid.all()
            else DepthMap(values=np.where(valid, values, 0), valid=valid, kind=DepthKind.METRIC),
            camera=self.camera,
            made_by=MADE_BY,
        )

    def tight_box(self, loose: float = 0.0) -> tuple[float, float, float, float]:
        """First and last columns and rows of the mask, grown by a share of its sides."""
        rows, columns = (np.flatnonzero(self.mask.any(axis=axis)) for axis in (1, 0))
        across, down = loose * (columns[-1] - columns[0]), loose * (rows[-1] - rows[0])
        height, width = self.mask.shape
        return (
            max(float(columns[0]) - across, 0),
            max(float(rows[0]) - down, 0),
            min(float(columns[-1]) + across, width - 1),
            min(float(rows[-1]) + down, height - 1),
        )


class Traced(Protocol):
    """Body that rays can meet."""

    def trace(self, origin: np.ndarray, rays: np.ndarray) -> np.ndarray:
        """Distance along each ray at which it enters the body, in lengths of the ray."""
        ...

    def reach(self, axis: np.ndarray) -> tuple[float, float]:
        """Ends of the body along an axis [m]."""
        ...


def trace_scene(
    solids: Sequence[Traced],
    surroundings: Sequence[Traced] = (),
    view: View | None = None,
    *,
    wall: float = _FAR,
    floor: bool = True,
    name: str = "",
) -> TracedScene:
    """Trace an object of solids among others, on a floor before a wall at a depth [m]."""
    view = view or View()
    v, u = np.indices(view.size)
    camera_rays = view.camera.rays(np.stack([u, v]).reshape(2, -1).astype(np.float64))
    R, origin = view.world_R_cam, np.array([0.0, view.height, 0.0])
    rays = (R @ camera_rays).T
    with np.errstate(divide="ignore"):
        ground = -view.height / rays[:, 1] if floor else np.full(len(rays), _FAR)
        behind = wall / rays[:, 2]
    background = np.minimum(np.where(ground > 0, ground, _FAR), np.where(behind > 0, behind, _FAR))
    for solid in surroundings:
        background = np.minimum(background, solid.trace(origin, rays))
    nearest = np.min([solid.trace(origin, rays) for solid in solids], axis=0)
    depth = np.minimum(nearest, background)
    depth[depth > 1e4] = _FAR
    forward = np.array([R[0, 2], 0, R[2, 2]])
    forward /= np.linalg.norm(forward)
    up = np.array([0.0, 1.0, 0.0])
    axes = {"width": np.cross(up, forward), "height": up, "depth": forward}
    sizes = {}
    for what, axis in axes.items():
        ends = [solid.reach(axis) for solid in solids]
        sizes[what] = max(high for _, high in ends) - min(low for low, _ in ends)
    return TracedScene(
        depth=depth.reshape(view.size),
        mask=(nearest < background).reshape(view.size),
        camera=view.camera,
        sizes=sizes,
        name=name,
    )


def person(x: float, z: float, height: float, yaw: float) -> list[Solid]:
    """Figure of a standing person: legs, trunk, arms and a head."""
    R = turned(yaw)

    def at(side: float, up: float, ahead: float = 0.0) -> tuple[float, float, float]:
        place = R @ np.array([side, 0, ahead]) * height
        return x + float(place[0]), up * height, z + float(place[2])

    def part(side: float, low: float, high: float, wide: float, deep: float) -> Solid:
        sides = (wide * height, (high - low) * height, deep * height)
        return Cuboid(centre=at(side, (low + high) / 2), sides=sides, R=R)

    return [
        part(-0.055, 0, 0.5, 0.08, 0.1),
        part(0.055, 0, 0.5, 0.08, 0.1),
        part(0, 0.48, 0.83, 0.22, 0.13),
        part(-0.14, 0.42, 0.82, 0.05, 0.07),
        part(0.14, 0.42, 0.82, 0.05, 0.07),
        Sphere(centre=at(0, 0.935), radius=0.065 * height),
        Cylinder(base=at(0, 0.82), radius=0.035 * height, height=0.06 * height),
    ]


def chair(x: float, z: float, scale: float, yaw: float) -> list[Solid]:
    """Chair with four legs, a seat and a back."""
    R = turned(yaw)

    def part(place: tuple[float, float, float], sides: tuple[float, float, float]) -> Solid:
        level = R @ np.array([place[0], 0, place[2]]) * scale
        centre = (x + float(level[0]), place[1] * scale, z + float(level[2]))
        return Cuboid(
            centre=centre, sides=(sides[0] * scale, sides[1] * scale, sides[2] * scale), R=R
        )

    legs = [part((a * 0.2, 0.225, b * 0.2), (0.05, 0.45, 0.05)) for a in (-1, 1) for b in (-1, 1)]
    return [*legs, part((0, 0.465, 0), (0.46, 0.05, 0.46)), part((0, 0.7, 0.2), (0.44, 0.45, 0.04))]


def lifted(y: float) -> Callable[[Solid], Solid]:
    """Function that lifts a solid by a height."""
    from dataclasses import replace

    def lift(solid: Solid) -> Solid:
        if isinstance(solid, Cylinder):
            return replace(solid, base=(solid.base[0], solid.base[1] + y, solid.base[2]))
        return replace(solid, centre=(solid.centre[0], solid.centre[1] + y, solid.centre[2]))

    return lift


def table(x: float, z: float, height: float, sides: tuple[float, float]) -> list[Solid]:
    """Table with a top and four legs."""
    wide, deep = sides
    top = Cuboid(centre=(x, height - 0.02, z), sides=(wide, 0.04, deep))
    legs = [
        Cuboid(
            centre=(x + a * (wide / 2 - 0.04), (height - 0.04) / 2, z + b * (deep / 2 - 0.04)),
            sides=(0.06, height - 0.04, 0.06),
        )
        for a in (-1, 1)
        for b in (-1, 1)
    ]
    return [top, *legs]


def floor_cuboid_scene(seed: int) -> TracedScene:
    """Scene of one cuboid on a floor before a wall, from a seed."""
    chance = np.random.default_rng([seed, 1])
    sides = chance.uniform(0.35, 1.2), chance.uniform(0.3, 1.3), chance.uniform(0.3, 1.0)
    z = chance.uniform(2.2, 5.0)
    x = chance.uniform(-0.3, 0.3) * z
    yaw = chance.choice([0.0, chance.uniform(-45, 45)])
    solid = Cuboid(centre=(x, sides[1] / 2, z), sides=sides, R=turned(yaw))
    view = View(
        height=chance.uniform(1.1, 1.8),
        pitch=chance.uniform(0, 15),
        roll=chance.uniform(-4, 4),
        focal=chance.uniform(420, 620),
    )
    return trace_scene([solid], view=view, wall=z + chance.uniform(0.9, 4), name=f"cuboid {seed}")


def varied_scene(seed: int) -> TracedScene:
    """Scene of an object of some form and in some place, from a seed."""
    chance = np.random.default_rng([seed, 2])
    view = View(
        height=chance.uniform(1.1, 1.8),
        pitch=chance.uniform(0, 18),
        roll=chance.uniform(-4, 4),
        focal=chance.uniform(420, 620),
    )
    z = chance.uniform(2.4, 4.5)
    x, yaw = chance.uniform(-0.2, 0.2) * z, chance.uniform(-45, 45)
    forms: dict[str, Sequence[Solid]] = {
        "cuboid": [
            Cuboid(centre=(x, 0.4, z), sides=(chance.uniform(0.4, 1), 0.8, 0.5), R=turned(yaw))
        ],
        "cylinder": [Cylinder(base=(x, 0, z), radius=chance.uniform(0.1, 0.4), height=0.9)],
        "sphere": [Sphere(centre=(x, 0.3, z), radius=0.3)],
        "person": person(x, z, chance.uniform(1.5, 1.9), yaw),
        "chair": chair(x, z, chance.uniform(0.9, 1.2), chance.uniform(-180, 180)),
    }
    names = list(forms)
    form = names[seed % len(names)]
    solids, wall = forms[form], z + chance.uniform(1.0, 4)
    place = ("floor", "table", "shelf", "hanging", "wall")[(seed // len(names)) % 5]
    surroundings: list[Solid] = []
    if form in ("person", "chair"):
        place = "wall" if place == "wall" else "floor"
    if place == "table":
        small = 0.4
        solids = [_scaled(solid, small, (x, z)) for solid in solids]
        high = 0.72
        solids = [lifted(high)(solid) for solid in solids]
        surroundings = table(x, z, high, (1.4, 0.9))
    elif place == "shelf":
        solids = [_scaled(solid, 0.4, (x, z)) for solid in solids]
        board = 0.9
        solids = [lifted(board)(solid) for solid in solids]
        deep = z + 0.35
        surroundings = [
            Cuboid(centre=(x, board - 0.015, z + 0.05), sides=(1.6, 0.03, 0.6)),
            Cuboid(centre=(x, board + 0.6, z + 0.05), sides=(1.6, 0.03, 0.6)),
            Cuboid(centre=(x, 1.0, deep), sides=(1.6, 2.0, 0.02)),
        ]
    elif place == "hanging":
        solids = [lifted(chance.uniform(0.7, 0.9))(solid) for solid in solids]
    elif place == "wall":
        back = max(solid.reach(np.array([0.0, 0, 1]))[1] for solid in solids)
        wall = back + 0.001
    return trace_scene(solids, surroundings, view, wall=wall, name=f"{form} {place} {seed}")


def _scaled(solid: Solid, factor: float, about: tuple[float, float]) -> Solid:
    x, z = about

    def moved(place: tuple[float, float, float]) -> tuple[float, float, float]:
        return x + factor * (place[0] - x), factor * place[1], z + factor * (place[2] - z)

    if isinstance(solid, Cylinder):
        return Cylinder(
            base=moved(solid.base), radius=factor * solid.radius, height=factor * solid.height
        )
    if isinstance(solid, Sphere):
        return Sphere(centre=moved(solid.centre), radius=factor * solid.radius)
    a, b, c = solid.sides
    return Cuboid(centre=moved(solid.centre), sides=(factor * a, factor * b, factor * c), R=solid.R)
