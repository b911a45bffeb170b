"""A single-file page that shows a whole prediction, without server or network.

It opens from disk in any browser with WebGL 2. The surface is drawn by OGL (public domain), because
every page carries the library: bundled for the same few classes, it has a ninth of the size of
three.js.
"""

from rilievo.geometry.surface import surface_step
from rilievo.io.facts import FileFacts, SurfaceFacts
from rilievo.io.json_record import to_json
from rilievo.io.page.document import Contents, document
from rilievo.io.page.pictures import (
    colour_bar,
    confidence_picture,
    depth_picture,
    normals_pictures,
    photo_picture,
)
from rilievo.io.page.relief import Relief, pack_relief
from rilievo.io.writing import WriteJob
from rilievo.types import Prediction

MOST_POINTS = 250_000
"""Most points of a surface on a page, so that telephones turn it smoothly."""


def write(job: WriteJob) -> FileFacts:
    """Write the page; depth of an affine kind has pictures but no surface."""
    prediction, options, depth = job.prediction, job.options, job.prediction.depth_or_none
    relief, missing = _relief(job)
    surface = None
    if relief is not None:
        surface = SurfaceFacts(
            pixel_step=relief.form.step,
            points=relief.points,
            triangles=relief.triangles,
            edge_jump=options.edge,
            grazing_degrees=options.grazing,
            specks=options.specks,
            dropped=options.dropped,
        )
    bar = None if depth is None else colour_bar(depth, options)
    facts = FileFacts(
        file=job.file,
        output=job.output,
        holds="page with pictures and, where there is depth, the surface",
        unit=None if depth is None else job.depth_facts.unit,
        colour=None if bar is None else bar.facts,
        surface=surface,
    )
    photo = prediction.photo
    others = (normals_pictures(prediction), confidence_picture(prediction))
    contents = Contents(
        about=job.about,
        json=job.about.alone(facts),
        photo=None if photo is None else photo_picture(photo, options),
        depth=None if depth is None else depth_picture(depth, options),
        bar=bar,
        others=tuple(each for each in others if each is not None),
        relief=relief,
        surface=surface,
        missing=missing,
        terms=None if relief is None else _terms(prediction),
    )
    job.path.write_text(document(contents), encoding="utf-8", newline="\n")
    return facts


def _terms(prediction: Prediction) -> str:
    """Values that the page measures with, as JSON."""
    # Imported here because calibration imports this package.
    from rilievo.measure.terms import terms_of

    return to_json(terms_of(prediction))


def _relief(job: WriteJob) -> tuple[Relief | None, str | None]:
    """The surface, or the reason why there is none."""
    prediction, options = job.prediction, job.options
    depth, camera = prediction.depth_or_none, prediction.camera
    if depth is None:
        return None, None
    if not depth.is_depth:
        return None, "Known distances make one possible: rilievo predict --known u,v,metres."
    if camera is None:
        return None, "The camera is not known, and without one there is no surface."
    step = surface_step(depth.shape, min(options.surface_points, MOST_POINTS))
    relief = pack_relief(depth.depth(), camera.K, job.surface_pixels, step=step, cut=options.cut)
    return relief, None if relief else "The surface is empty: no pixel is connected to a neighbour."
