"""Holes of surfaces: python -m benchmarks.surface_holes [NAME...], all photographs without a name.

Of the GLB that the default writes of each of sixteen photographs: the share of the picture that is
hole from its own camera, and within 15 degrees of turning about the median depth; the share of
pixels at which the first surface is within 2% of the depth map; triangles of the front that are
stretched over a step by more than a tenth; bytes. Photographs are scikit-image's and those of the
folder RILIEVO_DATA; names may be paths of others, too.

Smears are the share of the rays from 15 degrees to either side (the worse one) whose first triangle
the own camera sees edge-on, at less than 5.7 degrees; floors and ceilings, whose normals are within
37 degrees of the picture's up, are left out.

A hole is where the whole depth map, drawn without any cut, would be seen, and the mesh is not. Sky,
pixels without depth and those beside them are left out, and so are rays that see the sky of the
photograph, at three times the depth of all else: without a cut, near and far are joined before it.
Sky at the photograph's border goes on beyond it.
"""

import io
import json
import os
import struct
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import skimage
from PIL import Image

import rilievo
from rilievo.geometry.intrinsics import resize_K
from rilievo.geometry.surfaces.lattice import Cut, sample_lattice
from rilievo.geometry.surfaces.meshes import Mesh, mesh
from rilievo.geometry.surfaces.ramps import sharpen_edges
from rilievo.io.outputs.formats.raster import rasterise
from rilievo.io.outputs.formats.turn import View
from rilievo.io.outputs.sky import surface_pixels
from rilievo.prediction import Prediction

OWN = ("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg", "motorcycle_left.png")
OTHERS = (
    *(f"photos_cameras/{number}.jpg" for number in ("0013", "0018", "0021", "0029", "0037")),
    *(f"photos_cameras/{number}.jpg" for number in ("0068", "0079", "0126", "0167")),
    "photos_kodak24/08.png",
    "nyuv2_labeled_8bit/rgb/0000.jpg",
)
_TURNED = ((-15.0, 0.0), (15.0, 0.0), (0.0, -15.0), (0.0, 15.0))
"""Degrees to the right and down."""
_SKY = 3.0
"""Depth of the sky, relative to the 98th percentile of all other depth."""
_STRETCHED = np.log(1.1)
_EDGE_ON = 0.1
"""Cosine between a normal and the ray from the own camera below which a triangle is a smear."""
_LEVEL = 0.8
"""Cosine between a normal and the picture's up from which it is a floor or a ceiling."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Holes:
    """Measurements of one photograph.

    Attributes:
        rest: Share of the picture that is hole from its own camera.
        turned: The same from each of the turned views.
        first: Share of pixels at which one of four rays meets the depth map first, within 2%.
        middle: Share of pixels at which the ray through its middle does.
        smears: Share of rays that meet a smear, from the worse side.
        stretched: Number of stretched triangles.
        size: Bytes.
    """

    rest: float
    turned: tuple[float, ...]
    first: float
    middle: float
    smears: float
    stretched: int
    size: int


def read_mesh(path: Path, shape: tuple[int, int]) -> Mesh:
    """Read the mesh of a GLB that rilievo wrote, back into the camera's frame."""
    data = path.read_bytes()
    length = struct.unpack_from("<I", data, 12)[0]
    document, binary = json.loads(data[20 : 20 + length]), data[28 + length :]
    kinds = {5123: "<u2", 5125: "<u4", 5126: "<f4"}

    def rows(number: int) -> np.ndarray:
        accessor = document["accessors"][number]
        view = document["bufferViews"][accessor["bufferView"]]
        kind = kinds[accessor["componentType"]]
        part = binary[view["byteOffset"] :][: view["byteLength"]]
        return np.frombuffer(part, kind).reshape(accessor["count"], -1)

    [primitive] = document["meshes"][0]["primitives"]
    attributes = primitive["attributes"]
    points = rows(attributes["POSITION"]) * np.array([1, -1, -1], np.float32)
    # The texture is the photograph, with colours of what lies behind edges below it.
    texture = document["bufferViews"][document["images"][0]["bufferView"]]
    picture = binary[texture["byteOffset"] :][: texture["byteLength"]]
    columns, lines = Image.open(io.BytesIO(picture)).size
    scale = shape[1] / columns
    places = rows(attributes["TEXCOORD_0"]) * np.array([columns * scale, lines * scale], np.float32)
    [facts] = document["asset"]["extras"]["rilievo"]["files"]
    return Mesh(
        points=points,
        normals=rows(attributes["NORMAL"]),
        pixels=places - np.float32(0.5),
        triangles=rows(primitive["indices"]).reshape(-1, 3).astype(np.int32),
        behind=facts["surface"].get("behind", 0),
    )


