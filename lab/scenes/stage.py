"""The builder of scenes: adds solids and materials one by one, in nested frames."""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np
from jaxtyping import Float64

from lab.scenes.dice import Dice
from lab.scenes.models import NO_MODELS, Models
from lab.scenes.rotations import Rotation, turn_from_z, turn_z
from lab.scenes.scene import (
    BOX,
    CARD,
    ELLIPSOID,
    FRUSTUM,
    GROUND,
    MATERIAL,
    MESH,
    ROOM,
    SOLID,
    WHOLE,
    Light,
)
from lab.scenes.textures import BY_NAME, Texture

Vector = Sequence[float | int] | Float64[np.ndarray, "3"]
Point = Float64[np.ndarray, "3"]
UPRIGHT = np.eye(3)
FULL = 620
"""Number of solids after which no clutter is added, since render time grows with it."""


class Stage:
    """A scene under construction.

    Coordinates are those of the current frame (see ``frame``): z up, in metres; furniture faces
    -y and stands on z = 0.
    """

    def __init__(
        self, dice: Dice, groups: Mapping[Texture, range], models: Models = NO_MODELS
    ) -> None:
        self.dice, self.models = dice, models
        # A second generator: its draws do not change those of ``dice``, so scenes stay the same.
        self.aside = Dice(str(dice.getstate()[1][:8]))
        self.lights: list[Light] = []
        self.subjects: list[Point] = []
        self._groups = groups
        older = [rows for use, rows in groups.items() if use not in BY_NAME]
        self._every = range(min(g.start for g in older), max(g.stop for g in older))
        self._solids: list[tuple[object, ...]] = []
        self._materials: list[tuple[object, ...]] = []
        self._frames = [(np.eye(3), np.zeros(3))]
        self._taken: list[tuple[float, float, float]] = []
        self._palette = [self.colour() for _ in range(5)]

    @property
    def is_full(self) -> bool:
        """Whether no more clutter should be added."""
        return len(self._solids) > FULL

    def colour(self) -> Float64[np.ndarray, "3"]:
        """Random linear colour: dark, medium or light, mostly of low saturation and warm."""
        dice = self.dice
        low, high = dice.choice(((0.02, 0.15), (0.1, 0.5), (0.4, 0.9)))
        vivid = dice.weighted((0.05, 0.2, 0.75), (0.45, 0.35, 0.2)) * dice.uniform(0.3, 1.0)
        shape = 1.0 - vivid * np.array(dice.vector(0.0, 1.0))
        if dice.chance(0.5):
            shape = np.sort(shape)[::-1]
        return dice.uniform(low, high) * shape / shape.max()

    def material(
        self,
        *uses: Texture,
        colour: Vector | None = None,
        mix: float | None = None,
        scale: float | tuple[float, float] | None = None,
        gloss: float | None = None,
        emission: float = 0.0,
        mirror: float = 0.0,
    ) -> int:
        """Add a material; parameters that are left out are drawn at random.

        Args:
            uses: Textures to choose from; all if none is named.
            colour: Linear RGB under the texture.
            mix: Share of the texture in the albedo, in [0, 1].
            scale: Extent of the texture [m], (across, up) or one number for both; a pair also
                centres it, so that a picture fits a board of that size.
            gloss: Strength of highlights.
            emission: Radiance over albedo.
            mirror: Reflectance at normal incidence, in [0, 1].
        """
        dice = self.dice
        texture = dice.choice(self._groups[dice.choice(uses)] if uses else self._every)
        if mix is None:
            mix = dice.weighted(
                (0.0, dice.uniform(0, 0.3), dice.uniform(0.3, 1)), (0.3, 0.25, 0.45)
            )
        if colour is None:
            colour = dice.choice(self._palette) if dice.chance(0.3) else self.colour()
        if gloss is None:
            gloss = 0.0 if dice.chance(0.7) else dice.uniform(0.0, 0.4)
        offset = (0.5, 0.5) if isinstance(scale, tuple) else (dice.random(), dice.random())
        if scale is None:
            scale = dice.log_uniform(0.25, 2.5)
        spans = scale if isinstance(scale, tuple) else (scale, scale)
        tint = dice.vector(0.75, 1.1) if dice.chance(0.5) else (1.0, 1.0, 1.0)
        row = (tuple(colour), tint, spans, offset, mix, gloss, emission, mirror, texture)
        self._materials.append(row)
        return len(self._materials) - 1

    def copy_material(self, material: int) -> int:
        """Add a copy of a material, for solids whose faces need consecutive materials."""
        self._materials.append(self._materials[material])
        return len(self._materials) - 1

    def plain(
        self, colour: Vector | None = None, *, gloss: float | None = None, emission: float = 0.0,
        mirror: float = 0.0,
    ) -> int:  # fmt: skip
        """Add a material of one colour."""
        return self.material(colour=colour, mix=0.0, gloss=gloss, emission=emission, mirror=mirror)

    def coat(self, colour: Vector, *, mirror: float = 0.0, texture: int | None = None) -> int:
        """Add a matt or reflecting material without random draws.

        Args:
            colour: Linear RGB, or what a texture is multiplied by.
            mirror: Reflectance at normal incidence, in [0, 1].
            texture: Texture in place of one colour, for texture coordinates in repeats.
        """
        whole, none, mix = (1.0, 1.0), (0.0, 0.0), float(texture is not None)
        row = (tuple(colour), tuple(colour), whole, none, mix, 0.0, 0.0, mirror, texture or 0)
        self._materials.append(row)
        return len(self._materials) - 1

    def mirror(self) -> int:
        """Add the material of a mirror: silver behind glass, slightly dull."""
        return self.coat((0.02, 0.02, 0.02), mirror=self.aside.uniform(0.82, 0.96))

    def polish(self, material: int, mirror: float) -> None:
        """Set the reflectance of a material at normal incidence, in [0, 1]."""
        row, names = list(self._materials[material]), MATERIAL.names
        assert names is not None
        row[names.index("mirror")] = mirror
        self._materials[material] = tuple(row)

    def picture(self, width: float, height: float, *, emission: float = 0.0) -> int:
        """Add a photograph or painting that fits a board of that size [m]."""
        use = Texture.PHOTO if self.dice.chance(0.6) else Texture.PICTURE
        return self.material(use, mix=1.0, scale=(width, height), gloss=0.0, emission=emission)

    @contextmanager
    def frame(self, position: Vector, yaw: float = 0.0) -> Iterator[None]:
        """Enter a nested frame at a position in the current one, rotated about z by yaw [rad]."""
        turn, origin = self._frames[-1]
        self._frames.append((turn @ turn_z(yaw), turn @ np.asarray(position, float) + origin))
        try:
            yield
        finally:
            self._frames.pop()

    def world(self, position: Vector) -> Float64[np.ndarray, "3"]:
        """Convert a position in the current frame to the world."""
        turn, origin = self._frames[-1]
        return turn @ np.asarray(position, float) + origin

    def claim(self, position: Vector, radius: float) -> bool:
        """Reserve a disc of the floor; returns False, without reserving, if it overlaps another."""
        x, y, _ = self.world(position)
        if any((a - x) ** 2 + (b - y) ** 2 < (r + radius) ** 2 for a, b, r in self._taken):
            return False
        self._taken.append((x, y, radius))
        return True

    def box(
        self, centre: Vector, size: Vector, material: int, rotation: Rotation = UPRIGHT
    ) -> None:
        """Add a box of full extents ``size`` [m]."""
        half = [0.5 * extent for extent in size]
        self._add(BOX, centre, half, math.hypot(*half), material, rotation)

    def ellipsoid(
        self, centre: Vector, radii: Vector, material: int, rotation: Rotation = UPRIGHT,
        *, holes: int = WHOLE, pitch: float = 1.0, share: float = 1.0,
    ) -> None:  # fmt: skip
        """Add an ellipsoid with three radii [m]."""
        self._add(ELLIPSOID, centre, radii, max(radii), material, rotation,
                  holes=holes, pitch=pitch, share=share)  # fmt: skip

    def cylinder(
        self, centre: Vector, radius: float, height: float, material: int,
        rotation: Rotation = UPRIGHT,
        *, taper: float = 1.0, holes: int = WHOLE, pitch: float = 1.0, share: float = 1.0,
    ) -> None:  # fmt: skip
        """Add a cylinder along z, or a cone of upper radius ``taper * radius``."""
        reach = math.hypot(radius * max(1.0, taper), 0.5 * height)
        self._add(FRUSTUM, centre, (radius, radius, 0.5 * height), reach, material, rotation,
                  taper=taper, holes=holes, pitch=pitch, share=share)  # fmt: skip

    def limb(
        self, start: Point, end: Point, radius: float, material: int, taper: float = 0.7
    ) -> None:
        """Add a straight branch, arm or tube between two points."""
        along = end - start
        length = float(np.linalg.norm(along))
        turn = turn_from_z(along)
        self.cylinder((start + end) / 2, radius, length, material, turn, taper=taper)

    def card(
        self, centre: Vector, width: float, height: float, material: int,
        rotation: Rotation = UPRIGHT, *, holes: int = WHOLE, pitch: float = 1.0, share: float = 1.0,
    ) -> None:  # fmt: skip
        """Add an infinitely thin sheet, in the plane z = 0 of its own frame."""
        half = (0.5 * width, 0.5 * height, 1.0)
        reach = math.hypot(half[0], half[1])
        self._add(CARD, centre, half, reach, material, rotation,
                  holes=holes, pitch=pitch, share=share)  # fmt: skip

    def room(self, width: float, length: float, height: float, first_material: int) -> None:
        """Enclose the scene; the faces -x +x -y +y -z +z have consecutive materials."""
        half = (0.5 * width, 0.5 * length, 0.5 * height)
        self._add(ROOM, (0, 0, half[2]), half, math.inf, first_material, UPRIGHT, per_face=1)

    def ground(
        self, material: int, centre: Vector = (0, 0, 0), rotation: Rotation = UPRIGHT
    ) -> None:
        """Add an infinite plane."""
        self._add(GROUND, centre, (1, 1, 1), math.inf, material, rotation)

    def mesh(
        self, tree: int, centre: Vector, half: Vector, first_material: int,
        rotation: Rotation = UPRIGHT,
    ) -> None:  # fmt: skip
        """Add the triangles of a tree, in a box of half extents ``half`` [m]."""
        reach = math.hypot(*half)
        self._add(MESH, centre, half, reach, first_material, rotation, tree=tree)

    def _add(
        self, shape: int, centre: Vector, half: Vector, radius: float, material: int,
        rotation: Rotation, *, taper: float = 1.0, holes: int = WHOLE, pitch: float = 1.0,
        share: float = 1.0, per_face: int = 0, tree: int = 0,
    ) -> None:  # fmt: skip
        turn, origin = self._frames[-1]
        # In thinner solids, rays that start on one side would already be past the other.
        half = np.maximum(np.asarray(half, float), 2e-3)
        axes = (turn @ rotation / half).T
        middle = turn @ np.asarray(centre, float) + origin
        self._solids.append(
            (
                middle,
                axes,
                half,
                min(radius, 1e6),
                taper,
                pitch,
                share,
                shape,
                holes,
                material,
                per_face,
                tree,
            )
        )

    def solids(self) -> np.ndarray:
        """Added solids as rows of ``scene.SOLID``."""
        return np.array(self._solids, dtype=SOLID)

    def materials(self) -> np.ndarray:
        """Added materials as rows of ``scene.MATERIAL``."""
        return np.array(self._materials, dtype=MATERIAL)
