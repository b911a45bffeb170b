"""Models of furniture and other things: triangle meshes with materials, and rooms made of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from functools import cached_property

import numpy as np
from jaxtyping import Float, Float64, Int

from lab.scenes.scene import FACES, NO_MESHES, TRIANGLE, Meshes
from lab.scenes.trees import grow

CREASE = 0.77
"""Cosine of the angle between two triangles from which their edge is sharp."""
THINNEST = 2e-3
"""Least half extent of a model [m], as for other solids."""


class Use(Enum):
    """Place that a model is made for."""

    FLOOR = auto()
    TABLE = auto()
    WALL = auto()
    ROAD = auto()
    ROADSIDE = auto()
    PLOT = auto()
    CAMERA = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Skin:
    """Material of a part of a model.

    Attributes:
        colour: Linear RGB.
        texture: Row of ``TextureBank.texels``; None for a part of one colour.
        is_glass: Whether it is a pane.
        name: Name in its file; ``""`` if it has none.
    """

    colour: tuple[float, float, float]
    texture: int | None = None
    is_glass: bool = False
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A model, in its own frame: z up, in metres.

    Attributes:
        name: Name of its file.
        category: Category in the folder's index; ``"other"`` without one.
        low: Lowest corner of its bounding box [m].
        size: Extents of its bounding box [m].
        tree: Row of ``Meshes.nodes`` where its tree begins.
        skins: Materials that its triangles number.
        back: Direction of its back, such as a chair's, in multiples of 90° from x; None if there
            is no telling.
        head: Middle of its head [m], where the folder's index has it.
        pose: Pose of a person or an animal; ``""`` if the index has none.
    """

    name: str
    category: str
    low: Float64[np.ndarray, "3"]
    size: Float64[np.ndarray, "3"]
    tree: int
    skins: tuple[Skin, ...]
    back: int | None = None
    head: tuple[float, float, float] | None = None
    pose: str = ""

    @property
    def half(self) -> Float64[np.ndarray, "3"]:
        """Half extents [m] that scale the unit shape."""
        return np.maximum(0.5 * self.size, THINNEST)

    @property
    def centre(self) -> Float64[np.ndarray, "3"]:
        """Centre of its bounding box [m]."""
        return self.low + 0.5 * self.size

    @property
    def use(self) -> Use | None:
        """Place that it is made for, by category and size; None for parts of buildings."""
        wide, narrow, tall = *sorted(self.size[:2], reverse=True), self.size[2]
        by_category = {
            "room": Use.CAMERA,
            "building": Use.PLOT if wide < 22 and tall < 20 else None,
            "street": Use.ROADSIDE if wide < 5 and tall < 3 else None,
            "wall/floor part": None,
            "window": None,
            "lamp": None,
            # Open below, where they are cut.
            "bust": None,
        }
        if self.category in by_category:
            return by_category[self.category]
        if self.category == "vehicle" and wide > 2.5:
            return Use.ROAD if wide < 9 else None
        if narrow < 0.06 and tall > 0.3:
            return Use.WALL
        if max(wide, tall) < 0.6:
            return Use.TABLE
        # Rows of books and other tall thin things would fall over, but for doors.
        is_steady = narrow > 0.2 or tall < 1.0 or self.category == "door"
        return Use.FLOOR if wide < 3.7 and 0.12 < tall < 2.3 and is_steady else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """A model's place in a layout: ``turn @ (scale * point) + origin``, in metres."""

    model: Model
    origin: Float64[np.ndarray, "3"]
    turn: Float64[np.ndarray, "3 3"]
    scale: Float64[np.ndarray, "3"]


@dataclass(frozen=True, kw_only=True)
class Models:
    """All models, and layouts of rooms made of them.

    Attributes:
        every: Models by name.
        layouts: Placements of each layout.
        meshes: Triangles of all models.
    """

    every: Mapping[str, Model] = field(default_factory=dict)
    layouts: Mapping[str, tuple[Placement, ...]] = field(default_factory=dict)
    meshes: Meshes = NO_MESHES

    @cached_property
    def uses(self) -> Mapping[Use, tuple[Model, ...]]:
        """Models for each use."""
        every = self.every.values()
        return {use: tuple(m for m in every if m.use is use) for use in Use} if every else {}

    @cached_property
    def categories(self) -> Mapping[str, tuple[Model, ...]]:
        """Models of each category."""
        every = self.every.values()
        names = {model.category for model in every}
        return {name: tuple(m for m in every if m.category == name) for name in sorted(names)}


NO_MODELS = Models()