def measure(prediction: Prediction, path: Path) -> Holes:
    """Measure the GLB of a prediction."""
    depth, camera, shape = prediction.depth.depth(), prediction.camera, prediction.shape
    assert camera is not None, "the default gives a camera"
    surface = read_mesh(path, shape)
    there = surface_pixels(prediction, ())
    inner = there.copy()
    for axis in (0, 1):
        for step in (-1, 1):
            inner &= np.roll(there, step, axis)
    whole = sample_lattice(depth, camera, there, 1)
    unmoved = inner & (sharpen_edges(whole).lattice.depth == whole.depth)
    uncut = Cut(grazing=0.0, jump=1e9)
    sheet = mesh(depth, camera, inner, cut=uncut)
    margin = max(shape) // 2
    is_sky = np.pad(prediction.depth.valid & ~there, margin, mode="edge")
    far = np.full(is_sky.shape, _SKY * np.percentile(depth[there], 98), np.float32)
    sky = mesh(far, camera.cropped(top=-margin, left=-margin), is_sky, cut=uncut)
    middle = camera.rays(np.array([(shape[1] - 1) / 2, (shape[0] - 1) / 2]))
    pivot = middle * np.median(depth[there])

    def inverse_depth(
        what: Mesh, yaw: float = 0.0, pitch: float = 0.0, fine: int = 1
    ) -> np.ndarray:
        """1/depth, with ``fine`` rays a pixel along each side; 0 where nothing is."""
        view = View(size=shape, K=camera.K, yaw=yaw, pitch=pitch)
        points = ((what.points - pivot) @ view.rotation.T + pivot).astype(np.float32)
        size = (fine * shape[0], fine * shape[1])
        K = resize_K(camera.K, size=shape, new_size=size)
        return rasterise(what, points, K, size).inverse_depth

    covered, four = inverse_depth(sheet, fine=2) > 0, inverse_depth(surface, fine=2)
    rays = four.reshape(shape[0], 2, shape[1], 2)
    off = abs(rays * depth[:, None, :, None] - 1).min(axis=(1, 3))
    turned = []
    for yaw, pitch in _TURNED:
        expected = inverse_depth(sheet, yaw, pitch) > 0
        is_hole = expected & (inverse_depth(surface, yaw, pitch) == 0)
        if len(sky.triangles):
            is_hole &= inverse_depth(sky, yaw, pitch) == 0
        turned.append(float(is_hole.sum() / expected.sum()))
    return Holes(
        rest=float((covered & (four == 0)).sum() / covered.sum()),
        turned=tuple(turned),
        first=float((off[unmoved] < 0.02).mean()),
        middle=float((abs(inverse_depth(surface) * depth - 1)[unmoved] < 0.02).mean()),
        smears=max(_smears(surface, prediction, yaw) for yaw in (-15.0, 15.0)),
        stretched=_stretched(surface),
        size=path.stat().st_size,
    )


