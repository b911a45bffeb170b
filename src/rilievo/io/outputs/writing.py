"""Job of every writer, facts and points of its surfaces, arrays of every reader."""

from collections.abc import Iterator, Mapping, Set
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL.ImageFile import ImageFile

from rilievo.arrays.shapes import Field, Mask, Pixels, UInt8, Vectors
from rilievo.errors import InputError
from rilievo.geometry.cameras.camera import Camera
from rilievo.geometry.surfaces.meshes import FrontCloud, Mesh, PointCloud, front_cloud, surface_step
from rilievo.io.files.archives import check_tiff_tags
from rilievo.io.files.limits import MAX_PIXELS
from rilievo.io.files.names import printable
from rilievo.io.map_pictures import write_png
from rilievo.io.outputs.save_options import SaveOptions
from rilievo.io.outputs.sidecar import OUR_AXES, DepthFacts, FileFacts, Sidecar, SurfaceFacts
from rilievo.io.outputs.skyline import sky_share, surface_pixels
from rilievo.io.photographs.decode import load_pixels
from rilievo.records.depth_map import DepthMap
from rilievo.records.prediction_record import PredictionRecord

_PARTS = {
    "values": ("valid", "is_anchored", "network_depth"),
    "normals": (),
    "confidence": (),
    "sky": (),
    "photo": ("transparent",),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteJob:
    """One file to write.

    Attributes:
        path: Part file, whose name carries no meaning.
        file: Final name.
        about: Description to embed.
        extent: Range of depth of files with one scale.
        later: Outputs that are written after it.
        beside: Files written together, by output.
        shared: Turns and points of other files.
    """

    path: Path
    file: str
    output: str
    prediction: PredictionRecord
    options: SaveOptions
    about: Sidecar
    extent: tuple[float, float] | None = None
    later: Set[str] = frozenset()
    beside: Mapping[str, str] = field(default_factory=dict)
    shared: dict[tuple[str, SaveOptions], Any] = field(default_factory=dict)

    @property
    def depth_facts(self) -> DepthFacts:
        """Description of the depth map."""
        assert self.about.depth is not None, "described from the same prediction"
        return self.about.depth

    def facts(self, holds: str) -> FileFacts:
        """Description of the file by its content."""
        return FileFacts(file=self.file, output=self.output, holds=holds)

    def float_depth_facts(self, holds: str) -> FileFacts:
        """Description of float values, NaN where invalid."""
        unit = self.depth_facts.unit
        return replace(self.facts(holds), unit=unit, scale=1.0, offset=0.0, invalid="nan")

    def write_png(
        self,
        pixels: UInt8[np.ndarray, "h w *c"],
        facts: FileFacts,
        palette: np.ndarray | None = None,
    ) -> FileFacts:
        """Write a picture with its description, which is returned."""
        text = {"Software": "rilievo", "rilievo": self.about.embedded_json(facts)}
        write_png(self.path, pixels, text, palette=palette)
        return facts


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """Arrays of one file; ``is_anchored`` depth is that of surfaces."""

    values: Field | None = None
    network_depth: Field | None = None
    valid: Mask | None = None
    normals: Vectors | None = None
    confidence: Field | None = None
    sky: Mask | None = None
    photo: Pixels | None = None
    transparent: Mask | None = None
    is_anchored: bool = False

    def lacks(self, part: str) -> bool:
        """Whether a part is missing."""
        return getattr(self, "values" if part == "depth" else part) is None

    def fill_from(self, other: "Stored") -> "Stored":
        """Fill missing parts from ``other``."""
        added = {
            name: getattr(other, name)
            for part, also in _PARTS.items()
            if getattr(self, part) is None
            for name in (part, *also)
        }
        return replace(self, **added)


def with_nan(values: Field, valid: Mask) -> Field:
    """Values with NaN where invalid."""
    return values if valid.all() else np.where(valid, values, np.float32(np.nan))


def from_nan(values: Field) -> Stored:
    """Arrays of values that are NaN where invalid."""
    return Stored(values=values, valid=~np.isnan(values))


@contextmanager
def open_stored_image(plugin: type[ImageFile], path: Path) -> Iterator[ImageFile]:
    """Open an image of ours, without ``Image.open``'s warning of large ones."""
    if plugin.format == "TIFF":
        with path.open("rb") as file:
            check_tiff_tags(file, printable(path))
    with plugin(path) as image:
        width, height = image.size
        if width * height > MAX_PIXELS:
            raise ValueError(f"{width}x{height} pixels are more than rilievo writes")
        load_pixels(image)
        yield image


_CLOUDS = ("ply", "splat", "spz")


def surface_points(
    job: WriteJob,
    depth: DepthMap,
    camera: Camera,
    *,
    form: str,
    holds: str,
    default_backing: float = 0.0,
) -> tuple[PointCloud, FileFacts]:
    """Points of the surface in the camera's frame, and their facts.

    ``form`` is a noun for the error; ``default_backing`` is that of options without one.

    Raises:
        InputError: If no surface is left.
    """
    options = job.options
    step = surface_step(depth.shape, options.surface_points)
    backing = default_backing if options.backing is None else options.backing
    cloud = _front_points(job, depth, camera, step).with_backing(backing)
    if not len(cloud.points):
        raise InputError(f"no surface is left to write as {form}", path=job.about.source.file)
    surface = surface_facts(job, step=step, points=len(cloud.points))
    facts = replace(
        job.facts(holds),
        unit=job.depth_facts.unit,
        axes=OUR_AXES,
        surface=replace(surface, backing=backing or None),
    )
    return cloud, facts


def _front_points(job: WriteJob, depth: DepthMap, camera: Camera, step: int) -> FrontCloud:
    options, photo = job.options, job.prediction.photo
    key = ("points", options)
    front = job.shared.pop(key, None)
    if front is None:
        front = front_cloud(
            depth.depth(),
            camera,
            surface_pixels(job.prediction, options.drops),
            colours=None if photo is None else photo.pixels,
            normals=job.prediction.normals,
            step=step,
            cut=options.cut,
        )
    if not job.later.isdisjoint(_CLOUDS):
        job.shared[key] = front
    return front


def mesh_facts(
    job: WriteJob, surface: Mesh, *, step: int, texture_width: int | None = None
) -> SurfaceFacts:
    """Describe a mesh of every ``step``-th pixel."""
    backing = job.options.mesh_backing
    return replace(
        surface_facts(job, step=step, points=len(surface.points)),
        triangles=len(surface.triangles),
        behind=surface.behind or None,
        grazing_degrees=0.0 if backing else job.options.grazing,
        backing=backing or None,
        texture_width=texture_width,
    )


def surface_facts(job: WriteJob, *, step: int, points: int) -> SurfaceFacts:
    """Describe a surface of every ``step``-th pixel."""
    options = job.options
    return SurfaceFacts(
        pixel_step=step,
        points=points,
        edge_jump=options.edge,
        grazing_degrees=options.grazing,
        specks=options.specks,
        dropped=options.drop_text,
        sky=sky_share(job.prediction),
        backing=options.backing or None,
    )
