"""Reads folders of models into a texture bank.

Either kind of file, in metres and z up:

* ``NAME.npz``: ``vertices`` (v, 3), ``faces`` (f, 3), ``material`` (f,) for each triangle, ``uv``
  (f, 3, 2) with v upwards, and for each material ``material_color`` (sRGB, 0 to 1),
  ``material_texture`` and ``material_mask`` (files in ``textures/``, or ``''``) and
  ``material_opacity`` (below 0.9 it is glass); if there, ``material_name``, which says by words
  such as wood or carpet how a part of one colour may be dressed;
* ``NAME.obj`` with its ``.mtl``.

``index.json``, if there, has the category of each model: ``{"models": {NAME: {"category": ...}}}``,
and may have the middle of its ``head`` [x, y, z] and its ``pose``.
``layouts.json``, if there, has rooms: ``{ROOM: [{"model": NAME, "pose": [x, y, z, roll, pitch,
yaw], "scale": [x, y, z]}, ...]}``; models that are not in the folder are skipped.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import BadZipFile

import numpy as np
from PIL import Image

from lab.scenes.models import Model, Models, Placement, Skin, back_of, mesh_of
from lab.scenes.patterns import SIDE
from lab.scenes.rotations import turn_x, turn_y, turn_z
from lab.scenes.scene import NODE, TRIANGLE, Meshes
from lab.scenes.textures import TextureBank, flatten_levels
from rilievo.errors import InputError
from rilievo.io.files.limits import reason
from rilievo.io.files.names import printable


class Material(NamedTuple):
    """Material of a file: sRGB from 0 to 1, and its texture's file."""

    colour: tuple[float, float, float] = (0.6, 0.6, 0.6)
    texture: Path | None = None
    is_glass: bool = False
    name: str = ""


class Shape(NamedTuple):
    """Contents of a model's file; see the head of this module.

    ``left_out`` is the share of triangles that are cut out by a mask.
    """

    vertices: np.ndarray
    faces: np.ndarray
    uv: np.ndarray
    material: np.ndarray
    materials: list[Material]
    left_out: float = 0.0


def with_models(bank: TextureBank, folders: Sequence[Path]) -> TextureBank:
    """Add the models of folders, and their textures, to a bank.

    Raises:
        InputError: If a folder has no model, or a file is missing or broken.
    """
    store = Store(first_texture=len(bank.texels))
    for folder in folders:
        try:
            found = [store.add(path) for path in model_files(folder)]
            here = categorised(folder, {model.name: model for model in found if model})
            store.every |= here
            store.layouts |= read_layouts(folder, here)
        except (OSError, ValueError, KeyError, TypeError, IndexError, BadZipFile) as error:
            raise InputError(
                f"{printable(folder)}: a model, its textures or an index cannot be read "
                f"({reason(error)})"
            ) from error
        if not here:
            raise InputError(f"{printable(folder)}: no model, neither .npz nor .obj")
    meshes = Meshes(nodes=np.concatenate(store.nodes), triangles=np.concatenate(store.triangles))
    models = Models(every=store.every, layouts=store.layouts, meshes=meshes)
    return replace(bank, texels=np.concatenate([bank.texels, *store.levels]), models=models)


class Store:
    """Models that have been read, and their arrays until they are joined."""

    def __init__(self, first_texture: int) -> None:
        self.every: dict[str, Model] = {}
        self.layouts: dict[str, tuple[Placement, ...]] = {}
        self.nodes, self.triangles = [np.zeros(0, NODE)], [np.zeros(0, TRIANGLE)]
        self.levels: list[np.ndarray] = []
        self._first_texture = first_texture
        self._rows: dict[Path, int] = {}

    def add(self, path: Path) -> Model | None:
        """Read one model; None for one without triangles, or a tree without its leaves.

        Raises:
            ValueError: If a number is not finite.
            OSError: If a file cannot be read.
        """
        shape = read_npz(path) if path.suffix == ".npz" else read_obj(path)
        if len(shape.faces) == 0 or shape.left_out > 0.5:
            return None
        if not np.isfinite(shape.vertices).all():
            raise ValueError(f"{path.name} has a point that is not finite")
        textured = np.array([material.texture is not None for material in shape.materials])
        mesh = mesh_of(shape.vertices, shape.faces, shape.uv, shape.material, textured)
        tree = sum(map(len, self.nodes))
        mesh.nodes["next"] += tree
        mesh.nodes["first"] += sum(map(len, self.triangles))
        self.nodes.append(mesh.nodes)
        self.triangles.append(mesh.triangles)
        used = shape.vertices[shape.faces.ravel()].astype(np.float64)
        low = used.min(axis=0)
        return Model(
            name=path.stem, category="other", low=low, size=used.max(axis=0) - low, tree=tree,
            skins=tuple(self._skin(material) for material in shape.materials), back=back_of(used),
        )  # fmt: skip

    def _skin(self, material: Material) -> Skin:
        red, green, blue = (float(value) ** 2.2 for value in material.colour)
        texture = None if material.texture is None else self._row_of(material.texture)
        return Skin(
            colour=(red, green, blue),
            texture=texture,
            is_glass=material.is_glass,
            name=material.name,
        )

    def _row_of(self, file: Path) -> int:
        if file not in self._rows:
            with Image.open(file) as image:
                picture = np.asarray(image.convert("RGB").resize((SIDE, SIDE)), np.float32) / 255
            self.levels.append(flatten_levels(picture)[None])
            self._rows[file] = self._first_texture + len(self._rows)
        return self._rows[file]