def _smears(surface: Mesh, prediction: Prediction, yaw: float) -> float:
    """Share of a turned view that shows triangles which the own camera sees edge-on."""
    camera, shape, depth = prediction.camera, prediction.shape, prediction.depth
    assert camera is not None, "the default gives a camera"
    corners = surface.points[surface.triangles].astype(np.float64)
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-30)
    centre = corners.mean(axis=1)
    facing = abs((normal * centre).sum(axis=1)) / np.linalg.norm(centre, axis=1)
    is_smear = (facing < _EDGE_ON) & (abs(normal[:, 1]) < _LEVEL)
    # Every triangle has its own corners, whose "pixel" says what it is.
    flags = np.repeat(is_smear.astype(np.float32), 3)
    alone = Mesh(
        points=corners.reshape(-1, 3).astype(np.float32),
        normals=np.repeat(normal, 3, axis=0).astype(np.float32),
        pixels=np.stack([flags, flags], axis=1),
        triangles=np.arange(3 * len(corners), dtype=np.int32).reshape(-1, 3),
    )
    pivot = np.array([0, 0, np.median(depth.depth()[depth.valid])])
    view = View(size=shape, K=camera.K, yaw=yaw)
    points = ((alone.points - pivot) @ view.rotation.T + pivot).astype(np.float32)
    raster = rasterise(alone, points, camera.K, shape)
    return float((raster.pixels[0] > 0.5)[raster.inverse_depth > 0].mean())


def _stretched(surface: Mesh) -> int:
    """Triangles of the front whose depth changes by more than a tenth a pixel."""
    front = surface.triangles[: len(surface.triangles) - surface.behind]
    wide = np.zeros(len(front), bool)
    for first, second in ((0, 1), (1, 2), (2, 0)):
        one, other = front[:, first], front[:, second]
        pixels = np.linalg.norm(surface.pixels[one] - surface.pixels[other], axis=1)
        change = abs(np.log(surface.points[one, 2] / surface.points[other, 2]))
        wide |= change > _STRETCHED * np.maximum(pixels, 1)
    return int(wide.sum())


def photographs() -> Iterator[Path]:
    """The sixteen photographs, as far as they are there."""
    shipped = Path(skimage.__file__).parent / "data"
    data = os.environ.get("RILIEVO_DATA")
    yield from (shipped / name for name in OWN)
    if data:
        yield from (Path(data) / name for name in OTHERS)
    else:
        print("RILIEVO_DATA names no folder: scikit-image's photographs alone", file=sys.stderr)


def main(names: list[str]) -> None:
    """Print a line for each photograph, and one for all."""
    rows = []
    others = [Path(name) for name in names if Path(name).is_file()]
    chosen = {name for name in names if not Path(name).is_file()}
    for path in (*others, *photographs()):
        if names and path not in others and path.stem not in chosen:
            continue
        with tempfile.TemporaryDirectory() as folder:
            prediction = rilievo.predict(path)
            target = Path(folder) / "surface.glb"
            prediction.save(target)
            rows.append(row := measure(prediction, target))
        turned = " ".join(f"{share:.2%}" for share in row.turned)
        print(
            f"{path.stem:16} holes {row.rest:.3%} turned {turned} first surface {row.first:.2%} "
            f"(middle {row.middle:.2%}) smears {row.smears:.2%} stretched {row.stretched} "
            f"{row.size / 1e6:.2f} MB",
            flush=True,
        )
    if not rows:
        sys.exit(f"no photograph is named {', '.join(names)}: leave the names out for all")
    turned, smears = np.array([row.turned for row in rows]), [row.smears for row in rows]
    print(
        f"smears at 15 degrees mean {np.mean(smears):.2%} (1.5%), worst {max(smears):.2%} (8%), "
        f"median {np.median(smears):.2%}"
    )
    print(
        f"{len(rows)} photographs: holes at most {max(row.rest for row in rows):.3%} (0.02%); "
        f"within 15 degrees median {np.median(turned):.2%} (1%), worst {turned.max():.2%}; first "
        f"surface at least {min(row.first for row in rows):.2%} (99%); stretched "
        f"{sum(row.stretched for row in rows)} (0); at most "
        f"{max(row.size for row in rows) / 1e6:.2f} MB (1.6)"
    )


if __name__ == "__main__":
    main(sys.argv[1:])