def mesh_of(
    vertices: Float[np.ndarray, "v 3"],
    faces: Int[np.ndarray, "f 3"],
    uv: Float[np.ndarray, "f 3 2"],
    material: Int[np.ndarray, "f"],
    textured: np.ndarray,
) -> Meshes:
    """Bring a model's triangles to the unit shape of its bounding box, and grow their tree.

    Args:
        vertices: Points [m].
        faces: Rows of ``vertices``.
        uv: Texture coordinates of the corners, v upwards.
        material: Row of the model's materials for each triangle.
        textured: Whether each material has a texture; the others get texture coordinates in
            metres, by projection along the axis that is nearest to the normal.
    """
    points = vertices.astype(np.float64)[faces]
    normals = np.cross(points[:, 1] - points[:, 0], points[:, 2] - points[:, 0])
    double = np.linalg.norm(normals, axis=1)
    low, high = vertices[faces].min(axis=(0, 1)), vertices[faces].max(axis=(0, 1))
    patches = patches_of(vertices, faces, normals / np.maximum(double, 1e-20)[:, None])
    is_textured = textured[material]
    along = np.abs(normals).argmax(axis=1)
    flat = np.array([[1, 2], [0, 2], [0, 1]])[along]
    metres = np.take_along_axis(points, np.repeat(flat[:, None], 3, axis=1), axis=2)
    places = np.where(is_textured[:, None, None], uv.astype(np.float64), metres)
    kept = double > 1e-10
    half = np.maximum(0.5 * (high - low), THINNEST).astype(np.float64)
    unit = (points - 0.5 * (low + high)) / half
    rows = np.zeros(len(faces), TRIANGLE)
    rows["corner"], rows["edges"] = unit[:, 0], unit[:, 1:] - unit[:, :1]
    rows["origin"], rows["slope"] = places[:, 0], slopes(unit, places)
    spans = places[:, 1:] - places[:, :1]
    area = np.abs(spans[:, 0, 0] * spans[:, 1, 1] - spans[:, 0, 1] * spans[:, 1, 0])
    rows["density"] = np.clip(np.sqrt(area / np.maximum(double, 1e-20)), 1e-3, 1e3)
    rows["material"], rows["patch"] = material, patches % FACES
    return grow(rows[kept])


def slopes(
    corners: Float64[np.ndarray, "f 3 3"], places: Float64[np.ndarray, "f 3 2"]
) -> Float64[np.ndarray, "f 2 3"]:
    """Gradients of texture coordinates along each triangle."""
    first, second = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    normal = np.cross(first, second)
    square = np.maximum((normal**2).sum(axis=1), 1e-30)[:, None]
    spans = places[:, 1:] - places[:, :1]
    across, up = np.cross(second, normal) / square, np.cross(normal, first) / square
    return spans[:, 0, :, None] * across[:, None] + spans[:, 1, :, None] * up[:, None]


def patches_of(
    vertices: Float[np.ndarray, "v 3"],
    faces: Int[np.ndarray, "f 3"],
    normals: Float64[np.ndarray, "f 3"],
) -> Int[np.ndarray, "f"]:
    """Number the smooth pieces of a surface: triangles that meet at edges that are not sharp."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    _, welded = np.unique(np.round(vertices, 5), axis=0, return_inverse=True)
    corners = welded.reshape(-1)[faces]
    edges = np.sort(np.stack([corners, np.roll(corners, 1, axis=1)], axis=-1), axis=-1)
    edges, owner = edges.reshape(-1, 2), np.repeat(np.arange(len(faces)), 3)
    order = np.lexsort(edges.T)
    edges, owner = edges[order], owner[order]
    is_shared = (edges[1:] == edges[:-1]).all(axis=1)
    one, other = owner[:-1][is_shared], owner[1:][is_shared]
    # Faces have no dependable winding, so the sign of a normal says nothing.
    is_smooth = np.abs((normals[one] * normals[other]).sum(axis=1)) > CREASE
    one, other = one[is_smooth], other[is_smooth]
    graph = coo_matrix((np.ones(len(one)), (one, other)), shape=(len(faces), len(faces)))
    return connected_components(graph, directed=False)[1]


def back_of(points: Float[np.ndarray, "n 3"]) -> int | None:
    """Side of a model's back, where it is highest, in multiples of 90° from x.

    Chairs, sofas and beds are higher there; None where the upper third is in the middle.
    """
    low, high = points.min(axis=0), points.max(axis=0)
    upper = points[points[:, 2] >= low[2] + 0.7 * (high[2] - low[2])]
    offset = (upper[:, :2].mean(axis=0) - 0.5 * (low + high)[:2]) / (high - low + 1e-9)[:2]
    axis = int(np.abs(offset).argmax())
    if abs(offset[axis]) < 0.15:
        return None
    return axis if offset[axis] > 0 else axis + 2