def model_files(folder: Path) -> list[Path]:
    """Files of models in a folder, sorted by name."""
    return sorted(path for path in folder.iterdir() if path.suffix in (".npz", ".obj"))


def categorised(folder: Path, models: dict[str, Model]) -> dict[str, Model]:
    """Models with the categories of the folder's index."""
    index = folder / "index.json"
    if not index.exists():
        return models
    entries = json.loads(index.read_text(encoding="utf-8"))["models"]
    return {
        name: described(model, entries[name]) if name in entries else model
        for name, model in models.items()
    }


def described(model: Model, entry: dict[str, Any]) -> Model:
    """A model with what its folder's index says of it."""
    head = entry.get("head")
    x, y, z = map(float, head or (0, 0, 0))
    return replace(
        model,
        category=str(entry.get("category", "other")),
        head=(x, y, z) if head else None,
        pose=str(entry.get("pose", "")),
    )


def read_layouts(folder: Path, models: dict[str, Model]) -> dict[str, tuple[Placement, ...]]:
    """Layouts of a folder, of the models that are there."""
    file = folder / "layouts.json"
    if not file.exists():
        return {}
    layouts = json.loads(file.read_text(encoding="utf-8"))
    return {
        name: tuple(
            placement(models[entry["model"]], entry)
            for entry in entries
            if entry["model"] in models
        )
        for name, entries in layouts.items()
    }


def placement(model: Model, entry: dict[str, Any]) -> Placement:
    """One model's place in a layout."""
    x, y, z, roll, pitch, yaw = map(float, entry["pose"])
    return Placement(
        model=model,
        origin=np.array([x, y, z]),
        turn=turn_z(yaw) @ turn_y(pitch) @ turn_x(roll),
        scale=np.array(entry["scale"], np.float64),
    )


def read_npz(path: Path) -> Shape:
    """Read a model of arrays; surfaces with a cut-out mask, such as leaves, are left out."""
    with path.open("rb") as file, np.load(file) as arrays:
        held = {name: arrays[name] for name in arrays.files}
    textures = path.parent / "textures"
    materials = [
        Material(
            colour=tuple(colour),
            texture=textures / str(texture) if texture else None,
            is_glass=bool(opacity < 0.9),
            name=str(name),
        )
        for colour, texture, opacity, name in zip(
            held["material_color"], held["material_texture"], held["material_opacity"],
            held.get("material_name", [""] * len(held["material_color"])), strict=True,
        )
    ]  # fmt: skip
    # Rays are not tested against masks, so a tree's leaves would be sheets.
    is_cut = np.array([bool(mask) for mask in held["material_mask"]])[held["material"]]
    return Shape(
        held["vertices"], held["faces"][~is_cut], held["uv"][~is_cut], held["material"][~is_cut],
        materials, float(is_cut.mean()),
    )  # fmt: skip


def read_obj(path: Path) -> Shape:
    """Read a Wavefront OBJ: vertices, texture coordinates, polygons and their materials."""
    vertices: list[list[float]] = []
    places: list[list[float]] = [[0.0, 0.0]]
    faces: list[list[int]] = []
    uv: list[list[list[float]]] = []
    material: list[int] = []
    names, known, current = [""], {"": Material()}, 0
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        kind, *words = line.split() or [""]
        if kind == "v":
            vertices.append([float(word) for word in words[:3]])
        elif kind == "vt":
            places.append([float(word) for word in words[:2]])
        elif kind == "mtllib":
            known |= read_mtl(path.parent / " ".join(words))
        elif kind == "usemtl":
            name = " ".join(words)
            if name not in names:
                names.append(name)
            current = names.index(name)
        elif kind == "f":
            corners = [[int(number or 0) for number in word.split("/")[:2]] for word in words]
            # Negative numbers count back from the last one read.
            points = [c[0] - 1 if c[0] > 0 else len(vertices) + c[0] for c in corners]
            marks = [places[c[1]] if len(c) > 1 else places[0] for c in corners]
            for k in range(1, len(points) - 1):
                faces.append([points[0], points[k], points[k + 1]])
                uv.append([marks[0], marks[k], marks[k + 1]])
                material.append(current)
    return Shape(
        np.array(vertices, np.float64).reshape(-1, 3),
        np.array(faces, np.int64).reshape(-1, 3),
        np.array(uv, np.float64).reshape(-1, 3, 2),
        np.array(material, np.int64),
        [known.get(name, Material()) for name in names],
    )


def read_mtl(path: Path) -> dict[str, Material]:
    """Read the materials of an OBJ: colour, texture and opacity."""
    found: dict[str, Material] = {}
    name = ""
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        kind, *words = line.split() or [""]
        if kind == "newmtl":
            name = " ".join(words)
            found[name] = Material()
        elif kind == "Kd" and name in found:
            red, green, blue = map(float, words[:3])
            found[name] = found[name]._replace(colour=(red, green, blue))
        elif kind == "map_Kd" and name in found:
            found[name] = found[name]._replace(texture=path.parent / words[-1])
        elif kind == "d" and name in found:
            found[name] = found[name]._replace(is_glass=float(words[0]) < 0.9)
    return found
